"""YAML of the plain kind: no anchors, aliases, tags or duplicate keys, so that what counsel reads is what is loaded."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from provenance.errors import TermsDocumentError

MAXIMUM_BYTES = 4 * 1024 * 1024
_LONGEST_NUMBER = 18  # digits; more is no amount that a text could mean
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)", re.ASCII)
_KEY_TAG = "tag:yaml.org,2002:str"


_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml reads the catalogue ten times as fast


class _PlainLoader(_Base):  # type: ignore[misc]  # one of two loaders, both safe
    """A safe loader that keeps dates as the text that stands in the file."""


_PlainLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def read_yaml(path: Path) -> Any:
    """The value of a YAML file; refuses anchors, aliases, tags, duplicate keys and several documents in one file."""
    try:
        data = path.read_bytes()
    except OSError as exc:
        raise TermsDocumentError(f"{path.name}: not readable: {exc.strerror}") from exc
    if len(data) > MAXIMUM_BYTES:
        raise TermsDocumentError(f"{path.name}: {len(data)} bytes, expected at most {MAXIMUM_BYTES}")
    return parse_yaml(data, path.name)


def parse_yaml(data: bytes | str, name: str) -> Any:
    """The value of YAML bytes; `name` stands in the errors."""
    try:
        _refuse_tricks(data, name)
        loader = _PlainLoader(data)
        try:
            node = loader.get_single_node()
            if node is None:
                raise TermsDocumentError(f"{name}: the file is empty")
            _refuse_duplicates(node, name)
            _refuse_odd_numbers(node, name)
            return loader.construct_document(node)
        finally:
            loader.dispose()
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as exc:
        raise TermsDocumentError(f"{name}: not readable as YAML: {exc}") from exc


def _refuse_tricks(data: bytes | str, name: str) -> None:
    events: Any = yaml.parse(data, Loader=_PlainLoader)
    for event in events:
        line = event.start_mark.line + 1
        if isinstance(event, yaml.AliasEvent):
            raise TermsDocumentError(f"{name}, line {line}: alias *{event.anchor} is not allowed; write the value out")
        if getattr(event, "anchor", None) is not None:
            raise TermsDocumentError(f"{name}, line {line}: anchor &{event.anchor} is not allowed")
        if getattr(event, "tag", None) is not None:
            raise TermsDocumentError(f"{name}, line {line}: tag {event.tag} is not allowed")


def _refuse_duplicates(node: Any, name: str) -> None:
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _refuse_duplicates(item, name)
    if not isinstance(node, yaml.MappingNode):
        return
    seen: set[str] = set()
    for key, value in node.value:
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode) or key.tag != _KEY_TAG:
            raise TermsDocumentError(f"{name}, line {line}: a key must be plain text")
        if key.value in seen:
            raise TermsDocumentError(f"{name}, line {line}: key {key.value!r} stands twice")
        seen.add(key.value)
        _refuse_duplicates(value, name)


def _refuse_odd_numbers(node: Any, name: str) -> None:
    """Numbers as anybody reads them: YAML 1.1 takes 7:00:00 for 25200, 010 for 8 and 1_0 for 10."""
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _refuse_odd_numbers(item, name)
    elif isinstance(node, yaml.MappingNode):
        for _, value in node.value:
            _refuse_odd_numbers(value, name)
    elif node.tag == "tag:yaml.org,2002:int" and (
        not _NUMBER.fullmatch(node.value) or len(node.value) > _LONGEST_NUMBER
    ):
        line, shown = node.start_mark.line + 1, node.value[:40]
        raise TermsDocumentError(
            f"{name}, line {line}: number {shown!r}, expected up to {_LONGEST_NUMBER} plain digits"
        )
