"""Which documents name a model: lower-case shell patterns, of which the most specific one decides."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from functools import lru_cache

from provenance.terms.document import Document

HOST_ALIASES = {
    "aws": "aws-bedrock",
    "bedrock": "aws-bedrock",
    "amazon-bedrock": "aws-bedrock",
    "azure-openai": "azure",
    "microsoft-azure": "azure",
    "vertex-ai": "google-cloud-vertex-ai",
    "vertex": "google-cloud-vertex-ai",
    "bigmodel": "bigmodel-cn",
    "bigmodel.cn": "bigmodel-cn",
    "zai": "z.ai",
    "z-ai": "z.ai",
}
KEPT_MATCHES = 16_384  # a catalogue has 150 documents and asks each of them about each model
_CLOUD_PREFIX = re.compile(r"^(?:(?:us|eu|apac|global)\.)?[a-z0-9]+\.(?=[a-z])")


@lru_cache(maxsize=4096)
def model_names(model: str) -> tuple[str, ...]:
    """The spellings under which a model may stand in the catalogue: as given, and without organisation or cloud prefix."""
    full = model.strip().lower().replace(" ", "-")
    name = full.rsplit("/", 1)[-1]
    bare = _CLOUD_PREFIX.sub("", name)
    return tuple(dict.fromkeys((name, bare)))


def normal_host(host: str) -> str:
    """The catalogue's `served_by` word for a host."""
    name = host.strip().lower().replace("_", "-").replace(" ", "-")
    return HOST_ALIASES.get(name, name)


def specificity(patterns: Sequence[str], names: Sequence[str]) -> int | None:
    """How closely the best of `patterns` names the model; None when none matches. An exact name beats any pattern."""
    return _specificity(tuple(patterns), tuple(names))


@lru_cache(maxsize=KEPT_MATCHES)
def _specificity(patterns: tuple[str, ...], names: tuple[str, ...]) -> int | None:
    scores = [_score(pattern) for pattern in patterns if any(fnmatchcase(name, pattern) for name in names)]
    return max(scores, default=None)


def _score(pattern: str) -> int:
    exact = 1000 if "*" not in pattern else 0
    return exact + len(pattern.replace("*", ""))


def matches(patterns: Iterable[str], model: str) -> bool:
    """Whether any of the patterns names the model."""
    return _matches(tuple(patterns), model)


@lru_cache(maxsize=KEPT_MATCHES)
def _matches(patterns: tuple[str, ...], model: str) -> bool:
    names = model_names(model)
    return any(fnmatchcase(name, pattern.lower()) for pattern in patterns for name in names)


def most_specific(documents: Iterable[Document], model: str) -> list[Document]:
    """The documents whose pattern names the model most closely, each kind for itself."""
    names = model_names(model)
    scored = [(specificity(document.models, names), document) for document in documents]
    best: dict[str, int] = {}
    for score, document in scored:
        if score is not None:
            best[document.kind] = max(score, best.get(document.kind, 0))
    return [document for score, document in scored if score is not None and score == best[document.kind]]
