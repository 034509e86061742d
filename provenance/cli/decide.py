"""`provenance decide`: may this student learn from this sample. A what-if: nothing is stored.

Without `PROVENANCE_URL` it needs no data directory and no service: catalogue and rules travel with the package.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from provenance.cli.connect import is_remote, open_client
from provenance.cli.files import read_bytes, read_list, read_object
from provenance.cli.output import JsonOption, print_json, print_line
from provenance.errors import FieldError, MalformedError, ProvenanceError, SettingsError

EXIT_CODES = {"allow": 0, "allow-with-conditions": 10, "review": 20, "deny": 30}
CASE_FIELDS = {"id", "sample", "student", "action", "agreements", "at"}
Ask = Callable[[Mapping[str, Any]], dict[str, Any]]


def decide(
    sample: Annotated[Path | None, typer.Option(help="JSON: the facts of a sample.")] = None,
    student: Annotated[Path | None, typer.Option(help="JSON: the facts of a student.")] = None,
    agreements: Annotated[Path | None, typer.Option(help="JSON: agreements that lift something.")] = None,
    action: Annotated[str, typer.Option(help="train, release, publish or serve.")] = "train",
    at: Annotated[str | None, typer.Option(help="The day that is decided for, for example 2026-11-24.")] = None,
    cases: Annotated[
        Path | None, typer.Option(help="NDJSON of {id, sample, student, action, agreements?}; - is stdin.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Ask what the rules on record say. Exits 0 allow, 10 allow with conditions, 20 review, 30 deny."""
    if cases is not None:
        if sample or student or agreements:
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
    }
    question["agreements"] = read_list(agreements) if agreements else []
    answer: dict[str, Any] = {}
    _with_asker(lambda ask: answer.update(ask(question)))
    if as_json:
        print_json(answer)
    else:
        _print_answer(answer)
    raise typer.Exit(EXIT_CODES[answer["verdict"]])


def _with_asker(act: Callable[[Ask], None]) -> None:
    if not is_remote():
        act(_local_asker())
        return
    with open_client() as client:
        act(lambda question: client.post("/api/v1/decisions", {k: v for k, v in question.items() if v is not None}))


def _local_asker() -> Ask:
    from provenance.cli.connect import local_settings

    local_settings()  # says which package is missing
    from datetime import UTC, datetime

    from provenance.policy.decide import decide as decide_one
    from provenance.policy.pack import load_pack
    from provenance.terms.catalogue import load_catalogue

    catalogue, pack = load_catalogue(), load_pack()

    def ask(question: Mapping[str, Any]) -> dict[str, Any]:
        now = datetime.now(UTC).date()
        return decide_one(
            question["sample"],
            question["student"],
            action=question.get("action") or "train",
            at=question.get("at") or now,
            today=now,
            agreements=question.get("agreements") or (),
            catalogue=catalogue,
            pack=pack,
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
        print_line(
            f"  {reason['effect']}: {reason['document']} {reason['clause']} ({reason['route']}): {reason['text']}"
        )
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
