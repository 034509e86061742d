"""A report's four forms: bytes that repeat, one source for all, hostile text as text, a PDF that a reader can use."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import re

import pikepdf
import pytest

from provenance.report.context import Report
from provenance.report.fill import fill_ownership_and_legality
from provenance.report.render import list_evidence, render_csv, render_html, render_json, render_pdf
from tests.report.example import HOSTILE, release_facts


@pytest.fixture(scope="module")
def report() -> Report:
    return fill_ownership_and_legality(release_facts())


@pytest.fixture(scope="module")
def pdf_bytes(report: Report) -> bytes:
    return render_pdf(report)


def test_every_form_repeats_its_bytes(report: Report, pdf_bytes: bytes) -> None:
    again = fill_ownership_and_legality(release_facts())
    assert render_pdf(again) == pdf_bytes
    for render in (render_html, render_json, render_csv):
        assert render(again) == render(report)


def test_another_report_has_another_identifier(pdf_bytes: bytes) -> None:
    other = render_pdf(fill_ownership_and_legality(release_facts(released=1)))
    assert pikepdf.open(io.BytesIO(other)).trailer.ID[0] != pikepdf.open(io.BytesIO(pdf_bytes)).trailer.ID[0]


def test_html_shows_every_field_with_its_state_and_the_disclaimer_twice(report: Report) -> None:
    html = render_html(report).decode()
    for field in report.all_fields():
        assert f">{field.id} ·" in html or f"{field.id} ·" in html
    assert html.count(f'<p class="disclaimer">{report.disclaimer}</p>') == 2
    assert html.count('class="state ') == len(report.all_fields())


def test_html_needs_nothing_else_and_allows_only_its_own_style(report: Report) -> None:
    html = render_html(report).decode()
    style = re.search(r"<style>(.*?)</style>", html, re.DOTALL)
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert f"style-src &#39;sha256-{digest}&#39;" in html
    assert not re.search(r"<(script|link|img|iframe)\b|\sstyle=|\son\w+=", html)


def test_hostile_text_stays_text(report: Report) -> None:
    html = render_html(report).decode()
    assert HOSTILE not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt; [U+202E]gnp.exe" in html


def test_every_link_of_the_report_leads_to_an_entry_that_it_lists(report: Report) -> None:
    html = render_html(report).decode()
    targets = set(re.findall(r'href="#([^"]+)"', html))
    assert targets <= set(re.findall(r'\sid="([^"]+)"', html))
    assert {f"entry-{item.index}" for item in list_evidence(report)} <= targets


def test_json_is_canonical_and_holds_the_same_fields(report: Report) -> None:
    data = render_json(report)
    parsed = json.loads(data)
    assert [field["id"] for section in parsed["sections"] for field in section["fields"]] == [
        field.id for field in report.all_fields()
    ]
    assert b'", "' not in data.split(b'"disclaimer"')[0][:200]  # canonical: no space between members


def test_csv_has_a_line_a_field_and_runs_nothing(report: Report) -> None:
    rows = list(csv.DictReader(io.StringIO(render_csv(report).decode())))
    assert [row["field"] for row in rows] == [field.id for field in report.all_fields()]
    assert not [cell for row in rows for cell in row.values() if cell and cell.startswith(("=", "+", "-", "@", "\t"))]


def test_the_pdf_is_tagged_titled_and_carries_its_fonts(report: Report, pdf_bytes: bytes) -> None:
    with pikepdf.open(io.BytesIO(pdf_bytes)) as pdf:
        assert pdf.Root.MarkInfo.Marked
        assert str(pdf.Root.Lang) == "en"
        with pdf.open_metadata() as metadata:
            assert metadata["pdfuaid:part"] == "1"
            assert metadata["dc:title"] == f"{report.title}: {report.subject}"
        headers = [item for item in pdf.objects if isinstance(item, pikepdf.Dictionary) and item.get("/S") == "/TH"]
        assert headers
        assert all(item.A.Scope == "/Column" for item in headers)
        fonts = [
            item
            for item in pdf.objects
            if isinstance(item, pikepdf.Dictionary) and item.get("/Type") == "/FontDescriptor"
        ]
        assert {str(font.FontFamily) for font in fonts} >= {"Atkinson Hyperlegible Next"}
        assert all("/FontFile2" in font or "/FontFile3" in font for font in fonts)


def test_the_pdf_takes_its_date_from_the_report(pdf_bytes: bytes) -> None:
    with pikepdf.open(io.BytesIO(pdf_bytes)) as pdf:
        assert str(pdf.docinfo.CreationDate).startswith("D:20261124100211")
