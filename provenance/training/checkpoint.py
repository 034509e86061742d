"""Checkpoints that may be resumed from: whole ones only.

- The trainer writes a checkpoint file by file, so a kill may leave half of one. When all is written, `seal_checkpoint`
  adds a mark with the size of every file; a folder without it, or with a file of another size, is torn and deleted.
- The mark also carries what a resumed run must know of its past: batches consumed, seconds spent.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from provenance.training.files import write_atomically

SEAL = "sealed.json"
_NAME = re.compile(r"checkpoint-(\d+)")


@dataclass(frozen=True)
class Checkpoint:
    """A whole checkpoint: its folder, its step and what was noted in its mark."""

    folder: Path
    step: int
    notes: Mapping[str, Any]


def seal_checkpoint(folder: Path, notes: Mapping[str, Any]) -> None:
    """Mark a checkpoint as whole; call it after its last file was written."""
    sizes = {path.relative_to(folder).as_posix(): path.stat().st_size for path in folder.rglob("*") if path.is_file()}
    sizes.pop(SEAL, None)
    write_atomically(folder / SEAL, json.dumps({"sizes": sizes, "notes": dict(notes)}).encode())


def open_checkpoint(folder: Path) -> Checkpoint | None:
    """The checkpoint in `folder`, or None when it is not whole."""
    named = _NAME.fullmatch(folder.name)
    try:
        mark = json.loads((folder / SEAL).read_bytes())
        sizes: dict[str, int] = mark["sizes"]
        notes: dict[str, Any] = mark["notes"]
        state = json.loads((folder / "trainer_state.json").read_bytes())
        whole = all((folder / path).stat().st_size == size for path, size in sizes.items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    if named is None or not whole or state.get("global_step") != int(named.group(1)):
        return None
    return Checkpoint(folder, int(named.group(1)), notes)


def find_checkpoint(output_dir: Path, *, delete_torn: bool = True) -> Checkpoint | None:
    """The newest whole checkpoint below `output_dir`; torn ones are deleted, so the trainer cannot pick one."""
    found = []
    for folder in output_dir.glob("checkpoint-*"):
        checkpoint = open_checkpoint(folder)
        if checkpoint is not None:
            found.append(checkpoint)
        elif delete_torn and _NAME.fullmatch(folder.name):
            shutil.rmtree(folder)
    return max(found, key=lambda item: item.step, default=None)
