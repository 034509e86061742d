"""A pack that somebody proposes: its files as text, checked as strictly as what is shipped, and tried on its own cases.

A proposal without cases, with a failing case, or with a rule that no case makes speak is refused: nobody could tell what
it means. Cases are tried under the shipped terms, which they were written for: terms that people record later change
verdicts, not what a rule means. Pure: nothing is recorded here.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from provenance.canonical import canonical_bytes, sha256_digest
from provenance.errors import FieldError, NotFoundError, PolicyDocumentError
from provenance.policy.cases import parse_cases, rules_without_cases, run_case
from provenance.policy.pack import SCHEMA_FILE, Pack, build_pack
from provenance.policy.words import check_pack
from provenance.terms.catalogue import Catalogue
from provenance.terms.yaml_file import parse_yaml

MAX_BYTES = 4 * 1024 * 1024
_FIELDS = ("rules", "schema", "cases")
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
_CASE_FILE = re.compile(r"[a-z0-9][a-z0-9-]{0,63}\.yaml")


@dataclass(frozen=True)
class Proposal:
    """A pack with the cases that hold it to its meaning."""

    pack: Pack
    cases: Mapping[str, str]
    case_count: int

    @property
    def cases_digest(self) -> str:
        """The digest of the cases, which are not part of the pack's."""
        return sha256_digest(canonical_bytes(dict(self.cases)))

    def content(self) -> dict[str, Any]:
        """All that it is made of."""
        return {**self.pack.content(), "cases": dict(self.cases)}


def read_folder(folder: Path) -> dict[str, Any]:
    """The files of a policies folder as text: `rules/*.cedar` with their schema, and `cases/*.yaml` where there are any.

    Raises:
        NotFoundError: it has no `rules/schema.cedarschema`.
    """
    rules = folder / "rules"
    if not (rules / SCHEMA_FILE).is_file():
        raise NotFoundError(f"{folder} is no policies folder: there is no rules/{SCHEMA_FILE}")
    return {
        "rules": {path.stem: _read(path) for path in sorted(rules.glob("*.cedar"))},
        "schema": _read(rules / SCHEMA_FILE),
        "cases": {path.name: _read(path) for path in sorted((folder / "cases").glob("*.yaml"))},
    }


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise PolicyDocumentError(f"{path} cannot be read as text: {exc}") from exc


def parse_pack(sources: Any) -> Pack:
    """The pack of `{rules: {name: text}, schema: text, cases?}`; its cases are looked at by `parse_proposal`.

    Raises:
        PolicyDocumentError: a field, a name or a text that it cannot have, or a rule that is wrong.
    """
    _check_fields(sources)
    if not sources["rules"]:
        raise PolicyDocumentError("rules: none", FieldError("rules", {}, "at least one file of rules"))
    try:
        return build_pack(sources["rules"], sources["schema"])
    except PolicyDocumentError as exc:
        raise PolicyDocumentError(exc.detail, FieldError("rules", None, "rules that load and type-check")) from exc


def parse_proposal(sources: Any, catalogue: Catalogue) -> Proposal:
    """A whole proposal, tried on its cases under this catalogue.

    Raises:
        PolicyDocumentError: the pack is wrong, there is no case, a case fails, or a rule has no case.
    """
    pack = parse_pack(sources)
    check_pack(pack, catalogue)
    texts = sources.get("cases") or {}
    cases = parse_cases({name: parse_yaml(text, name) for name, text in texts.items()})
    if not cases:
        expected = "cases/*.yaml that say what the rules mean"
        raise PolicyDocumentError("cases: a pack without cases is not taken", FieldError("cases", {}, expected))
    results = [run_case(case, catalogue, pack) for case in cases]
    failed = [
        FieldError(f"cases.{item.case.file}", item.case.name, "; ".join(item.problems))
        for item in results
        if not item.passed
    ]
    if failed:
        raise PolicyDocumentError(f"{len(failed)} of {len(results)} cases fail", *failed[:20])
    untried = rules_without_cases(results, pack)
    if untried:
        errors = [FieldError("cases", rule, "a case in which this rule speaks") for rule in untried[:20]]
        raise PolicyDocumentError(f"{len(untried)} rules have no case: {', '.join(untried[:5])}", *errors)
    return Proposal(pack, texts, len(cases))


def _check_fields(sources: Any) -> None:
    if not isinstance(sources, Mapping):
        raise PolicyDocumentError("a pack is an object", FieldError("", sources, f"an object of {', '.join(_FIELDS)}"))
    for name in sources.keys() - set(_FIELDS):
        raise PolicyDocumentError(f"unknown field {name!r:.80}", FieldError(name, None, f"one of {', '.join(_FIELDS)}"))
    texts = [("schema", sources.get("schema"))]
    for field, pattern in (("rules", _NAME), ("cases", _CASE_FILE)):
        held = sources.get(field) or {}
        if not isinstance(held, Mapping):
            raise PolicyDocumentError(f"{field}: expected text by name", FieldError(field, held, "an object of texts"))
        for name in held:
            if not pattern.fullmatch(name):
                raise PolicyDocumentError(f"{field}: bad name {name!r:.80}", FieldError(field, name, pattern.pattern))
        texts += [(f"{field}.{name}", text) for name, text in held.items()]
    for place, text in texts:
        _check_text(place, text)
    if sum(len(text.encode()) for _, text in texts if text) > MAX_BYTES:
        raise PolicyDocumentError("the pack is too large", FieldError("rules", None, f"at most {MAX_BYTES:,} bytes"))


def _check_text(place: str, text: Any) -> None:
    expected = "text without control or bidirectional characters"
    if not isinstance(text, str) or any(
        unicodedata.category(letter) in ("Cc", "Cf", "Cs") and letter not in "\n\t" for letter in text
    ):
        raise PolicyDocumentError(f"{place}: expected {expected}", FieldError(place, None, expected))
