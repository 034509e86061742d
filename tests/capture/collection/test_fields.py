from __future__ import annotations

from typing import Any

import pytest

from provenance.capture.collection.fields import strip_summary
from provenance.capture.collection.summary import parse_summaries
from provenance.errors import MalformedError
from tests.capture.collection.summaries import ANNOTATOR, make_summary, one_file

BAD: list[tuple[str, Any]] = [
    ("Licenses", "MIT"),
    ("Licenses", ["MIT"]),
    ("Licenses", [{"License": 3, "License URL": ""}]),
    ("Licenses", [{"License URL": ""}]),
    ("Licenses", [{"License": "MIT", "Licence": "MIT"}]),
    ("Model Generated", "OpenAI GPT-4"),
    ("Model Generated", [None]),
    ("Model Generated", ["a\u202eb"]),
    ("Derived from Datasets", None),
    ("Derived from Datasets", ["x" * 301]),
    ("Dataset Name", None),
    ("Dataset Name", "line\nbreak"),
    ("Inferred Metadata", []),
    ("Inferred Metadata", {"HF Date": "2023-02-31"}),
    ("Inferred Metadata", {"HF Date": "last May"}),
    ("Inferred Metadata", {"HF Yaml License": ["MIT"]}),
    ("Inferred Metadata", {"HF Yaml Licence": "MIT"}),
    ("Inferred Metadata", {"HF Likes (Smarch 2024)": 1}),
    ("Text Metrics", {"Num Dialogs": True}),
    ("Text Metrics", {"Num Dialogs": -1}),
    ("Semantic Scholar Corpus ID", [1]),
    ("Human Annotation", {"Yes": 1}),
]


@pytest.mark.parametrize(("field", "value"), BAD, ids=[f"{field}={value!r:.30}" for field, value in BAD])
def test_a_bad_field_is_refused_by_file_data_set_and_name(field: str, value: Any) -> None:
    files = one_file(mine={field: value} if field not in {"Licenses", "Model Generated"} else {})
    files["Made.json"]["mine"][field] = value
    with pytest.raises(MalformedError) as caught:
        parse_summaries(files)
    assert "Made.json: mine" in caught.value.detail
    assert caught.value.errors[0].field.startswith(f"Made.json: mine.{field}")


def test_a_misspelt_field_is_refused_with_the_one_that_was_meant() -> None:
    files = one_file(mine={"Licences": []})
    with pytest.raises(
        MalformedError, match=r"Made.json: mine: unknown field 'Licences'; expected 'Licenses', if that is meant"
    ):
        parse_summaries(files)


@pytest.mark.parametrize(
    "field", ["Licenses", "Model Generated", "Derived from Datasets", "Dataset Name", "Collection"]
)
def test_a_field_that_we_need_may_not_be_missing(field: str) -> None:
    files = one_file(mine={})
    del files["Made.json"]["mine"][field]
    with pytest.raises(MalformedError, match=f"Made.json: mine: {field}"):
        parse_summaries(files)


@pytest.mark.parametrize("key", ["", " ", "a/b", "..", "a\\b", "a\x00b", "a\u2066b", "x" * 201])
def test_an_id_is_a_plain_name(key: str) -> None:
    with pytest.raises(MalformedError, match="id of 1 to 200 characters"):
        parse_summaries({"Made.json": {key: make_summary(key, "Made")}})


def test_an_id_stands_under_its_own_key_once_and_in_the_file_that_it_names() -> None:
    other_key = {"Made.json": {"mine": make_summary("yours", "Made")}}
    with pytest.raises(MalformedError, match="Unique Dataset Identifier"):
        parse_summaries(other_key)
    with pytest.raises(MalformedError, match="Collection"):
        parse_summaries({"Made.json": {"mine": make_summary("mine", "Other")}})
    twice = one_file(mine={}) | one_file(part_of="More", mine={})
    with pytest.raises(MalformedError, match=r"it stands in Made.json too"):
        parse_summaries(twice)


@pytest.mark.parametrize("content", [[], {}, None, "text", 3])
def test_a_file_holds_summaries_by_id(content: Any) -> None:
    with pytest.raises(MalformedError, match=r"Made.json: expected an object: data set id -> summary"):
        parse_summaries({"Made.json": content})


def test_what_is_stripped_reads_the_same_and_names_no_person() -> None:
    dates = {"HF Date": "2023-03-13", "HF Yaml License": "MIT License", "PwC Description": "long", "S2 Date": ""}
    files = one_file(mine={"licenses": ["MIT License"], "generators": ["OpenAI GPT-4"], "metadata": dates})
    stripped = {"Made.json": {key: strip_summary(value) for key, value in files["Made.json"].items()}}
    assert parse_summaries(stripped) == parse_summaries(files)
    assert ANNOTATOR not in repr(stripped)
    assert "long" not in repr(stripped)
