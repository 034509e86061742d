"""Which provider and which series of the catalogue an archive's service and document stand for, as data.

The file is `policies/archive_aliases.yaml`. A service or document that it does not name is unknown, and stays so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from provenance.errors import FieldError, TermsDocumentError
from provenance.resources import find_resource
from provenance.terms.catalogue import Catalogue
from provenance.terms.yaml_file import read_yaml

SCHEMA = "provenance-archive-aliases/1"


@dataclass(frozen=True)
class Alias:
    """What one document of an archive stands for; no `series` where the catalogue has no document of its kind."""

    provider: str
    series: tuple[str, ...]


@dataclass(frozen=True)
class Aliases:
    """The table: providers by service, and what is known of each service's documents."""

    providers: Mapping[str, str]
    documents: Mapping[tuple[str, str], Alias]

    def find(self, service: str, document: str) -> Alias | None:
        """What a document stands for, or None: unknown."""
        return self.documents.get((service, document))


def load_aliases(catalogue: Catalogue, path: Path | None = None) -> Aliases:
    """The table of a file; by default the one that is shipped.

    Raises:
        TermsDocumentError: it has another form, or names a provider or series that the catalogue does not hold.
    """
    file = path if path is not None else find_resource("policies", "archive_aliases.yaml")
    data = read_yaml(file)
    if not isinstance(data, dict) or data.get("schema") != SCHEMA or not isinstance(data.get("services"), list):
        raise _bad(
            "schema", data.get("schema") if isinstance(data, dict) else data, f"{SCHEMA} with a list of services"
        )
    series = {(item.provider, item.series) for item in catalogue.documents}
    providers: dict[str, str] = {}
    documents: dict[tuple[str, str], Alias] = {}
    for item in data["services"]:
        service, provider, named = _parse_service(item)
        if provider not in catalogue.providers:
            raise _bad(f"{service}.provider", provider, f"one of {', '.join(sorted(catalogue.providers))}")
        if service in providers:
            raise _bad("service", service, "each service once")
        providers[service] = provider
        for document, names in named.items():
            for name in names:
                if (provider, name) not in series:
                    raise _bad(f"{service}.{document}", name, f"a series of {provider}")
            documents[service, document] = Alias(provider, tuple(names))
    return Aliases(providers, documents)


def _parse_service(item: Any) -> tuple[str, str, Mapping[str, list[str]]]:
    if not isinstance(item, dict) or item.keys() != {"service", "provider", "documents"}:
        raise _bad("services", item, "service, provider and documents")
    documents = item["documents"]
    if not isinstance(documents, dict) or not all(isinstance(names, list) for names in documents.values()):
        raise _bad(f"{item['service']}.documents", documents, "documents with their lists of series")
    return str(item["service"]), str(item["provider"]), documents


def _bad(field: str, value: Any, expected: str) -> TermsDocumentError:
    return TermsDocumentError(f"archive_aliases.yaml: {field}: expected {expected}", FieldError(field, value, expected))
