"""Reading what a command is handed: JSON files, strictly, with errors that name the file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from provenance.canonical import parse_json
from provenance.errors import FieldError, MalformedError, NotFoundError

MAX_BYTES = 1 << 30


def read_bytes(path: Path) -> bytes:
    """The bytes of a file; `-` is standard input.

    Raises:
        NotFoundError: there is no such file.
        MalformedError: it cannot be read, or is larger than 1 GiB.
    """
    if str(path) == "-":
        return sys.stdin.buffer.read()
    try:
        if path.stat().st_size > MAX_BYTES:
            raise MalformedError(f"{path} is larger than {MAX_BYTES:,} bytes; split it")
        return path.read_bytes()
    except FileNotFoundError as exc:
        raise NotFoundError(f"there is no file {path}") from exc
    except OSError as exc:
        raise MalformedError(
            f"{path} cannot be read: {exc.strerror}", FieldError("file", str(path), "a readable file")
        ) from exc


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file.

    Raises:
        MalformedError: it cannot be written.
    """
    try:
        path.write_bytes(data)
    except OSError as exc:
        raise MalformedError(
            f"{path} cannot be written: {exc.strerror}", FieldError("output", str(path), "a writable file")
        ) from exc


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object in a file.

    Raises:
        MalformedError: not JSON, or no object.
    """
    value = _parse(path)
    if not isinstance(value, dict):
        raise MalformedError(f"{path}: expected a JSON object", FieldError(str(path), value, "a JSON object"))
    return value


def read_list(path: Path) -> list[dict[str, Any]]:
    """The JSON array of objects in a file; one object counts as a list of one.

    Raises:
        MalformedError: not JSON, or neither.
    """
    value = _parse(path)
    items = [value] if isinstance(value, dict) else value
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise MalformedError(
            f"{path}: expected an array of objects", FieldError(str(path), value, "a JSON array of objects")
        )
    return items


def read_settings(path: Path) -> dict[str, Any]:
    """The settings in a file of YAML (by its suffix `.yaml` or `.yml`) or JSON.

    Raises:
        MalformedError: neither, or no object.
    """
    if path.suffix not in {".yaml", ".yml"}:
        return read_object(path)
    from provenance.terms.yaml_file import parse_yaml

    value = parse_yaml(read_bytes(path), str(path))
    if not isinstance(value, dict):
        raise MalformedError(f"{path}: expected settings by name", FieldError(str(path), value, "settings by name"))
    return value


def _parse(path: Path) -> Any:
    try:
        return parse_json(read_bytes(path))
    except MalformedError as exc:
        if exc.detail.startswith(str(path)):
            raise
        raise MalformedError(f"{path}: {exc.detail}", *exc.errors) from exc
