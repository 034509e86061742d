"""The papers that go with published weights: LICENSE, NOTICE, and the texts of the licences that ask for a copy.

The texts are the publisher's to bring: what the record holds of a document are its facts, not its words, and a licence that was
summed up is no copy of it. What a document asks for and nobody brought stops the publication.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from provenance.errors import FieldError, MalformedError

COPIES = frozenset({"licence-copy"})
MAX_TEXT = 1 << 20
MAX_NOTICES, MAX_NOTICE = 32, 2000
NAME = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]{0,95}/)?[A-Za-z0-9][A-Za-z0-9._-]{0,95}")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def check_request(name: Any, notices: Sequence[str], texts: Mapping[str, str]) -> None:
    """Check what a publication is asked for with.

    Raises:
        MalformedError: names each field that cannot be.
    """
    errors = []
    if not isinstance(name, str) or name == "unknown" or not NAME.fullmatch(name):
        errors.append(
            FieldError("name", name, "letters, digits, . _ -, at most 96, an ORGANISATION/ before it or none")
        )
    if len(notices) > MAX_NOTICES:
        errors.append(FieldError("notices", len(notices), f"at most {MAX_NOTICES}"))
    expected = f"text of 1 to {MAX_NOTICE} characters on one line"
    errors += [
        FieldError("notices", text[:80], expected)
        for text in notices
        if not text.strip() or len(text) > MAX_NOTICE or "\n" in text or _CONTROL.search(text)
    ]
    errors += [
        FieldError(f"texts.{document}", text[:80], f"plain text of at most {MAX_TEXT:,} characters")
        for document, text in texts.items()
        if not text.strip() or len(text) > MAX_TEXT or _CONTROL.search(text)
    ]
    if errors:
        raise MalformedError("; ".join(f"{error.field}: expected {error.expected}" for error in errors), *errors)


def format_papers(said: Mapping[str, Any], texts: Mapping[str, str]) -> dict[str, bytes]:
    """The papers of a description (`publication.describe`), by path.

    Args:
        texts: of licences, by the id of their document; `LICENSE` is the model's own.
    Raises:
        MalformedError: a condition asks for the copy of a licence whose text is not there, or a text is of no document.
    """
    copies = sorted({i["document"] for i in said["conditions"] if i["type"] in COPIES})
    known = {item["id"] for item in said["documents"]} | {item["document"] for item in said["conditions"]} | {"LICENSE"}
    errors = [
        FieldError(f"texts.{name}", None, "its text: a condition asks for a copy")
        for name in copies
        if name not in texts
    ]
    errors += [
        FieldError(f"texts.{name}", name, f"one of {', '.join(sorted(known))}") for name in sorted(texts.keys() - known)
    ]
    if errors:
        raise MalformedError("; ".join(f"{error.field}: expected {error.expected}" for error in errors), *errors)
    papers = {"LICENSE": _licence(said, texts.get("LICENSE")), "NOTICE": _notice(said)}
    papers |= {f"licenses/{_slug(name)}.txt": text for name, text in texts.items() if name != "LICENSE"}
    return {path: text.encode() for path, text in papers.items()}


def _licence(said: Mapping[str, Any], text: str | None) -> str:
    licence = said["model"]["license"] or "unknown"
    head = f"{said['published_as']}\nSPDX-License-Identifier: {_line(licence)}\n"
    if text is not None:
        return f"{head}\n{text.rstrip()}\n"
    return f"{head}\nThe weights are offered under this licence, as far as the conditions in README.md leave it.\n"


def _notice(said: Mapping[str, Any]) -> str:
    asked = [f"- {_line(i['requirement'])} ({i['document']}, {i['clause']})" for i in said["conditions"]]
    documents = [f"- {_line(i['title'])}{_version(i)} ({i['id']})" for i in said["documents"]]
    blocks = [
        [str(said["published_as"])],
        [_line(text) for text in said["notices"]],
        ["Made with outputs of:", *(f"- {_line(item['model'])} ({item['route']})" for item in said["teachers"])],
        ["Built on:", f"- {_line(said['base_model'])}"] if said["base_model"] else [],
        ["Terms that bind it:", *documents] if documents else [],
        ["Conditions that go with it:", *asked] if asked else [],
        ["This is what the record says. It is not legal advice."],
    ]
    return "\n\n".join("\n".join(lines) for lines in blocks if lines) + "\n"


def _version(document: Mapping[str, Any]) -> str:
    return f", version {_line(document['version'])}" if document["version"] else ""


def _line(value: Any) -> str:
    return " ".join(_CONTROL.sub(" ", str(value)).split())


def _slug(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip(".-") or "document"
