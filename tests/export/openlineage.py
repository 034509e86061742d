"""The official JSON Schemas of OpenLineage and ours, and a check of an event and of each facet in it against them."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from provenance.export.facets import OUR_SCHEMAS
from provenance.resources import find_resource

OFFICIAL = Path(__file__).resolve().parents[1] / "vectors" / "openlineage"
CORE = "https://openlineage.io/spec/2-0-2/OpenLineage.json"
FACETS = ("facets", "inputFacets", "outputFacets")


def our_schemas() -> dict[str, dict[str, Any]]:
    """Our schemas by the path under which the service serves them."""
    folder = find_resource("web", "static", "schemas", "openlineage", "1-0-0")
    return {path.name: json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))}


@functools.cache
def registry() -> Registry[Any]:
    """Every schema under its own id; nothing is fetched."""
    official = [json.loads(path.read_text()) for path in sorted(OFFICIAL.glob("*.json"))]
    resources = [Resource.from_contents(schema) for schema in (*official, *our_schemas().values())]
    return Registry().with_resources([(resource.id() or "", resource) for resource in resources])


def errors_in(event: Any) -> list[str]:
    """What the schemas find wrong with an event: in the whole, by the schema that it names, and in each facet by its own."""
    found = _errors({"$ref": CORE}, event, "event")
    if found:
        return found
    found += _errors({"$ref": event["schemaURL"]}, event, "event")
    for name, facet in list_facets(event):
        found += _errors({"$ref": facet["_schemaURL"]}, facet, name)
    return found


def list_facets(value: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every facet of an event with its name."""
    if isinstance(value, dict):
        for key, item in value.items():
            if key in FACETS:
                yield from item.items()
            else:
                yield from list_facets(item)
    if isinstance(value, list):
        for item in value:
            yield from list_facets(item)


def _errors(schema: dict[str, Any], value: Any, name: str) -> list[str]:
    validator = Draft202012Validator(schema, registry=registry(), format_checker=Draft202012Validator.FORMAT_CHECKER)
    return [f"{name}: {error.json_path}: {error.message[:200]}" for error in validator.iter_errors(value)]


assert OUR_SCHEMAS.endswith("/static/schemas/openlineage/1-0-0/")  # where `our_schemas` looks
