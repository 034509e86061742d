from __future__ import annotations

from typing import Any

import pytest

from provenance.terms.catalogue import Catalogue, load_catalogue
from provenance.terms.resolve import Binding, resolve_terms


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return load_catalogue()


def bind(catalogue: Catalogue, teacher: str, route: str, day: str, **facts: Any) -> Binding:
    provider, _, model = teacher.partition("/")
    in_teacher = ("host", "revision", "obtained_at", "served_model")
    sample = {
        "teacher": {"provider": provider, "model": model, "route": route}
        | {name: facts.pop(name) for name in in_teacher if name in facts},
        "generated_at": day,
        **facts,
    }
    return resolve_terms(sample, catalogue)


def ids(binding: Binding) -> list[str]:
    return [document.id for document in binding.documents]


def test_weights_and_api_of_one_model_are_bound_by_different_documents(catalogue: Catalogue) -> None:
    assert ids(bind(catalogue, "zhipu/glm-4.6", "weights", "2026-06-01")) == ["zhipu-glm-4.5-mit"]
    api = bind(catalogue, "zhipu/glm-4.6", "api", "2026-06-01", host="z.ai")
    assert ids(api) == ["zhipu-zai-api-terms-2026-04-14"]


def test_hosts_that_were_not_told_apart_are_both_candidates(catalogue: Catalogue) -> None:
    binding = bind(catalogue, "zhipu/glm-4.6", "api", "2026-10-01")
    assert ids(binding) == ["zhipu-zai-api-terms-2026-04-14", "zhipu-bigmodel-cn"]
    assert len(binding.bound) == 1


def test_several_documents_of_one_provider_bind_together(catalogue: Catalogue) -> None:
    binding = bind(catalogue, "anthropic/claude-sonnet-4-5", "api", "2025-10-01")
    assert len(binding.bound) == 3


def test_the_licence_of_the_base_binds_under_a_fine_tune(catalogue: Catalogue) -> None:
    binding = bind(catalogue, "deepseek/deepseek-r1-distill-llama-70b", "weights", "2026-01-01")
    assert ids(binding) == ["deepseek-r1-distill-llama", "meta-llama-3.3"]
    assert "base model" in binding.bound[1].why


def test_the_copy_comes_before_the_revision_and_the_revision_before_generation(catalogue: Catalogue) -> None:
    revision = "2abb4f45a9df4154b4bde024d51874bd127edcee"
    first = "e27aac415872aa258b38315f4d51a751dbd31237"
    model = "minimax/minimax-m2"
    assert ids(bind(catalogue, model, "weights", "2026-01-01")) == ["minimax-m2-modified-mit"]
    assert ids(bind(catalogue, model, "weights", "2026-01-01", revision=first)) == ["minimax-m2-mit-initial"]
    assert ids(bind(catalogue, model, "weights", "2026-01-01", revision=revision)) == ["minimax-m2-modified-mit"]
    copied = bind(catalogue, model, "weights", "2026-01-01", revision=first, obtained_at="2025-12-01")
    assert ids(copied) == ["minimax-m2-modified-mit"]


def test_the_served_model_decides_where_it_is_on_record(catalogue: Catalogue) -> None:
    served = bind(catalogue, "alibaba/qwen2.5-7b", "weights", "2026-01-01", served_model="qwen2.5-72b-instruct")
    assert ids(served) == ["alibaba-qwen-license-2024-09-19"]
    snapshot = bind(catalogue, "mistral/devstral-2", "weights", "2026-03-01", served_model="devstral-2@2027")
    assert ids(snapshot) == ["mistral-modified-mit"]
    assert snapshot.unmatched == ()


@pytest.mark.parametrize(("served", "kind"), [("mystery-1", "served-another"), ("unknown", "unknown-model")])
def test_another_served_model_that_no_document_names_is_not_the_requested_one(
    catalogue: Catalogue, served: str, kind: str
) -> None:
    binding = bind(catalogue, "openai/gpt-4o", "api", "2026-03-01", served_model=served)
    assert ids(binding) == ["openai-services-agreement-2026-01-01"]
    assert [miss.kind for miss in binding.unmatched] == [kind]


def test_the_most_specific_pattern_decides(catalogue: Catalogue) -> None:
    assert ids(bind(catalogue, "zhipu/glm-5.3", "weights", "2026-10-01")) == ["zhipu-glm-5.3"]
    assert ids(bind(catalogue, "zhipu/glm-5.3-flash", "weights", "2026-10-01")) == ["zhipu-glm-4.5-mit"]


def test_a_reseller_binds_by_host_and_licence(catalogue: Catalogue) -> None:
    binding = bind(catalogue, "meta/llama-3.1-8b", "reseller", "2026-03-01", host="AWS Bedrock")
    assert ids(binding) == ["aws-service-terms-2026-01-23", "meta-llama-3.1"]


def test_an_api_at_a_foreign_host_is_a_reseller(catalogue: Catalogue) -> None:
    binding = bind(catalogue, "meta/llama-3.1-8b", "api", "2026-03-01", host="aws-bedrock")
    assert ids(binding) == ["aws-service-terms-2026-01-23", "meta-llama-3.1"]


def test_a_contract_behind_a_data_set_is_somebody_elses(catalogue: Catalogue) -> None:
    binding = bind(catalogue, "openai/gpt-4o", "dataset", "2026-03-01")
    assert ids(binding) == ["openai-services-agreement-2026-01-01"]
    assert all(bound.of_another for bound in binding.bound)


@pytest.mark.parametrize("teacher", ["google/flan-t5-xxl", "meta/bart-large", "microsoft/deberta-v3"])
def test_a_data_set_of_another_model_is_not_laid_to_an_app_of_its_provider(catalogue: Catalogue, teacher: str) -> None:
    binding = bind(catalogue, teacher, "dataset", "2024-06-01")
    assert ids(binding) == []
    assert [miss.kind for miss in binding.unmatched] == ["no-terms"]


def test_a_data_set_of_what_an_app_serves_shows_the_terms_of_the_app(catalogue: Catalogue) -> None:
    assert ids(bind(catalogue, "google/bard", "dataset", "2023-10-01")) == ["google-genai-additional-terms-2023-08-09"]


@pytest.mark.parametrize("route", ["api", "consumer", "dataset"])
def test_a_host_that_is_said_to_be_unknown_is_not_the_provider(catalogue: Catalogue, route: str) -> None:
    known = bind(catalogue, "deepseek/deepseek-chat", route, "2026-03-01")
    unknown = bind(catalogue, "deepseek/deepseek-chat", route, "2026-03-01", host="unknown")
    assert ids(unknown) == ids(known)
    assert unknown.unmatched[-1].needs == ("teacher.host",)


def test_a_revision_that_is_said_to_be_unknown_keeps_every_licence_until_then(catalogue: Catalogue) -> None:
    binding = bind(catalogue, "minimax/minimax-m2", "weights", "2026-01-01", revision="unknown")
    assert ids(binding) == ["minimax-m2-mit-initial", "minimax-m2-modified-mit"]
    assert binding.bound[0].choice.needs == ("teacher.revision",)


def test_a_licence_behind_a_data_set_follows_the_artefact(catalogue: Catalogue) -> None:
    binding = bind(catalogue, "meta/llama-3.1-8b", "dataset", "2026-10-01")
    assert ids(binding) == ["meta-llama-3.1"]
    assert not any(bound.of_another for bound in binding.bound)


def test_residents_have_their_own_text(catalogue: Catalogue) -> None:
    inside = bind(catalogue, "openai/chatgpt", "consumer", "2026-03-01", generated_in="NO")
    outside = bind(catalogue, "openai/chatgpt", "consumer", "2026-03-01", generated_in="US")
    unknown = bind(catalogue, "openai/chatgpt", "consumer", "2026-03-01")
    assert ids(inside) == ["openai-consumer-eu-2026-01-16"]
    assert ids(outside) == ["openai-consumer-row-2026-01-01"]
    assert set(ids(unknown)) == {*ids(inside), *ids(outside)}
    assert unknown.bound[0].choice.needs == ("generated_in",)


@pytest.mark.parametrize(
    ("teacher", "route", "day", "kind"),
    [
        ("quiet-labs/quiet-1", "weights", "2026-03-01", "unknown-teacher"),
        ("unknown/gpt-4o", "api", "2026-03-01", "unknown-teacher"),
        ("openai/unknown", "api", "2026-03-01", "unknown-model"),
        ("openai/gpt-4o", "unknown", "2026-03-01", "unknown-route"),
        ("openai/gpt-9", "weights", "2026-03-01", "no-terms"),
        ("openai/gpt-4o", "api", "2020-03-01", "no-terms"),
        ("openai/gpt-4o", "reseller", "2026-03-01", "no-host"),
    ],
)
def test_what_cannot_be_matched_says_why(catalogue: Catalogue, teacher: str, route: str, day: str, kind: str) -> None:
    binding = bind(catalogue, teacher, route, day)
    assert kind in [miss.kind for miss in binding.unmatched]


def test_an_unknown_day_keeps_every_text_as_a_candidate(catalogue: Catalogue) -> None:
    binding = bind(catalogue, "deepseek/deepseek-chat", "api", "unknown")
    assert len(ids(binding)) == 3
    assert binding.bound[0].choice.gap


def test_a_gap_keeps_both_neighbours(catalogue: Catalogue) -> None:
    binding = bind(catalogue, "mistral/mistral-large", "api", "2025-03-01")
    assert ids(binding) == ["mistral-terms-2024-05-22", "mistral-terms-2025-05-27"]
    assert binding.bound[0].choice.gap
