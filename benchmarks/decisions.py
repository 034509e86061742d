"""Single decisions over the shipped cases: how many a second, how long one takes, and what each layer of it costs.

"First" is a rule set that has answered nothing yet, as after a start; "again" has seen the same facts before. The limit
is Cedar alone on the same requests, with policies and schema parsed before.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import cedarpy
import orjson

from benchmarks.gate import cedar_requests
from benchmarks.measure import Options, Result, Timing, beside, latencies, result, spent_in, time_once
from provenance.policy import decide as deciding
from provenance.policy import judge as judging
from provenance.policy.cases import PolicyCase, load_cases
from provenance.policy.decide import decide
from provenance.policy.pack import Pack, load_pack
from provenance.terms.catalogue import Catalogue, load_catalogue

# Where the time of one decision goes: each layer is one function, as its caller knows it.
LAYERS: tuple[tuple[str, Any, str], ...] = (
    ("check the sample's facts", deciding, "validate_sample_facts"),
    ("check the student's facts", deciding, "validate_student"),
    ("read the student", judging, "parse_student"),
    ("find what binds", judging, "bind_sample"),
    ("compute facts for rules", judging, "compute_facts"),
    ("ask the rules", Pack, "evaluate"),
    ("find remedies, each judged again", deciding, "find_remedies"),
    ("format the answer", deciding, "format_answer"),
)


def run(options: Options, folder: Path) -> Iterator[Result]:
    """Decisions by call and through `decide --cases`."""
    catalogue = load_catalogue()
    cases = load_cases()[: options.questions]
    pack = load_pack()
    requests = cedar_requests(partial(_ask_all, _questions(cases, catalogue, pack, remedies=False)))
    limit = latencies(
        "limit: Cedar alone", "evaluations", [partial(cedarpy.is_authorized, *given, **how) for given, how in requests]
    )
    for remedies in (False, True):
        fresh = load_pack()
        words = "with remedies" if remedies else "without remedies"
        for state in ("first", "again"):
            acts = _questions(cases, catalogue, fresh, remedies=remedies)
            yield beside(latencies(f"decision {words}, {state}", "decisions", acts), limit)
    yield limit
    yield from _layers(cases, catalogue)
    yield from _command(options, folder, cases)


def _questions(
    cases: list[PolicyCase], catalogue: Catalogue, pack: Pack, *, remedies: bool
) -> list[Callable[[], dict[str, Any]]]:
    return [
        partial(
            decide,
            case.sample,
            case.student,
            action=case.action,
            at=case.at,
            agreements=case.agreements,
            catalogue=catalogue,
            pack=pack,
            remedies=remedies,
        )
        for case in cases
    ]


def _ask_all(acts: list[Callable[[], dict[str, Any]]]) -> list[dict[str, Any]]:
    return [act() for act in acts]


def _layers(cases: list[PolicyCase], catalogue: Catalogue) -> Iterator[Result]:
    """Seconds in each layer while every case is decided once without remedies; with them for the remedies themselves."""
    for name, owner, function in LAYERS:
        remedies = function == "find_remedies"
        acts = _questions(cases, catalogue, load_pack(), remedies=remedies)
        took, calls = spent_in(owner, function, partial(_ask_all, acts))
        yield result(f"  {name}", "decisions", len(acts), took, calls=calls)
    answers = _ask_all(_questions(cases, catalogue, load_pack(), remedies=True))
    yield result(
        "  write the answer as JSON", "decisions", len(answers), time_once(lambda: [*map(orjson.dumps, answers)])
    )


def write_cases(cases: list[PolicyCase], count: int) -> list[bytes]:
    """`count` questions as `decide --cases` and the service take them."""
    lines = []
    for number in range(count):
        case = cases[number % len(cases)]
        line: dict[str, Any] = {
            "id": str(number),
            "sample": case.sample,
            "student": case.student,
            "action": case.action,
            "agreements": list(case.agreements),
        }
        if case.at is not None:
            line["at"] = case.at.isoformat()
        lines.append(orjson.dumps(line))
    return lines


def _command(options: Options, folder: Path, cases: list[PolicyCase]) -> Iterator[Result]:
    """The command as a pipeline calls it: its start is measured with one line and shown apart."""
    lines = write_cases(cases, options.questions)
    start = _answer_file(folder, lines[:1])
    whole = _answer_file(folder, lines)
    yield result("provenance decide --cases: start and one line", "commands", 1, start)
    yield result("provenance decide --cases: each line", "decisions", len(lines) - 1, whole - start)


def _answer_file(folder: Path, lines: list[bytes]) -> Timing:
    path = folder / "cases.ndjson"
    path.write_bytes(b"\n".join(lines))
    begun, before = time.perf_counter(), _children()
    done = subprocess.run(
        [sys.executable, "-m", "provenance", "decide", "--cases", str(path)], capture_output=True, check=True
    )
    took = Timing(time.perf_counter() - begun, _children() - before)
    answers = [orjson.loads(line) for line in done.stdout.splitlines()]
    if len(answers) != len(lines) or any("verdict" not in answer for answer in answers):
        raise RuntimeError("a question was not answered")
    return took


def _children() -> float:
    import resource

    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
