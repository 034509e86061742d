from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.archive_repository import CLAUSES, ArchiveRepository, make_terms
from tests.cli.inprocess import run_command, run_json

pytestmark = pytest.mark.slow
CHANGED = CLAUSES[3].replace("with us", "with us or our partners")


@pytest.fixture
def archive(tmp_path: Path) -> ArchiveRepository:
    repository = ArchiveRepository(tmp_path / "archive")
    repository.record(make_terms(), subject="First record of")
    repository.record(make_terms(*CLAUSES[:3], CHANGED, head="Effective: January 16, 2026"))
    return repository


def test_from_bundle_to_an_empty_list_of_what_waits(archive: ArchiveRepository, tmp_path: Path) -> None:
    data, bundle = tmp_path / "data", str(archive.bundle())
    dry = run_json("import", "ota", bundle, "--dry-run", data_dir=data)
    assert (dry["versions"], dry["passages"], dry["recorded"]) == (2, 1, 0)
    assert not (data / "terms").exists()
    made = run_json("import", "ota", bundle, data_dir=data)
    assert (made["recorded"], made["new_texts"], made["unknown_documents"]) == (1, 2, 0)
    again = run_json("import", "ota", bundle, data_dir=data)
    assert (again["recorded"], again["new_texts"], again["entry"]) == (0, 0, made["entry"])

    [passage] = run_json("terms", "review", "list", data_dir=data)
    assert (passage["old"], passage["new"]) == (CLAUSES[3], CHANGED)
    assert CHANGED in run_command("terms", "review", "list", data_dir=data).stdout
    run_json("terms", "review", "mark", passage["id"], "--reason", "read", data_dir=data)
    assert run_json("terms", "review", "list", data_dir=data) == []
    assert len(run_json("terms", "review", "list", "--all", data_dir=data)) == 1

    for subject in ("openai", "ChatGPT", "openai-consumer-eu-2026-01-16"):
        rows = run_json("terms", "history", subject, data_dir=data)
        assert "openai-consumer-eu-2026-01-16" in rows[-1]["beside"]
    assert run_command("terms", "history", "nobody", data_dir=data).returncode == 4
    assert run_command("log", "verify", data_dir=data).returncode == 0


def test_a_bad_archive_ends_with_3_and_records_nothing(archive: ArchiveRepository, tmp_path: Path) -> None:
    data, bundle = tmp_path / "data", archive.bundle()
    bundle.write_bytes(bundle.read_bytes()[:-40])
    done = run_command("import", "ota", str(bundle), "--json", data_dir=data)
    assert done.returncode == 3
    assert json.loads(done.stdout)["errors"][0]["field"] == "path"
    assert "error:" in done.stderr
    assert not (data / "provenance.db").exists()
    assert not (data / "terms").exists()
    assert run_command("import", "ota", str(tmp_path / "nowhere"), data_dir=data).returncode == 4
