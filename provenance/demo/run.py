"""The main job, end to end, as its users do it: over HTTP and the command line, with a real teacher and a real student.

Each act carries an Idempotency-Key, so a demo that was interrupted goes on where it stopped.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console

from provenance.demo.client import DemoClient
from provenance.demo.samples import load_claims, load_prompts
from provenance.demo.service import (
    check_port,
    free_port,
    is_running,
    run_command,
    run_json,
    start_background,
    stop,
    wait_until_up,
)
from provenance.demo.show import Bar, show_decision, show_student
from provenance.settings import prepare_data_dir
from provenance.training.teacher import LICENSE, NAME, TeacherFiles, fetch_teacher

HOST = "127.0.0.1"
DATASET = "tutor"
TEACHER = f"huggingface-smollm/{NAME}"
STUDENT = "acme-tutor-27m"
PARALLEL_PROMPTS = 16
MAX_NEW_TOKENS = 64
STUDENT_FACTS: dict[str, Any] = {
    "name": STUDENT,
    "developer": {"name": "acme", "country": "FR", "ultimate_parent_country": "FR"},
    "base_model": TEACHER,
    "base_license": LICENSE,
    "release_license": LICENSE,
    "use": "commercial",
    "distribution": "public-weights",
    "purpose": "general-assistant",
    "competes_with": ["openai"],
    "territories": ["FR", "DE", "US"],
    "monthly_active_users": 20_000,
    "annual_revenue_usd": 2_000_000,
    "notices": [],
    "training": {"location": "FR", "hardware": "cpu"},
}


@dataclass
class Demo:
    """What the steps hand to each other."""

    console: Console
    data_dir: Path
    port: int
    started: float = field(default_factory=time.monotonic)
    token: str = ""

    @property
    def url(self) -> str:
        """Where the service answers."""
        return f"http://{HOST}:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """What every process of the demo is started with."""
        return {"PROVENANCE_DATA_DIR": str(self.data_dir), "PROVENANCE_PORT": str(self.port)}

    def step(self, number: int, text: str) -> None:
        """Say what comes now, and how long it took so far."""
        self.console.rule(
            f"[bold]{number}. {text}[/bold]  [dim]{time.monotonic() - self.started:.0f} s[/dim]", align="left"
        )


def main() -> int:
    """Run the demo; the dashboard stays up."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 120
    data_dir = Path(os.environ.get("PROVENANCE_DATA_DIR", "data/demo")).resolve()
    demo = Demo(console, data_dir, int(os.environ.get("PROVENANCE_PORT", "8000")))
    prepare_data_dir(data_dir)
    running = is_running(data_dir, demo.url)
    if not running:
        check_port(HOST, demo.port)
    demo.step(1, "The real teacher: SmolLM2-135M-Instruct, fetched once and pinned by digest")
    teacher = _fetch(demo)
    demo.step(2, "Keys, log, catalogue of terms, service")
    teacher_port = free_port()
    _write_gateway(demo, teacher, teacher_port)
    if not running:
        _start_service(demo)
    _greet(demo)
    server = _start_teacher(demo, teacher, teacher_port)
    try:
        with DemoClient(demo.url, demo.token) as client:
            demo.step(3, "The teacher answers, through the recording gateway")
            _capture(demo, client)
    finally:
        stop(server)
    with DemoClient(demo.url, demo.token) as client:
        demo.step(4, "Two more sets, as somebody claims to have them")
        _import_claims(demo, client)
        demo.step(5, "The gate: may this student learn from these samples?")
        release, blocked = _release(demo, client, teacher)
        demo.step(6, "A launch that is not allowed, and one that is")
        run = _train(demo, client, release, blocked)
        demo.step(7, "The report, and the bundle that proves it offline")
        report = _report(demo, client, release)
    _verify(demo, report)
    _say_goodbye(demo, release, blocked, run, report)
    return 0


def _fetch(demo: Demo) -> TeacherFiles:
    with Bar(demo.console, "fetch, check and export", 100) as bar:
        return fetch_teacher(demo.data_dir / "models", lambda stage, done: bar.show(round(done * 100), stage))


def _write_gateway(demo: Demo, teacher: TeacherFiles, port: int) -> None:
    upstream = {
        "model": TEACHER,
        "base_url": f"http://{HOST}:{port}/v1",
        "api_key": None,
        "upstream_model": teacher.name,
        "teacher": {
            "provider": "huggingface-smollm",
            "model": NAME,
            "route": "weights",
            "revision": teacher.revision,
            "weights_digest": teacher.weights_digest,
        },
        "account": None,
    }
    (demo.data_dir / "gateway.yaml").write_text(yaml.safe_dump({"upstreams": [upstream]}, sort_keys=False))


def _start_service(demo: Demo) -> None:
    log = demo.data_dir / "logs" / "service.log"
    command = [sys.executable, "-m", "provenance", "serve", "--host", HOST, "--port", str(demo.port)]
    process = start_background(command, log, demo.environment)
    wait_until_up(f"{demo.url}/readyz", process, log, "the service")


def _greet(demo: Demo) -> None:
    name = f"demo-{int(time.time())}"
    demo.token = run_json(["token", "create", "--name", name, "--role", "admin", "--expires", "1d"], demo.environment)[
        "token"
    ]
    keys = run_json(["keys", "list"], demo.environment)
    demo.console.print(
        f"service on {demo.url}; keys: {', '.join(key['purpose'] + ' ' + key['algorithm'] for key in keys)}"
    )


def _start_teacher(demo: Demo, teacher: TeacherFiles, port: int) -> subprocess.Popen[bytes]:
    log = demo.data_dir / "logs" / "teacher.log"
    command = [
        *(sys.executable, "-m", "provenance.training.serve", "--model", str(teacher.folder)),
        *("--name", teacher.name, "--port", str(port), "--threads", str(os.cpu_count() or 1)),
        *("--max-batch", str(PARALLEL_PROMPTS)),
    ]
    process = start_background(command, log, {})
    try:
        with demo.console.status("the teacher loads its weights"):
            wait_until_up(f"http://{HOST}:{port}/v1/models", process, log, "the teacher's server")
    except BaseException:
        stop(process)
        raise
    return process


def _capture(demo: Demo, client: DemoClient) -> None:
    prompts = load_prompts()
    with (
        Bar(demo.console, "prompts answered and logged", len(prompts)) as bar,
        ThreadPoolExecutor(PARALLEL_PROMPTS) as pool,
    ):
        answers = pool.map(lambda prompt: client.ask_teacher(TEACHER, DATASET, prompt, MAX_NEW_TOKENS), prompts)
        for done, index in enumerate(answers, 1):
            bar.show(done, f"log entry {index}")


def _import_claims(demo: Demo, client: DemoClient) -> None:
    for name in ("openai_claimed", "llama_claimed"):
        samples = load_claims(name, DATASET)
        receipt = client.import_samples(samples, key=f"demo-import-{name}")
        teacher = samples[0]["teacher"]
        demo.console.print(
            f"{receipt['count']} samples attributed to {teacher['provider']}/{teacher['model']}, evidence grade claimed, "
            f"entries {receipt['first_index']} to {receipt['first_index'] + receipt['count'] - 1}"
        )


def _release(demo: Demo, client: DemoClient, teacher: TeacherFiles) -> tuple[dict[str, Any], dict[str, Any]]:
    client.post(
        "/api/v1/models",
        {
            "provider": "huggingface-smollm",
            "name": NAME,
            "kind": "open-weights",
            "revision": teacher.revision,
            "weights_digest": teacher.weights_digest,
            "license": LICENSE,
        },
        key="demo-teacher",
    )
    student = client.post("/api/v1/students", STUDENT_FACTS, key="demo-student")["id"]
    asked = {"dataset": DATASET, "student": student}
    release = client.build_release({**asked, "name": "tutor"}, key="demo-release")
    only = {"teacher": "openai/gpt-4o"}
    blocked = client.build_release({**asked, "name": "tutor-gpt4o", "selection": only}, key="demo-blocked")
    decision = client.get(f"/api/v1/decisions/{release['decision']['id']}")
    show_decision(demo.console, decision, STUDENT)
    counts = release["counts"]
    demo.console.print(
        f"release tutor@{release['version']}: [bold]{release['state']}[/bold], {counts['released']} released, "
        f"{counts['quarantined']} quarantined"
    )
    return release, blocked


def _train(demo: Demo, client: DemoClient, release: dict[str, Any], blocked: dict[str, Any]) -> dict[str, Any]:
    refused = client.refused_run({"release": blocked["id"], "student": release["student"], "recipe": "sft"})
    demo.console.print(
        f"launch on {blocked['name']}@{blocked['version']}: [bold red]{refused['code']}[/bold red], {refused['detail']}"
    )
    asked = {"release": release["id"], "student": release["student"], "recipe": "sft", "config": {}, "seed": 7}
    run = client.post("/api/v1/runs", asked, key="demo-run")
    demo.console.print(f"watch it live: {demo.url}/runs/{run['id']}")
    with Bar(demo.console, "the student trains, then is measured", None) as bar:

        def show(state: dict[str, Any]) -> None:
            event = state["progress"].get("step")
            if isinstance(event, dict) and event.get("total"):
                loss = event.get("loss")
                bar.show(event["step"], event["event"] if loss is None else f"loss {loss:.2f}", event["total"])

        done: dict[str, Any] = client.wait(f"/api/v1/runs/{run['id']}", show)
    show_student(demo.console, done, client.get(f"/api/v1/models/{done['model']}"))
    return done


def _report(demo: Demo, client: DemoClient, release: dict[str, Any]) -> dict[str, Any]:
    asked = {"kind": "ownership-and-legality", "subject": release["id"]}
    report = client.post("/api/v1/reports", asked, key="demo-report")
    with demo.console.status("render HTML, PDF, JSON, CSV; gather the evidence"):
        done: dict[str, Any] = client.wait(f"/api/v1/reports/{report['id']}", lambda _: None)
    for file in done["files"]:
        demo.console.print(f"  {file['path']:12} {file['size_bytes']:>9,} bytes  {file['digest']}")
    for name, reason in done["missing"].items():
        demo.console.print(f"  no {name}: {reason}")
    return done


def _verify(demo: Demo, report: dict[str, Any]) -> None:
    bundle = demo.data_dir / "reports" / report["id"] / "evidence.zip"
    nowhere = {"PROVENANCE_DATA_DIR": "/nonexistent", "PROVENANCE_URL": ""}  # neither service nor database in reach
    good = run_command(["verify", str(bundle)], nowhere)
    demo.console.print(good.stdout.rstrip(), markup=False)
    data = bytearray(bundle.read_bytes())
    data[len(data) // 2] ^= 1
    changed = bundle.with_name("evidence-one-byte-changed.zip")
    changed.write_bytes(data)
    bad = run_command(["verify", str(changed)], nowhere)
    demo.console.print(f"the same bundle with one byte changed: exit code {bad.returncode} (0 would be verified)")
    if good.returncode != 0 or bad.returncode == 0:
        demo.console.print("[bold red]the verifier did not do what it must[/bold red]")


def _say_goodbye(
    demo: Demo, release: dict[str, Any], blocked: dict[str, Any], run: dict[str, Any], report: dict[str, Any]
) -> None:
    demo.console.rule(f"[bold]Done in {time.monotonic() - demo.started:.0f} s. Open:[/bold]", align="left")
    pages = (
        ("overview", "/"),
        ("samples", f"/samples?dataset={DATASET}"),
        ("why blocked", f"/decisions/{blocked['decision']['id']}"),
        ("release", f"/releases/{release['name']}@{release['version']}"),
        ("training run", f"/runs/{run['id']}"),
        ("student", f"/models/{run['model']}"),
        ("report", f"/reports/{report['id']}"),
        ("the log", "/log"),
    )
    for name, path in pages:
        demo.console.print(f"  {name:13} {demo.url}{path}")
    demo.console.print(f"  evidence      {demo.data_dir / 'reports' / report['id'] / 'evidence.zip'}")
    demo.console.print(
        f"The service goes on in the background (log: {demo.data_dir / 'logs' / 'service.log'}); `make stop` ends it."
    )


if __name__ == "__main__":
    raise SystemExit(main())
