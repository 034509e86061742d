from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from provenance.errors import TermsDocumentError
from provenance.terms.archive.aliases import Alias, load_aliases
from provenance.terms.archive.beside import find_contradictions, find_stated_day, list_beside
from provenance.terms.catalogue import Catalogue, load_catalogue

OPENAI = Alias("openai", ("openai/consumer",))
HEAD = "schema: provenance-archive-aliases/1\nservices:\n"


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return load_catalogue()


def version(fetched: str, begins: str, stated: str | None) -> dict[str, Any]:
    return {"fetched_at": f"{fetched}T12:00:00Z", "begins": begins, "stated_day": stated}


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("# Terms\nEffective: January 1, 2026\n", "2026-01-01"),
        ("Effective October 8, 2025[Previous Version](x)", "2025-10-08"),
        ("> Release date: April 22, 2026\n> \n> Effective date: April 29, 2026", "2026-04-29"),
        ("Updated: 16 January 2026", "2026-01-16"),
        ("Updated: 1 December 2025\n\n**Effective: January 1, 2026**", "2026-01-01"),
        ("Effective: February 31, 2026", None),
        ("Terms without a day", None),
    ],
)
def test_the_day_that_a_text_states_is_read(text: str, day: str | None) -> None:
    assert find_stated_day(text) == day


def test_a_version_stands_beside_what_was_in_force(catalogue: Catalogue) -> None:
    assert [item.id for item in list_beside(catalogue, OPENAI, "2025-11-11")] == ["openai-consumer-eu-2025-04-29"]
    assert list_beside(catalogue, None, "2025-11-11") == []
    assert list_beside(catalogue, OPENAI, "2020-01-01") == []


def test_days_that_disagree_are_said_and_days_that_agree_are_not(catalogue: Catalogue) -> None:
    first = version("2025-11-11", "2025-04-29", "2025-04-29")
    agreeing = [first, version("2026-01-16", "2026-01-16", "2026-01-16")]
    # The text for the rest of the world is another one, which an archive of the European text cannot show.
    [elsewhere] = find_contradictions(catalogue, OPENAI, "ChatGPT", "Terms", agreeing)
    assert "openai-consumer-row-2026-01-01" in elsewhere.text
    [other] = find_contradictions(
        catalogue, OPENAI, "ChatGPT", "Terms", [first, version("2025-12-01", "2025-12-05", "2025-12-05")]
    )
    assert (other.day, "no document of the catalogue starts" in other.text) == ("2025-12-05", True)
    unseen = find_contradictions(
        catalogue, OPENAI, "ChatGPT", "Terms", [first, version("2026-06-01", "2026-06-01", None)]
    )
    assert any("openai-consumer-eu-2026-01-16 starts on this day" in item.text for item in unseen)
    [gap] = find_contradictions(catalogue, OPENAI, "ChatGPT", "Terms", [version("2020-01-01", "2020-01-01", None)])
    assert "no document of the catalogue was in force" in gap.text


def test_the_shipped_table_names_providers_and_series_and_guesses_nothing(catalogue: Catalogue) -> None:
    aliases = load_aliases(catalogue)
    assert aliases.find("ChatGPT", "Terms of Service") == OPENAI
    assert aliases.find("ChatGPT", "Trackers Policy") == Alias("openai", ())
    assert aliases.find("chatgpt", "Terms of Service") is None
    assert aliases.find("ChatGPT Pro", "Terms of Service") is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("schema: other\nservices: []\n", "schema"),
        (HEAD + "  - service: X\n    provider: nobody\n    documents: {}\n", "X.provider"),
        (
            HEAD + "  - service: X\n    provider: openai\n    documents:\n      Terms: [openai/other]\n",
            "a series of openai",
        ),
        (HEAD + "  - service: X\n    provider: openai\n", "service, provider and documents"),
        (HEAD + "  - {service: X, provider: openai, documents: {}}\n" * 2, "each service once"),
        (HEAD + "  - &a {service: X, provider: openai, documents: {}}\n", "anchor"),
    ],
)
def test_a_table_with_a_mistake_is_refused(catalogue: Catalogue, tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "archive_aliases.yaml"
    path.write_text(text)
    with pytest.raises(TermsDocumentError, match=reason):
        load_aliases(catalogue, path)
