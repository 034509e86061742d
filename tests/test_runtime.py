from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest
from pydantic import SecretStr
from sqlalchemy import delete
from sqlmodel import select

from provenance.canonical import sha256_digest
from provenance.capture.sample import parse_samples
from provenance.errors import ConflictError, LedgerForkError, SettingsError
from provenance.runtime import Runtime, open_runtime, utc_now
from provenance.settings import Settings, prepare_data_dir
from provenance.store.log import get_head
from provenance.store.session import read_session, write_session
from provenance.store.tables import LineageEdge, LineageNode, StatementRow
from tests.service import make_sample


@contextmanager
def opened(data_dir: Path, **settings: Any) -> Iterator[Runtime]:
    runtime = open_runtime(Settings(data_dir=data_dir, **settings))
    try:
        yield runtime
    finally:
        runtime.close()


def size_of(runtime: Runtime) -> int:
    with read_session(runtime.engine) as session:
        return get_head(session).size


def test_a_fresh_directory_gets_keys_a_log_its_terms_and_its_policy(tmp_path: Path) -> None:
    with opened(tmp_path / "data") as runtime, read_session(runtime.engine) as session:
        rows = list(session.exec(select(StatementRow)))
    kinds = [row.kind for row in sorted(rows, key=lambda row: row.index)]
    assert kinds[0] == "key"
    assert kinds.count("terms") == len(runtime.catalogue.documents) + len(runtime.catalogue.providers)
    assert kinds.count("policy") == 1
    assert {row.predicate["purpose"] for row in rows if row.kind == "key"} >= {
        "authority",
        "log",
        "collector",
        "release",
    }
    assert (tmp_path / "data" / "log" / "checkpoint").exists()


def test_opening_again_logs_nothing_again(tmp_path: Path) -> None:
    sizes = []
    for _ in range(2):
        with opened(tmp_path / "data") as runtime:
            sizes.append(size_of(runtime))
    assert sizes[0] == sizes[1]


def test_what_is_private_is_for_its_owner_alone(tmp_path: Path) -> None:
    with opened(tmp_path / "data") as runtime:
        runtime.folder("releases")
    for path in (tmp_path / "data", tmp_path / "data" / "keys", tmp_path / "data" / "releases"):
        assert path.stat().st_mode & 0o077 == 0, path
    assert (tmp_path / "data" / "keys" / "passphrase").stat().st_mode & 0o077 == 0


def test_two_that_open_a_fresh_directory_together_make_one_set_of_keys(tmp_path: Path) -> None:
    found: list[Runtime] = []
    threads = [
        threading.Thread(target=lambda: found.append(open_runtime(Settings(data_dir=tmp_path / "data"))))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    try:
        assert len({tuple(runtime.ring.vkey_lines) for runtime in found}) == 1
        assert size_of(found[0]) == size_of(found[1])
    finally:
        for runtime in found:
            runtime.close()


def test_many_that_prepare_one_directory_do_not_stumble_over_each_other(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    troubles: list[str] = []

    def prepare() -> None:
        for _ in range(500):
            try:
                prepare_data_dir(folder)
            except SettingsError as exc:
                troubles.append(exc.detail)

    threads = [threading.Thread(target=prepare) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert troubles == []
    assert list(folder.iterdir()) == []


def test_a_statement_under_a_key_is_appended_once(tmp_path: Path) -> None:
    with opened(tmp_path / "data") as runtime:

        def say(name: str) -> Any:
            facts = {"name": name}
            predicate = {"id": "stu_1", "facts": facts, "digest": sha256_digest(name.encode())}
            return runtime.append("student", predicate, once=("stu_1", facts))

        first = say("a")
        size = size_of(runtime)
        again = say("a")
        assert (again.first_index, again.replayed) == (first.first_index, True)
        with pytest.raises(ConflictError):
            say("b")
        assert size_of(runtime) == size


def test_a_stale_backup_is_refused_before_anything_is_signed(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    with opened(data_dir):
        pass
    shutil.copy(data_dir / "provenance.db", tmp_path / "backup.db")
    with opened(data_dir) as runtime:
        runtime.append_access("ada", "test", "nothing")
    for name in ("provenance.db", "provenance.db-wal", "provenance.db-shm"):
        (data_dir / name).unlink(missing_ok=True)
    shutil.copy(tmp_path / "backup.db", data_dir / "provenance.db")
    with pytest.raises(LedgerForkError):
        open_runtime(Settings(data_dir=data_dir))


def test_keys_open_with_their_passphrase_only(tmp_path: Path) -> None:
    with opened(tmp_path / "data", key_passphrase=SecretStr("right horse")):
        pass
    assert not (tmp_path / "data" / "keys" / "passphrase").exists()
    with pytest.raises(SettingsError):
        open_runtime(Settings(data_dir=tmp_path / "data", key_passphrase=SecretStr("wrong horse")))


def test_a_data_directory_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError) as caught:
        open_runtime(Settings(data_dir=tmp_path / "file" / "data"))
    assert caught.value.errors[0].field == "PROVENANCE_DATA_DIR"


def test_the_origin_is_read_when_the_log_is_made(tmp_path: Path) -> None:
    with opened(tmp_path / "data", origin="log.example/1") as runtime:
        assert runtime.ring.origin == "log.example/1"
    with opened(tmp_path / "data", origin="log.example/2") as runtime:
        assert runtime.ring.origin == "log.example/1"


def test_the_service_opens_without_the_training_packages(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules.update(dict.fromkeys(('torch', 'trl', 'transformers', 'peft')))\n"
        "from pathlib import Path; from provenance.runtime import open_runtime; from provenance.settings import Settings\n"
        "import provenance.api.app, provenance.jobs.workflows\n"
        f"open_runtime(Settings(data_dir=Path({str(tmp_path / 'data')!r}))).close()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env=os.environ.copy(),
        cwd=Path(__file__).resolve().parents[1],
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_an_index_of_before_the_lineage_is_made_again_when_it_is_opened(
    database_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with opened(tmp_path / "data", database_url=database_url) as runtime:
        body = orjson.dumps([make_sample(number) for number in range(3)])
        samples = parse_samples(body, now=utc_now(), lines=False)
        runtime.recorder.record(samples, source="api")
        with write_session(runtime.engine) as session:
            before = session.exec(select(LineageNode.kind, LineageNode.key, LineageNode.samples)).all()
            session.execute(delete(LineageEdge))
            session.execute(delete(LineageNode))
    with opened(tmp_path / "data", database_url=database_url) as runtime, read_session(runtime.engine) as session:
        assert session.exec(select(LineageNode.kind, LineageNode.key, LineageNode.samples)).all() == before
        assert before
    assert "made again" in caplog.text
    caplog.clear()
    with opened(tmp_path / "data", database_url=database_url):
        assert "made again" not in caplog.text
