from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from provenance.canonical import sha256_digest
from provenance.report.render import report_content_security_policy
from provenance.verify import verify
from tests.service import SECRET, LocalService

URL = "/api/v1/reports"
KIND = "ownership-and-legality"


def built(service: LocalService) -> Any:
    """The report that the world came with; it has all four forms but the PDF; the newest stands first."""
    return service.get(URL)["reports"][-1]


def test_the_kinds_are_listed_with_their_titles(service: LocalService) -> None:
    kinds = service.get(URL)["kinds"]
    assert KIND in {item["kind"] for item in kinds}
    assert all(item["title"] for item in kinds)


def test_a_report_says_what_it_is_about_and_which_files_it_has(service: LocalService) -> None:
    said = service.get(f"{URL}/{built(service)['id']}")
    assert {"id", "kind", "subject", "state", "log_size", "files", "previous", "entry", "error"} <= set(said)
    assert (said["kind"], said["state"]) == (KIND, "done")
    assert said["subject"] == {"kind": "release", "id": service.get("/api/v1/releases/tutor@1")["id"]}
    for file in said["files"]:
        answer = service.client.get(f"{URL}/{said['id']}{file['path'].removeprefix('report')}")
        assert (sha256_digest(answer.content), len(answer.content)) == (file["digest"], file["size_bytes"])
    entry = service.get(f"/api/v1/log/lookup/report/{said['id']}")
    assert (entry["index"], entry["predicate"]["files"]) == (said["entry"], said["files"])


def test_each_form_comes_as_its_type_and_the_page_under_its_own_policy(service: LocalService) -> None:
    report = service.report("tutor@1", formats=("html", "pdf", "json", "csv"))
    types = {
        "html": "text/html; charset=utf-8", "pdf": "application/pdf", "json": "application/json",
        "csv": "text/csv; charset=utf-8",
    }  # fmt: skip
    for form, expected in types.items():
        answer = service.client.get(f"{URL}/{report['id']}.{form}")
        assert (answer.status_code, answer.headers["content-type"]) == (200, expected)
    page = service.client.get(f"{URL}/{report['id']}.html")
    assert page.headers["content-security-policy"] == report_content_security_policy()
    assert service.client.get(f"{URL}/{report['id']}.pdf").content.startswith(b"%PDF-")


def test_no_form_holds_the_words_of_a_sample(service: LocalService) -> None:
    folder = service.data_dir / "reports" / built(service)["id"]
    for path in folder.iterdir():
        assert SECRET.encode() not in path.read_bytes(), path


def test_the_evidence_verifies_offline_and_one_flipped_byte_fails(service: LocalService, tmp_path: Path) -> None:
    answer = service.client.get(f"{URL}/{built(service)['id']}/evidence")
    assert answer.headers["content-type"] == "application/zip"
    bundle = tmp_path / "evidence.zip"
    bundle.write_bytes(answer.content)
    command = [sys.executable, "-m", "provenance.verify", str(bundle), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert json.loads(done.stdout)["ok"] is True
    data = bytearray(answer.content)
    for position in range(len(data) // 7, len(data), len(data) // 7):
        data[position] ^= 1
        bundle.write_bytes(data)
        assert not verify(bundle).ok, position
        data[position] ^= 1
    policy = tmp_path / "log.vkey"
    policy.write_bytes(service.client.get("/log/vkey").content)
    bundle.write_bytes(data)
    pinned = verify(bundle, policy=policy)
    assert (pinned.ok, pinned.pinned) == (True, True)


def test_a_second_report_names_the_one_before_it(service: LocalService) -> None:
    before = service.report("tutor@1", formats=("json",))
    after = service.report("tutor@1", formats=("json",))
    assert after["previous"] == before["id"]


def test_a_report_as_of_a_size_says_what_stood_then(service: LocalService) -> None:
    release = service.get("/api/v1/releases/tutor@1")
    report = service.report("tutor@1", formats=("json",), at=release["entry"] + 1)
    assert (report["state"], report["log_size"]) == ("done", release["entry"] + 1)
    early = service.report("tutor@1", formats=("json",), at=release["entry"])
    assert (early["state"], early["error"]["code"]) == ("failed", "not-found")


def test_a_key_builds_once(service: LocalService) -> None:
    body = {"kind": KIND, "subject": "tutor@1", "formats": ["json"]}
    headers = {"Idempotency-Key": "report-1"}
    first = service.post(URL, body, headers=headers)
    assert service.wait(first["status_url"])["state"] == "done"
    size = service.log_size()
    assert service.post(URL, body, headers=headers) == first
    problem = service.post(URL, body | {"formats": ["csv"]}, expect=409, headers=headers)
    assert problem["errors"][0]["field"] == "Idempotency-Key"
    assert service.log_size() == size


def test_a_blocked_release_has_a_report_too(service: LocalService) -> None:
    report = service.report("closed@1", formats=("json",))
    assert report["state"] == "done", report
    outcome = verify(service.data_dir / "reports" / report["id"] / "evidence.zip")
    assert outcome.ok, outcome


BAD = [
    (404, "subject", {"kind": KIND, "subject": "nobody@1"}),
    (404, "subject", {"kind": KIND, "subject": "acme-tutor"}),
    (422, "kind", {"kind": "horoscope", "subject": "tutor@1"}),
    (422, "at", {"kind": KIND, "subject": "tutor@1", "at": 100_000}),
    (422, "at", {"kind": KIND, "subject": "tutor@1", "at": 0}),
    (422, "formats.0", {"kind": KIND, "subject": "tutor@1", "formats": ["docx"]}),
    (422, "formats", {"kind": KIND, "subject": "tutor@1", "formats": []}),
    (422, "subject", {"kind": KIND}),
]


@pytest.mark.parametrize(("status", "field", "body"), BAD, ids=[f"{field}-{n}" for n, (_, field, _) in enumerate(BAD)])
def test_a_bad_request_names_its_field_and_starts_nothing(
    service: LocalService, status: int, field: str, body: dict[str, Any]
) -> None:
    size, reports = service.log_size(), service.get(URL)["reports"]
    problem = service.post(URL, body, expect=status)
    assert problem["errors"][0]["field"] == field
    assert problem["errors"][0]["expected"]
    assert (service.log_size(), service.get(URL)["reports"]) == (size, reports)


def test_what_was_not_built_is_not_found(service: LocalService) -> None:
    identifier = built(service)["id"]
    assert service.client.get(f"{URL}/{identifier}.pdf").status_code == 404
    assert service.client.get(f"{URL}/{identifier}.docx").status_code in {404, 422}
    for path in ("rep_none", "rep_none.json", "rep_none/evidence", "..%2f..%2fkeys%2fpassphrase.json"):
        assert service.client.get(f"{URL}/{path}").status_code == 404, path
