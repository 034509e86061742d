"""The manifest of a release, and the dataset card that goes with it. Values in, values out.

A release folder holds `manifest.json` (canonical JSON, what is signed), `attestation.json` (DSSE over the manifest and
every shard), `log-proof.txt` (one proof that these entries, neither more nor less, stand in the log), `README.md` (the
dataset card), `croissant.json`, `NOTICE.md` and `data/<split>-*.parquet`; or `erased.json` in place of the data.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from provenance.canonical import canonical_bytes, parse_json
from provenance.errors import FieldError, MalformedError, ManifestError

FORMAT = "provenance-release/1"
TOMBSTONE = "erased.json"  # stands in a folder whose data an erasure took away
LOG_PROOF = "log-proof.txt"
FIELDS = (
    "format", "id", "name", "version", "dataset", "student", "decision", "log_size", "counts", "conditions", "splits",
    "leaves_root", "index_set_digest", "files",
)  # fmt: skip


def format_manifest(manifest: Mapping[str, Any]) -> bytes:
    """The canonical bytes of a manifest.

    Raises:
        ManifestError: a field is missing.
    """
    for name in FIELDS:
        if name not in manifest:
            raise ManifestError(f"the manifest lacks {name}", FieldError(name, None, "present"))
    return canonical_bytes(dict(manifest))


def parse_manifest(data: bytes) -> dict[str, Any]:
    """The manifest in `data`.

    Raises:
        ManifestError: not a manifest of this format, or not in its canonical form.
    """
    try:
        manifest = parse_json(data)
    except MalformedError as exc:
        raise ManifestError(f"the manifest is not JSON: {exc.detail}") from exc
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise ManifestError(f"not a manifest of format {FORMAT}", FieldError("format", str(manifest)[:60], FORMAT))
    if format_manifest(manifest) != data:
        raise ManifestError("the manifest is not in its canonical form (RFC 8785)")
    return manifest


def format_card(manifest: Mapping[str, Any], teachers: Sequence[Mapping[str, Any]]) -> str:
    """The dataset card (`README.md`), with the front matter that `datasets.load_dataset` reads its splits from."""
    splits = [name for name, rows in manifest["splits"].items() if rows]
    front = {
        "pretty_name": f"{manifest['name']}, version {manifest['version']}",
        "license": "other",  # no one licence: what each document asks stands in the notice
        "license_name": "terms-of-the-teachers",
        "license_link": "NOTICE.md",
        "task_categories": ["text-generation"],
        "size_categories": [_size_category(manifest["counts"]["released"])],
        "configs": [
            {"config_name": "default", "data_files": [{"split": name, "path": f"data/{name}-*"} for name in splits]}
        ],
        "tags": ["distillation", "synthetic", "provenance"],
    }
    lines = [
        "---",
        yaml.safe_dump(front, sort_keys=False).strip(),
        "---",
        f"# {manifest['name']}, version {manifest['version']}",
        "",
        (
            f"{manifest['counts']['released']:,} samples of dataset `{manifest['dataset']}`, released for the student "
            f"`{manifest['student']['name']}` by decision `{manifest['decision']['id']}` "
            f"at log size {manifest['log_size']:,}. {manifest['counts']['quarantined']:,} samples were held back."
        ),
        "",
        "## Teachers",
        "",
        "| teacher | route | samples | terms |",
        "|---|---|---:|---|",
        *(
            f"| {row['teacher']} | {row['route']} | {row['samples']:,} | {', '.join(row['terms'])} |"
            for row in teachers
        ),
        "",
        "## Conditions that travel with it",
        "",
        *(_condition_line(condition) for condition in manifest["conditions"]),
        *([] if manifest["conditions"] else ["None on record."]),
        "",
        "Verify before use: `provenance release verify FOLDER`, or `provenance.load_release(FOLDER)`.",
        "",
        "This is what the recorded rules say. It is not legal advice.",
        "",
    ]
    return "\n".join(lines)


def _size_category(rows: int) -> str:
    """The hub's word for a size."""
    words = ("n<1K", "1K<n<10K", "10K<n<100K", "100K<n<1M", "1M<n<10M", "10M<n<100M", "100M<n<1B")
    return next((word for power, word in enumerate(words, start=3) if rows < 10**power), "1B<n<10B")


def _condition_line(condition: Mapping[str, Any]) -> str:
    return (
        f"- **{condition['type']}** ({condition['status']}): {condition['requirement']} "
        f"({condition['document']}, {condition['clause']})"
    )
