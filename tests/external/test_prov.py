"""The `prov` package reads our PROV-JSON, writes it in every other form of PROV, and reads the same out of each.

Source: PROV-JSON (W3C Member Submission), PROV-N, PROV-O, PROV-XML, PROV-CONSTRAINTS (W3C Recommendations).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import networkx
import pytest
from prov.model import ProvDocument
from prov.model import ProvRelation as Relation

from provenance.export.prov import format_prov
from provenance.terms.catalogue import Catalogue
from tests.export.telling import HOSTILE, scope_of, tell_generations, withdraw
from tests.lineage.conftest import story
from tests.lineage.story import Story
from tests.store.logs import catalogue, log, sqlite_log

__all__ = ["catalogue", "log", "sqlite_log", "story"]
pytestmark = [
    pytest.mark.external,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of rdflib, about how prov calls it
]
FORMS = ("json", "provn", "rdf", "xml", "jsonld")
LATER_FIRST = {  # the first formal argument is, or comes to be, after the second
    "Generation", "Usage", "Derivation", "Communication", "Specialization",
}  # fmt: skip


def read(data: bytes | str, form: str = "json") -> ProvDocument:
    text = data if isinstance(data, str) else data.decode()
    options: dict[str, Any] = {"rdf_format": "turtle"} if form == "rdf" else {}
    return ProvDocument.deserialize(content=text, format=form, **options)


def write(document: ProvDocument, form: str) -> str:
    if form == "provn":
        return str(document.get_provn())
    options: dict[str, Any] = {"rdf_format": "turtle"} if form == "rdf" else {}
    return str(document.serialize(format=form, **options))


@pytest.fixture
def told(story: Story, catalogue: Catalogue) -> bytes:
    models = tell_generations(story)
    withdraw(story, "rel_2")
    story.report("model", models[1])
    return format_prov(scope_of(story, "mistral/mistral-7b", catalogue, "descendants"))


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_prov_says_the_same(told: bytes, form: str) -> None:
    document = read(told)
    assert len(document.records) > 40
    assert read(write(document, form), form) == document


def test_nothing_contradicts_itself_when_records_are_unified(told: bytes) -> None:
    document = read(told)
    assert document.unified() == document


def order(document: ProvDocument) -> Iterator[tuple[str, str]]:
    for record in document.get_records(Relation):
        kind = str(record.get_type().localpart)
        if kind in LATER_FIRST:
            (_, later), (_, earlier) = record.formal_attributes[:2]
            yield str(earlier), str(later)


def test_events_have_an_order_also_where_claims_go_round(told: bytes, story: Story, catalogue: Catalogue) -> None:
    first = story.model("acme/one", "acme/two")
    second = story.model("acme/two", first)
    story.sample("own", "acme/self")
    own = story.train("acme/self", story.release("own"))
    rings = [format_prov(scope_of(story, root, catalogue)) for root in (second, own)]
    for data in (told, *rings):
        edges = list(order(read(data)))
        assert networkx.is_directed_acyclic_graph(networkx.DiGraph(edges)), edges
    assert scope_of(story, second, catalogue).ringed  # or this shows nothing
    assert scope_of(story, own, catalogue).ringed


def test_hostile_names_come_back_as_they_were(story: Story, catalogue: Catalogue) -> None:
    for number, name in enumerate(HOSTILE):
        story.model(f"acme/{name}", "openai/gpt-4o", identifier=f"mdl_{number}", license=name)
    document = read(format_prov(scope_of(story, "openai/gpt-4o", catalogue, "descendants")))
    labels = {str(label) for record in document.records for label in record.get_attribute("prov:label")}
    assert {f"acme/{name}" for name in HOSTILE} <= labels
    for form in set(FORMS) - {"xml"}:  # XML has no control characters at all
        assert read(write(document, form), form) == document, form
