from __future__ import annotations

import datetime as dt
from typing import Any

from provenance.capture.collection.facts import DatasetFacts, count_facts, format_facts, make_facts
from provenance.capture.collection.names import load_names
from provenance.capture.collection.summary import parse_summaries
from tests.capture.collection.summaries import one_file


def facts_of(**datasets: dict[str, Any]) -> dict[str, DatasetFacts]:
    found = make_facts(parse_summaries(one_file(datasets)), load_names())
    return {item.id: item for item in found}


def test_a_stricter_licence_of_an_ancestor_is_inherited() -> None:
    found = facts_of(
        child={"licenses": ["MIT License"], "parents": ["middle"]},
        middle={"licenses": ["Apache License 2.0"], "parents": ["top"]},
        top={"licenses": ["CC BY-NC 4.0"]},
    )
    assert (found["child"].licenses.use, found["child"].use) == ("commercial", "non-commercial")
    assert found["child"].stricter_ancestors == ("top",)
    assert found["top"].use == "non-commercial"


def test_a_parent_without_a_licence_here_leaves_the_class_open() -> None:
    found = facts_of(child={"licenses": ["MIT License"], "parents": ["Nobody knows it"]})
    assert (found["child"].use, found["child"].parents_open) == ("unspecified", ("Nobody knows it",))


def test_a_circle_of_parents_ends() -> None:
    found = facts_of(
        one={"licenses": ["MIT License"], "parents": ["two"]}, two={"licenses": ["CC BY-NC 4.0"], "parents": ["one"]}
    )
    assert {item.use for item in found.values()} == {"non-commercial"}
    assert count_facts(list(found.values()))["cycles"] == 1


def test_the_window_closes_with_the_latest_date_that_the_summary_has() -> None:
    def last(metadata: dict[str, Any], **fields: Any) -> dt.date | None:
        return facts_of(one={"metadata": metadata, **fields})["one"].window.last

    assert last({"S2 Date": "2024-06-09"}) == dt.date(2024, 6, 9)
    assert last({"S2 Date": "2023-01-05", "HF Date": "2023-02-01"}) == dt.date(2024, 5, 31)  # read in May 2024
    later_months = {"HF Likes (September 2023)": 1, "HF Likes (December 2023)": 1}
    files = one_file(one={"metadata": later_months})
    del files["Made.json"]["one"]["Inferred Metadata"]["HF Downloads (May 2024)"]
    (found,) = make_facts(parse_summaries(files), load_names())
    assert found.window.last == dt.date(2023, 9, 30)
    files = one_file(one={"ArXiv URL": "https://arxiv.org/abs/2307.13692"})
    del files["Made.json"]["one"]["Inferred Metadata"]
    (found,) = make_facts(parse_summaries(files), load_names())
    assert (found.window.last, found.window.basis) == (dt.date(2023, 7, 31), {"arxiv": "2023-07"})


def test_templates_are_nobodys_output_and_terms_without_a_generator_are() -> None:
    found = facts_of(
        filled={"generators": ["templates"]}, hidden={"licenses": ["OpenAI"]}, made={"generators": ["Other"]}, human={}
    )
    assert {name: item.is_teacher_output for name, item in found.items()} == {
        "filled": False, "hidden": True, "made": True, "human": False,
    }  # fmt: skip


def test_unknown_names_are_counted() -> None:
    found = facts_of(
        one={"licenses": ["Odd 1.0", "MIT License"], "generators": ["Marvin"], "parents": ["Lost"]},
        two={"licenses": ["Odd 1.0", "OpenAI"], "generators": ["OpenAI GPT-4"], "parents": ["Lost", "one"]},
    )
    counts = count_facts(list(found.values()))
    assert counts["unknown_licenses"] == {"Odd 1.0": 2}
    assert counts["unknown_generators"] == {"Marvin": 1}
    assert counts["unknown_parents"] == {"Lost": 2}
    assert counts["provider_terms"] == {"openai": 1}
    assert (counts["license_entries"], counts["with_generators"], counts["datasets"]) == (4, 2, 2)


def test_the_facts_of_a_data_set_are_plain_json() -> None:
    from provenance.canonical import canonical_bytes, parse_canonical

    found = facts_of(
        one={"licenses": ["MIT License", "OpenAI"], "generators": ["OpenAI GPT-4"], "parents": ["two"]}, two={}
    )
    said = parse_canonical(canonical_bytes(format_facts(found["one"])))
    assert said["generators"][0] | {"first_day": None} == {
        "name": "OpenAI GPT-4", "known": True, "is_model": True, "provider": "openai", "model": "gpt-4", "first_day": None,
    }  # fmt: skip
    assert said["parents"][0]["datasets"] == ["two"]
    assert said["generated_until"] == "2024-05-31"
