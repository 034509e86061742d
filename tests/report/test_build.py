from __future__ import annotations

import json
from pathlib import Path

import pytest

from provenance.errors import NotFoundError
from provenance.ledger.checkpoint import parse_checkpoint
from provenance.ledger.note import parse_note
from provenance.release.bundle import read_bundle
from provenance.report import build
from provenance.report.build import bundle_report, log_report, render_report
from provenance.verify import verify
from tests.service import SECRET, LocalService

FORMS = ("html", "json", "csv")


def release_of(service: LocalService, reference: str = "tutor@1") -> str:
    return str(service.get(f"/api/v1/releases/{reference}")["id"])


def test_a_report_rendered_again_has_the_same_bytes(service: LocalService) -> None:
    release, size = release_of(service), service.log_size()
    first = render_report(service.runtime, "rep_same", release, size, FORMS)
    assert render_report(service.runtime, "rep_same", release, size, FORMS) == first
    assert [file["path"] for file in first[0]] == ["report.html", "report.json", "report.csv"]


def test_a_report_is_logged_once_and_names_the_one_before(service: LocalService) -> None:
    release, size = release_of(service), service.log_size()
    files, _ = render_report(service.runtime, "rep_first", release, size, FORMS)
    index = log_report(service.runtime, "rep_first", release, size, files)
    assert log_report(service.runtime, "rep_first", release, size, files) == index
    assert service.log_size() == index + 1
    log_report(service.runtime, "rep_second", release, size, files)
    said = service.get("/api/v1/log/lookup/report/rep_second")["predicate"]
    assert said["previous"] == "rep_first"


def test_the_bundle_holds_all_that_the_report_cites_against_one_checkpoint(service: LocalService) -> None:
    release, size = release_of(service), service.log_size()
    files, _ = render_report(service.runtime, "rep_bundle", release, size, FORMS)
    log_report(service.runtime, "rep_bundle", release, size, files)
    path = bundle_report(service.runtime, "rep_bundle", release)
    assert verify(path).ok
    held = read_bundle(path).contents
    cited = set(json.loads((path.parent / "evidence.json").read_bytes()))
    assert cited <= set(held.entries)
    assert 0 in held.entries  # the authority key introduces itself
    assert {"report.html", "decision.json", "release/manifest.json", "release/attestation.json"} <= set(held.files)
    assert parse_checkpoint(parse_note(held.checkpoint).text).size == held.log_size == service.log_size()
    for name, data in held.files.items():
        assert SECRET.encode() not in data, name


def test_a_report_says_the_root_of_the_log_as_it_stood(service: LocalService) -> None:
    release = service.get("/api/v1/releases/tutor@1")
    size = release["entry"] + 1
    then = json.loads(_render(service, release["id"], size).read_bytes())
    service.declare(name="later")
    again = json.loads(_render(service, release["id"], size).read_bytes())
    assert again["log"]["root"] == then["log"]["root"]
    now = json.loads(_render(service, release["id"], service.log_size()).read_bytes())
    assert now["log"]["root"] != then["log"]["root"]
    assert now["log"]["size"] == service.log_size()


def _render(service: LocalService, release: str, size: int) -> Path:
    render_report(service.runtime, "rep_root", release, size, ["json"])
    return service.data_dir / "reports" / "rep_root" / "report.json"


def test_a_form_whose_libraries_are_missing_is_named_and_the_others_are_made(
    service: LocalService, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: object) -> bytes:
        raise OSError("cannot load library 'libpango'")

    monkeypatch.setattr(build, "RENDERERS", {**build.RENDERERS, "pdf": fail})
    size = service.log_size()
    files, missing = render_report(service.runtime, "rep_missing", release_of(service), size, ["json", "pdf"])
    assert [file["path"] for file in files] == ["report.json"]
    assert "libpango" in missing["pdf"]


def test_a_release_that_the_log_did_not_hold_yet_has_no_report(service: LocalService) -> None:
    release = service.get("/api/v1/releases/tutor@1")
    with pytest.raises(NotFoundError):
        render_report(service.runtime, "rep_early", release["id"], release["entry"], FORMS)
    assert not (service.data_dir / "reports" / "rep_early" / "report.html").exists()
