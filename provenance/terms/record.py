"""Record a terms document: check it against the catalogue in force, and make the statements that say so.

Order of use: `plan_terms` (pure; also the dry run) -> `sign_terms` -> the caller appends them and takes the new catalogue
into use. Whatever is wrong is found in the plan, before anything is written.
"""

from __future__ import annotations

import datetime as dt
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from provenance.canonical import canonical_bytes
from provenance.errors import ConflictError, FieldError, MalformedError, TermsDocumentError
from provenance.ledger.keys import KeyRing
from provenance.ledger.sign import sign_entry
from provenance.terms.catalogue import Catalogue, build_catalogue, check_document_schema
from provenance.terms.check import CatalogueFinding, check_catalogue
from provenance.terms.days import parse_bound
from provenance.terms.diff import TermsChange, diff_documents
from provenance.terms.document import Document
from provenance.terms.recorded import PROVIDER_PREFIX, value_digest

MAX_DOCUMENT_BYTES = 48 * 1024  # title and version stand in the entry, which holds 64 KiB
FUTURE = "a day that has come; terms that were only announced are recorded on their day"
UNSETTLED = ("gap", "overlap")


@dataclass(frozen=True)
class TermsPlan:
    """What recording a document would do: the catalogue before and after, and what it says differently."""

    before: Catalogue
    after: Catalogue
    document: Document
    replaced: Document | None
    changes: tuple[TermsChange, ...]
    unsettled: tuple[CatalogueFinding, ...]

    @property
    def values(self) -> dict[str, Mapping[str, Any]]:
        """The values to record by id: the document, and its provider where it has one more document now."""
        values: dict[str, Mapping[str, Any]] = {self.document.id: self.document.to_json()}
        if self.replaced is None:
            provider = self.after.providers[self.document.provider]
            values[PROVIDER_PREFIX + provider.name] = provider.head()
        return values


def plan_terms(catalogue: Catalogue, value: Any, *, today: dt.date, accept_unsettled: bool = False) -> TermsPlan:
    """Check a document, `{provider, ...}` in the schema of `policies/terms.schema.json`, against the catalogue in force.

    Args:
        today: bounds of a document are not after it.
        accept_unsettled: take it although a gap or an overlap with its neighbours comes from it.
    Raises:
        TermsDocumentError: what it says breaks the schema or contradicts the catalogue; names the field.
        ConflictError: it is in force already, word for word.
    """
    if not isinstance(value, Mapping):
        raise TermsDocumentError("a terms document is an object", FieldError("document", value, "an object"))
    provider = _find_provider(catalogue, value.get("provider"))
    data = {name: item for name, item in value.items() if name != "provider"}
    _check_text(data)
    check_document_schema(data)
    _check_days(data, today)
    after = _insert(catalogue, provider, data)
    document, replaced = after.get(data["id"]), catalogue.find(data["id"])
    if replaced is not None and replaced.digest == document.digest:
        raise ConflictError(f"{document.id} is in force with just these words (digest {document.digest})")
    known = check_catalogue(catalogue)
    unsettled = [found for found in check_catalogue(after) if found not in known and found.kind in UNSETTLED]
    if unsettled and not accept_unsettled:
        expected = "bounds that meet those of its neighbours (close the older one first), or accept_unsettled"
        raise TermsDocumentError(
            f"{unsettled[0].kind}: {unsettled[0].text}", FieldError("effective_from", data["effective_from"], expected)
        )
    changes = tuple(diff_documents(replaced, document)) if replaced else ()
    return TermsPlan(catalogue, after, document, replaced, changes, tuple(unsettled))


def sign_terms(
    ring: KeyRing,
    values: Mapping[str, Mapping[str, Any]],
    *,
    shipped: Mapping[str, str],
    catalogue: Catalogue,
    recorded_at: str,
    recorded_by: str | None = None,
) -> tuple[list[bytes], list[bytes]]:
    """Entries and contents that record `values` by id; `catalogue` is the one in force after them.

    `shipped` holds the digest of each shipped form, `recorded_by` the person who records (none: the shipped files).
    """
    entries, contents = [], []
    for key, value in values.items():
        digest = value_digest(value)
        about = catalogue.providers[value["provider"]] if key.startswith(PROVIDER_PREFIX) else catalogue.get(key)
        predicate = {
            "id": key,
            "provider": value["provider"],
            "title": about.title,
            "version": value.get("version"),
            "document_digest": digest,
            "effective_from": value.get("effective_from"),
            "effective_to": value.get("effective_to"),
            "verified": value.get("verified"),
            "catalogue_digest": catalogue.digest,
            "shipped_digest": shipped.get(key),
            "recorded_at": recorded_at,
            "recorded_by": recorded_by,
        }
        entries.append(sign_entry(ring, "terms", predicate, subjects=[(key, digest)]))
        contents.append(orjson.dumps(value))
    return entries, contents


def _find_provider(catalogue: Catalogue, name: Any) -> str:
    if not isinstance(name, str) or name not in catalogue.providers:
        expected = f"a provider on record: {', '.join(catalogue.providers)}"
        raise TermsDocumentError(f"provider: {name!r:.80} is not on record", FieldError("provider", name, expected))
    return name


def _check_text(data: Mapping[str, Any]) -> None:
    """Text is bounded, has a canonical form, and hides nothing: no control or direction characters."""
    try:
        size = len(canonical_bytes(dict(data)))
    except MalformedError as exc:
        expected = "text and numbers that JSON can hold in one canonical form"
        raise TermsDocumentError(exc.detail, FieldError("document", None, expected)) from exc
    if size > MAX_DOCUMENT_BYTES:
        expected = f"at most {MAX_DOCUMENT_BYTES:,} bytes"
        raise TermsDocumentError(
            f"the document has {size:,} bytes", FieldError("document", f"{size:,} bytes", expected)
        )
    for place, text in _texts(data, ""):
        if any(unicodedata.category(letter) in ("Cc", "Cf", "Cs", "Co", "Cn") and letter != "\n" for letter in text):
            expected = "text without control or bidirectional characters"
            raise TermsDocumentError(f"{place}: expected {expected}", FieldError(place, text, expected))


def _texts(value: Any, place: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield place or "document", name
            yield from _texts(item, f"{place}.{name}" if place else name)
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for position, item in enumerate(value):
            yield from _texts(item, f"{place}.{position}")
    elif isinstance(value, str):
        yield place, value


def _check_days(data: Mapping[str, Any], today: dt.date) -> None:
    for name in ("effective_from", "effective_to"):
        try:
            bound = parse_bound(data[name])
        except MalformedError as exc:
            expected = "a year, month or day of the calendar"
            raise TermsDocumentError(f"{name}: {exc.detail}", FieldError(name, data[name], expected)) from exc
        if bound is not None and bound[0] > today:
            raise TermsDocumentError(f"{name}: {data[name]} is in the future", FieldError(name, data[name], FUTURE))


def _insert(catalogue: Catalogue, provider: str, data: Mapping[str, Any]) -> Catalogue:
    held = catalogue.find(data["id"])
    if held is not None and held.provider != provider:
        expected = f"an id that no other provider has; {held.provider} has this one"
        raise TermsDocumentError(f"id: {data['id']} is {held.provider}'s", FieldError("id", data["id"], expected))
    files = {name: item.data for name, item in catalogue.providers.items()}
    items = list(files[provider]["documents"])
    at = next((position for position, item in enumerate(items) if item["id"] == data["id"]), len(items))
    try:
        return build_catalogue(
            {**files, provider: {**files[provider], "documents": [*items[:at], data, *items[at + 1 :]]}}
        )
    except TermsDocumentError as exc:
        raise TermsDocumentError(exc.detail, FieldError("document", data["id"], "what the catalogue can hold")) from exc
