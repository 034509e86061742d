from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from provenance.capture.collection.names import fold, load_names, strictest_use
from provenance.errors import TermsDocumentError
from provenance.policy.inputs import validate_sample_facts
from provenance.resources import find_resource
from provenance.terms.catalogue import load_catalogue

SMALL = """
licenses: [{name: MIT License, spdx: MIT, use: commercial}]
silent: [""]
provider_terms: [{name: OpenAI, provider: openai}]
generators: [{names: [OpenAI GPT-4], provider: openai, model: gpt-4, first_day: '2023-03-14'}]
datasets: [{ref: Alpaca, names: [Alpaca]}]
"""
BAD = [
    ('silent: [""]', "silent: [1]"),
    ("use: commercial", "use: free"),
    ("use: commercial", "use: commercial, licence: MIT"),
    ("'2023-03-14'", "'some day'"),
    ("model: gpt-4", "model: [gpt-4]"),
    ("names: [Alpaca]", "names: []"),
    ("names: [Alpaca]", "names: Alpaca"),
    ("ref: Alpaca, ", ""),
    ("datasets:", "data_sets:"),
    ("{ref: Alpaca, names: [Alpaca]}", "{ref: Alpaca, names: [x]}, {ref: Other, names: [X]}"),
    ("[{name: OpenAI, provider: openai}]", "&a [{name: OpenAI, provider: openai}]"),
]


def test_the_small_table_is_read(tmp_path: Path) -> None:
    path = tmp_path / "aliases.yaml"
    path.write_text(SMALL)
    names = load_names(path)
    assert names.licenses[fold("mit  license")].spdx == "MIT"
    assert names.provider_terms == {"openai": "openai"}


@pytest.mark.parametrize(("good", "bad"), BAD, ids=[bad[:40] for _, bad in BAD])
def test_a_table_that_is_wrong_or_contradicts_itself_is_refused_by_name(tmp_path: Path, good: str, bad: str) -> None:
    assert good in SMALL
    path = tmp_path / "aliases.yaml"
    path.write_text(SMALL.replace(good, bad))
    with pytest.raises(TermsDocumentError, match=r"aliases\.yaml"):
        load_names(path)


def test_the_shipped_table_names_what_a_decision_can_be_asked_with() -> None:
    names, catalogue = load_names(), load_catalogue()
    for generator in names.generators.values():
        teacher = {
            "provider": generator.provider or "unknown",
            "model": generator.model or "unknown",
            "route": "dataset",
        }
        validate_sample_facts({"teacher": teacher})
    assert all(catalogue.find_provider(provider) for provider in names.provider_terms.values())
    for name in ("openai", "meta", "mistral", "google", "anthropic"):
        assert name in {generator.provider for generator in names.generators.values()}


def test_the_shipped_spdx_ids_are_ids_of_the_list() -> None:
    from packaging.licenses import canonicalize_license_expression

    data = yaml.safe_load(find_resource("policies", "dataset_aliases.yaml").read_text())
    for item in data["licenses"]:
        if "spdx" in item:
            assert str(canonicalize_license_expression(item["spdx"])) == item["spdx"]


def test_the_strictest_class_wins_and_silence_permits_nothing() -> None:
    assert strictest_use([]) == "unspecified"
    assert strictest_use(["commercial", "unspecified"]) == "unspecified"
    assert strictest_use(["non-commercial", "unspecified", "commercial"]) == "non-commercial"
    assert strictest_use(["non-commercial", "academic-only"]) == "academic-only"
