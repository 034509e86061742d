"""Cut a byte-level BPE tokenizer down to the tokens that a text needs, so that what is left behaves the same on that text.

- Kept: special tokens, all single bytes, the most common tokens of the tokenizer, the tokens of the given texts, and every piece
  that the merges of a kept token pass through ("closed under merges").
- On the given texts the cut tokenizer gives the same pieces as the whole one: every merge that was applied is kept with its rank.
  On other texts a missing token falls into smaller kept pieces; nothing becomes unknown.
- New ids are the ranks of the old ids, so old and new ids map one to one and special tokens keep their meaning.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from provenance.errors import FieldError, MalformedError

Document = dict[str, Any]


def read_tokenizer(folder: Path) -> Document:
    """The `tokenizer.json` of a model folder, which must be BPE."""
    path = folder / "tokenizer.json"
    if not path.is_file():
        raise MalformedError(f"{path}: expected a tokenizer in the fast (JSON) format, there is none")
    document: Document = json.loads(path.read_text("utf-8"))
    kind = document.get("model", {}).get("type")
    if kind != "BPE":
        raise MalformedError(f"{path}: expected a BPE tokenizer, got {kind!r}")
    return document


def _merges(document: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Merges as pairs; older files write each as one string with a space."""
    return [
        (item.split(" ", 1)[0], item.split(" ", 1)[1]) if isinstance(item, str) else (item[0], item[1])
        for item in document["model"]["merges"]
    ]


def choose_tokens(document: Mapping[str, Any], used: Iterable[int], common: int) -> list[int]:
    """Old ids to keep, ascending.

    Args:
        used: ids that the texts need.
        common: the first `common` ids are kept as well; byte-level BPE numbers tokens in the order they were learnt,
            so these are the common pieces of the language.
    """
    vocabulary: Mapping[str, int] = document["model"]["vocab"]
    names = {index: token for token, index in vocabulary.items()}
    parts = {left + right: (left, right) for left, right in reversed(_merges(document))}  # the earliest merge wins
    special = {int(item["id"]) for item in document.get("added_tokens", [])}
    waiting = [names[index] for index in used if index in names]
    waiting += [token for token, index in vocabulary.items() if index < common or len(token) == 1]
    kept: set[str] = set()
    while waiting:
        token = waiting.pop()
        if token not in kept:
            kept.add(token)
            waiting.extend(part for part in parts.get(token, ()) if part in vocabulary)
    return sorted(special | {vocabulary[token] for token in kept})


def cut_tokenizer(document: Mapping[str, Any], kept: list[int]) -> Document:
    """The tokenizer over `kept` old ids, with new ids 0, 1, 2, ..."""
    new_ids = {old: new for new, old in enumerate(kept)}
    model = dict(document["model"])
    model["vocab"] = {token: new_ids[old] for token, old in model["vocab"].items() if old in new_ids}
    vocabulary = model["vocab"]
    model["merges"] = [
        [left, right]
        for left, right in _merges(document)
        if left in vocabulary and right in vocabulary and left + right in vocabulary
    ]
    added = [item | {"id": new_ids[int(item["id"])]} for item in document.get("added_tokens", [])]
    cut = dict(document) | {"model": model, "added_tokens": added}
    if document.get("post_processor"):
        cut["post_processor"] = _renumber_post_processor(document["post_processor"], new_ids)
    return cut


def _renumber_post_processor(processor: Mapping[str, Any], new_ids: Mapping[int, int]) -> Document:
    """The step that adds special tokens names them with their ids, which are others now."""
    special = processor.get("special_tokens", {})
    renumbered = {name: item | {"ids": [new_ids[old] for old in item["ids"]]} for name, item in special.items()}
    return dict(processor) | ({"special_tokens": renumbered} if special else {})


def list_tokens(folder: Path) -> dict[str, int]:
    """The number of each token of a model folder's tokenizer, added ones included.

    Raises:
        MalformedError: there is no tokenizer in the fast (JSON) format.
    """
    document = read_tokenizer(folder)
    return {**document["model"]["vocab"], **{item["content"]: item["id"] for item in document.get("added_tokens", [])}}


def check_same_tokens(base: Path, teacher: Path) -> None:
    """Check that two model folders have one vocabulary, before a process is started that would find out.

    Raises:
        MalformedError: they have not; the message names the first token.
    """
    if base.resolve() != teacher.resolve():
        check_tokens(list_tokens(base), list_tokens(teacher), None)


def check_tokens(ours: Mapping[str, int], theirs: Mapping[str, int], token_map: list[int] | None) -> None:
    """Check that each of the student's tokens is the teacher's under the same number, or under the mapped one.

    Raises:
        MalformedError: a token is another one for the teacher; the message names the first.
    """
    same = token_map is not None or len(ours) == len(theirs)
    strange = [
        token
        for token, index in ours.items()
        if theirs.get(token) != (token_map[index] if token_map is not None and index < len(token_map) else index)
    ]
    if strange or not same:
        expected = "a teacher with the student's vocabulary: the same tokens under the same numbers"
        shown = f"{len(strange)} of {len(ours)} tokens differ" + (f", first {min(strange)!r}" if strange else "")
        raise MalformedError(
            f"teacher.model: expected {expected}; {shown}", FieldError("teacher.model", shown, expected)
        )
