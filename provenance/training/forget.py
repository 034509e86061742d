"""What an erasure takes out of run folders: examples in results, checkpoints, caches. The model that was registered stays."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from sqlmodel import Session

from provenance.canonical import canonical_bytes, parse_json
from provenance.ledger.publish import write_file
from provenance.store.jobs import ENDED, list_jobs
from provenance.store.runs import list_runs_of, run_of_job
from provenance.training.local import RESULT
from provenance.training.prepare import START
from provenance.training.rounds import ROUNDS

LEFT_OVER = ("checkpoint-*", ".cache", START, ROUNDS)


def list_affected(session: Session, releases: Sequence[str]) -> list[str]:
    """The runs on these releases, those that have logged nothing yet too."""
    logged = [run.id for release in releases for run in list_runs_of(session, release)]
    jobs = list_jobs(session, "run", limit=10_000)
    waiting = [run_of_job(job.id) for job in jobs if job.request["release"] in releases]
    return list(dict.fromkeys([*logged, *waiting]))


def list_going(session: Session, runs: Sequence[str]) -> list[str]:
    """The jobs of those of `runs` that have not ended."""
    jobs = list_jobs(session, "run", limit=10_000)
    return [job.id for job in jobs if run_of_job(job.id) in runs and job.state not in ENDED]


def forget_text(folder: Path) -> None:
    """Take quoted text, checkpoints and caches out of the folder of a run that has ended; measures and weights stay."""
    output = folder / "out"
    for pattern in LEFT_OVER:
        for path in output.glob(pattern):
            shutil.rmtree(path)
    result = output / RESULT
    if result.is_file():
        said = parse_json(result.read_bytes())
        if said.get("generations"):
            write_file(result, canonical_bytes({**said, "generations": []}))
