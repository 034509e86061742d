"""Cases that counsel reads and tests run: facts in, and the verdict, document, clause and conditions that must come out.

- `students.yaml` holds named students; a case takes one and writes only what differs.
- A case that expects nothing but a verdict still pins the verdict; `rule`, `document`, `clause` pin one reason,
  `documents` all that bind, `conditions` statuses, `unknown` the facts that are missing, `remedy` an offered change,
  `approval` all rules that ask for a second person.
- `inherited` is what a teacher that was trained here carries (`lineage.inherited.parse_inheritance`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from provenance.errors import MalformedError, PolicyDocumentError
from provenance.lineage.inherited import parse_inheritance
from provenance.policy.decide import decide
from provenance.policy.judge import OWN_RULES
from provenance.policy.pack import Pack
from provenance.policy.verdict import VERDICTS
from provenance.resources import find_resource
from provenance.terms.catalogue import Catalogue
from provenance.terms.days import parse_day
from provenance.terms.yaml_file import read_yaml

STUDENTS_FILE = "students.yaml"
_CASE_FIELDS = frozenset({"name", "sample", "student", "action", "at", "agreements", "inherited", "expect"})
_EXPECT_FIELDS = frozenset(
    {"verdict", "rule", "document", "clause", "route", "documents", "conditions", "unknown", "remedy", "approval"}
)
_TEACHER_FIELDS = ("route", "host", "revision", "obtained_at", "served_model")
_DEFAULT_ACCOUNT = {"holder": "acme", "plan": "api"}


@dataclass(frozen=True)
class PolicyCase:
    """One case, with its facts written out in full."""

    file: str
    name: str
    sample: Mapping[str, Any]
    student: Mapping[str, Any]
    action: str
    at: dt.date | None
    agreements: Sequence[Mapping[str, Any]]
    inherited: Mapping[str, Any]
    expect: Mapping[str, Any]


@dataclass(frozen=True)
class CaseResult:
    """What a case gave: it passed if there are no problems; `rules` are those that spoke."""

    case: PolicyCase
    verdict: str
    problems: tuple[str, ...]
    rules: frozenset[str]

    @property
    def passed(self) -> bool:
        """Whether everything came out as expected."""
        return not self.problems


def load_cases(folder: Path | None = None) -> list[PolicyCase]:
    """The cases of a folder, by default the shipped ones; a misspelt key is refused with its file and case."""
    root = folder if folder is not None else find_resource("policies", "cases")
    return parse_cases({path.name: read_yaml(path) for path in sorted(root.glob("*.yaml"))})


def parse_cases(files: Mapping[str, Any]) -> list[PolicyCase]:
    """The cases of the values of files, by name.

    Raises:
        PolicyDocumentError: names the file and the case that is no case.
    """
    students = files.get(STUDENTS_FILE) or {}
    if not isinstance(students, Mapping) or not all(isinstance(facts, Mapping) for facts in students.values()):
        raise PolicyDocumentError(f"{STUDENTS_FILE}: expected facts by the name of each student")
    cases = [
        case for name, data in files.items() if name != STUDENTS_FILE for case in _parse_file(name, data, students)
    ]
    names = [(case.file, case.name) for case in cases]
    doubles = sorted({name for name in names if names.count(name) > 1})
    if doubles:
        raise PolicyDocumentError(f"{doubles[0][0]}: two cases are named {doubles[0][1]!r}")
    return cases


def _parse_file(name: str, data: Any, students: Mapping[str, Mapping[str, Any]]) -> list[PolicyCase]:
    if not isinstance(data, Mapping) or not isinstance(data.get("cases"), list):
        raise PolicyDocumentError(f"{name}: expected `about` and a list `cases`")
    return [_parse_case(name, item, students) for item in data["cases"]]


def _parse_case(file: str, item: Any, students: Mapping[str, Mapping[str, Any]]) -> PolicyCase:
    name = item.get("name") if isinstance(item, Mapping) else None
    if not name or not isinstance(name, str):
        raise PolicyDocumentError(f"{file}: a case has no name")
    strange = sorted({*item} - _CASE_FIELDS)
    if strange:
        raise PolicyDocumentError(f"{file}, case {name!r}: {strange[0]!r} is not a field of a case")
    for part in ("sample", "student", "expect", "inherited"):
        if not isinstance(item.get(part) or {}, Mapping):
            raise PolicyDocumentError(f"{file}, case {name!r}: {part} is {item[part]!r:.80}, expected an object")
    expect = item.get("expect") or {}
    if not isinstance((item.get("sample") or {}).get("teacher"), str):
        raise PolicyDocumentError(f"{file}, case {name!r}: sample.teacher: expected provider/model")
    strange = sorted({*expect} - _EXPECT_FIELDS)
    if strange:
        raise PolicyDocumentError(f"{file}, case {name!r}: {strange[0]!r} is not a field of a case")
    if expect.get("verdict") not in VERDICTS:
        raise PolicyDocumentError(f"{file}, case {name!r}: expect.verdict must be one of {', '.join(VERDICTS)}")
    return PolicyCase(
        file=file,
        name=name,
        sample=_sample(item["sample"]),
        student=_student(file, name, item.get("student") or {}, students),
        action=item.get("action", "train"),
        at=_day(file, name, item["at"]) if item.get("at") else None,
        agreements=item.get("agreements", ()),
        inherited=item.get("inherited") or {},
        expect=expect,
    )


def _day(file: str, name: str, text: Any) -> dt.date:
    try:
        return parse_day(str(text))
    except MalformedError as exc:
        raise PolicyDocumentError(f"{file}, case {name!r}: at: {exc.detail}") from exc


def _sample(short: Mapping[str, Any]) -> dict[str, Any]:
    """A sample's facts from the short form: `teacher: provider/model`, and the account is acme's unless it says so."""
    provider, _, model = short["teacher"].partition("/")
    teacher = {"provider": provider, "model": model, **{k: short[k] for k in _TEACHER_FIELDS if k in short}}
    rest = {name: value for name, value in short.items() if name not in (*_TEACHER_FIELDS, "teacher")}
    return {"account": _DEFAULT_ACCOUNT, **rest, "teacher": teacher}


def _student(
    file: str, name: str, short: Mapping[str, Any], students: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    chosen = short.get("like", "acme-tutor")
    if chosen not in students:
        raise PolicyDocumentError(f"{file}, case {name!r}: no student {chosen!r} in {STUDENTS_FILE}")
    facts = {**students[chosen], **{key: value for key, value in short.items() if key != "like"}}
    return {key: value for key, value in facts.items() if value != "left-out"}


def run_cases(folder: Path | None, catalogue: Catalogue, pack: Pack) -> list[CaseResult]:
    """Run every case of a folder; problems are sentences."""
    return [run_case(case, catalogue, pack) for case in load_cases(folder)]


def run_case(case: PolicyCase, catalogue: Catalogue, pack: Pack) -> CaseResult:
    """Decide one case and compare."""
    try:
        answer = decide(
            case.sample,
            case.student,
            action=case.action,
            at=case.at,
            agreements=case.agreements,
            inheritance=parse_inheritance(case.inherited, catalogue),
            catalogue=catalogue,
            pack=pack,
            remedies="remedy" in case.expect,
        )
    except MalformedError as exc:
        return CaseResult(case, "malformed", (str(exc),), frozenset())
    rules = frozenset(reason["rule"] for reason in answer["reasons"])
    if "approval" in case.expect:  # they bar nothing, so only a case that looks for them tries them
        rules |= {rule["id"] for rule in answer.get("approval", ())}
    return CaseResult(case, answer["verdict"], tuple(_problems(case.expect, answer)), rules)


def _problems(expect: Mapping[str, Any], answer: Mapping[str, Any]) -> list[str]:
    problems = []
    if answer["verdict"] != expect["verdict"]:
        told = ", ".join(sorted({reason["rule"] for reason in answer["reasons"]}))
        problems.append(f"verdict is {answer['verdict']} ({told}), expected {expect['verdict']}")
    wanted = {key: expect[key] for key in ("rule", "document", "clause", "route") if key in expect}
    if wanted and not any(all(reason[k] == v for k, v in wanted.items()) for reason in answer["reasons"]):
        problems.append(f"no reason has {wanted}")
    documents = sorted(document["id"] for document in answer["documents"])
    if "documents" in expect and documents != sorted(expect["documents"]):
        problems.append(f"documents are {documents}, expected {sorted(expect['documents'])}")
    if "unknown" in expect and sorted(answer["unknown"]) != sorted(expect["unknown"]):
        problems.append(f"unknown is {answer['unknown']}, expected {expect['unknown']}")
    asking = sorted(rule["id"] for rule in answer.get("approval", ()))
    if "approval" in expect and asking != sorted(expect["approval"]):
        problems.append(f"a second person is asked for by {asking}, expected {sorted(expect['approval'])}")
    for kind, status in (expect.get("conditions") or {}).items():
        found = [condition["status"] for condition in answer["conditions"] if condition["type"] == kind]
        if status not in found:
            problems.append(f"condition {kind} is {found or 'absent'}, expected {status}")
    changes = [remedy["change"] for remedy in answer["remedies"]]
    if "remedy" in expect and expect["remedy"] not in changes:
        problems.append(f"remedies are {changes}, expected {expect['remedy']!r}")
    return problems


def rules_without_cases(results: Sequence[CaseResult], pack: Pack) -> list[str]:
    """Rules of the pack that no case made speak."""
    spoke = frozenset(rule for result in results for rule in result.rules)
    return sorted({*pack.rules, *pack.approvals} - spoke)


def check_cases(cases: Sequence[PolicyCase], pack: Pack) -> None:
    """Refuse a pack of which no case speaks, and a case that expects a rule which does not exist."""
    named = {}
    held = {**pack.rules, **pack.approvals}
    for case in cases:
        for rule in (case.expect.get("rule"), *case.expect.get("approval", ())):
            if rule is None or rule in OWN_RULES:
                continue
            if rule not in held:
                raise PolicyDocumentError(
                    f"{case.file}, case {case.name!r}: expects rule {rule!r}, which is not in the pack"
                )
            named[held[rule].pack] = case
    bare = sorted(set(pack.packs) - named.keys())
    if bare:
        raise PolicyDocumentError(f"{bare[0]}.cedar: a pack without cases; expected one that names a rule of it")
