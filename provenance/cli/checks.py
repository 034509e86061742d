"""The checks of `provenance doctor`; none of them changes anything."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import shutil
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from provenance.errors import NotFoundError, ProvenanceError

OK, WARN, FAIL = "ok", "warn", "fail"
SERVER_PACKAGES = ("fastapi", "sqlmodel", "cedarpy", "dbos", "pyarrow", "weasyprint")
TRAIN_PACKAGES = ("torch", "transformers", "trl")


@dataclass(frozen=True)
class Check:
    """One thing that was looked at. `warn` is something that only some commands need."""

    name: str
    state: str
    said: str


def run_checks() -> list[Check]:
    """Look at everything; a check that breaks is a failed one."""
    checks: tuple[tuple[str, Callable[[], tuple[str, str]]], ...] = (
        ("python", _python), ("server packages", lambda: _packages(SERVER_PACKAGES, "server", FAIL)),
        ("train packages", lambda: _packages(TRAIN_PACKAGES, "train", WARN)), ("torch", _torch),
        ("chromium", lambda: _program("chromium", "browser tests")),
        ("bwrap", lambda: _program("bwrap", "isolating training runs")),
        ("service", _service), ("settings", _settings), ("data directory", _data_dir), ("port", _port),
        ("keys", _keys), ("log", _log), ("witnesses", _witnesses), ("publication", _publication), ("policy", _policy),
    )  # fmt: skip
    return [_run(name, check) for name, check in checks]


def _run(name: str, check: Callable[[], tuple[str, str]]) -> Check:
    try:
        state, said = check()
    except ProvenanceError as exc:
        state, said = FAIL, exc.detail
    except ImportError as exc:
        state, said = FAIL, f"needs {exc.name}"
    return Check(name, state, said)


def _python() -> tuple[str, str]:
    version = ".".join(map(str, sys.version_info[:3]))
    return (OK, version) if sys.version_info >= (3, 11) else (FAIL, f"{version}; expected 3.11 or newer")


def _packages(names: tuple[str, ...], extra: str, missing_is: str) -> tuple[str, str]:
    missing = [name for name in names if importlib.util.find_spec(name) is None]
    if missing:
        return missing_is, f"missing: {', '.join(missing)}; pip install 'provenance-ledger[{extra}]'"
    return OK, ", ".join(f"{name} {importlib.metadata.version(name)}" for name in names)


def _torch() -> tuple[str, str]:
    if importlib.util.find_spec("torch") is None:
        return WARN, "not installed; training needs it"
    import torch

    device = torch.cuda.get_device_name(0) if torch.cuda.is_available() else "CPU only"
    return OK, f"{torch.__version__}, {device}"


def _program(name: str, used_for: str) -> tuple[str, str]:
    path = shutil.which(name)
    return (OK, path) if path else (WARN, f"not found; {used_for} needs it")


def _service() -> tuple[str, str]:
    url = os.environ.get("PROVENANCE_URL")
    if not url:
        return OK, "PROVENANCE_URL is not set: commands work on the local data directory"
    from provenance.client.client import Client

    with Client(timeout_seconds=5.0) as client:
        return OK, f"{url} answers, version {client.get('/healthz').get('version')}"


def _settings() -> tuple[str, str]:
    _load()
    return OK, "every PROVENANCE_ variable has a value that it can have"


def _data_dir() -> tuple[str, str]:
    path: Path = _load().data_dir
    if not path.exists():
        parent = next((item for item in path.parents if item.exists()), Path("/"))
        able = os.access(parent, os.W_OK)
        return (OK if able else FAIL), f"{path} does not exist yet{'' if able else f', and {parent} is not writable'}"
    if not os.access(path, os.W_OK | os.X_OK):
        return FAIL, f"{path} is not writable"
    free = shutil.disk_usage(path).free // 10**9
    return (OK if free else WARN), f"{path}, {free} GB free"


def _port() -> tuple[str, str]:
    settings = _load()
    from provenance.cli.service import read_holder

    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as exc:
            mine = str(read_holder(settings.data_dir).get("url", "")).endswith(f":{settings.port}")
            said = "our service" if mine else exc.strerror
            return (OK if mine else WARN), f"{settings.host}:{settings.port} is taken: {said}"
    return OK, f"{settings.host}:{settings.port} is free"


def _keys() -> tuple[str, str]:
    from provenance.ledger.keys import has_keys, read_index

    folder = _load().data_dir / "keys"
    if not has_keys(folder):
        return OK, "none yet; the first command makes them"
    origin, records = read_index(folder)
    open_to_others = [path.name for path in folder.iterdir() if path.stat().st_mode & 0o077]
    if open_to_others:
        return FAIL, f"{folder}: others may read {', '.join(sorted(open_to_others)[:3])}; chmod go= them"
    return OK, f"{len(records)} keys of {origin}"


def _log() -> tuple[str, str]:
    from sqlalchemy.exc import SQLAlchemyError

    from provenance.store.log import get_head
    from provenance.store.session import make_engine, read_session

    settings = _load()
    if settings.database_url is None and not (settings.data_dir / "provenance.db").exists():
        return OK, "none yet; the first command creates it"
    engine = make_engine(settings.resolved_database_url)
    try:
        with read_session(engine) as session:
            head = get_head(session)
            return OK, f"{head.origin}, {head.size:,} entries; `provenance log verify` checks them"
    except NotFoundError:
        return OK, "the database is empty"
    except SQLAlchemyError as exc:
        return FAIL, f"the database does not answer: {exc.__cause__ or exc}"
    finally:
        engine.dispose()


def _policy() -> tuple[str, str]:
    from provenance.cli.local import load_in_force
    from provenance.policy.pack import load_pack

    pack, shipped = load_in_force().pack, load_pack()
    said = f"{pack.id} is in force, {len(pack.rules)} rules"
    if pack.digest != shipped.digest:
        return WARN, f"{said}; it was approved here, the shipped pack is another one: {shipped.id}"
    return OK, f"{said}, the shipped pack"


def _witnesses() -> tuple[str, str]:
    from provenance.ledger.keys import has_keys, read_index
    from provenance.ledger.note import parse_vkey
    from provenance.ledger.quorum import read_account, read_witness_policy

    settings = _load()
    if settings.witness_policy is None:
        return OK, "none configured (PROVENANCE_WITNESS_POLICY)"
    folder = settings.data_dir / "keys"
    if not has_keys(folder):
        return WARN, "there is no log yet that they could cosign"
    read_witness_policy(settings.witness_policy, [parse_vkey(item.vkey) for item in read_index(folder)[1] if item.vkey])
    account = read_account(settings.data_dir / "log")
    if account.hold is not None:
        return WARN, f"publication is held: {account.hold}"
    return OK, f"{account.agreeing} of {len(account.witnesses)} agreed when they were asked last"


def _publication() -> tuple[str, str]:
    from provenance.ledger.checkpoint import parse_checkpoint
    from provenance.ledger.mirror import read_state
    from provenance.ledger.note import parse_note
    from provenance.ledger.publish import read_checkpoint
    from provenance.ledger.target import open_target

    settings = _load()
    if settings.publish_url is None:
        return OK, "to the data directory alone (PROVENANCE_PUBLISH_URL)"
    open_target(settings.publish_url)
    state = read_state(settings.data_dir / "log", settings.publish_url)
    note = read_checkpoint(settings.data_dir / "log")
    behind = 0 if note is None else parse_checkpoint(parse_note(note).text).size - (state.published_size or 0)
    said = f"{state.said}{f'; {behind:,} entries behind' if behind > 0 else ''}"
    if state.stopped:
        return FAIL, said
    return (WARN if state.problem or behind > 0 else OK), said


def _load() -> Any:
    from provenance.settings import load_settings

    return load_settings()
