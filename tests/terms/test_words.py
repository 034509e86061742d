"""Matching of models and places, the words of the report templates, and differences in words."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from provenance.terms.catalogue import load_catalogue
from provenance.terms.diff import diff_documents
from provenance.terms.match import matches, model_names, normal_host, specificity
from provenance.terms.places import EU, expand_places, overlapping_places
from provenance.terms.route import ACCESS_ROUTES, ROLES, TEMPLATE_ROLES, template_route, template_verdict

TEMPLATES = Path(__file__).parents[2] / ".." / "shared" / "reference" / "report_templates.yaml"


def test_a_model_is_known_without_organisation_and_cloud_prefix() -> None:
    assert model_names("Meta-Llama/Meta-Llama-3.1-8B") == ("meta-llama-3.1-8b",)
    assert matches(["claude-*"], "us.anthropic.claude-3-5-sonnet-20240620-v1:0")
    assert not matches(["claude-*"], "not-claude-3")


def test_an_exact_name_beats_a_pattern() -> None:
    exact, wide = specificity(["glm-5.3"], ("glm-5.3",)), specificity(["glm-5.3*"], ("glm-5.3",))
    assert exact is not None
    assert wide is not None
    assert exact > wide
    assert specificity(["glm-4*"], ("glm-5.3",)) is None


def test_hosts_have_one_name() -> None:
    assert normal_host("AWS") == normal_host("bedrock") == "aws-bedrock"


def test_a_group_of_countries_is_its_members() -> None:
    assert len(EU) == 27
    assert overlapping_places(["DE", "US"], ["EU"]) == ["DE"]
    assert overlapping_places(["EU"], ["UK", "KR"]) == []
    assert overlapping_places(["GB"], ["UK"]) == ["GB"]
    assert overlapping_places(["WORLD"], ["KR"]) == ["KR"]
    assert expand_places(["EEA"]) > EU


def test_every_route_and_role_has_a_word_of_the_templates() -> None:
    if not TEMPLATES.is_file():
        pytest.skip("the shared report templates are not beside this checkout")
    enums = yaml.safe_load(TEMPLATES.read_text(encoding="utf-8"))["enums"]
    routes = {template_route(route) for route in ACCESS_ROUTES} | {template_route("weights", own_weights=True)}
    routes |= {template_route("reseller", cloud_host=True), template_route("unknown")}
    assert routes == set(enums["access_route"])
    assert {TEMPLATE_ROLES[role] for role in ROLES} <= set(enums["teacher_role"])
    values = ("allowed", "allowed-with-conditions", "prohibited-competing", "silent", "unknown")
    assert {template_verdict(value, verified=True) for value in values} <= set(enums["terms_clause_verdict"])
    assert template_verdict("allowed", verified=False) == "not_reviewed"


def test_a_difference_says_what_changed_and_whether_a_verdict_turns_on_it() -> None:
    catalogue = load_catalogue()
    changes = diff_documents(catalogue.get("mistral-terms-2024-02-08"), catalogue.get("mistral-terms-2024-02-27"))
    first = changes[0]
    assert first.subject == "train_on_outputs"
    assert first.material
    assert "prohibited-competing" in first.text
    assert "allowed-with-conditions" in first.text
    assert [change.material for change in changes] == sorted((change.material for change in changes), reverse=True)
    assert any(change.text.startswith("condition prior-authorisation is gone") for change in changes)


def test_a_document_does_not_differ_from_itself() -> None:
    document = load_catalogue().get("meta-llama-3.1")
    assert diff_documents(document, document) == []
