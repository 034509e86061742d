"""The card says what the record says, reads as the hub's, and nobody's words become anything but words."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import yaml
from huggingface_hub import ModelCard
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from provenance.publication.card import code, format_card, plain
from provenance.publication.papers import format_papers
from tests.service import LocalService

HOSTILE = "<script>alert(1)</script> | [x](javascript:1) `code` **b**\n---\nlicense: mit\n# head \u202eevil www.evil.example https://e.vil"


@pytest.fixture(scope="module")
def said(shop: LocalService) -> dict[str, Any]:
    found: dict[str, Any] = shop.get("/api/v1/models/mdl_llama/card", params={"format": "json"})
    return found


def poison(value: Any) -> Any:
    """Every word that somebody else wrote, made hostile."""
    if isinstance(value, dict):
        return {name: poison(item) for name, item in value.items()}
    if isinstance(value, list):
        return [poison(item) for item in value]
    return HOSTILE if isinstance(value, str) else value


def read_metadata(card: str) -> dict[str, Any]:
    """What the hub's client reads of a card; it is typed in part only."""
    data: Any = ModelCard(card).data
    found: dict[str, Any] = data.to_dict()
    return found


def test_the_card_holds_what_the_record_holds(shop: LocalService, said: dict[str, Any]) -> None:
    text = shop.client.get("/api/v1/models/mdl_llama/card").text
    model, run = shop.get("/api/v1/models/mdl_llama"), shop.get("/api/v1/runs/run_llama")["statement"]
    for wanted in (
        model["weights_digest"], "acme-tutor", "meta/llama-3.1-8b-instruct", "Llama 3.1 Community License Agreement",
        "| name-prefix | unmet |", "It may not be published yet", "tutor@1", "[2.25, 2.75", "6.66e+05 FLOP, estimated",
        "0.0005 kWh, estimated", "Eight held-out samples say little", "not legal advice", "Cost | not stated",
    ):  # fmt: skip
        assert wanted in text.replace("\\", ""), wanted
    assert said["training"]["flops"] == run["flops"]
    assert {row["model"]: row["samples"] for row in said["teachers"]} == {
        "huggingface-smollm/smollm2-135m-instruct": 30,
        "meta/llama-3.1-8b-instruct": 10,
    }


def test_the_card_is_the_same_until_something_changes(shop: LocalService) -> None:
    first = shop.client.get("/api/v1/models/mdl_llama/card").content
    shop.declare(name="somebody-else")  # the log grows
    assert shop.client.get("/api/v1/models/mdl_llama/card").content == first


def test_the_hub_s_own_reader_takes_the_metadata(said: dict[str, Any]) -> None:
    data = read_metadata(format_card(said))
    assert (data["license"], data["library_name"]) == ("apache-2.0", "transformers")
    assert "teacher:meta/llama-3.1-8b-instruct" in data["tags"]
    own = said | {"model": said["model"] | {"license": "Acme Licence 2"}, "base_model": "meta/llama-3.1-8b-instruct"}
    data = read_metadata(format_card(own))
    assert (data["license"], data["license_name"]) == ("other", "Acme Licence 2")
    assert data["base_model"] == ["meta/llama-3.1-8b-instruct"]


def test_hostile_words_stay_words(said: dict[str, Any]) -> None:
    text = format_card(poison(said))
    front, body = text.split("\n---\n", 1)
    assert yaml.safe_load(front.removeprefix("---\n"))["license"] == "other"
    shown = MarkdownIt("commonmark", {"html": True}).enable("table").render(body)
    assert set(re.findall(r"</?([a-z0-9]+)", shown)) == set(
        "h1 h2 h3 p ul li table thead tbody tr th td code pre strong".split()
    )
    assert re.findall(r"<strong>(.*?)</strong>", shown)[0].startswith("&lt;script&gt;")
    assert not re.search(r"<[^>]*(href|src|on[a-z]+=)", shown)
    prose = re.sub(r"<code.*?</code>", "", shown, flags=re.DOTALL)
    for bad in ("\u202e", "license: mit<"):
        assert bad not in prose, bad
    papers = format_papers(poison(said) | {"conditions": [], "documents": []}, {})
    assert "\u2028" not in papers["NOTICE"].decode()


@given(st.text())
def test_plain_text_is_one_line_that_means_nothing(text: str) -> None:
    line = plain(text)
    assert len(line.splitlines()) <= 1
    assert "<" not in line
    assert all(mark not in line.replace("&#", "").replace(f"\\{mark}", "") for mark in "|[]*`#")
    assert "`" not in code(text)[1:-1]


def test_json_and_markdown_are_of_one_description(shop: LocalService, said: dict[str, Any]) -> None:
    assert format_card(said) == shop.client.get("/api/v1/models/mdl_llama/card").text
    assert json.loads(json.dumps(said)) == said
    assert shop.client.get("/api/v1/models/mdl_llama/card", params={"format": "pdf"}).status_code == 422
