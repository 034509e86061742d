"""Fact classes as a real log has them: many providers, models, routes, days, account holders and evidence grades.

Everything is drawn from the shipped catalogue with a fixed seed, so two runs ask the same questions. A set-up (teacher,
route, host, holder, licences, evidence) runs on several days, as pipelines do; `days=1` makes every class another set-up.
"""

from __future__ import annotations

import datetime as dt
import random
from typing import Any

from provenance.attestation.facts import fact_class_digest
from provenance.terms.catalogue import Catalogue
from provenance.terms.document import Document

CLASSES, DAYS_EACH = 400, 10
FIRST_DAY, DAYS = dt.date(2024, 9, 1), 800
ROUTES = ("weights", "api", "consumer", "reseller", "dataset")
HOSTS = ("aws-bedrock", "openrouter", "together")
LICENCES = ("CC0-1.0", "CC-BY-4.0", "cc-by-nc-4.0", None)
STUDENT: dict[str, Any] = {
    "name": "acme-tutor",
    "developer": {"name": "acme", "country": "FR", "ultimate_parent_country": "FR"},
    "base_model": "acme-base-1b",
    "base_license": "apache-2.0",
    "release_license": "apache-2.0",
    "use": "commercial",
    "distribution": "public-weights",
    "purpose": "general-assistant",
    "competes_with": ["openai"],
    "territories": ["FR", "US"],
    "monthly_active_users": 20_000,
    "annual_revenue_usd": 2_000_000,
    "notices": [],
    "training": {"location": "FR", "hardware": "cpu"},
}


def make_classes(
    catalogue: Catalogue, count: int = CLASSES, *, days: int = DAYS_EACH, seed: int = 7
) -> list[tuple[str, dict[str, Any]]]:
    """`count` different fact classes, each with its digest, in the shape that the index keeps."""
    chance = random.Random(seed)
    documents = [document for document in catalogue.documents if document.access]
    found: dict[str, dict[str, Any]] = {}
    while len(found) < count:
        setup = _setup(chance, chance.choice(documents))
        first = FIRST_DAY + dt.timedelta(days=chance.randrange(DAYS))
        for number in range(min(days, count - len(found))):
            facts = {**setup, "generated_at": f"{first + dt.timedelta(days=number)}T00:00:00Z"}
            found[fact_class_digest(facts)] = facts
    return list(found.items())


def _setup(chance: random.Random, document: Document) -> dict[str, Any]:
    route = _route(chance, document)
    dataset = {"ref": "hub/open-set", "license": chance.choice(LICENCES)} if route == "dataset" else None
    return {
        "role": "generator",
        "generated_in": chance.choice(("US", "DE", None)),
        "source_dataset": dataset,
        "evidence": chance.choice(("claimed", "declared", "recorded", "recorded", "replayed")),
        "teacher": {
            "provider": document.provider,
            "model": _model(chance, document),
            "served_model": None,
            "revision": None,
            "obtained_at": None,
            "route": route,
            "host": chance.choice(HOSTS) if route == "reseller" else None,
        },
        "account": {"holder": chance.choice(("acme", "acme", "acme", "other"))},
        "human_contribution": None,
        "prompt_origin": {"kind": "human", "license": chance.choice(LICENCES)},
    }


def _route(chance: random.Random, document: Document) -> str:
    own = [route for route in document.access if route in ROUTES]
    return chance.choice([*own, *own, "dataset", "reseller"]) if own else "dataset"


def _model(chance: random.Random, document: Document) -> str:
    named = [name for pattern in document.models if (name := pattern.replace("*", "").strip("-. "))]
    return chance.choice(named) if named else "some-model"
