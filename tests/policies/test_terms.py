"""The terms that are shipped say what the shared reading says: every document, clause, value and `verified` flag."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from provenance.resources import find_resource

REFERENCE = Path(__file__).parents[2] / ".." / "shared" / "reference" / "source_terms"
SHIPPED = {path.stem: path for path in sorted(find_resource("policies", "terms").glob("*.yaml"))}
OF_OURS = {"exceptions", "scope", "bars_distillation"}


def read(path: Path) -> dict[str, Any]:
    data: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return data


@pytest.mark.parametrize("provider", list(SHIPPED))
def test_every_fact_of_the_reading_is_kept(provider: str) -> None:
    if not (REFERENCE / f"{provider}.yaml").is_file():
        pytest.skip("the shared reading of the terms is not beside this checkout")
    theirs, ours = read(REFERENCE / f"{provider}.yaml"), read(SHIPPED[provider])
    assert [d["id"] for d in ours["documents"]] == [d["id"] for d in theirs["documents"]]
    assert ours["notes"] == theirs["provider_notes"]
    for mine, read_there in zip(ours["documents"], theirs["documents"], strict=True):
        compare(mine, read_there)


def compare(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    same = ("title", "kind", "version", "effective_from", "effective_to", "served_by", "spdx", "verified", "evidence")
    assert {name: ours[name] for name in same} == {name: theirs[name] for name in same}
    assert ours["models"] == theirs["applies_to"]
    assert "+".join(ours["access"]) == theirs["access_route"]
    assert ours.get("notes") == theirs["notes"]
    assert (ours.get("governing_law"), ours["source"]) == (theirs["governing_law"], theirs["source"])
    assert (ours.get("effective_note"), ours.get("models_note")) == (
        theirs["effective_note"],
        theirs["applies_to_note"],
    )
    assert (ours.get("supersedes"), ours.get("superseded_by")) == (theirs["supersedes"], theirs["superseded_by"])
    for name, fact in theirs["facts"].items():
        if name == "conditions":
            continue
        kept = {key: value for key, value in ours["facts"][name].items() if key not in OF_OURS}
        assert kept == {key: value for key, value in fact.items() if key != "exceptions"}, (ours["id"], name)
    texts = [item["text"] for item in ours["facts"]["train_on_outputs"]["exceptions"]]
    assert texts == theirs["facts"]["train_on_outputs"].get("exceptions", [])
    for mine, condition in zip(ours["conditions"], theirs["facts"]["conditions"], strict=True):
        assert mine.items() >= {k: v for k, v in condition.items() if k != "inherits"}.items(), (ours["id"], condition)


@pytest.mark.parametrize("provider", list(SHIPPED))
def test_a_bar_has_a_scope_and_nothing_else_has(provider: str) -> None:
    for document in read(SHIPPED[provider])["documents"]:
        training = document["facts"]["train_on_outputs"]
        barring = training["value"].startswith("prohibited") or document["kind"] == "guidance"
        assert (training["scope"] is not None) == barring, document["id"]
        assert training["exceptions"] == [] or barring, document["id"]


@pytest.mark.parametrize("provider", list(SHIPPED))
def test_a_licence_binds_the_holder_and_a_contract_the_account(provider: str) -> None:
    for document in read(SHIPPED[provider])["documents"]:
        licence = document["kind"] == "model-licence"
        assert (document["route"] == "licence") == licence
        assert (document["binds"] == "holder-of-artefact") == licence
        assert (document["access"] == ["weights"]) == licence
