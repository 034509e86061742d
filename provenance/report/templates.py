"""The report templates: which fields a report must show, under which ids, and which rule stands behind each.

- A template is data (`policies/reports/report_templates.yaml`); its field ids and `verified` tags are kept as they are.
- A field is never left out: whoever fills a report answers every one, if only with "not recorded".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from provenance.errors import MalformedError, NotFoundError
from provenance.resources import find_resource


@dataclass(frozen=True)
class FieldTemplate:
    """One field: `derivation` is ledger, attestation or mixed; `verified` how well the rule behind it is known."""

    id: str
    label: str
    description: str
    type: str
    required: bool
    derivation: str
    verified: str
    note: str | None


@dataclass(frozen=True)
class SectionTemplate:
    """A numbered group of fields."""

    id: str
    title: str
    fields: Sequence[FieldTemplate]


@dataclass(frozen=True)
class Threshold:
    """A number that a rule compares with, in its unit."""

    id: str
    value: float
    unit: str
    meaning: str
    verified: str


@dataclass(frozen=True)
class ReportTemplate:
    """One kind of report, with what all kinds share: disclaimer, meaning of the `verified` tags, thresholds."""

    id: str
    title: str
    audience: str
    questions: Sequence[str]
    sections: Sequence[SectionTemplate]
    disclaimer: str
    verified_tags: Mapping[str, str]
    thresholds: Sequence[Threshold]
    as_of: str
    schema_version: str


@cache
def load_templates(path: Path | None = None) -> Mapping[str, ReportTemplate]:
    """The templates of the file by report id.

    Raises:
        MalformedError: the file is no template file, or lacks a key that every report needs.
    """
    path = path or find_resource("policies", "reports", "report_templates.yaml")
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
        return {report["id"]: _read_report(report, document) for report in document["reports"]}
    except (yaml.YAMLError, KeyError, TypeError) as error:
        raise MalformedError(f"{path.name} is no report template file: {error}") from error


def get_template(kind: str) -> ReportTemplate:
    """The template of this kind of report.

    Raises:
        NotFoundError: there is none.
    """
    templates = load_templates()
    if kind not in templates:
        raise NotFoundError(f"no report template is called {kind!r}; there are {', '.join(sorted(templates))}")
    return templates[kind]


def _read_report(report: Mapping[str, Any], document: Mapping[str, Any]) -> ReportTemplate:
    return ReportTemplate(
        id=report["id"],
        title=report["title"],
        audience=report["audience"],
        questions=report.get("questions", ()),
        sections=[_read_section(section) for section in report["sections"]],
        disclaimer=document["disclaimer"],
        verified_tags=document["enums"]["verified"],
        thresholds=[
            Threshold(item["id"], item["value"], item["unit"], item["meaning"], item["verified"])
            for item in document["thresholds"]
            if isinstance(item["value"], int | float)
        ],
        as_of=document["as_of"],
        schema_version=document["schema_version"],
    )


def _read_section(section: Mapping[str, Any]) -> SectionTemplate:
    fields = [
        FieldTemplate(
            id=item["id"],
            label=item["label"],
            description=item["description"],
            type=item["type"],
            required=item["required"],
            derivation=item["derivation"],
            verified=item["verified"],
            note=item.get("note"),
        )
        for item in section["fields"]
    ]
    return SectionTemplate(section["id"], section["title"], fields)
