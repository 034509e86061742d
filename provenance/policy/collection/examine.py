"""One collection examined: its facts and its comparison as two canonical files, and the summary that the log carries.

The id is made of both files' digests: the same facts under the same rules, terms and aliases are the same record.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from provenance.canonical import canonical_bytes, parse_digest, sha256_digest
from provenance.capture.collection.facts import FORMAT, DatasetFacts, count_facts, format_facts, list_cycles, make_facts
from provenance.capture.collection.fields import is_name
from provenance.capture.collection.names import Names
from provenance.capture.collection.summary import parse_summaries
from provenance.errors import FieldError, MalformedError
from provenance.policy.collection.compare import Comparison, compare, count_kinds, cross_table
from provenance.policy.collection.judge import STUDENTS, CollectionJudge, TeacherVerdict, students
from provenance.policy.collection.upstream import parse_classes
from provenance.policy.pack import Pack
from provenance.terms.catalogue import Catalogue

KIND = "dataset-facts"
COMPARISON_FORMAT = "provenance-ledger/dataset-comparison/1"
FACTS_FILE, COMPARISON_FILE = "facts.json", "comparison.json"
FIELDS = frozenset({"origin", "files", "constants", "sources"})
MAX_FILES = 5_000


@dataclass(frozen=True)
class Examined:
    """What an import found: `files` by name, `summary` without the data sets themselves."""

    id: str
    files: Mapping[str, bytes]
    summary: Mapping[str, Any]

    def predicate(self) -> dict[str, Any]:
        """What the `curation` statement says."""
        digests = [
            {"path": name, "digest": sha256_digest(data), "size_bytes": len(data)} for name, data in self.files.items()
        ]
        return {"id": self.id, "kind": KIND, "files": digests, **self.summary}


def examine(
    request: Any,
    *,
    names: Names,
    catalogue: Catalogue,
    pack: Pack,
    each: Callable[[Sequence[DatasetFacts]], Iterable[DatasetFacts]] = lambda facts: facts,
) -> Examined:
    """Parse, resolve and compare a collection.

    Args:
        request: `{origin, files: {file: {id: summary}}, constants: {file: table}, sources: [{path, digest}]}`.
        each: wraps the data sets as they are compared, to show progress.
    Raises:
        MalformedError: names the file and the field that is wrong.
    """
    _check_request(request)
    classes = parse_classes(request["constants"])
    facts = make_facts(parse_summaries(request["files"]), names)
    compared = compare(each(facts), classes, CollectionJudge(catalogue, pack))
    shared = {
        "origin": request["origin"],
        "aliases_digest": names.digest,
        "counts": count_facts(facts),
    }
    rules = {"policy_digest": pack.digest, "terms_digest": catalogue.digest}
    kinds, table = count_kinds(compared), cross_table(compared)
    documents = {
        FACTS_FILE: {
            "format": FORMAT,
            **shared,
            "sources": sorted(request["sources"], key=lambda item: item["path"]),
            "cycles": [list(group) for group in list_cycles(facts)],
            "datasets": [format_facts(item) for item in facts],
        },
        COMPARISON_FILE: {
            "format": COMPARISON_FORMAT,
            **rules,
            "students": students(catalogue),
            "kinds": kinds,
            "table": table,
            "datasets": [_format_comparison(item) for item in compared],
        },
    }
    files = {name: canonical_bytes(document) for name, document in documents.items()}
    digest = sha256_digest(canonical_bytes([sha256_digest(data) for data in files.values()]))
    counted = [{name: row[name] for name in row if name != "words"} for row in kinds]
    outputs = [item for item in compared if item.teacher_output]
    summary = {
        **shared,
        **rules,
        "upstream_classes": classes is not None,
        "verdicts": {name: dict(Counter(i.verdicts[name] for i in outputs).most_common()) for name in STUDENTS},
        "days": _count_days(outputs),
        "kinds": counted,
        "table": table,
    }
    return Examined(f"col_{digest.removeprefix('sha256:')[:16]}", files, summary)


def _count_days(outputs: Sequence[Comparison]) -> dict[str, int]:
    """Teacher outputs by what their unknown day of generation means for the verdict, whichever student asks."""
    found = {"same-on-every-day": 0, "days-differ": 0, "no-bound": 0}
    for item in outputs:
        verdicts = [verdict for student in item.teachers.values() for verdict in student]
        differ = any(len(verdict.by_verdict) > 1 for verdict in verdicts)
        bounded = all(verdict.days for verdict in verdicts)
        found["days-differ" if differ else "same-on-every-day" if bounded else "no-bound"] += 1
    return found


def _format_comparison(item: Comparison) -> dict[str, Any]:
    return {
        "id": item.id,
        "teacher_output": item.teacher_output,
        "ours": item.ours,
        "upstream": item.upstream,
        "kinds": list(item.kinds),
        "verdicts": dict(item.verdicts),
        "teachers": {name: [_format_teacher(verdict) for verdict in found] for name, found in item.teachers.items()},
    }


def _format_teacher(verdict: TeacherVerdict) -> dict[str, Any]:
    teacher = asdict(verdict.teacher)
    teacher["first_day"] = verdict.teacher.first_day.isoformat() if verdict.teacher.first_day else None
    return {
        "teacher": teacher,
        "verdict": verdict.verdict,
        "from": verdict.days[0] if verdict.days else None,
        "until": verdict.days[-1] if verdict.days else None,
        "by_verdict": {name: list(days) for name, days in verdict.by_verdict.items()},
        "reasons": [dict(reason) for reason in verdict.reasons],
    }


def _check_request(request: Any) -> None:
    if not isinstance(request, dict) or request.keys() != FIELDS:
        found = sorted(request) if isinstance(request, dict) else request
        raise _bad("body", found, f"an object of {', '.join(sorted(FIELDS))}")
    if not is_name(request["origin"]) or not request["origin"].strip():
        raise _bad("origin", request["origin"], "where it was got, at most 300 characters")
    files = request["files"]
    if not isinstance(files, dict) or not 0 < len(files) <= MAX_FILES or not all(map(_is_file_name, files)):
        found = f"{len(files)} files" if isinstance(files, dict) else files
        raise _bad("files", found, f"an object of 1 to {MAX_FILES:,} files, each a plain name that ends in .json")
    if not isinstance(request["constants"], dict):
        raise _bad("constants", request["constants"], "an object, empty where upstream's classes are not at hand")
    if not isinstance(request["sources"], list) or len(request["sources"]) > 2 * MAX_FILES:
        raise _bad("sources", request["sources"], "a list of {path, digest}")
    for number, item in enumerate(request["sources"]):
        if not isinstance(item, dict) or item.keys() != {"path", "digest"} or not is_name(item["path"]):
            raise _bad(f"sources[{number}]", item, "{path, digest}")
        parse_digest(item["digest"])


def _is_file_name(name: str) -> bool:
    return is_name(name) and name.endswith(".json") and "/" not in name and "\\" not in name and name[0] not in "._"


def _bad(field: str, value: Any, expected: str) -> MalformedError:
    problem = FieldError(field, value, expected)
    return MalformedError(f"{field}: expected {expected}, got {problem.to_json()['value']!r}", problem)
