"""One realistic instance of every page, hostile text included: what the page tests and the browser tests render."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from itertools import pairwise

from provenance.api.views.common import Chip, Facet, FacetValue, File, Link, Page, Pager
from provenance.api.views.decisions import (
    DecisionPage,
    DecisionRow,
    DecisionsPage,
    SampleClass,
    VerdictCount,
    parse_answer,
)
from provenance.api.views.erasures import DatasetShare, ErasedRun, ErasurePage, ErasureRow, ErasuresPage, Withdrawn
from provenance.api.views.lifts import (
    AgreementPage,
    AgreementRow,
    AgreementsPage,
    ExceptionPage,
    ExceptionRow,
    ExceptionsPage,
    Step,
    Use,
)
from provenance.api.views.log import EntryPage, GrowthRow, Key, KindCount, LogPage, Signature, WitnessRow
from provenance.api.views.overview import ErrorPage, FieldProblem, Hit, OverviewPage, SearchPage, Task, TeacherShare
from provenance.api.views.policies import Pack, PoliciesPage, Rule
from provenance.api.views.releases import Composition, Erased, Quarantined, ReleasePage, ReleasesPage
from provenance.api.views.reports import ReportGuidePage, ReportKind, ReportPage, ReportsPage
from provenance.api.views.runs import Cost, LossPoint, RunPage, RunsPage
from provenance.api.views.samples import (
    Message,
    SamplePage,
    SampleRow,
    SamplesPage,
    SampleText,
    SampleUse,
    SampleVerdict,
    TermsInForce,
)
from provenance.api.views.sources import (
    Clause,
    SourceDocument,
    SourcePage,
    SourceRow,
    SourcesPage,
)
from tests.api.collection_examples import COLLECTION_EXAMPLES
from tests.api.example_values import (
    ANSWER,
    COMPARISONS,
    CONDITIONS,
    HOSTILE,
    LIFTED,
    LIMITS,
    PROOF,
    RELEASE_ROWS,
    REPORT_ROWS,
    RUN_ROWS,
    SAMPLE_FACTS,
    STUDENT,
    digest,
    hexadecimal,
)
from tests.api.lineage_examples import LINEAGE_EXAMPLES
from tests.api.model_examples import MODEL_EXAMPLES
from tests.api.recall_examples import RECALL_EXAMPLES, TAKEN
from tests.api.time_examples import HISTORY, TIME_EXAMPLES


def sample_rows() -> list[SampleRow]:
    """Three teachers, every verdict."""
    rows = [
        ("huggingface/smollm2-135m-instruct", "weights", ["huggingface-smollm2-apache-2.0"], "allow", ["demo@1"]),
        ("openai/gpt-4o", "api", ["openai-services-agreement-2026-01-01"], "deny", []),
        ("meta/llama-3.1-8b-instruct", "weights", ["meta-llama-3.1"], "allow-with-conditions", ["demo@1"]),
        ("acme/unknown-7b", "reseller", [], "review", []),
        ("meta/llama-3.1-8b-instruct", "dataset", ["meta-llama-3.1", "meta-llama-3"], None, []),
    ]
    return [
        SampleRow(352 - number, f"2026-11-24T09:{59 - number}:00Z", "demo", teacher, route, terms, verdict, releases, None if route == "reseller" else 700 + number, "recorded" if route == "weights" else "claimed")
        for number, (teacher, route, terms, verdict, releases) in enumerate(rows * 3)
    ]  # fmt: skip


def losses(steps: int) -> list[LossPoint]:
    """A plausible fall."""
    return [
        LossPoint(step, round(2.1 + 2.4 * math.exp(-step / 90) + 0.08 * math.sin(step), 4))
        for step in range(1, steps, 6)
    ]


def run_page(state: str, step: int) -> RunPage:
    """A run that goes, or is over."""
    over = state == "done"
    return RunPage(
        id="run-7c1f", state=state, student="acme-1b", release="demo@1", decision_id="dec-81fe",
        verdict="allow-with-conditions", unmet_conditions=1, base_model="huggingface/smollm2-135m-instruct", recipe="sft",
        started_at="2026-11-24T10:03:00Z", finished_at="2026-11-24T10:07:41Z" if over else None, step=step,
        total_steps=600, loss=2.1174, tokens_per_second=1811.2, eta_seconds=None if over else 131.0, losses=losses(step),
        events_url="/runs/run-7c1f/events",
        cost=Cost("CPU, 2 cores", "own process, no network", 281.0 if over else None, 3.1e14 if over else None, "6 x parameters x tokens" if over else None, 0.0031 if over else None, "estimated: processor time x 20 W" if over else None),
        comparisons=COMPARISONS if over else [], limits=LIMITS if over else [], samples=234, tokens=88_120, seed=7,
        config={"learning_rate": 0.002, "batch_size": 8, "layers": 4}, code_digest=digest("code"),
        environment_digest=digest("environment"), sample_ids_digest=digest("ids"),
        entries=[Link("plan, entry 345", "/log/entries/345"), Link("start, entry 346", "/log/entries/346")],
        model_id="mod-acme-1b" if over else None, error=None,
    )  # fmt: skip


def release_page(state: str) -> ReleasePage:
    """A release that passed in part, or was blocked."""
    blocked = state == "blocked"
    return ReleasePage(
        id="rel-1", name="demo", version=1, state=state, dataset="demo", student="acme-1b",
        created_at="2026-11-24T10:00:00Z", decision_id="dec-81fe", verdict="deny", selected=320,
        released=0 if blocked else 260, quarantined=320 if blocked else 60,
        composition=[] if blocked else [
            Composition("huggingface/smollm2-135m-instruct", "weights", ["huggingface-smollm2-apache-2.0"], 200, 71_204),
            Composition("meta/llama-3.1-8b-instruct", "weights", ["meta-llama-3.1"], 60, 16_916),
        ],
        conditions=CONDITIONS,
        quarantine=[
            Quarantined("openai/gpt-4o", "deny", "competing-model", "Output may not be used to develop models that compete with the provider.", "openai-services-agreement-2026-01-01", "3.3(e)", 58),
            Quarantined("acme/unknown-7b", "review", "no-terms", "No document on record covers this teacher on this day.", None, None, 2),
        ],
        files=[] if blocked else [
            File("train.parquet", digest("train"), 104_423, 234, "/api/v1/releases/rel-1/data/train.parquet"),
            File("test.parquet", digest("test"), 14_423, 26, "/api/v1/releases/rel-1/data/test.parquet"),
            File("README.md", digest("card"), 2_423),
        ],
        splits={} if blocked else {"train": 234, "test": 26}, manifest_digest=None if blocked else digest("manifest"),
        index_set_digest=digest("set"), log_size=341, entry_index=343, runs=[Link("run-7c1f", "/runs/run-7c1f")],
        reports=[Link("Ownership, legality and restriction evidence file", "/reports/rep-1")],
        load_code='import provenance\n\ndata = provenance.load_release(\n    "demo@1", student="acme-1b"\n)', previous=None if blocked else 3,
    )  # fmt: skip


def overview_page(*, empty: bool) -> OverviewPage:
    """The overview of a full record, or of a new one."""
    if empty:
        return OverviewPage([], 0, 0, [], [], [], [], [], log_consistent=True)
    return OverviewPage(
        tasks=[
            Task("blocked", "Release math@3 is blocked", "412 samples, rule competing-model", "2026-11-23T10:00:00Z", Link("Why", "/decisions/dec-81fe")),
            Task("quarantined", "60 samples of demo@1 are quarantined", "openai/gpt-4o, acme/unknown-7b", "2026-11-24T10:00:00Z", Link("See them", "/releases/demo@1")),
            Task("review", "2 samples have no terms on record", "acme/unknown-7b", None, Link("Open", "/samples?verdict=review")),
        ],
        samples=322, undecided=2,
        decided=[VerdictCount("allow", 200), VerdictCount("allow-with-conditions", 60), VerdictCount("deny", 58), VerdictCount("review", 2)],
        teachers=[TeacherShare("huggingface/smollm2-135m-instruct", 200, "/samples?teacher=huggingface/smollm2-135m-instruct"), TeacherShare("openai/gpt-4o", 60, "/samples?teacher=openai/gpt-4o"), TeacherShare("meta/llama-3.1-8b-instruct", 62, "/samples?teacher=meta")],
        runs=RUN_ROWS, releases=RELEASE_ROWS, reports=REPORT_ROWS, log_consistent=True, tasks_left_out=4,
    )  # fmt: skip


def decision_page() -> DecisionPage:
    """A release that one teacher's terms block."""
    return DecisionPage(
        id="dec-81fe", entry_index=342, decided_at="2026-11-24T10:00:00Z", action="train",
        subject=Link("release demo@1", "/releases/demo@1"), student="acme-1b", student_digest=digest("student"),
        student_facts=STUDENT, answer=parse_answer(ANSWER),
        counts=[VerdictCount("allow", 200, 71_204), VerdictCount("allow-with-conditions", 60, 16_916), VerdictCount("deny", 58, 20_241), VerdictCount("review", 2, 310)],
        classes=[
            SampleClass(12, "deny", 58, 20_241, "openai/gpt-4o", "api", ["openai-services-agreement-2026-01-01"], ["competing-model"]),
            SampleClass(1, "allow-with-conditions", 60, 16_916, "meta/llama-3.1-8b-instruct", "weights", ["meta-llama-3.1"], []),
            SampleClass(2, "review", 2, 310, "acme/unknown-7b", "reseller", [], ["no-terms"]),
            SampleClass(1, "allow", 200, 71_204, "huggingface/smollm2-135m-instruct", "weights", ["huggingface-smollm2-apache-2.0"], []),
        ],
        classes_left_out=3, answer_digest=digest("answer"),
    )  # fmt: skip


def sample_page() -> SamplePage:
    """A blocked sample whose text tries everything."""
    return SamplePage(
        index=137,
        verdict=SampleVerdict("deny", "acme-1b", "The terms bar training models that compete with the provider (openai-services-agreement-2026-01-01, clause 3.3(e)).", ["competing-model"], "dec-81fe", "2026-11-24T10:00:00Z"),
        facts=SAMPLE_FACTS,
        terms=[
            TermsInForce("openai-services-agreement-2026-01-01", "openai", "OpenAI Services Agreement", "2026-01-01", "2026-01-01", None, True, "prohibited where it competes, clause 3.3(e)"),
            TermsInForce("openai-usage-policies", "openai", "Usage policies", None, "2025-10", None, False, "silent"),
        ],
        text=SampleText([Message("user", "What is a Merkle tree?\n\n" + HOSTILE)], [Message("assistant", "شجرة ميركل\n" + HOSTILE + "\nlong " * 40)]),
        erased=False, erasure_id=None,
        uses=[SampleUse("demo@1", "quarantined", "acme-1b", None, None), SampleUse("math@1", "released", "acme-0.5b", "run-11ab", 0.000031)],
        parents=[Link("Sample 12", "/samples/12")], proof=PROOF,
        statement=json.dumps({"_type": "https://in-toto.io/Statement/v1", "predicate": {"dataset": "demo"}}),
        evidence_url="/samples/137/evidence.json", bundle_url="/api/v1/samples/137/evidence",
        log_vkey="provenance.example/log+9b1f8479+AQ4b9896b645cfe0049b1f84791cfc76634b9896b645cf", collector_keyid=hexadecimal("collector"),
    )  # fmt: skip


def source_page() -> SourcePage:
    """A provider with two documents."""
    clauses = [
        Clause("output_ownership", "user-assigned", "3(a)", "the provider assigns outputs, on condition that the terms are kept", True),
        Clause("train_on_outputs", "prohibited-competing", "2(c)(iii)", "outputs may not be used to build models that compete with the provider", True),
        Clause("competing_definition", "competes-with-provider", None, HOSTILE, False),
    ]  # fmt: skip
    documents = [
        SourceDocument(f"openai-terms-{number}", f"OpenAI terms {number}", "api-terms", f"{number}", "api", f"202{number}-03-14", None if number == 5 else f"202{number + 1}-03-13", number != 3, digest(f"{number}"), ["gpt-4*", "gpt-4o*"], clauses, "The archive shows the next text published a day later." if number == 3 else None, number, *((58, ["demo@1"], ["acme-1b"], "2026-11-24T10:00:00Z", "ada") if number == 5 else ()))
        for number in (3, 4, 5)
    ]  # fmt: skip
    notes = ["Bind by generation date and by route: consumer, API and open weights have different terms."]
    return SourcePage("openai", "OpenAI", "US", "2026-11-24", notes, documents)


def log_page() -> LogPage:
    """A log with three keys."""
    keys = [
        Key("log", "provenance.example/log", "ed25519", hexadecimal("k1"), "provenance.example/log+9b1f8479+AQ4b9896b645cfe004", None, "active", "2026-11-24T09:00:00Z", None, 0),
        Key("collector", "collector-1", "ed25519", hexadecimal("k2"), None, "MCowBQYDK2VwAyEA9b1f84791cfc7663", "active", "2026-11-24T09:00:00Z", None, 1),
        Key("authority", "authority", "ml-dsa-44", hexadecimal("k3"), None, None, "retired", "2026-11-24T09:00:00Z", "2026-11-24T09:30:00Z", 2),
    ]  # fmt: skip
    sizes = [3, 40, 120, 203, 264, 341, 343, 352]
    return LogPage(
        "provenance.example/log", 352, hexadecimal("root"),
        "provenance.example/log\n352\nqVf2Jt4p3o6Xr0Yw1m9cT8uHhT4x3eU2b1a0Z9y8X7w=\n\n— provenance.example/log mx+EeQ0b3nF…\n",
        "2026-11-24T10:02:11Z", True, None, "2026-11-24T10:02:30Z", keys,
        [GrowthRow(size, size - before, hexadecimal(f"{size}")) for before, size in pairwise([0, *sizes])], 3,
        [KindCount("sample", 320), KindCount("batch", 4), KindCount("key", 3), KindCount("terms", 18)],
    )  # fmt: skip


def witnessed_log_page() -> LogPage:
    """The same log with three witnesses, of which one is down and one has seen another history; publication is held."""
    seen, asked = "2026-11-24T10:02:12Z", "2026-11-24T10:02:20Z"
    problem = "answered 422: the proof leads to another root"
    witnesses = [
        WitnessRow("w1", "witness.example/one", "9b1f8479", "https://w1.example", "agrees", None, 352, seen, asked),
        WitnessRow("w2", "witness.example/two", "1cfc7663", "https://w2.example", "unreachable", "ConnectError", 340, seen, asked),
        WitnessRow("w3", "witness.example/three", "5cfe0049", "https://w3.example", "disagrees", problem, None, None, asked),
    ]  # fmt: skip
    hold = "the quorum has not cosigned the checkpoint of 352 entries yet: w2 unreachable, w3 disagrees"
    return replace(
        log_page(), witnesses=witnesses, published_note="provenance.example/log\n340\n", published_size=340, hold=hold,
        held_since=asked,
    )  # fmt: skip


def erasure_page() -> ErasurePage:
    """An erasure that is done, of more runs than a page shows."""
    return ErasurePage(
        id="era_0", state="done", reason=HOSTILE, requester="compliance-1", approver="counsel-1",
        requested_at="2026-11-23T10:00:00Z", ended_at="2026-11-23T11:00:00Z", samples=240, tokens=81_204,
        indices_digest=digest("indices"), rows=[ErasedRun(3 * number, 3 * number + 1, 2) for number in range(120)],
        datasets=[DatasetShare("demo", 240, 81_204, 0.31)], releases=[Withdrawn("demo@1", 240)],
        runs=[Link("run-7c1f", "/runs/run-7c1f")], entries=[Link("requested, entry 400", "/log/entries/400")],
        out_of_reach=["backups and copies"],
    )  # fmt: skip


KINDS = [
    ReportKind(
        "ownership-and-legality", "Ownership, legality and restriction evidence file", "counsel, auditors, board"
    )
]


def facets() -> list[Facet]:
    """Two facets, one with a choice made."""
    teachers = [("huggingface/smollm2-135m-instruct", 200), ("openai/gpt-4o", 60), ("meta/llama-3.1-8b-instruct", 62)]
    return [
        Facet(
            "teacher",
            "Teacher",
            [FacetValue(name, name, count, name.startswith("meta")) for name, count in teachers],
            4,
        ),
        Facet("verdict", "Latest verdict", [FacetValue("allow", "Allowed", 200), FacetValue("deny", "Blocked", 58)]),
        Facet("route", "Route", [FacetValue("weights", "weights", 260), FacetValue("api", "api", 60)]),
    ]


EXAMPLES: dict[str, tuple[str, Page]] = {
    "overview": ("/", overview_page(empty=False)),
    "overview-new": ("/", overview_page(empty=True)),
    "samples": (
        "/samples?teacher=meta",
        SamplesPage(sample_rows(), "merkle", facets(), [Chip("Teacher: meta/llama-3.1-8b-instruct", "/samples?q=merkle"), Chip(f"Text: {HOSTILE}", "/samples?teacher=meta")], Pager(15, 10_000, True, "/samples?before=x", "/samples?after=y")),
    ),
    "samples-new": ("/samples", SamplesPage([], "", [], [], Pager(0, 0))),
    "samples-filtered-empty": ("/samples?q=zzz", SamplesPage([], "zzz", facets(), [Chip("Text: zzz", "/samples")], Pager(0, 0))),
    "sample": ("/samples/137", sample_page()),
    "decision": ("/decisions/dec-81fe", decision_page()),
    "releases": ("/releases", ReleasesPage(RELEASE_ROWS)),
    "decisions": ("/decisions", DecisionsPage([DecisionRow("dec-81fe", "release demo@1", "acme-1b", "train", "deny", 320, "2026-11-24T10:00:00Z")])),
    "decision-lifted": ("/decisions/dec-81fe", replace(decision_page(), answer=parse_answer(LIFTED))),
    "decisions-new": ("/decisions", DecisionsPage([])),
    "releases-new": ("/releases", ReleasesPage([])),
    "release": ("/releases/demo@1", release_page("partial")),
    "release-blocked": ("/releases/demo@1", release_page("blocked")),
    "runs": ("/runs", RunsPage(RUN_ROWS)),
    "runs-new": ("/runs", RunsPage([])),
    "run": ("/runs/run-7c1f", run_page("done", 600)),
    "run-live": ("/runs/run-7c1f", run_page("running", 312)),
    "reports": ("/reports", ReportsPage(REPORT_ROWS)),
    "reports-new": ("/reports", ReportsPage([])),
    "report-guide": ("/reports/new", ReportGuidePage(KINDS, ["demo@1"], "demo@1", "provenance report build --subject demo@1", "curl -X POST /api/v1/reports")),
    "report": ("/reports/rep-1", ReportPage("rep-1", "ownership-and-legality", "Ownership, legality and restriction evidence file", "release/demo@1", "/releases/demo@1", 352, "done", "2026-11-24T10:09:00Z", [File("report.html", digest("h"), 44_120, None, "/reports/rep-1.html"), File("report.pdf", digest("p"), 120_512, None, "/reports/rep-1.pdf"), File("report.json", digest("j"), 31_007, None, "/reports/rep-1.json")], "/reports/rep-1/evidence", 351, None, 9, 24)),
    "sources": ("/sources", SourcesPage([SourceRow("openai", "OpenAI", "US", 7, 5, 60), SourceRow("huggingface-smollm", "Hugging Face (SmolLM)", "US", 2, 2, 200), SourceRow("zhipu", "Zhipu AI", None, 4, 1, 0)])),
    "sources-new": ("/sources", SourcesPage([])),
    "source": ("/sources/openai", source_page()),
    **COLLECTION_EXAMPLES, **LINEAGE_EXAMPLES, **MODEL_EXAMPLES, **RECALL_EXAMPLES, **TIME_EXAMPLES,
    "policies": ("/policies", PoliciesPage(digest("policy"), [Pack("default", digest("pack"), [Rule("competing-model", "deny", "Outputs may not train a model that competes with their provider.", 'forbid (principal, action == Action::"train", resource)\nwhen { context.trains_competitor };'), Rule("open-licence", "permit", "A licence that puts no limit on outputs allows training.", "permit (principal, action, resource);")])], 41, 5, "pol_0badc0de", HISTORY)),
    "agreements": ("/agreements", AgreementsPage([AgreementRow("agr_7c1f", "active", "openai", ["acme-1b", "acme-*"], ["train", "release"], "2026-01-01", "2026-12-31"), AgreementRow("agr_9d20", "revoked", "zhipu", ["*"], ["train"], "2025-06-01", None)])),
    "agreements-new": ("/agreements", AgreementsPage([])),
    "agreement": ("/agreements/agr_7c1f", AgreementPage("agr_7c1f", "active", "openai", ["Acme", HOSTILE], ["gpt-4o*"], ["api"], ["train", "release"], ["acme-1b"], digest("order form"), "2026-01-01", None, 344, [Step("made", "carla", "2026-11-20T10:00:00Z", None, 344)], [Use("dec-81fe", "acme-1b", "train", "allow", "2026-11-24T10:00:00Z")])),
    "exceptions": ("/exceptions", ExceptionsPage([ExceptionRow(f"exc_{state}", state, "acme-1b", ["competition.competing-model"], ["train"], "2026-12-24", "erin", people) for state, people in (("requested", []), ("active", ["carla", "luis"]), ("expired", ["carla"]), ("refused", []), ("revoked", ["carla", "luis"]))])),
    "exceptions-new": ("/exceptions", ExceptionsPage([])),
    "exception": ("/exceptions/exc_active", ExceptionPage("exc_active", "active", f"A study for the regulator {HOSTILE}", ["competition.competing-model", "quality.failed-check"], ["train"], "acme-1b", digest("student"), "demo", [digest("class")], "openai/gpt-4o", "2026-12-24", "erin", ["carla", "luis"], 345, [Step("request", "erin", "2026-11-20T10:00:00Z", HOSTILE, 345), Step("approve", "carla", "2026-11-21T10:00:00Z", None, 346), Step("approve", "luis", "2026-11-22T10:00:00Z", "for one month", 347)], [])),
    "policies-new": ("/policies", PoliciesPage(digest("policy"), [], 0, None)),
    "log": ("/log", log_page()),
    "log-held": ("/log", witnessed_log_page()),
    "entry": ("/log/entries/342", EntryPage(342, "decision", 18_204, {"decision dec-81fe": digest("decision")}, {"id": "dec-81fe", "student": STUDENT, "note": HOSTILE}, [Signature(hexadecimal("k2"), "collector-1"), Signature(hexadecimal("k9"), None)], PROOF, "/decisions/dec-81fe")),
    "search": ("/search?q=gpt", SearchPage("gpt", [Hit("sample", Link("Sample 137", "/samples/137"), "teacher openai/gpt-4o"), Hit("terms", Link("OpenAI terms 5", "/sources/openai#openai-terms-5"), HOSTILE)], 58)),
    "search-nothing": ("/search?q=zzz", SearchPage(HOSTILE, [], 0)),
    "erasures": ("/erasures", ErasuresPage([ErasureRow("era_1", "requested", 2, "2026-11-24T10:00:00Z", "compliance-1", None, HOSTILE), ErasureRow("era_0", "done", 90_000, "2026-11-23T10:00:00Z", "compliance-1", "counsel-1", "a person asked")])),
    "erasures-new": ("/erasures", ErasuresPage([])),
    "erasure": ("/erasures/era_0", erasure_page()),
    "erasure-requested": ("/erasures/era_1", replace(erasure_page(), id="era_1", state="requested", approver=None, ended_at=None, releases=[], runs=[], out_of_reach=[])),
    "erasure-failed": ("/erasures/era_2", replace(erasure_page(), state="failed", ended_at=None, error="readers kept the write-ahead log")),
    "sample-erased": ("/samples/137", replace(sample_page(), text=None, erased=True, erasure_id="era_0")),
    **{f"release-{state}": ("/releases/demo@1", replace(release_page(state), **why)) for state, why in TAKEN.items()},
    "release-erased": ("/releases/demo@1", replace(release_page("withdrawn"), erased=Erased("era_0", 2))),
    "error": ("/runs", ErrorPage(409, "Refused by policy", "release math@3 is not allowed for acme-1b", "release-not-allowed", "req-19f", [FieldProblem("release", HOSTILE, "a release in state allowed or partial")], "dec-81fe")),
}  # fmt: skip
"""Name -> (URL, page)."""
