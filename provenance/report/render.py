"""A report in its four forms: HTML, PDF, JSON, CSV. The same report gives the same bytes in each.

- The HTML is one file that needs nothing else: its style stands in it, allowed by hash in its own security policy.
- The PDF is tagged (PDF/UA-1 structure) and embeds its fonts; dates and identifier come from the report, not the clock.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
from dataclasses import asdict
from functools import cache

from jinja2 import Environment
from markupsafe import Markup

from provenance.canonical import canonical_bytes
from provenance.report.context import Evidence, Report
from provenance.report.environment import make_environment
from provenance.resources import find_resource

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
CSV_COLUMNS = (
    "section",
    "field",
    "label",
    "state",
    "value",
    "derivation",
    "rule_verified",
    "attestor",
    "evidence",
    "note",
)


def render_json(report: Report) -> bytes:
    """The report as canonical JSON."""
    return canonical_bytes(asdict(report))


def render_csv(report: Report) -> bytes:
    """One line a field; structured values as canonical JSON, and nothing that a spreadsheet would run."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\r\n")
    writer.writerow(CSV_COLUMNS)
    for section in report.sections:
        for field in section.fields:
            value = "" if field.value is None else canonical_bytes(field.value).decode()
            entries = " ".join(str(evidence.index) for evidence in field.evidence)
            cells = (section.id, field.id, field.label, field.state, value, field.derivation, field.rule_verified)
            writer.writerow([_safe_cell(cell) for cell in (*cells, field.attestor or "", entries, field.note or "")])
    return buffer.getvalue().encode()


def render_html(report: Report) -> bytes:
    """The report as one HTML file."""
    return _render(report, style=_read_style("report.css"), policy=report_content_security_policy()).encode()


def render_pdf(report: Report) -> bytes:
    """The report as a tagged PDF with contents, page numbers and embedded fonts."""
    from provenance.report.pdf import typeset  # the typesetter takes a second to load: only who prints waits for it

    identifier = hashlib.sha256(render_json(report)).digest()[:16]
    styles = [_read_style("report.css"), _read_style("pdf.css")]
    return typeset(_render(report, style="", policy=""), styles, identifier)


def report_content_security_policy() -> str:
    """The policy under which a report's HTML is served: nothing but its own style."""
    digest = base64.b64encode(hashlib.sha256(_read_style("report.css").encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


def list_evidence(report: Report) -> list[Evidence]:
    """Every entry that the report rests on, once, by index."""
    found = [evidence for field in report.all_fields() for evidence in field.evidence]
    found += [evidence for answer in report.answers for fact in answer.facts for evidence in fact.evidence]
    return [evidence for _, evidence in sorted({evidence.index: evidence for evidence in found}.items())]


def _render(report: Report, *, style: str, policy: str) -> str:
    template = _environment().get_template("report/report.html")
    return template.render(report=report, evidence=list_evidence(report), style=Markup(style), policy=policy)  # noqa: S704 - our own file


@cache
def _environment() -> Environment:
    return make_environment()


@cache
def _read_style(name: str) -> str:
    return find_resource("web", "templates", "report", name).read_text(encoding="utf-8")


def _safe_cell(cell: str) -> str:
    return "'" + cell if cell.startswith(FORMULA_STARTS) else cell
