"""`provenance decide`: may this student learn from this sample. A what-if: nothing is stored.

Without `PROVENANCE_URL` it needs no service: the terms and rules are those of the local log where there is one, and else
those that travel with the package. What was known on another day (`--known-at`) stands in a log only.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any, NoReturn

import orjson
import typer

from provenance.cli.connect import is_remote, open_client
from provenance.cli.files import read_bytes, read_list, read_object
from provenance.cli.output import JsonOption, print_json, print_line
from provenance.errors import FieldError, MalformedError, ProvenanceError, SettingsError

EXIT_CODES = {"allow": 0, "allow-with-conditions": 10, "review": 20, "deny": 30}
CASE_FIELDS = {"id", "sample", "student", "action", "agreements", "at", "known_at", "terms_of"}
STANDPOINT_NAMES = {
    "as_known_then": "as it was known then",
    "as_known_today": "as it is known today",
    "by_todays_terms": "by the terms of today",
}
Ask = Callable[[Mapping[str, Any]], dict[str, Any]]


def decide(
    sample: Annotated[Path | None, typer.Option(help="JSON: the facts of a sample.")] = None,
    student: Annotated[Path | None, typer.Option(help="JSON: the facts of a student.")] = None,
    agreements: Annotated[Path | None, typer.Option(help="JSON: agreements that lift something.")] = None,
    action: Annotated[str, typer.Option(help="train, release, publish, serve or distill.")] = "train",
    at: Annotated[str | None, typer.Option(help="The day that is decided for, for example 2026-11-24.")] = None,
    known_at: Annotated[
        str | None, typer.Option(help="As it was known then: a day, or an RFC 3339 time. Reads the log.")
    ] = None,
    terms_of: Annotated[
        str | None, typer.Option(help="By the terms of this day, or today, instead of the sample's own day.")
    ] = None,
    compare: Annotated[
        bool, typer.Option("--compare", help="With --known-at: as known then, as known today, by the terms of today.")
    ] = False,
    cases: Annotated[
        Path | None, typer.Option(help="NDJSON of {id, sample, student, action, agreements?}; - is stdin.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Ask what the rules on record say. Exits 0 allow, 10 allow with conditions, 20 review, 30 deny."""
    if cases is not None:
        if sample or student or agreements or known_at or terms_of or compare:
            raise _usage("--cases stands alone: each line carries its own sample and student")
        _with_asker(lambda ask: answer_cases(ask, read_bytes(cases)))
        return
    if sample is None or student is None:
        raise _usage("expected --sample FILE and --student FILE, or --cases FILE")
    question: dict[str, Any] = {
        "sample": read_object(sample),
        "student": read_object(student),
        "action": action,
        "at": at,
        "known_at": known_at,
        "terms_of": terms_of,
    }
    question["agreements"] = read_list(agreements) if agreements else []
    if compare:
        _compare(question, as_json=as_json)
    answer: dict[str, Any] = {}
    _with_asker(lambda ask: answer.update(ask(question)))
    if as_json:
        print_json(answer)
    else:
        _print_answer(answer)
    raise typer.Exit(EXIT_CODES[answer["verdict"]])


def _compare(question: dict[str, Any], *, as_json: bool) -> NoReturn:
    """Answer from three standpoints, and end with the code of today's knowledge."""
    if question["known_at"] is None or question["terms_of"] is not None:
        raise _usage("--compare needs --known-at, the day to compare with, and has its own --terms-of")
    said = _ask_comparison(question)
    if as_json:
        print_json(said)
    else:
        for name, words in STANDPOINT_NAMES.items():
            print_line(f"{words}: {said[name]['verdict'].upper()}")
        for difference in said["differences"]:
            print_line(f"{STANDPOINT_NAMES[difference['from']]} -> {STANDPOINT_NAMES[difference['to']]}:")
            for line in difference["text"] or ["nothing differs"]:
                print_line(f"  {line}")
        print_line("This is what the recorded rules say. It is not legal advice.")
    raise typer.Exit(EXIT_CODES[said["as_known_today"]["verdict"]])


def _ask_comparison(question: dict[str, Any]) -> dict[str, Any]:
    if is_remote():
        with open_client() as client:
            said: dict[str, Any] = client.post("/api/v1/decisions/compare", {k: v for k, v in question.items() if v})
            return said
    from datetime import UTC, datetime

    from provenance.cli.local import inherit_local, load_in_force
    from provenance.policy.compare import compare_what_if
    from provenance.policy.decide import parse_at

    day = parse_at(question["at"])
    now, then = load_in_force(day=day), load_in_force(question["known_at"], day)
    return compare_what_if(
        question["sample"],
        question["student"],
        action=question["action"],
        at=question["at"],
        agreements=question["agreements"],
        then=then,
        now=now,
        today=datetime.now(UTC).date(),
        inherit=lambda known, terms_of: inherit_local(question["sample"], known, terms_of),
    )


def _with_asker(act: Callable[[Ask], None]) -> None:
    if not is_remote():
        act(_local_asker())
        return
    with open_client() as client:
        act(lambda question: client.post("/api/v1/decisions", {k: v for k, v in question.items() if v is not None}))


def _local_asker() -> Ask:
    from provenance.cli.local import inherit_local, load_in_force, load_local_lifts

    force, load_lifts = load_in_force(), cache(load_local_lifts)
    from datetime import UTC, datetime

    from provenance.policy.decide import decide as decide_one
    from provenance.policy.decide import parse_at
    from provenance.policy.inputs import validate_sample_facts
    from provenance.policy.known import parse_terms_day

    def ask(question: Mapping[str, Any]) -> dict[str, Any]:
        now = datetime.now(UTC).date()
        day = parse_at(question.get("at")) or now
        known = load_in_force(question["known_at"], day) if question.get("known_at") else force
        held = known.lifts if question.get("known_at") else load_lifts(day)
        terms_of = parse_terms_day(question["terms_of"], today=now) if question.get("terms_of") else None
        validate_sample_facts(question["sample"], today=now)
        return decide_one(
            question["sample"],
            question["student"],
            action=question.get("action") or "train",
            at=question.get("at") or now,
            terms_of=terms_of,
            today=now,
            inheritance=inherit_local(question["sample"], known, terms_of),
            agreements=[*(question.get("agreements") or ()), *held.agreements],
            exceptions=held.exceptions,
            catalogue=known.catalogue,
            pack=known.pack,
            log_size=known.log_size,
        )

    return ask


def answer_cases(ask: Ask, data: bytes) -> None:
    """Write one answer a line, with its `id`; a bad line answers with its error, and the rest goes on."""
    for number, line in enumerate(data.split(b"\n"), 1):
        if line.strip():
            sys.stdout.buffer.write(orjson.dumps(_answer_case(ask, line, number), default=str) + b"\n")
    sys.stdout.flush()


def _answer_case(ask: Ask, line: bytes, number: int) -> dict[str, Any]:
    identifier: Any = None
    try:
        case = orjson.loads(line)
        identifier = case.get("id") if isinstance(case, dict) else None
        return {"id": identifier, **ask(_check_case(line, number))}
    except ProvenanceError as exc:
        from provenance.cli.output import problem_of

        return {"id": identifier, "error": problem_of(exc)}
    except orjson.JSONDecodeError as exc:
        problem = MalformedError(
            f"line {number} is not JSON: {exc}", FieldError("line", line[:80].decode(errors="replace"), "JSON", number)
        )
        from provenance.cli.output import problem_of

        return {"id": None, "error": problem_of(problem)}
    except Exception as exc:  # noqa: BLE001  a fault of ours on one line must not lose the answers to the rest
        from provenance.cli.output import problem_of

        return {"id": identifier, "error": problem_of(ProvenanceError(f"line {number}: a fault of ours: {exc!r}"))}


def _check_case(line: bytes, number: int) -> dict[str, Any]:
    from provenance.canonical import parse_json

    case = parse_json(line)
    if not isinstance(case, dict):
        raise MalformedError(f"line {number}: expected an object", FieldError("line", case, "an object", number))
    for name in ("sample", "student"):
        if not isinstance(case.get(name), dict):
            raise MalformedError(
                f"line {number}: {name}: expected an object", FieldError(name, case.get(name), "an object", number)
            )
    if not isinstance(case.get("agreements"), list | None):
        raise MalformedError(
            f"line {number}: agreements: expected a list",
            FieldError("agreements", case["agreements"], "a list", number),
        )
    for name in sorted(case.keys() - CASE_FIELDS):
        expected = f"one of {', '.join(sorted(CASE_FIELDS))}"
        raise MalformedError(f"line {number}: unknown field {name}", FieldError(name, case[name], expected, number))
    return case


def _print_answer(answer: Mapping[str, Any]) -> None:
    print_line(f"{answer['verdict'].upper()}")
    for reason in answer["reasons"]:
        source = " ".join(filter(None, (reason["document"], reason["clause"])))
        print_line(f"  {reason['effect']}: {source} ({reason['route']}): {reason['text']}")
    for title, items in (("conditions", answer["conditions"]), ("remedies", answer["remedies"])):
        if items:
            print_line(f"{title}:")
        for item in items:
            said = (
                f"{item['type']} ({item['status']}): {item['requirement']}" if title == "conditions" else item["text"]
            )
            print_line(f"  {said}")
    if answer["unknown"]:
        print_line(f"unknown and material: {', '.join(answer['unknown'])}")
    print_line("This is what the recorded rules say. It is not legal advice.")


def _usage(text: str) -> SettingsError:
    return SettingsError(text)
