"""The page of policies: the packs that decide, rule by rule, in their own text."""

from __future__ import annotations

import re
from functools import cache

from fastapi import APIRouter, Response

from provenance.api.pages import Asked, PageDep, add_page
from provenance.api.views.policies import Pack, PoliciesPage, Rule
from provenance.canonical import sha256_digest
from provenance.policy import pack as packs
from provenance.policy.cases import load_cases
from provenance.resources import find_resource
from provenance.store.log import find_statement

router = APIRouter()
CHANGED = "The file on disk is not the one that decides: it was changed after the service started."
_RULE = re.compile(r'@id\("(?P<id>[^"]+)"\).*?;[ \t]*$', re.DOTALL | re.MULTILINE)


@add_page(router, "/policies", "json", "csv")
def index_policies(asked: PageDep) -> Response:
    """What is the rule."""
    return asked.answer(fill_policies(asked))


def fill_policies(asked: Asked) -> PoliciesPage:
    """The packs in force."""
    pack = asked.runtime.pack
    logged = find_statement(asked.session, "policy", f"pol_{pack.digest.removeprefix('sha256:')[:16]}")
    return PoliciesPage(
        digest=pack.digest,
        packs=[_fill_pack(pack, name, digest) for name, digest in pack.packs.items()],
        cases=count_cases(),
        entry_index=logged.index if logged else None,
    )


@cache
def count_cases() -> int:
    """How many worked cases the shipped rules are tested with."""
    return len(load_cases())


def _fill_pack(pack: packs.Pack, name: str, digest: str) -> Pack:
    texts = read_rules(name, digest)
    rules = [rule for rule in pack.rules.values() if rule.pack == name]
    return Pack(
        name, digest, [Rule(rule.id, rule.effect, f"{rule.title}.", texts.get(rule.id, CHANGED)) for rule in rules]
    )


def read_rules(name: str, digest: str) -> dict[str, str]:
    """The text of each rule of a pack by its id; empty when the file is not the one of this digest."""
    path = find_resource("policies", "rules") / f"{name}.cedar"
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    if sha256_digest(text.encode()) != digest:
        return {}
    return {match["id"]: match[0] for match in _RULE.finditer(text)}
