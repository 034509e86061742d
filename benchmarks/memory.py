"""The most memory that a gate takes, in a process of its own: `python -m benchmarks.memory URL LOG_SIZE`."""

from __future__ import annotations

import json
import resource
import subprocess
import sys

UNIT = 1 if sys.platform == "darwin" else 1024  # getrusage counts bytes there, KiB elsewhere


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
    before = _peak()
    with read_session(engine) as session:
        question = Question(NAME, {}, "stu_bench", STUDENT, DIGEST, "train", log_size)
        ask_gate(session, question, catalogue=catalogue, pack=pack, now=NOW).content()
    engine.dispose()
    print(json.dumps({"rest_mb": before, "peak_mb": _peak()}))


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * UNIT / 1e6


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
