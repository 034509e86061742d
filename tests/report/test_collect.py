from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from provenance.canonical import canonical_bytes
from provenance.report.collect import Collector
from provenance.report.context import Evidence
from provenance.report.facts import ReleaseFacts
from provenance.store.session import read_session
from tests.service import SECRET, LocalService


@pytest.fixture
def facts(service: LocalService) -> Iterator[ReleaseFacts]:
    release = service.get("/api/v1/releases/tutor@1")["id"]
    with read_session(service.runtime.engine) as session:
        yield Collector(session, service.log_size()).collect("rep_x", release)


def test_each_teacher_is_a_group_with_its_verdict_counts_and_documents(facts: ReleaseFacts) -> None:
    seen = {group.teacher: group for group in facts.groups}
    assert {name: (group.verdict, group.samples, group.released) for name, group in seen.items()} == {
        "huggingface-smollm/smollm2-135m-instruct": ("allow", 60, 60),
        "openai/gpt-4o": ("deny", 20, 0),
        "meta/llama-3.1-8b-instruct": ("allow-with-conditions", 20, 20),
    }
    assert [document.id for document in seen["meta/llama-3.1-8b-instruct"].documents] == ["meta-llama-3.1"]
    assert sum(group.released for group in facts.groups) == facts.released == 80
    assert (facts.selected, facts.quarantined, facts.state) == (100, 20, "partial")


def test_a_group_says_when_from_where_and_on_what_evidence(facts: ReleaseFacts) -> None:
    (group,) = [group for group in facts.groups if group.provider == "openai"]
    assert (group.first_generated_at, group.last_generated_at) == ("2026-03-01T00:00:00Z",) * 2
    assert group.evidence_grades == {"declared": 20}
    assert group.prompt_origins == {"human": 20}
    assert group.human_contributions == {"not recorded": 20}


def test_every_citation_is_an_entry_with_its_digest(service: LocalService, facts: ReleaseFacts) -> None:
    cited: list[Evidence | None] = [
        facts.release_evidence,
        facts.decision.evidence,
        *(item for group in facts.groups for item in group.evidence),
    ]
    cited += [document.evidence for group in facts.groups for document in group.documents]
    assert len(cited) >= 8
    for item in filter(None, cited):
        entry: Any = service.get(f"/api/v1/log/entries/{item.index}")
        assert entry["index"] == item.index
        if entry["kind"] == "sample":
            assert service.get(f"/api/v1/samples/{item.index}")["leaf_hash"] == item.digest


def test_nothing_that_was_collected_holds_the_words_of_a_sample(facts: ReleaseFacts) -> None:
    assert SECRET not in repr(facts)


def test_what_has_not_happened_yet_is_not_in_it(facts: ReleaseFacts) -> None:
    assert (facts.run, facts.model, facts.previous_report_id is None) == (None, None, False)
    assert canonical_bytes(dict(facts.student))
