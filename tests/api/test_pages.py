"""The pages over a real record: what they answer, that their three forms agree, that errors are pages too."""

from __future__ import annotations

import csv
import io
import re
from base64 import b64decode
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import httpx
import pytest
from sqlalchemy import text

from provenance.demo.run import STUDENT
from provenance.ledger.merkle import node_hash
from provenance.release.bundle import parse_bundle
from provenance.store import content
from provenance.store.session import write_session
from provenance.verify import verify
from tests.dashboard import HOSTILE, LIVE_RUN, Dashboard, serve, serve_filled
from tests.dashboard_run import RUN, STEPS, loss_at

PAGES = [
    "/", "/samples", "/samples?teacher=openai%2Fgpt-4o&verdict=deny", "/samples?q=gpt", "/sources", "/sources/openai",
    "/policies", "/terms/smollm-apache/impact", "/decisions", "/releases", "/releases/tutor@1", "/releases/tutor-gpt4o@1", "/runs", f"/runs/{RUN}",
    f"/runs/{LIVE_RUN}", "/models", "/models/mdl_done", "/models/openai/gpt-4o", "/lineage", "/lineage?root=openai%2Fgpt-4o", "/lineage?root=tutor%401&dir=ancestors", "/reports", "/erasures", "/recalls", "/log", "/search?q=tutor",
]  # fmt: skip


@pytest.fixture(scope="module")
def dashboard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboard]:
    yield from serve_filled(tmp_path_factory.mktemp("dashboard"))


def twin(path: str, extension: str) -> str:
    base, mark, query = path.partition("?")
    return f"{'/index' if base == '/' else base}.{extension}{mark}{query}"


def rows_of_csv(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


@pytest.mark.parametrize("path", PAGES)
def test_a_page_its_json_and_its_csv_hold_the_same_rows(dashboard: Dashboard, path: str) -> None:
    html = dashboard.get(path)
    assert html.status_code == 200, html.text
    assert html.headers["vary"] == "Accept"
    alternates = re.findall(r'<link rel="alternate" type="([^"]+)" href="([^"]+)"', html.text)
    forms = {kind: dashboard.get(unescape(url)) for kind, url in alternates}
    assert set(forms) == {"application/json", "text/csv"}
    assert all(form.status_code == 200 for form in forms.values())
    view = forms["application/json"].json()
    names = ("rows", "tasks", "documents", "packs", "quarantine", "losses", "files", "hits", "growth", "flips")
    field = next(name for name in names if name in view)
    rows = rows_of_csv(forms["text/csv"].text)
    assert len(rows) == len(view[field])
    for row, said in zip(rows, view[field], strict=True):
        assert list(row) == list(said)
        plain = {name: value for name, value in said.items() if isinstance(value, int) and not isinstance(value, bool)}
        assert {name: int(row[name]) for name in plain} == plain


def test_accept_chooses_the_form_and_an_extension_forces_it(dashboard: Dashboard) -> None:
    assert dashboard.get("/releases", Accept="application/json").json()["rows"][0]["name"] == "tutor-gpt4o"
    assert dashboard.get("/releases", Accept="text/csv").text.startswith("name,version,state")
    assert dashboard.get("/releases", Accept="*/*").text.lstrip().startswith("<!doctype html>")
    assert dashboard.get("/releases.json").headers["content-type"] == "application/json"


def test_the_rows_of_the_samples_page_are_those_of_its_csv(dashboard: Dashboard) -> None:
    path = "/samples?teacher=openai%2Fgpt-4o"
    html, rows = dashboard.get(path).text, rows_of_csv(dashboard.get(twin(path, "csv")).text)
    shown = re.findall(r'<tr data-row><td class="n"><a href="/samples/(\d+)">', html)
    assert shown == [row["index"] for row in rows]
    assert {row["verdict"] for row in rows} == {"deny"}
    assert "40 samples with these filters" in html


def test_pages_of_samples_meet_without_gap_or_double(dashboard: Dashboard) -> None:
    seen: list[int] = []
    url = "/samples.json"
    while url:
        page = dashboard.get(url).json()
        seen += [row["index"] for row in page["rows"]]
        older = page["pager"]["older_url"]
        url = older and older.replace("/samples?", "/samples.json?")
    assert len(seen) == page["pager"]["total"] == 111
    assert seen == sorted(set(seen), reverse=True)
    newer = dashboard.get(page["pager"]["newer_url"].replace("/samples?", "/samples.json?")).json()
    assert [row["index"] for row in newer["rows"]] == seen[50:100]


def test_facets_count_what_another_choice_would_show(dashboard: Dashboard) -> None:
    page = dashboard.get("/samples.json?verdict=deny&dataset=tutor").json()
    facets = {facet["name"]: {item["value"]: item["count"] for item in facet["values"]} for facet in page["facets"]}
    assert facets["teacher"] == {"openai/gpt-4o": 40}
    assert facets["verdict"] == {"deny": 40, "allow-with-conditions": 40, "allow": 30}
    for value, count in facets["verdict"].items():
        there = dashboard.get(f"/samples.json?verdict={value}&dataset=tutor").json()
        assert there["pager"]["total"] == count


@pytest.mark.parametrize(("query", "found"), [("GPT", 40), ("demo-openai-03", 1), ("nothing-has-this-name", 0)])
def test_a_search_finds_ids_and_teachers_and_says_that_texts_are_not_searched(
    dashboard: Dashboard, query: str, found: int
) -> None:
    assert dashboard.get(f"/samples.json?q={query}").json()["pager"]["total"] == found
    assert "Prompts and completions are not searched" in dashboard.get(f"/samples?q={query}").text


def test_a_sample_answers_with_the_newest_decision_and_its_clause(dashboard: Dashboard) -> None:
    page = dashboard.get(f"/samples/{dashboard.first_openai}.json").json()
    assert page["verdict"]["verdict"] == "deny"
    assert page["verdict"]["student"] == STUDENT
    assert page["verdict"]["rules"] == ["competition.competing-model"]
    assert "openai-services-agreement-2026-01-01, 3.3(e)" in page["verdict"]["text"]
    assert page["verdict"]["decision_id"] == dashboard.blocked_decision
    assert {use["release"]: use["state"] for use in page["uses"]} == dict.fromkeys(
        ("tutor-gpt4o@1", "tutor@1"), "quarantined"
    )


def test_a_sample_that_no_decision_covers_says_so(dashboard: Dashboard) -> None:
    html = dashboard.get(f"/samples/{dashboard.hostile}").text
    assert "No decision covers this sample yet" in html
    assert "No document on record covers this teacher, route and day" in html


def test_hostile_text_is_escaped_in_every_page_that_shows_it(dashboard: Dashboard) -> None:
    for path in (f"/samples/{dashboard.hostile}", f"/log/entries/{dashboard.hostile}", "/search?q=" + "%3Cscript%3E"):
        html = dashboard.get(path).text
        assert "<script>alert" not in html
        assert "\u202e" not in html
    assert HOSTILE in dashboard.get(f"/samples/{dashboard.hostile}.json").json()["text"]["prompt"][0]["content"]
    cells = [cell for row in csv.reader(io.StringIO(dashboard.get("/samples.csv?q=unknown-7b").text)) for cell in row]
    assert not [cell for cell in cells if cell.startswith(("=", "+", "@"))]


def test_a_blocked_release_names_the_clause_and_what_would_unblock_it(dashboard: Dashboard) -> None:
    page = dashboard.get("/releases/tutor-gpt4o@1.json").json()
    assert (page["state"], page["released"], page["quarantined"]) == ("blocked", 0, 40)
    assert [(item["document"], item["clause"]) for item in page["quarantine"]] == [
        ("openai-services-agreement-2026-01-01", "3.3(e)")
    ]
    decision = dashboard.get(f"/decisions/{dashboard.blocked_decision}").text
    assert decision.index("What would unblock it") < decision.index("Make an agreement with openai")
    assert "clause 3.3(e)" in decision
    assert dashboard.get(f"/decisions/{dashboard.blocked_decision}.json").json()["classes"][0]["samples"] == 40


def test_a_run_shows_each_step_once_and_what_it_cost(dashboard: Dashboard) -> None:
    page = dashboard.get(f"/runs/{RUN}.json").json()
    assert [(point["step"], point["loss"]) for point in page["losses"]] == [
        (step, loss_at(step)) for step in range(1, STEPS + 1)
    ]
    assert (page["state"], page["verdict"], page["unmet_conditions"]) == ("done", "allow-with-conditions", 1)
    assert page["cost"]["energy_method"].startswith("estimated: 188 processor seconds")
    assert page["cost"]["peak_memory_bytes"] == 2_107_424_768
    assert "2.0 GiB" in dashboard.get(f"/runs/{RUN}").text
    tasks = {item["task"]: item for item in page["comparisons"]}
    assert tasks["Held-out perplexity"]["teacher"] is None  # another tokenizer: not comparable
    assert tasks["Held-out perplexity"]["before"]["value"] > tasks["Held-out perplexity"]["student"]["value"]
    assert tasks["Parameters"]["student"]["value"] * 5 < tasks["Parameters"]["teacher"]["value"]


def test_a_run_whose_process_and_job_are_gone_is_lost(dashboard: Dashboard) -> None:
    release = dashboard.client.get("/api/v1/releases/tutor@1").json()["id"]
    said = {"id": "run_gone", "release": release, "student": dashboard.student, "recipe": "sft", "phase": "plan"}
    dashboard.runtime.append("run", {**said, "at": "2026-11-24T10:00:00Z"})
    html = dashboard.get("/runs/run_gone").text
    assert "Lost" in html
    assert "live.js" not in html


def test_a_trained_model_says_whether_it_may_be_published(dashboard: Dashboard) -> None:
    page = dashboard.get("/models/mdl_done.json").json()
    assert page["publishing"]["verdict"] == "deny"
    statuses = {item["type"]: item["status"] for item in page["publishing"]["conditions"]}
    assert statuses["name-prefix"] == "unmet"
    assert [item["type"] for item in page["conditions"]] == ["name-prefix"]
    assert page["limits"]
    teacher = dashboard.get("/models/huggingface-smollm/smollm2-135m-instruct.json").json()
    assert teacher["kind"] == "not registered"
    assert [link["text"] for link in teacher["children"]] == [f"acme/{STUDENT}"]


def test_a_report_page_leads_to_its_files_as_they_were_signed(dashboard: Dashboard) -> None:
    html = dashboard.get(f"/reports/{dashboard.report}").text
    files = dict(re.findall(rf'href="(/reports/{dashboard.report}\.(?:html|pdf|json|csv))">([^<]+)<', html))
    assert len(files) == 4
    own = dashboard.get(f"/reports/{dashboard.report}.html")
    assert own.headers["content-security-policy"].startswith("default-src 'none'; style-src 'sha256-")
    assert dashboard.get(f"/reports/{dashboard.report}.json").json()["id"] == dashboard.report
    assert "release rel_0 is not in the log" in dashboard.get("/reports/rep_broken").text


def test_the_guide_to_a_report_quotes_what_it_is_given(dashboard: Dashboard) -> None:
    html = unescape(dashboard.get("/reports/new?subject=x%27%3B%20rm%20-rf%20~%3B%27").text)
    assert """--subject 'x'"'"'; rm -rf ~;'"'"''""" in html
    assert "<form class" not in html.partition("<main")[2]  # no form that could not work


def test_the_overview_lists_what_waits_and_leads_there(dashboard: Dashboard) -> None:
    page = dashboard.get("/index.json").json()
    assert {task["state"] for task in page["tasks"]} >= {"blocked", "quarantined", "unmet", "failed", "undecided"}
    for task in page["tasks"]:
        assert dashboard.get(task["act"]["url"]).status_code == 200
    assert page["samples"] == 111
    assert {item["verdict"]: item["samples"] for item in page["decided"]} == {
        "deny": 40, "allow-with-conditions": 40, "allow": 30,
    }  # fmt: skip
    assert page["log_consistent"]


def test_an_empty_record_shows_how_to_begin(tmp_path: Path) -> None:
    with serve(tmp_path / "empty") as empty:
        html = empty.get("/").text
        assert "The record holds no samples yet" in html
        assert "provenance capture" in html
        for path in ("/samples", "/releases", "/runs", "/models", "/reports", "/decisions", "/erasures"):
            page = empty.get(path)
            assert page.status_code == 200
            assert 'class="empty' in page.text


def test_every_entry_has_a_page_and_its_proof_ends_in_the_signed_root(dashboard: Dashboard) -> None:
    head = dashboard.client.get("/api/v1/log").json()
    size = head["tree_size"]
    for index in (0, 1, 5, dashboard.first_openai, size - 2, size - 1):
        page = dashboard.get(f"/log/entries/{index}.json").json()
        value = bytes.fromhex(page["proof"]["leaf_hash"])
        for sibling in page["proof"]["siblings"]:
            other = bytes.fromhex(sibling["digest"])
            value = node_hash(other, value) if sibling["side"] == "left" else node_hash(value, other)
        assert value == b64decode(head["root"])
        if page["page_url"] is not None:
            assert dashboard.get(page["page_url"]).status_code in {200, 307}


def test_the_log_page_shows_roots_that_were_signed(dashboard: Dashboard) -> None:
    page = dashboard.get("/log.json").json()
    assert page["consistent"]
    assert page["growth"][-1]["size"] == page["size"]
    assert page["growth"][-1]["root"] == page["root"]
    assert sum(item["entries"] for item in page["kinds"]) == page["size"]


def test_an_erasure_that_waits_is_a_task_and_shows_whom_it_waits_for(dashboard: Dashboard) -> None:
    page = dashboard.get(f"/erasures/{dashboard.erasure}.json").json()
    assert (page["state"], page["samples"], page["rows"]) == (
        "requested", 1, [{"first": dashboard.hostile, "last": dashboard.hostile, "samples": 1}],
    )  # fmt: skip
    html = dashboard.get(f"/erasures/{dashboard.erasure}").text
    assert "<script>alert" not in html
    assert f"provenance erase approve {dashboard.erasure}" in html
    tasks = dashboard.get("/index.json").json()["tasks"]
    assert f"/erasures/{dashboard.erasure}" in [task["act"]["url"] for task in tasks]


def test_whoever_watches_a_run_does_not_hold_up_an_erasure(
    dashboard: Dashboard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(content, "CHECKPOINT_SECONDS", 5.0)
    with httpx.stream("GET", f"{dashboard.url}/api/v1/runs/{LIVE_RUN}/events", timeout=30) as stream:
        assert next(stream.iter_lines()).startswith("id: 0")
        content.compact_database(dashboard.runtime.engine)


def test_an_exact_id_leads_straight_to_its_page(dashboard: Dashboard) -> None:
    answer = dashboard.get(f"/search?q={dashboard.blocked_decision}")
    assert (answer.status_code, answer.headers["location"]) == (303, f"/decisions/{dashboard.blocked_decision}")
    answer = dashboard.get(f"/search?q={dashboard.erasure}")
    assert (answer.status_code, answer.headers["location"]) == (303, f"/erasures/{dashboard.erasure}")
    assert dashboard.get("/search?q=tutor").status_code == 200
    assert "Nothing in the record matches" in dashboard.get("/search?q=zzzz").text


def test_a_terms_link_leads_to_the_document_on_its_provider_page(dashboard: Dashboard) -> None:
    answer = dashboard.get("/terms/meta-llama-3.1")
    assert (answer.status_code, answer.headers["location"]) == (307, "/sources/meta#meta-llama-3.1")
    assert 'id="meta-llama-3.1"' in dashboard.get("/sources/meta").text


@pytest.mark.parametrize(
    ("path", "status"),
    [("/nothing", 404), ("/samples/99999", 404), ("/samples/x", 422), ("/releases/none@1", 404), ("/models/a/b", 404),
     ("/sources/nobody", 404), ("/terms/none", 404), ("/log/entries/99999", 404), ("/reports/none.html", 404)],
)  # fmt: skip
def test_an_error_is_a_page_for_people_and_a_problem_for_programs(dashboard: Dashboard, path: str, status: int) -> None:
    page = dashboard.get(path)
    assert page.status_code == status
    assert "Nothing was changed" in page.text
    assert "As of log size" in page.text
    problem = dashboard.get(path, Accept="application/json")
    assert problem.status_code == status
    assert problem.headers["content-type"] == "application/problem+json"


def test_an_error_page_is_shown_when_the_database_is_out_of_reach(tmp_path: Path) -> None:
    with serve(tmp_path / "broken") as broken:
        with write_session(broken.runtime.engine) as session:
            session.connection().execute(text("ALTER TABLE log_head RENAME TO log_gone"))
        page = broken.get("/")
        assert page.status_code == 503
        assert "The log could not be read just now" in page.text
        with write_session(broken.runtime.engine) as session:
            session.connection().execute(text("ALTER TABLE log_gone RENAME TO log_head"))


@pytest.mark.parametrize("kind", ["sample", "release"])
def test_the_evidence_to_take_along_verifies_offline(dashboard: Dashboard, tmp_path: Path, kind: str) -> None:
    name = dashboard.first_openai if kind == "sample" else dashboard.release
    path = tmp_path / "evidence.zip"
    path.write_bytes(dashboard.client.get(f"/api/v1/{kind}s/{name}/evidence").content)
    assert parse_bundle(path.read_bytes()).contents.subject["kind"] == kind
    assert verify(path).ok
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    assert not verify(path).ok


def test_pages_need_a_token_where_strangers_can_reach_the_service(dashboard: Dashboard) -> None:
    answer = dashboard.get("/", Host="evil.example")
    assert answer.status_code == 401
    assert "tutor" not in answer.text
