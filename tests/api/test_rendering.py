"""Pages as HTML: what the security policy forbids is not there, what is hostile is shown, what is absent is said."""

from __future__ import annotations

import csv
import io
import json
import re
from collections import Counter
from dataclasses import fields, replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from jinja2 import nodes

from provenance.api.rendering import (
    CONTENT_SECURITY_POLICY,
    NAVIGATION,
    format_fact,
    format_measured,
    page_environment,
    render_page,
    twin_url,
)
from provenance.api.status import STATUSES, describe_status
from provenance.api.views.common import Page
from provenance.api.views.decisions import parse_answer
from provenance.api.views.samples import SamplePage, SamplesPage
from provenance.api.views.twins import format_cell, page_csv, page_json
from provenance.report.formats import format_bytes, format_day, format_duration, format_share, format_time
from provenance.report.text import mark_plain, mark_text
from provenance.resources import find_resource
from tests.api.example_values import ANSWER, NO_LOG, SITE
from tests.api.examples import EXAMPLES

NAMES = sorted(EXAMPLES)
VOID = {"meta", "link", "input", "br", "img", "hr"}


class Outline(HTMLParser):
    """The elements of a page, in order, with their attributes and the text of scripts and styles."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.script_text = ""
        self.misnested: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag in VOID or (self.open and self.open[-1] == tag):
            if tag not in VOID:
                self.open.pop()
        else:
            self.misnested.append(tag)

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in {"script", "style"}:
            self.script_text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def render(name: str) -> str:
    url, page = EXAMPLES[name]
    return render_page(page, SITE, url)


@pytest.mark.parametrize("name", NAMES)
def test_a_page_holds_nothing_that_its_security_policy_forbids(name: str) -> None:
    outline = Outline(render(name))
    assert not outline.script_text.strip()
    assert not outline.all("style")
    assert all((script["src"] or "").startswith("/static/") for script in outline.all("script"))
    for tag, attributes in outline.elements:
        assert "style" not in attributes, tag
        assert not [key for key in attributes if key.startswith("on")], tag
        for key in ("href", "src", "action"):
            assert (attributes.get(key) or "/").startswith(("/", "#")), (tag, attributes)


@pytest.mark.parametrize("name", NAMES)
def test_a_page_is_well_formed_and_can_be_navigated(name: str) -> None:
    outline = Outline(render(name))
    assert not outline.misnested
    assert not outline.open
    assert len(outline.all("h1")) == 1
    assert len(outline.all("main")) == 1
    ids = [attributes["id"] for _, attributes in outline.elements if "id" in attributes]
    assert [item for item, count in Counter(ids).items() if count > 1] == []
    for _, attributes in outline.elements:
        for key in ("aria-labelledby", "aria-describedby", "for", "list"):
            assert attributes.get(key) is None or attributes[key] in ids, attributes
    assert all(attributes.get("scope") for attributes in outline.all("th"))
    assert all(
        svg.get("role") in ("img", "group") or svg.get("aria-hidden") for svg in outline.all("svg") if "class" in svg
    )


@pytest.mark.parametrize("name", NAMES)
def test_no_control_or_bidirectional_character_reaches_the_browser(name: str) -> None:
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", render(name))


@pytest.mark.parametrize("name", NAMES)
def test_a_page_prints_no_python_none(name: str) -> None:
    assert not re.search(r">\s*None\s*<", render(name))


def used_names(template: str) -> set[str]:
    """The attributes of `page` that a template reads."""
    environment = page_environment()
    source = find_resource("web", "templates", template).read_text()
    return {
        node.attr
        for node in environment.parse(source).find_all(nodes.Getattr)
        if isinstance(node.node, nodes.Name) and node.node.name == "page"
    }


@pytest.mark.parametrize("view", sorted({type(page) for _, page in EXAMPLES.values()}, key=str))
def test_a_template_reads_what_its_view_declares_and_nothing_else(view: type[Page]) -> None:
    declared = {item.name for item in fields(view)}
    used = used_names(view.template) - {"twins", "section"}
    assert used <= declared, used - declared
    assert declared - used == set()


def test_hostile_text_is_escaped_and_marked_in_the_sample_page() -> None:
    html = render("sample")
    assert "<script>alert" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert '<span class="mark" title="right-to-left override">U+202E</span>' in html
    assert "[U+202E]" in html  # in the request id, which is no long text


def test_marks_keep_every_other_character() -> None:
    assert mark_plain("a\u202eb\nc\td") == "a[U+202E]b\nc\td"
    assert mark_text("<\x00>") == '&lt;<span class="mark" title="control character">U+0000</span>&gt;'
    assert mark_text("\U000e0041") == '<span class="mark" title="tag latin capital letter a">U+E0041</span>'
    assert mark_plain("שלום العربية 日本語 é") == "שלום العربية 日本語 é"
    assert mark_text("\ud800").count("U+D800") == 1


def test_the_text_of_a_sample_is_hidden_until_asked_and_gone_when_erased() -> None:
    assert re.search(r"<details data-text>\s*<summary>", render("sample"))
    url, page = EXAMPLES["sample"]
    assert isinstance(page, SamplePage)
    erased = render_page(replace(page, text=None, erased=True), SITE, url)
    assert "data-text" not in erased
    assert "Erased" in erased


def test_a_blocked_decision_names_clause_and_document_before_anything_else() -> None:
    html = render("decision")
    answer = html[html.index('class="answer bad"') : html.index('class="cols"')]
    assert "Blocked" in answer
    assert "clause 3.3(e)" in answer
    assert "not legal advice" in answer
    assert html.index("Failed (1)") < html.index("What would unblock it") < html.index("Passed (1)")


@pytest.mark.parametrize("name", ["sample", "decision", "release", "run", "model", "source", "report"])
def test_every_answer_about_terms_ends_with_the_disclaimer(name: str) -> None:
    assert "This is what the recorded rules say. It is not legal advice." in render(name)


def test_a_run_that_is_over_loads_no_live_script() -> None:
    assert "live.js" not in render("run")
    assert "live.js" in render("run-live")


def test_the_footer_tells_the_log_or_that_there_is_none() -> None:
    _, page = EXAMPLES["overview-new"]
    assert "As of log size 352" in render("overview")
    html = render_page(page, NO_LOG, "/")
    assert "No checkpoint yet" in html
    assert "1 of 2 witnesses agree" in html


def test_navigation_marks_the_section_of_the_page() -> None:
    marked = re.findall(r'<a href="([^"]+)" aria-current="page">', render("release"))
    assert marked == ["/releases"]
    assert {page.section for _, page in EXAMPLES.values()} <= {"", *(name for name, _ in NAVIGATION)}


def test_twins_keep_the_filters() -> None:
    assert twin_url("/samples?teacher=meta&q=a", "json") == "/samples.json?teacher=meta&q=a"
    assert twin_url("/", "csv") == "/index.csv"
    assert 'href="/samples.csv?teacher=meta"' in render("samples")


@pytest.mark.parametrize("name", NAMES)
def test_the_json_twin_holds_what_the_view_holds(name: str) -> None:
    _, page = EXAMPLES[name]
    assert set(json.loads(page_json(page))) == {item.name for item in fields(page)}


def test_the_csv_twin_has_the_rows_of_the_page_in_order() -> None:
    _, page = EXAMPLES["samples"]
    assert isinstance(page, SamplesPage)
    rows = list(csv.DictReader(io.StringIO(page_csv(page))))
    assert [int(row["index"]) for row in rows] == [row.index for row in page.rows]
    assert rows[3]["tokens"] == ""


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_no_csv_cell_starts_a_formula(start: str) -> None:
    assert format_cell(f"{start}cmd") == f"'{start}cmd"


def test_csv_numbers_stay_numbers() -> None:
    assert format_cell(-3) == "-3"
    assert format_cell(True) == "true"
    assert json.loads(format_cell({"a": [1]})) == {"a": [1]}


def test_an_answer_keeps_what_it_knows_and_leaves_the_rest_empty() -> None:
    answer = parse_answer(ANSWER)
    assert [reason.rule for reason in answer.reasons_of("deny")] == ["competing-model"]
    assert answer.remedies[2].samples is None
    bare = parse_answer({"verdict": "review"})
    assert (bare.reasons, bare.packs, bare.policy_digest) == ([], [], None)


def test_a_state_without_a_name_is_shown_as_unknown_by_its_own_word() -> None:
    assert describe_status("half_done").word == "Half done"
    assert describe_status("half_done").icon == "question"


def test_states_that_look_alike_say_different_words() -> None:
    looks = Counter((status.word, status.icon, status.tone) for status in STATUSES.values())
    assert {look for look, count in looks.items() if count > 1} == {("Blocked", "cross", "bad")}  # deny and blocked
    assert STATUSES["not-checked"].icon != STATUSES["verified"].icon


def test_values_are_written_for_people() -> None:
    assert format_bytes(52_702_104) == "50.3 MiB"
    assert format_bytes(17) == "17 bytes"
    assert format_duration(3723) == "1 h 2 min"
    assert format_share(0.000031) == "0.0031%"
    assert format_time("2026-11-24T12:00:00+02:00") == (
        '<time datetime="2026-11-24T10:00:00Z">24 Nov 2026, 10:00:00 UTC</time>'
    )
    assert format_day("2025-10") == "2025-10"


def test_a_fact_is_written_without_python_s_own_signs() -> None:
    assert format_fact({"country": "FR", "ultimate_parent_country": None}) == (
        "country: FR; ultimate parent country: not recorded"
    )
    assert format_fact(["openai", 20_000, True]) == "openai, 20,000, yes"
    assert format_fact([]) == "none"


def test_a_large_measured_value_has_no_exponent() -> None:
    assert format_measured(7_184_999.7) == "7,185,000"
    assert format_measured(159.23456) == "159.2"
    assert format_measured(134_515_008) == "134,515,008"


def test_scripts_are_small_and_write_only_text_and_attributes() -> None:
    folder: Path = find_resource("web", "static")
    for script in folder.glob("*.js"):
        source = script.read_text()
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", source), (
            script
        )
    assert "trusted-types 'none'" in CONTENT_SECURITY_POLICY
