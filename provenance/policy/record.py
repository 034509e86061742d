"""What the record itself says of a class: licences of data set and prompts, evidence grade, scans."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from provenance.policy.student import Student
from provenance.policy.verdict import Finding
from provenance.terms.resolve import known

_OPEN_LICENCE = re.compile(
    r"(cc0|cc-by|pddl|odc-by|odbl|apache|mit\b|bsd|isc|unlicense|public.domain|llama|gemma|qwen|openrail)"
)
_RESTRICTED_LICENCE = re.compile(r"(-nc\b|-nc-|non-?commercial|research|-nd\b|-nd-)")
SCAN_TEXTS = {
    "personal_data": "a scan found personal data",
    "memorisation": "a scan found text that repeats a protected work",
    "bulk_us_sensitive": "a scan found bulk sensitive US personal data",
    "quality": "a quality check failed",
    "dropped_ai_label": "a label of generated content was dropped",
    "listed_party": "screening found a listed party",
}


@dataclass(frozen=True)
class Record:
    """Plain values as rules read them, the scans that found something, and findings by the name of their fact."""

    values: dict[str, str]
    scans: list[str]
    findings: list[tuple[str, Finding]]


def read_record(sample: Mapping[str, Any], student: Student, route: str) -> Record:
    """The record's own facts for one student."""
    prompts = _licence_state(_licence(sample, "prompt_origin"), student)
    values = {
        "route": route,
        "source_licence": _licence_state(_licence(sample, "source_dataset"), student) if route == "dataset" else "none",
        "prompt_licence": "not-recorded" if prompts == "unknown" else prompts,
        "evidence": str(known(sample.get("evidence")) or "not-recorded"),
    }
    scans = known(sample.get("scans")) or {}
    found = [name for name, result in scans.items() if result == "found"]
    return Record(values, found, list(_explain(values, found, sample, student)))


def _explain(
    values: Mapping[str, str], scans: list[str], sample: Mapping[str, Any], student: Student
) -> Iterator[tuple[str, Finding]]:
    use = student.use or "unknown"
    if values["source_licence"] in ("restricted", "unknown"):
        licence = _licence(sample, "source_dataset")
        needs = ("source_dataset.license",) if licence is None else (("use",) if student.use is None else ())
        text = f"the data set is claimed to be under {licence or 'a licence that is not known'}"
        shown = {"source_dataset.license": licence or "unknown", "use": use}
        yield "source_licence", Finding(None, None, "copyright", text, shown, needs)
    if values["prompt_licence"] == "restricted":
        licence = _licence(sample, "prompt_origin")
        text, shown = f"the prompts are under {licence}", {"prompt_origin.license": str(licence), "use": use}
        yield "prompt_licence", Finding(None, None, "copyright", text, shown, ("use",) if student.use is None else ())
    for name in scans:
        yield "scans", Finding(None, None, "policy", SCAN_TEXTS[name], {"scan": name})
    grade = values["evidence"]
    yield "evidence", Finding(None, None, "policy", f"the evidence grade is {grade}", {"evidence": grade})
    shown = {
        "developer.country": student.country or "unknown",
        "developer.ultimate_parent_country": student.parent_country or "unknown",
        "training.hardware": student.hardware or "unknown",
    }
    yield "export", Finding(None, None, "statute", "to be screened before training", shown)


def _licence(sample: Mapping[str, Any], name: str) -> str | None:
    found = known((known(sample.get(name)) or {}).get("license"))
    return str(found) if found else None


def _licence_state(licence: str | None, student: Student) -> str:
    """What a claimed licence says to this use; a tag can restrict, it can never clear the terms behind it."""
    text = (licence or "").lower()
    if _RESTRICTED_LICENCE.search(text):
        no_derivatives = re.search(r"-nd\b|-nd-", text) is not None
        return "restricted" if student.use != "research" or no_derivatives else "open"
    return "open" if _OPEN_LICENCE.search(text) else "unknown"
