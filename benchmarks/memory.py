"""The most memory that a gate takes, in a process of its own: `python -m benchmarks.memory URL LOG_SIZE`."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

STATUS = Path("/proc/self/status")


def measure_memory(url: str, log_size: int) -> dict[str, float]:
    """Peak megabytes before the question (packages, catalogue, rules) and after the answer."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.memory", url, str(log_size)], capture_output=True, text=True, check=True
    )
    found: dict[str, float] = json.loads(done.stdout)
    return found


def main(url: str, log_size: int) -> None:
    from benchmarks.classes import STUDENT
    from benchmarks.fill import NAME
    from benchmarks.gate import DIGEST, NOW
    from provenance.policy.gate import Question, ask_gate
    from provenance.policy.pack import load_pack
    from provenance.store.session import make_engine, read_session
    from provenance.terms.catalogue import load_catalogue

    catalogue, pack, engine = load_catalogue(), load_pack(), make_engine(url)
    before = peak_mb()
    with read_session(engine) as session:
        question = Question(NAME, {}, "stu_bench", STUDENT, DIGEST, "train", log_size)
        ask_gate(session, question, catalogue=catalogue, pack=pack, now=NOW).content()
    engine.dispose()
    print(json.dumps({"rest_mb": before, "peak_mb": peak_mb()}))


def forget_peak() -> None:
    """Let `peak_mb` count from here on, where the system can (Linux)."""
    with suppress(OSError):
        STATUS.with_name("clear_refs").write_text("5")


def peak_mb() -> float:
    """Megabytes. Linux hands `ru_maxrss` on from the process that started this one, so its own mark is read there."""
    if STATUS.exists():
        marks = dict(line.split(":", 1) for line in STATUS.read_text().splitlines())
        return int(marks["VmHWM"].split()[0]) * 1024 / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6  # macOS counts bytes


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
