"""Run a plan as a job of an existing Ray cluster, through a folder that service and nodes share.

- Before anything is staged: a known version, authentication by token, a node that can hold the run. Ray accepts what it can
  never start, and a job that it has not started it cannot stop; so a run waits here, not there.
- A submission's id is the run's own with the number of the attempt, noted before it is sent: found again after any crash,
  never sent twice.
- The job gets no token of ours. Events and results are files in the shared folder; see `stage` for what is believed of them.
"""

from __future__ import annotations

import json
import shlex
import shutil
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec

from provenance.canonical import canonical_bytes, parse_json, sha256_digest
from provenance.errors import ProvenanceError, UnavailableError
from provenance.ledger.publish import write_file
from provenance.training.backend import Need, Status
from provenance.training.files import digest_files, list_files
from provenance.training.local import CANCEL, EVENTS, LOG
from provenance.training.node import NODE
from provenance.training.plan import Plan
from provenance.training.ray_api import ENDED, Job, RayApi, RayError
from provenance.training.released import verify_release
from provenance.training.slots import Held, lock_file
from provenance.training.stage import Mirror, check_shared, collect, open_regular, pack_code, stage_folder

NOTE: Final = "ray.json"
STAGED: Final = "staged.json"
PATIENCE_SECONDS: Final = 600.0
STOP_SECONDS: Final = 30.0
LOG_BYTES: Final = 4_000_000
SHOWN_CHARACTERS: Final = 500
SIGNALLED: Final = 128  # exit codes from here on: ended by a signal

BOOTSTRAP: Final = """
import hashlib, io, json, sys, tempfile, zipfile
def read(name, digest):
    try:
        data = open(name, 'rb').read()
    except OSError as exc:
        print(f'{name}: {exc.strerror}: does this node see the shared folder?'); sys.exit(6)
    found = 'sha256:' + hashlib.sha256(data).hexdigest()
    if found != digest:
        print(f'{name}: expected {digest}, got {found}'); sys.exit(6)
    return data
job = json.loads(read(sys.argv[1], sys.argv[2]))
with tempfile.TemporaryDirectory(prefix='provenance-') as folder:
    zipfile.ZipFile(io.BytesIO(read(job['code'], job['code_digest']))).extractall(folder)
    sys.path.insert(0, folder)
    from provenance.training.node import run
    code = run(job)
sys.exit(code)
"""


@dataclass(frozen=True)
class RayBackend:
    """A Ray cluster; `open_api` opens its API for the length of a block."""

    open_api: Callable[[], AbstractContextManager[RayApi]]
    shared: Path
    python: str
    slots: Path
    allow_unauthenticated: bool = False
    name: str = "ray"
    poll_seconds: float = 1.0
    hold_seconds: float | None = 15.0
    """The cluster's own figures lag some seconds behind what was started; until then no other run of ours is sent."""
    _mirrors: dict[Path, Mirror] = field(default_factory=dict, compare=False)

    def complete(self, need: Need) -> Need:
        """One process for each GPU."""
        return Need(need.gpus, need.gpus or need.processes)

    def check(self, need: Need) -> None:
        """Refuse a shared folder or a cluster that cannot be trusted, and what no node could ever hold."""
        check_shared(self.shared)
        with self.open_api() as api:
            api.check(allow_unauthenticated=self.allow_unauthenticated)
            nodes = api.list_nodes()
        if not any(_holds(need, node.cpus, node.gpus) for node in nodes):
            best = ", ".join(f"{node.cpus:g} CPU and {node.gpus:g} GPU" for node in nodes[:10])
            raise RayError(f"ray: expected a node with {_words(need)}; the cluster's nodes have {best}")

    def place(self, plan: Plan, folder: Path) -> Plan:
        """Copy release and models into the shared folder."""
        check_shared(self.shared)
        there = self._there(folder)
        stage_folder(Path(plan.release_dir), there / "release", list_files(Path(plan.release_dir)))
        verify_release(there / "release", plan.release_digest)
        (there / "out").mkdir(mode=0o700, exist_ok=True)
        staged: dict[str, Any] = {}
        models = {name: self._place_model(getattr(plan, name), staged) for name in ("base_model_dir", "teacher_dir")}
        # The code of now, also for a later attempt: the plan names its digest.
        code = pack_code()
        write_file(there / "code.zip", code)
        write_file(folder / STAGED, json.dumps({"code_digest": sha256_digest(code), "models": staged}).encode())
        places = {"release_dir": str(there / "release"), "output_dir": str(there / "out"), **models}
        # What is installed on the nodes is not known here: the node says it, and the run's statement carries it.
        return msgspec.structs.replace(plan, **places, environment_digest=None)

    def _place_model(self, source: str | None, staged: dict[str, Any]) -> str | None:
        if source is None:
            return None
        files = list_files(Path(source))
        target = self.shared / "models" / digest_files(files).replace(":", "-")
        stage_folder(Path(source), target, files)
        staged[str(target)] = files
        return str(target)

    def reserve(self, need: Need) -> Held | str:
        """One submission of ours at a time, and only to a cluster that has room for it now."""
        lock = lock_file(self.slots / "ray.lock")
        if lock is None:
            return "another run that is being handed to the cluster"
        held = Held((), (lock,))
        try:
            with self.open_api() as api:
                api.check(allow_unauthenticated=self.allow_unauthenticated)
                nodes = api.list_nodes()
        except UnavailableError as exc:
            held.close()
            return exc.detail
        except ProvenanceError:
            held.close()
            raise
        if any(_holds(need, node.cpus - node.cpus_used, node.gpus - node.gpus_used) for node in nodes):
            return held
        held.close()
        return f"a node of the cluster with {_words(need)} free"

    def find(self, folder: Path) -> bool:
        """Whether a submission was noted that the cluster knows, or that it cannot be asked about now."""
        note = _read_note(folder)
        if note is None:
            return False
        try:
            with self.open_api() as api:
                return api.find_job(note["submission_id"]) is not None
        except UnavailableError:
            return True

    def start(self, folder: Path, need: Need, held: Held) -> None:  # noqa: ARG002  # the lock is the service's alone
        """Submit under the noted id, or under the next one if the cluster saw that one end."""
        note = _read_note(folder) or {"attempt": 1}
        with self.open_api() as api:
            cluster = api.check(allow_unauthenticated=self.allow_unauthenticated)
            job = api.find_job(note["submission_id"]) if "submission_id" in note else None
            if job is not None and job.state not in ENDED:
                return
            attempt = note["attempt"] + (job is not None)
            entrypoint, digest = self._write_job(folder)
            said = {
                "attempt": attempt,
                "submission_id": f"{folder.name}.{attempt}",
                "job_digest": digest,
                "cluster": api.url,
                "ray_version": cluster.version,
                "authenticated": cluster.authenticated,
            }
            write_file(folder / NOTE, json.dumps(said).encode())
            api.submit(said["submission_id"], entrypoint, cpus=need.processes, gpus=need.gpus)

    def _write_job(self, folder: Path) -> tuple[str, str]:
        """Write plan and `job.json`; the answer is the command line and the digest of `job.json`."""
        there, data = self._there(folder), (folder / "plan.json").read_bytes()
        staged = json.loads((folder / STAGED).read_bytes())
        job = canonical_bytes({
            "plan": str(there / "plan.json"), "plan_digest": sha256_digest(data),
            "code": str(there / "code.zip"), "code_digest": staged["code_digest"],
            "models": [{"folder": name, "files": files} for name, files in staged["models"].items()],
            "output": str(there / "out"),
        })  # fmt: skip
        for name, content in (("plan.json", data), ("job.json", job)):
            write_file(there / name, content)
        return self.entrypoint(there / "job.json", sha256_digest(job)), sha256_digest(job)

    def entrypoint(self, job: Path, digest: str) -> str:
        """The job's command line: an emptied environment (a node's holds the cluster's token), then the bootstrap."""
        kept = 'CUDA_VISIBLE_DEVICES="$CUDA_VISIBLE_DEVICES" LD_LIBRARY_PATH="$LD_LIBRARY_PATH"'
        command = shlex.join([self.python, "-I", "-c", BOOTSTRAP, str(job), digest])
        return f'exec env -i PATH="$PATH" LANG=C.UTF-8 {kept} {command}'

    def poll(self, folder: Path) -> Status:
        """Bring back what is new, pass on a cancel, and ask the cluster."""
        note = _read_note(folder)
        if note is None:
            return Status("lost", None, "it was never handed to the cluster")
        there, silent = self._there(folder) / "out", folder / "silent"
        if (folder / "out" / CANCEL).exists() and there.is_dir():
            (there / CANCEL).touch()
        self._mirror(folder).copy()
        try:
            with self.open_api() as api:
                job = api.find_job(note["submission_id"])
        except UnavailableError as exc:
            return _silence(silent, exc.detail)
        silent.unlink(missing_ok=True)
        if job is None:  # a cluster that was started anew knows nothing of what ran on it
            job = Job("FAILED", f"the cluster does not know {note['submission_id']} any more", None, None)
        if job.state not in ENDED:
            waits = job.state == "PENDING"
            return Status("running", None, "the cluster's own queue" if waits else None, waits=waits)
        return self._ended(folder, job)

    def _ended(self, folder: Path, job: Job) -> Status:
        there, output = self._there(folder) / "out", folder / "out"
        self._mirror(folder).copy()
        for name in (LOG, NODE):
            _copy_text(there / name, output / name)
        try:
            said = collect(folder.name, there, output)
        except ProvenanceError as exc:  # what came back is not what it must be: no model, and not tried again
            return Status("failed", {"state": "failed", "code": exc.code}, f"the run's results: {exc.detail}")
        if said is not None:
            return Status(said["state"], said, said.get("detail"))
        if job.state == "STOPPED":
            ours = (output / CANCEL).exists()
            return Status("cancelled" if ours else "failed", None, None if ours else "stopped on the cluster by others")
        refused = job.exit_code is not None and 0 < job.exit_code < SIGNALLED
        digest = (_read_note(folder) or {})["job_digest"]
        # Ray's message repeats the command line, which ends with that digest, before the last lines of output.
        last = job.message.rpartition(digest)[2].strip()[-SHOWN_CHARACTERS:]
        code = "" if job.exit_code is None else f"exit code {job.exit_code}: "
        return Status("failed" if refused else "lost", None, f"the job ended without a result: {code}{last}")

    def kill(self, folder: Path) -> None:
        """Stop the job and wait until the cluster says so; one that it has not started finds nothing to start with."""
        note = _read_note(folder)
        if note is None:
            return
        (self._there(folder) / "job.json").unlink(missing_ok=True)
        give_up = time.monotonic() + STOP_SECONDS
        with self.open_api() as api:
            api.stop(note["submission_id"])
            while time.monotonic() < give_up:
                job = api.find_job(note["submission_id"])
                if job is None or job.state in ENDED or job.state == "PENDING":
                    return
                time.sleep(self.poll_seconds)
        raise UnavailableError(f"ray: {note['submission_id']} still runs {STOP_SECONDS:g} s after it was stopped")

    def clear(self, folder: Path) -> None:
        """Take release, code and output out of the shared folder; models stay for the next run."""
        shutil.rmtree(self._there(folder), ignore_errors=True)
        (folder / "silent").unlink(missing_ok=True)

    def describe(self, folder: Path) -> dict[str, Any]:
        """Cluster, version, submission, and what the node said of itself."""
        said: dict[str, Any] = {"name": self.name, **(_read_note(folder) or {})}
        try:
            node = parse_json((folder / "out" / NODE).read_bytes())
        except (OSError, ProvenanceError):
            return said
        return said | {"node": node} if isinstance(node, dict) and len(canonical_bytes(node)) < 1000 else said

    def _there(self, folder: Path) -> Path:
        return self.shared / folder.name

    def _mirror(self, folder: Path) -> Mirror:
        if folder not in self._mirrors:
            self._mirrors[folder] = Mirror(self._there(folder) / "out" / EVENTS, folder / "out" / EVENTS)
        return self._mirrors[folder]


def _holds(need: Need, cpus: float, gpus: float) -> bool:
    return cpus >= need.processes and gpus >= need.gpus


def _words(need: Need) -> str:
    return f"{need.processes} CPU and {need.gpus} GPU"


def _read_note(folder: Path) -> dict[str, Any] | None:
    try:
        note: dict[str, Any] = json.loads((folder / NOTE).read_bytes())
    except FileNotFoundError:
        return None
    return note


def _silence(mark: Path, detail: str) -> Status:
    """A cluster that does not answer is waited for; the mark's age says for how long already, also after a restart."""
    if not mark.exists():
        mark.touch()
    if time.time() - mark.stat().st_mtime < PATIENCE_SECONDS:
        return Status("running", None, detail, waits=True)
    why = f"no answer for {PATIENCE_SECONDS:g} seconds, so the job may still run there: {detail}"
    return Status("lost", None, why, resume=False)


def _copy_text(source: Path, target: Path) -> None:
    """The last part of a text that the run wrote, if it is there."""
    try:
        with open_regular(source) as stream:
            stream.seek(max(0, source.stat().st_size - LOG_BYTES))
            data = stream.read(LOG_BYTES)
    except OSError:
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(data)
