"""Summaries in upstream's form, made here: small, and of the shape that the real ones have."""

from __future__ import annotations

from typing import Any

TEXTS = (
    "Paper Title",
    "Dataset URL",
    "GitHub URL",
    "Hugging Face URL",
    "Papers with Code URL",
    "ArXiv URL",
    "Collection URL",
    "Bibtex",
)
LISTS = ("Languages", "Task Categories", "Text Sources", "Format", "Creators", "Dataset Filter IDs")
ANNOTATOR = "Somebody by name"


def make_summary(
    key: str,
    part_of: str,
    *,
    licenses: list[str] | None = None,
    generators: list[str] | None = None,
    parents: list[str] | None = None,
    metadata: dict[str, Any] | None = None,
    **fields: Any,
) -> dict[str, Any]:
    """One summary; `metadata` is added to the inferred one."""
    return {
        **dict.fromkeys(TEXTS, ""),
        **{name: [] for name in LISTS},
        "Unique Dataset Identifier": key,
        "Dataset Name": key,
        "Collection": part_of,
        "Semantic Scholar Corpus ID": 260155126,
        "Human Annotation": "No",
        "License Notes": "",
        "License Verified By": ANNOTATOR,
        "Licenses": [{"License": name, "License URL": ""} for name in licenses or []],
        "Model Generated": generators or [],
        "Derived from Datasets": parents or [],
        "Inferred Metadata": {"HF Downloads (May 2024)": 12, "GitHub Topics": "", **(metadata or {})},
        "Text Metrics": {"Num Dialogs": 3, "Mean Inputs Length": 1.5},
        **fields,
    }


def make_file(part_of: str, *summaries: dict[str, Any]) -> dict[str, Any]:
    """The content of one file: data set id -> summary."""
    return {summary["Unique Dataset Identifier"]: summary for summary in summaries if summary["Collection"] == part_of}


def one_file(named: dict[str, Any] | None = None, /, *, part_of: str = "Made", **more: Any) -> dict[str, Any]:
    """Files with the one `part_of`, whose data sets are given by id and the arguments of `make_summary`."""
    summaries = [make_summary(key, part_of, **arguments) for key, arguments in {**(named or {}), **more}.items()]
    return {f"{part_of}.json": make_file(part_of, *summaries)}
