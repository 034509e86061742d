"""A document that a person records: what it changes, and what is refused with its field."""

from __future__ import annotations

import copy
import datetime as dt
from typing import Any

import pytest

from provenance.errors import ConflictError, TermsDocumentError
from provenance.terms.catalogue import Catalogue, load_catalogue
from provenance.terms.record import MAX_DOCUMENT_BYTES, TermsPlan, plan_terms

TODAY = dt.date(2026, 11, 24)
AGREEMENT = "openai-services-agreement-2026-01-01"


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return load_catalogue()


def value_of(catalogue: Catalogue, identifier: str = AGREEMENT, **changes: Any) -> dict[str, Any]:
    return {**copy.deepcopy(catalogue.get(identifier).to_json()), **changes}


def plan(catalogue: Catalogue, value: Any, **options: Any) -> TermsPlan:
    return plan_terms(catalogue, value, today=TODAY, **options)


def refused(catalogue: Catalogue, value: Any) -> TermsDocumentError:
    with pytest.raises(TermsDocumentError) as caught:
        plan(catalogue, value)
    assert caught.value.errors, caught.value.detail
    return caught.value


def test_a_new_version_of_a_document_stands_where_the_old_one_stood(catalogue: Catalogue) -> None:
    value = value_of(catalogue)
    value["facts"]["train_on_outputs"]["value"] = "prohibited-any-other-model"
    found = plan(catalogue, value)
    assert found.replaced is catalogue.get(AGREEMENT)
    assert [document.id for document in found.after.documents] == [document.id for document in catalogue.documents]
    assert found.after.digest != catalogue.digest
    assert [(change.subject, change.material) for change in found.changes] == [("train_on_outputs", True)]
    assert list(found.values) == [AGREEMENT]


def test_a_new_document_also_changes_what_its_provider_has(catalogue: Catalogue) -> None:
    value = value_of(catalogue, "smollm-apache", id="smollm-4", models=["smollm4-*"])
    found = plan(catalogue, value)
    assert found.replaced is None
    assert list(found.values) == ["smollm-4", "provider:huggingface-smollm"]
    assert found.values["provider:huggingface-smollm"]["documents"][-1] == "smollm-4"


def test_the_same_words_again_are_a_conflict(catalogue: Catalogue) -> None:
    with pytest.raises(ConflictError, match="in force"):
        plan(catalogue, value_of(catalogue))


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"provider": "nobody"}, "provider"),
        ({"provider": None}, "provider"),
        ({"provider": "meta"}, "id"),  # the id is another provider's
        ({"effective_from": "2027-01-01"}, "effective_from"),
        ({"effective_to": "2027"}, "effective_to"),
        ({"effective_from": "2026-02-30"}, "effective_from"),
        ({"effective_from": "yesterday"}, "effective_from"),
        ({"effective_from": "2026-03-01", "effective_to": "2026-02-01"}, "document"),
        ({"kind": "poem"}, "kind"),
        ({"trains": True}, "document"),
        ({"digest": "sha256:" + "0" * 64}, "document"),
        ({"supersedes": ["nothing"]}, "document"),
        ({"models": ["GPT 4"]}, "models.0"),
        ({"title": "fine\u202eenif"}, "title"),
        ({"title": "bell\x07"}, "title"),
        ({"notes": "null\x00"}, "notes"),
        ({"notes": "\ud800"}, "document"),
        ({"notes": "long " * MAX_DOCUMENT_BYTES}, "document"),
        ({"id": "../../etc/passwd"}, "id"),
    ],
)
def test_what_is_wrong_is_refused_with_its_field(catalogue: Catalogue, change: dict[str, Any], field: str) -> None:
    digest = catalogue.digest
    assert refused(catalogue, value_of(catalogue, **change)).errors[0].field == field
    assert catalogue.digest == digest


@pytest.mark.parametrize("value", [None, [], "text", 7])
def test_what_is_no_document_is_refused(catalogue: Catalogue, value: Any) -> None:
    refused(catalogue, value)


def test_a_later_version_must_meet_the_one_before(catalogue: Catalogue) -> None:
    later = value_of(catalogue, id="openai-services-agreement-2026-10-01", effective_from="2026-10-01")
    assert "overlap" in refused(catalogue, later).detail
    assert [found.kind for found in plan(catalogue, later, accept_unsettled=True).unsettled] == ["overlap"]
    for end, problem in (("2026-09-30", None), ("2026-09-01", "gap")):
        closed = plan(catalogue, value_of(catalogue, effective_to=end)).after
        if problem is None:
            assert plan(closed, later).unsettled == ()
        else:
            assert problem in refused(closed, later).detail
