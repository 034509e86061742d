"""Building a release of many real samples of which one class is blocked: time and memory, at two sizes that show what grows.

Each build runs in a process of its own, so that its peak is its own: `python -m benchmarks.releases FOLDER DATASET`.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from benchmarks.big import open_fresh
from benchmarks.classes import STUDENT
from benchmarks.material import NOW
from benchmarks.measure import Options, Result
from benchmarks.memory import peak_mb
from provenance.canonical import canonical_bytes, sha256_digest
from provenance.capture.sample import parse_samples
from provenance.release.build import decide_dataset, freeze, log_release
from provenance.runtime import Runtime

BATCH = 1000
APACHE = {"provider": "huggingface-smollm", "model": "smollm2-135m-instruct", "route": "weights"}
UNKNOWN = {"provider": "nobody", "model": "unknown-7b", "route": "reseller"}  # no terms: held back
WORDS = "The heron stands in grey water and waits until the small fish come back to the shore. " * 12


def run(options: Options, folder: Path) -> Iterator[Result]:
    """The smallest size that is measured, and a tenth of it."""
    samples = min(*options.sizes, 1_000_000)
    runtime = open_fresh(folder / "releases")
    sizes = {"tenth": max(BATCH, samples // 10), "whole": samples}
    for name, count in sizes.items():
        _capture(runtime, name, count)
    said = {"id": "stu_bench", "facts": STUDENT, "digest": sha256_digest(canonical_bytes(STUDENT))}
    runtime.append("student", said)
    runtime.close()
    for name, count in sizes.items():
        line = [sys.executable, "-m", "benchmarks.releases", str(folder / "releases"), name]
        found = json.loads(subprocess.run(line, capture_output=True, text=True, check=True).stdout.splitlines()[-1])
        more = {"rest_mb": found["rest_mb"], "peak_mb": found["peak_mb"], "samples": float(found["released"])}
        yield Result(f"build of {count:,}, a third held back", "samples", count, found["wall"], found["cpu"], more=more)


def _capture(runtime: Runtime, dataset: str, count: int) -> None:
    for first in range(0, count, BATCH):
        rows = [_sample(dataset, number) for number in range(first, min(count, first + BATCH))]
        body = b"\n".join(orjson.dumps(row) for row in rows)
        runtime.recorder.record(parse_samples(body, now=NOW, lines=True), source="api")


def _sample(dataset: str, number: int) -> dict[str, Any]:
    """Every third is of the teacher that is held back, so released entries never stand side by side for long."""
    return {
        "dataset": dataset,
        "teacher": UNKNOWN if number % 3 == 2 else APACHE,
        "generated_at": "2026-11-01T10:00:00Z",
        "prompt": f"question {number}: {WORDS[: 200 + number % 200]}",
        "completion": f"answer {number}: {WORDS}",
        "prompt_origin": {"kind": "human", "license": "CC0-1.0"},
    }


def main(folder: str, dataset: str) -> None:
    """Build one release of a dataset, and print what it took."""
    runtime = open_fresh(Path(folder))
    request = {"id": f"rel_{dataset}", "name": dataset, "version": 1}
    asked = {"dataset": dataset, "selection": {}, "student": "stu_bench", "action": "release"}
    decision = decide_dataset(runtime, f"dec_{dataset}", **asked)  # type: ignore[arg-type]  # each name has its own type
    before, wall, cpu = peak_mb(), time.perf_counter(), time.process_time()
    digest = freeze(runtime, request, decision, lambda _: None)
    said = log_release(runtime, request, decision, digest)
    took = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
    runtime.close()
    print(json.dumps({"rest_mb": before, "peak_mb": peak_mb(), "released": said["counts"]["released"], **took}))


if __name__ == "__main__":
    main(*sys.argv[1:])
