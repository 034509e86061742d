from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from provenance.policy.decide import decide
from provenance.policy.pack import Pack, load_pack
from provenance.terms.catalogue import Catalogue, load_catalogue
from tests.lineage.story import Story
from tests.store.logs import Log, sqlite_log  # noqa: F401  # a fixture

Ask = Callable[..., dict[str, Any]]


@pytest.fixture(scope="session")
def catalogue() -> Catalogue:
    return load_catalogue()


@pytest.fixture(scope="session")
def pack() -> Pack:
    return load_pack()


@pytest.fixture
def story(sqlite_log: Log, catalogue: Catalogue) -> Story:  # noqa: F811  # the fixture itself
    """On one database: what a document means is no matter of the engine."""
    return Story(sqlite_log, catalogue)


def make_sample(teacher: str = "meta/llama-3.1-8b-instruct", route: str = "weights", **facts: Any) -> dict[str, Any]:
    provider, _, model = teacher.partition("/")
    in_teacher = {name: facts.pop(name) for name in ("host", "revision", "obtained_at") if name in facts}
    base = {"generated_at": "2026-03-01", "account": {"holder": "acme", "plan": "api"}}
    return {**base, **facts, "teacher": {"provider": provider, "model": model, "route": route, **in_teacher}}


def make_student(**facts: Any) -> dict[str, Any]:
    return {
        "name": "acme-tutor",
        "developer": {"name": "acme", "country": "US", "ultimate_parent_country": "US"},
        "base_model": "acme-base-1b",
        "base_license": "apache-2.0",
        "release_license": "apache-2.0",
        "use": "commercial",
        "distribution": "public-weights",
        "purpose": "general-assistant",
        "competes_with": [],
        "territories": ["US"],
        "monthly_active_users": 1000,
        "annual_revenue_usd": 1000000,
        "notices": [],
        "training": {"location": "US", "hardware": "cpu"},
        **facts,
    }


@pytest.fixture(scope="session")
def ask(catalogue: Catalogue, pack: Pack) -> Ask:
    def decide_with(
        sample: Mapping[str, Any] | None = None,
        student: Mapping[str, Any] | None = None,
        action: str = "train",
        agreements: Sequence[Mapping[str, Any]] = (),
        **options: Any,
    ) -> dict[str, Any]:
        return decide(
            make_sample() if sample is None else sample,
            make_student() if student is None else student,
            action=action,
            agreements=agreements,
            catalogue=catalogue,
            pack=pack,
            **options,
        )

    return decide_with
