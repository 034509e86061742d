"""Realistic instances of the pages of models, hostile text included."""

from __future__ import annotations

from dataclasses import replace

from provenance.api.views.common import File, Link, Page
from provenance.api.views.decisions import parse_answer
from provenance.api.views.models import ModelPage, ModelRow, ModelsPage, Publication, Signature
from tests.api.example_values import ANSWER, COMPARISONS, CONDITIONS, HOSTILE, LIMITS, digest, hexadecimal


def model_page() -> ModelPage:
    """A trained student that may not be published yet."""
    return ModelPage(
        id="mod-acme-1b", provider="acme", name="acme-1b", kind="trained", revision=None, weights_digest=digest("weights"),
        license="Apache-2.0", parameters_count=13_172_736, parents=[Link("huggingface/smollm2-135m-instruct", "/models/mod-smollm")],
        children=[], run_id="run-7c1f", release="demo@1", conditions=CONDITIONS,
        files=[File("model.safetensors", digest("weights"), 52_702_104), File("config.json", digest("config"), 812)],
        evaluation=COMPARISONS, limits=LIMITS, entry_index=350, teacher_id="acme/acme-1b", samples=0,
        publishing=parse_answer(ANSWER), publishing_asked_at="2026-11-24T10:02:30Z",
        signature=Signature(digest("model.sig"), hexadecimal("model key")), card_url="/api/v1/models/mod-acme-1b/card",
        blocking=['unmet: Begin the model\'s name with "Llama" (meta-llama-3.1 1.b.i)', HOSTILE],
    )  # fmt: skip


def published_page() -> ModelPage:
    """The same, published twice."""
    answer = parse_answer(ANSWER | {"verdict": "allow-with-conditions", "remedies": []})
    publications = [
        Publication("pub_2", HOSTILE, "allow-with-conditions", "counsel-1", "2026-11-24T11:00:00Z", 402),
        Publication("pub_1", "Llama-acme-1b", "allow-with-conditions", "counsel-1", "2026-11-24T10:30:00Z", 390),
    ]
    return replace(model_page(), publishing=answer, blocking=[], publications=publications)


MODEL_EXAMPLES: dict[str, tuple[str, Page]] = {
    "models": ("/models", ModelsPage([ModelRow("mod-acme-1b", "acme", "acme-1b", "trained", "Apache-2.0", 13_172_736, 0), ModelRow("mod-gpt", "openai", "gpt-4o", "hosted", None, None, 60)])),
    "models-new": ("/models", ModelsPage([])),
    "model": ("/models/mod-acme-1b", model_page()),
    "model-published": ("/models/mod-acme-1b", published_page()),
    "model-unsigned": ("/models/mod-acme-1b", replace(model_page(), signature=None)),
    "model-unregistered": ("/models/openai/gpt-4o", replace(model_page(), kind="not registered", entry_index=None, publishing=None, publishing_asked_at=None, signature=None, card_url=None, blocking=[])),
}  # fmt: skip
