"""The Croissant 1.1 description of a release (`croissant.json`): files with their digests, and a record set for each split.

Values in, values out; the same release gives the same bytes. It is a description, not evidence: what is signed are manifest and
shards, and the digests here are those of the manifest.

Source: MLCommons Croissant Format Specification 1.1.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

CROISSANT = "croissant.json"
_PARQUET = "application/x-parquet"
_TEXT = "sc:Text"
# The context that the specification prints; readers compare it, so it stands here word for word.
_CONTEXT: Mapping[str, Any] = {
    "@language": "en", "@vocab": "https://schema.org/", "arrayShape": "cr:arrayShape", "citeAs": "cr:citeAs",
    "column": "cr:column", "conformsTo": "dct:conformsTo", "containedIn": "cr:containedIn",
    "cr": "http://mlcommons.org/croissant/", "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"}, "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/", "description": {"@container": "@language"},
    "equivalentProperty": "cr:equivalentProperty", "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract", "field": "cr:field", "fileProperty": "cr:fileProperty", "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet", "format": "cr:format", "includes": "cr:includes", "isArray": "cr:isArray",
    "isLiveDataset": "cr:isLiveDataset", "jsonPath": "cr:jsonPath", "key": "cr:key", "md5": "cr:md5",
    "name": {"@container": "@language"}, "parentField": "cr:parentField", "path": "cr:path", "recordSet": "cr:recordSet",
    "references": "cr:references", "regex": "cr:regex", "repeated": "cr:repeated", "replace": "cr:replace",
    "samplingRate": "cr:samplingRate", "sc": "https://schema.org/", "separator": "cr:separator", "source": "cr:source",
    "subField": "cr:subField", "transform": "cr:transform",
}  # fmt: skip


def format_croissant(manifest: Mapping[str, Any], teachers: Sequence[Mapping[str, Any]], *, day: str) -> bytes:
    """The description of a release as JSON-LD.

    Args:
        teachers: as `format_card` takes them.
        day: when the release was decided on.
    """
    splits = [name for name, rows in manifest["splits"].items() if rows]
    counts, name = manifest["counts"], f"{manifest['name']}-{manifest['version']}"
    described = {
        "@context": dict(_CONTEXT),
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.1",
        "name": name,
        "identifier": manifest["id"],
        "description": (
            f"{counts['released']:,} outputs of teacher models, out of data set {manifest['dataset']}, released for the student "
            f"{manifest['student']['name']} by decision {manifest['decision']['id']} at log size {manifest['log_size']:,}."
        ),
        "version": f"{manifest['version']}.0.0",
        "datePublished": day,
        "license": "NOTICE.md",
        "url": f"urn:provenance:release:{manifest['id']}",
        "creator": {"@type": "sc:Organization", "name": "The developer who runs this provenance log"},
        "citeAs": f"Release {manifest['name']}@{manifest['version']}, index set {manifest['index_set_digest']}",
        "isBasedOn": [{"@type": "sc:SoftwareApplication", "name": row["teacher"]} for row in teachers],
        "distribution": [*_files(manifest), *(_file_set(split) for split in splits)],
        "recordSet": [_record_set(split) for split in splits],
    }
    return json.dumps(described, ensure_ascii=False, indent=2).encode() + b"\n"


def _files(manifest: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for file in manifest["files"]:
        yield {
            "@type": "cr:FileObject",
            "@id": file["path"],
            "name": file["path"].rpartition("/")[2],
            "contentUrl": file["path"],
            "contentSize": f"{file['size_bytes']} B",
            "encodingFormat": _PARQUET,
            "sha256": file["digest"].removeprefix("sha256:"),
        }


def _file_set(split: str) -> dict[str, Any]:
    return {
        "@type": "cr:FileSet",
        "@id": f"{split}-files",
        "name": f"{split}-files",
        "description": f"The shards of the split {split}, in log order.",
        "encodingFormat": _PARQUET,
        "includes": f"data/{split}-*.parquet",
    }


def _record_set(split: str) -> dict[str, Any]:
    def field(name: str, kind: str, what: str, **more: Any) -> dict[str, Any]:
        source = {"fileSet": {"@id": f"{split}-files"}, "extract": {"column": name}}
        return {
            "@type": "cr:Field", "@id": f"{split}/{name}", "name": name, "description": what, "dataType": kind,
            "source": source, **more,
        }  # fmt: skip

    def messages(name: str, what: str) -> dict[str, Any]:
        parts = [
            {
                "@type": "cr:Field", "@id": f"{split}/{name}/{part}", "name": part, "dataType": _TEXT,
                "source": {
                    "fileSet": {"@id": f"{split}-files"}, "extract": {"column": name}, "transform": {"jsonPath": part},
                },
            }
            for part in ("role", "content")
        ]  # fmt: skip
        outer = {"@type": "cr:Field", "@id": f"{split}/{name}", "name": name, "description": what, "repeated": True}
        return {**outer, "subField": parts}

    return {
        "@type": "cr:RecordSet",
        "@id": split,
        "name": split,
        "description": f"The samples of the split {split}; no prompt stands in two splits.",
        "key": {"@id": f"{split}/entry_index"},
        "field": [
            field("entry_index", "cr:Int64", "Where the sample stands in the log."),
            messages("prompt", "What the teacher was asked."),
            messages("completion", "What the teacher answered."),
            field("teacher", _TEXT, "The model that answered, PROVIDER/MODEL."),
            field("terms", _TEXT, "The documents that were in force for the sample.", repeated=True),
            field("fact_class", _TEXT, "Digest of the facts that policies saw."),
            field("verdict", _TEXT, "What the policies said of it."),
            field("evidence", _TEXT, "How the sample came to be known."),
        ],
    }
