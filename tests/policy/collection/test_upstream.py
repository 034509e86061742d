from __future__ import annotations

from typing import Any

import pytest

from provenance.capture.collection.summary import parse_summaries
from provenance.errors import MalformedError
from provenance.policy.collection.upstream import CLASSES_FILE, CUSTOM_FILE, parse_classes
from tests.capture.collection.summaries import one_file
from tests.policy.collection.requests import CONSTANTS


def class_of(*names: str, custom_url: str = "") -> str:
    classes = parse_classes(CONSTANTS)
    assert classes is not None
    licenses = [{"License": name, "License URL": custom_url if name == "Custom" else None} for name in names]
    (summary,) = parse_summaries(one_file(one={"Licenses": licenses, "metadata": {"HF Yaml License": "CC BY-NC 4.0"}}))
    return classes.of(summary)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ((), "unspecified"),
        (("MIT License",), "commercial"),
        (("MIT License", "Unspecified"), "unspecified"),
        (("MIT License", "Unspecified", "OpenAI"), "non-commercial"),
        (("CC BY-NC 4.0", "Various"), "academic-only"),
        (("No class for this",), "unspecified"),
    ],
)
def test_the_strictest_of_the_listed_licences_wins_and_other_sources_do_not_count(
    names: tuple[str, ...], expected: str
) -> None:
    assert class_of(*names) == expected


def test_a_custom_licence_has_its_class_by_address() -> None:
    assert class_of("Custom", custom_url="https://example.org/free") == "commercial"
    assert class_of("Custom", custom_url="https://example.org/odd") == "academic-only"
    assert class_of("Custom", custom_url="https://example.org/other") == "unspecified"


def test_without_constants_there_is_no_class() -> None:
    assert parse_classes({}) is None


@pytest.mark.parametrize(
    "constants",
    [
        {CLASSES_FILE: CONSTANTS[CLASSES_FILE]},
        CONSTANTS | {"model_groups.json": {}},
        CONSTANTS | {CLASSES_FILE: []},
        CONSTANTS | {CLASSES_FILE: {"MIT License": "All"}},
        CONSTANTS | {CUSTOM_FILE: {"https://example.org": ["Free", "1", "0"]}},
        CONSTANTS | {CUSTOM_FILE: {"https://example.org": []}},
    ],
)
def test_constants_of_another_form_are_refused_by_file(constants: dict[str, Any]) -> None:
    with pytest.raises(MalformedError, match=r"(classes|groups)\.json"):
        parse_classes(constants)
