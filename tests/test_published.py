"""A service with a target: it is kept at what is published here, and appends go on where it cannot be reached."""

from __future__ import annotations

from pathlib import Path

import pytest

from provenance.cli import checks
from provenance.cli.checks import FAIL, OK, WARN
from provenance.ledger.mirror import read_state
from provenance.runtime import Runtime, open_runtime
from provenance.settings import Settings
from provenance.store.log import get_head
from provenance.store.session import read_session


def _serve(data_dir: Path, url: str) -> tuple[Runtime, str]:
    """A service that appended once and ended; the checkpoint of its log."""
    runtime = open_runtime(Settings(data_dir=data_dir, publish_url=url))
    runtime.append_access("test", "look", "x")
    with read_session(runtime.engine) as session:
        note = get_head(session).checkpoint
    runtime.close()
    return runtime, note


def _doctor(monkeypatch: pytest.MonkeyPatch, data_dir: Path, url: str) -> tuple[str, str]:
    monkeypatch.setenv("PROVENANCE_DATA_DIR", str(data_dir))
    monkeypatch.setenv("PROVENANCE_PUBLISH_URL", url)
    return checks._publication()  # alone: all of doctor loads torch


def test_a_service_keeps_its_target_and_says_when_it_cannot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, target = tmp_path / "data", tmp_path / "target"
    _, note = _serve(data, str(target))
    assert (target / "checkpoint").read_text() == note
    assert _doctor(monkeypatch, data, str(target))[0] == OK

    blocked = tmp_path / "blocked"
    blocked.write_text("no folder")
    _, later = _serve(data, str(blocked))
    assert later != note, "appends go on"
    assert "Not a directory" in str(read_state(data / "log", str(blocked)).problem)
    state, said = _doctor(monkeypatch, data, str(blocked))
    assert (state, "entries behind" in said) == (WARN, True)

    (target / "checkpoint").write_text("another log's")
    _serve(data, str(target))
    assert (target / "checkpoint").read_text() == "another log's"
    state, said = _doctor(monkeypatch, data, str(target))
    assert (state, "not signed by this log" in said) == (FAIL, True)
