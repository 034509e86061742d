"""Pages of models: teachers and students are one kind of thing, registered or only named by samples."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Response

from provenance.api.pages import Asked, PageDep, add_page
from provenance.api.routes.pages.runs import name_release
from provenance.api.views.common import File, Link
from provenance.api.views.decisions import parse_answer, parse_conditions
from provenance.api.views.models import ModelPage, ModelRow, ModelsPage, Publication, Signature
from provenance.errors import DeniedError, NotFoundError
from provenance.ledger.append import format_time
from provenance.publication.judge import judge_publication, list_blocking, refuse_taken
from provenance.store.models import get_model, list_models
from provenance.store.pages import list_children, list_slices
from provenance.store.publications import list_publications
from provenance.store.runs import get_run
from provenance.training.comparisons import fill_comparisons

router = APIRouter()
UNREGISTERED = "not registered"


@add_page(router, "/models", "json", "csv")
def index_models(asked: PageDep) -> Response:
    """Which models the record knows."""
    samples = count_generated(asked)
    rows = [_fill_row(item, samples) for item in list_models(asked.session)]
    named = {f"{row.provider}/{row.name}" for row in rows}
    rows += [_fill_unregistered_row(name, count) for name, count in samples.most_common() if name not in named]
    return asked.answer(ModelsPage(rows))


@add_page(router, "/models/{reference:path}", "json", "csv")
def show_model(reference: str, asked: PageDep) -> Response:
    """One model, by id or `provider/name`: where it comes from, what it carries on, what was measured."""
    samples = count_generated(asked)
    try:
        model = get_model(asked.session, reference)
    except NotFoundError:
        if reference not in samples:
            raise
        return asked.answer(_fill_unregistered(asked, reference, samples[reference]))
    return asked.answer(fill_model(asked, model, samples))


def count_generated(asked: Asked) -> Counter[str]:
    """How many samples each model generated as a teacher."""
    counts: Counter[str] = Counter()
    for item in list_slices(asked.session):
        counts[item.fact_class.teacher] += item.samples
    return counts


def fill_model(asked: Asked, model: Mapping[str, Any], samples: Mapping[str, int]) -> ModelPage:
    """The page of a registered model."""
    name = f"{model['provider']}/{model['name']}"
    release, run = model.get("release"), get_run(asked.session, model["run"]) if model["run"] else None
    said = (run or {}).get("statement") or {}
    return ModelPage(
        **{item: model[item] for item in ("id", "provider", "name", "kind", "revision", "weights_digest", "license")},
        parameters_count=model.get("parameters_count"),
        parents=[Link(parent, f"/models/{parent}") for parent in dict.fromkeys(model["parents"])],
        children=_fill_children(asked, name),
        run_id=model["run"],
        release=release and name_release(asked, release),
        conditions=parse_conditions(model["conditions"]),
        files=[File(file["path"], file["digest"], file["size_bytes"]) for file in model.get("files", ())],
        evaluation=fill_comparisons(model.get("evaluation") or {}, model),
        limits=list(said.get("limits") or ()),
        entry_index=model["entry"],
        teacher_id=name,
        samples=samples.get(name, 0),
        terms_url=_terms_url(asked, model["provider"]),
        signature=_fill_signature(model.get("signature")),
        publications=_fill_publications(asked, model["id"]),
        **(_fill_publishing(asked, model) if release and run else {}),
        recall=model["recall"],
    )


def _fill_publishing(asked: Asked, model: Mapping[str, Any]) -> dict[str, Any]:
    """What today's policies and the model's lineage answer for publishing it: nothing is stored."""
    judged = judge_publication(asked.runtime, asked.session, model)
    blocking, answer = [] if judged.permits else list_blocking(judged.answer), judged.answer
    try:
        refuse_taken(asked.session, model)
    except DeniedError as exc:
        blocking, answer = [exc.detail, *blocking], {**answer, "verdict": "deny"}
    return {
        "publishing": parse_answer(answer),
        "publishing_asked_at": format_time(asked.runtime.clock()),
        "blocking": blocking,
        "card_url": f"/api/v1/models/{model['id']}/card",
    }


def _fill_publications(asked: Asked, model_id: str) -> list[Publication]:
    names = ("id", "name", "verdict", "actor", "at")
    return [
        Publication(**{name: item[name] for name in names}, entry_index=item["entry"])
        for item in list_publications(asked.session, model_id)
    ]


def _fill_signature(said: Mapping[str, Any] | None) -> Signature | None:
    return None if said is None else Signature(said["digest"], said["keyid"])


def _terms_url(asked: Asked, provider: str) -> str | None:
    found = asked.runtime.catalogue.find_provider(provider)
    return f"/sources/{found.name}" if found else None


def _fill_children(asked: Asked, name: str) -> list[Link]:
    return [Link(text, f"/models/{identifier}") for identifier, text in list_children(asked.session, name)]


def _fill_row(model: Mapping[str, Any], samples: Mapping[str, int]) -> ModelRow:
    return ModelRow(
        **{item: model[item] for item in ("id", "provider", "name", "kind", "license")},
        parameters_count=model.get("parameters_count"),
        samples=samples.get(f"{model['provider']}/{model['name']}", 0),
    )


def _fill_unregistered_row(reference: str, samples: int) -> ModelRow:
    provider, _, name = reference.partition("/")
    return ModelRow(reference, provider, name, UNREGISTERED, None, None, samples)


def _fill_unregistered(asked: Asked, reference: str, samples: int) -> ModelPage:
    provider, _, name = reference.partition("/")
    return ModelPage(
        id=reference, provider=provider, name=name, kind=UNREGISTERED, revision=None, weights_digest=None, license=None,
        parameters_count=None, parents=[], children=_fill_children(asked, reference), run_id=None, release=None,
        conditions=[], files=[], evaluation=[], limits=[], entry_index=None, teacher_id=reference, samples=samples,
        terms_url=_terms_url(asked, provider),
    )  # fmt: skip
