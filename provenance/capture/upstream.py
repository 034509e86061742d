"""The teachers behind the gateway: `gateway.yaml`, read strictly.

- The file alone says where a request may go; a client only ever names a `model` of it.
- Keys of providers stand in the environment and are named here (`env:NAME`), never written down.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from provenance.capture.sample import Account, Sample, Teacher, check_sample
from provenance.errors import FieldError, MalformedError, NotFoundError, UnavailableError
from provenance.terms.yaml_file import parse_yaml

FILE_NAME = "gateway.yaml"
_KEY = re.compile(r"env:[A-Za-z_][A-Za-z0-9_]*")
_NAME = re.compile(r"[!-~]{1,200}")
_PATH = re.compile(r"^(?P<expected>.*?)(?: - at `\$(?P<path>.*)`)?$", re.DOTALL)


class Upstream(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """One teacher that the gateway forwards to, and what is recorded of its answers."""

    model: str
    base_url: str
    teacher: Teacher
    api_key: str | None = None
    upstream_model: str | None = None
    account: Account | None = None
    generated_in: str | None = None

    @property
    def url(self) -> str:
        """Where chat completions are asked for."""
        return f"{self.base_url.rstrip('/')}/chat/completions"

    def read_key(self, environment: Mapping[str, str] = os.environ) -> str | None:
        """The provider's key, or None where it asks for none.

        Raises:
            UnavailableError: the variable that `api_key` names is not set.
        """
        if self.api_key is None:
            return None
        name = self.api_key.removeprefix("env:")
        if not environment.get(name):
            raise UnavailableError(f"the gateway's key for {self.model!r} is missing: set {name} for the service")
        return environment[name]


class _File(Struct, forbid_unknown_fields=True):
    upstreams: list[Upstream]


def load_upstreams(path: Path, *, now: datetime) -> dict[str, Upstream]:
    """The upstreams by the model name that clients ask for; none where there is no such file.

    Raises:
        MalformedError: names the field, its value and what was expected.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return {}
    except OSError as exc:
        raise MalformedError(f"{path} cannot be read: {exc.strerror}") from exc
    try:
        value = parse_yaml(data, FILE_NAME)
        return _check(_convert(value), now)
    except MalformedError as exc:
        raise MalformedError(f"{path}: {exc.detail.removeprefix(f'{FILE_NAME}: ')}", *exc.errors) from exc


def get_upstream(upstreams: Mapping[str, Upstream], model: str, path: Path) -> Upstream:
    """The upstream for a `model` that a client named.

    Raises:
        NotFoundError: the file names no such model, or there is no file.
    """
    if model in upstreams:
        return upstreams[model]
    known = ", ".join(sorted(upstreams)) or f"none: {path} names no upstream yet"
    expected = f"a model of {FILE_NAME}"
    raise NotFoundError(f"no upstream for model {model!r}; there are {known}", FieldError("model", model, expected))


def _convert(value: Any) -> list[Upstream]:
    try:
        return msgspec.convert(value, _File).upstreams
    except msgspec.ValidationError as exc:
        match = _PATH.match(str(exc))
        field = (match["path"] or "").lstrip(".") if match else ""
        expected = match["expected"] if match else str(exc)
        raise MalformedError(f"{field or 'file'}: {expected}", FieldError(field or "file", value, expected)) from exc


def _check(upstreams: list[Upstream], now: datetime) -> dict[str, Upstream]:
    found: dict[str, Upstream] = {}
    for number, upstream in enumerate(upstreams):
        where = f"upstreams[{number}]"
        if upstream.model in found or not _NAME.fullmatch(upstream.model):
            raise _bad(f"{where}.model", upstream.model, "a name without spaces that no other upstream has")
        if upstream.upstream_model is not None and not _NAME.fullmatch(upstream.upstream_model):
            raise _bad(f"{where}.upstream_model", upstream.upstream_model, "a name without spaces")
        if upstream.api_key is not None and not _KEY.fullmatch(upstream.api_key):
            # The value may be a key that somebody pasted here: it is not repeated.
            raise _bad(f"{where}.api_key", "…", "env:NAME, the variable that holds the key, or null")
        _check_url(f"{where}.base_url", upstream.base_url)
        _check_teacher(where, upstream, now)
        found[upstream.model] = upstream
    return found


def _check_url(field: str, text: str) -> None:
    expected = "an http(s) address without user, query or fragment, for example https://api.openai.com/v1"
    try:
        parts = urlsplit(text)
        plain = parts.hostname and parts.port != 0 and not (parts.username or parts.password)
    except ValueError:
        raise _bad(field, text, expected) from None
    if parts.scheme not in {"http", "https"} or not plain or parts.query or parts.fragment or not text.isprintable():
        raise _bad(field, text, expected)


def _check_teacher(where: str, upstream: Upstream, now: datetime) -> None:
    # The facts are checked as those of a sample are, so no answer is lost later for what stands here.
    probe = Sample(
        dataset="probe", teacher=upstream.teacher, account=upstream.account, generated_in=upstream.generated_in,
        generated_at=now.isoformat(), prompt="probe", completion="probe",
    )  # fmt: skip
    try:
        check_sample(probe, now=now)
    except MalformedError as exc:
        problem = exc.errors[0]
        raise _bad(f"{where}.{problem.field}", problem.value, problem.expected) from exc


def _bad(field: str, value: Any, expected: str) -> MalformedError:
    problem = FieldError(field, value, expected)
    return MalformedError(f"{field}: expected {expected}, got {problem.to_json()['value']!r}", problem)
