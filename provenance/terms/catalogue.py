"""The catalogue of terms: every provider's documents, loaded from `policies/terms/`, with one digest over all of them.

- A file that is not plain YAML, breaks `policies/terms.schema.json` or contradicts another is refused with its name.
- The digest covers the values, not the layout: reflowing a file does not change it, and the same values out of the log
  (`terms/recorded.py`) have it too.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from provenance.canonical import canonical_bytes, sha256_digest
from provenance.errors import FieldError, MalformedError, NotFoundError, TermsDocumentError
from provenance.resources import find_resource
from provenance.terms.document import Document, parse_document
from provenance.terms.yaml_file import read_yaml

PROVIDER_TERMS = "provider-terms-of-the-model"
SHOWN_ERRORS = 20


@dataclass(frozen=True)
class Provider:
    """One provider: its names, and its documents in the order of the file."""

    name: str
    title: str
    aliases: tuple[str, ...]
    home_jurisdiction: str
    checked_on: str
    notes: tuple[str, ...]
    documents: tuple[Document, ...]
    open_days: frozenset[tuple[str, ...]]
    data: Mapping[str, Any] = field(hash=False, compare=False, repr=False)

    def head(self) -> dict[str, Any]:
        """What its file says of the provider itself, with the ids of its documents in their order."""
        return {**self.data, "documents": [document.id for document in self.documents]}


@dataclass(frozen=True)
class Catalogue:
    """All providers and documents on record; immutable, so that a decision can name it by `digest`."""

    providers: Mapping[str, Provider]
    digest: str

    @cached_property
    def documents(self) -> tuple[Document, ...]:
        """Every document, provider by provider."""
        return tuple(document for provider in self.providers.values() for document in provider.documents)

    @cached_property
    def _by_id(self) -> Mapping[str, Document]:
        return {document.id: document for document in self.documents}

    @cached_property
    def _names(self) -> Mapping[str, str]:
        names = {alias: provider.name for provider in self.providers.values() for alias in provider.aliases}
        return {**names, **{name: name for name in self.providers}}

    def provider(self, name: str) -> Provider:
        """The provider of that name or alias."""
        found = self.find_provider(name)
        if found is None:
            raise NotFoundError(f"no provider {name!r}; on record: {', '.join(sorted(self.providers))}")
        return found

    def find_provider(self, name: str) -> Provider | None:
        """The provider of that name or alias, in any case of letters; None when it is not on record."""
        known = self._names.get(name.strip().lower().replace(" ", "-").replace("_", "-"))
        return None if known is None else self.providers[known]

    def get(self, document_id: str) -> Document:
        """The document of that id."""
        found = self._by_id.get(document_id)
        if found is None:
            raise NotFoundError(f"no terms document {document_id!r} in the catalogue")
        return found

    def find(self, document_id: str) -> Document | None:
        """The document of that id, or None."""
        return self._by_id.get(document_id)


def load_catalogue(folder: Path | None = None) -> Catalogue:
    """The catalogue of a folder of `<provider>.yaml` files; by default the one that is shipped.

    Raises:
        TermsDocumentError: names the file, and the key or document, that is wrong.
    """
    root = folder if folder is not None else find_resource("policies", "terms")
    files = sorted(root.glob("*.yaml"))
    if not files:
        raise TermsDocumentError(f"{root} holds no terms files (*.yaml)")
    validator = _schema_validator()
    values: dict[str, Mapping[str, Any]] = {}
    for path in files:
        values[path.stem] = data = read_yaml(path)
        _check_schema(validator, data, path)
        if data["provider"] != path.stem:
            raise TermsDocumentError(
                f"{path.name}: provider is {data['provider']!r}, expected {path.stem!r} as the file"
            )
    return build_catalogue(values)


def build_catalogue(files: Mapping[str, Mapping[str, Any]]) -> Catalogue:
    """The catalogue of the values of files that have passed the schema, by provider.

    Raises:
        TermsDocumentError: a period runs backwards, or what one file says contradicts another.
    """
    providers = {name: _parse_provider(files[name]) for name in sorted(files)}
    digests = {name: sha256_digest(canonical_bytes(dict(data))) for name, data in files.items()}
    catalogue = Catalogue(providers, sha256_digest(canonical_bytes(digests)))
    _check_references(catalogue)
    return catalogue


def document_digest(provider: str, data: Mapping[str, Any]) -> str:
    """The digest of a document's values."""
    return sha256_digest(canonical_bytes({"provider": provider, **data}))


def _schema_validator(part: str | None = None) -> Any:
    from jsonschema import Draft202012Validator  # server extra: the light install never loads terms

    schema = json.loads(find_resource("policies", "terms.schema.json").read_bytes())
    return Draft202012Validator(schema if part is None else {"$defs": schema["$defs"], "$ref": f"#/$defs/{part}"})


def check_document_schema(data: Any) -> None:
    """Check one document against its part of the schema.

    Raises:
        TermsDocumentError: names every place that breaks it.
    """
    found = sorted(
        _schema_validator("document").iter_errors(data), key=lambda error: list(map(str, error.absolute_path))
    )
    errors = [FieldError(_place(error) or "document", error.instance, error.message) for error in found[:SHOWN_ERRORS]]
    if errors:
        raise TermsDocumentError(f"{errors[0].field}: {errors[0].expected}", *errors)


def _place(error: Any) -> str:
    return ".".join(str(part) for part in error.absolute_path)


def _check_schema(validator: Any, data: Any, path: Path) -> None:
    for error in validator.iter_errors(data):
        raise TermsDocumentError(f"{path.name}: {_place(error) or 'the whole file'}: {error.message}")


def _parse_provider(data: Mapping[str, Any]) -> Provider:
    name = data["provider"]
    documents = []
    for item in data["documents"]:
        try:
            documents.append(parse_document(item, name, document_digest(name, item)))
        except MalformedError as exc:
            raise TermsDocumentError(f"{name}.yaml: document {item['id']}: {exc.detail}") from exc
    return Provider(
        name=name,
        title=data["name"],
        aliases=tuple(data["aliases"]),
        home_jurisdiction=data["home_jurisdiction"],
        checked_on=data["checked_on"],
        notes=tuple(data["notes"]),
        documents=tuple(documents),
        open_days=frozenset(tuple(item["documents"]) for item in data.get("open_days", ())),
        data=data,
    )


def _check_references(catalogue: Catalogue) -> None:
    """Ids are unique, names are unambiguous, and whatever a document points to is on record."""
    ids: set[str] = set()
    names: dict[str, str] = {}
    for provider in catalogue.providers.values():
        for name in (provider.name, *provider.aliases):
            if names.setdefault(name, provider.name) != provider.name:
                raise TermsDocumentError(f"{provider.name}.yaml: {name!r} already names {names[name]}")
        for document in provider.documents:
            if document.id in ids:
                raise TermsDocumentError(f"{provider.name}.yaml: document {document.id} stands twice in the catalogue")
            ids.add(document.id)
    for document in catalogue.documents:
        for reference in _references(document):
            if reference not in ids:
                raise TermsDocumentError(
                    f"{document.provider}.yaml: document {document.id} points to {reference}, which is not on record"
                )


def _references(document: Document) -> list[str]:
    targets = [*document.data.get("supersedes", []), *document.data.get("superseded_by", [])]
    read_with = document.data["facts"]["train_on_outputs"].get("read_with")
    inherited = (
        target for condition in document.conditions for target in condition.details.get("inherits", {}).values()
    )
    targets.extend(target for target in inherited if target != PROVIDER_TERMS)
    return targets + ([read_with] if read_with else [])
