"""The catalogue out of the log: the same one, then and now, and what supersedes what."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlmodel import col, select

from provenance.errors import ConflictError, DigestMismatchError, NotFoundError
from provenance.govern import record_terms
from provenance.runtime import Runtime, open_runtime
from provenance.settings import Settings
from provenance.store.log import get_head
from provenance.store.segment import pack_segment, unpack_segment
from provenance.store.session import read_session, write_session
from provenance.store.tables import ContentSegment, StatementRow
from provenance.terms.catalogue import Catalogue, build_catalogue, load_catalogue
from provenance.terms.recorded import PROVIDER_PREFIX, list_recorded, load_recorded, merge_shipped
from tests.conftest import Clock

SMOLLM = "smollm-apache"


@pytest.fixture
def runtime(tmp_path: Path, database_url: str, clock: Clock) -> Iterator[Runtime]:
    with opened(tmp_path, database_url, clock) as runtime:
        yield runtime


@contextmanager
def opened(tmp_path: Path, url: str, clock: Clock, shipped: Catalogue | None = None) -> Iterator[Runtime]:
    with mock.patch("provenance.runtime.load_catalogue", return_value=shipped or load_catalogue()):
        runtime = open_runtime(Settings(data_dir=tmp_path / "data", database_url=url), clock)
    try:
        yield runtime
    finally:
        runtime.close()


def recorded(runtime: Runtime, log_size: int | None = None) -> Catalogue:
    with read_session(runtime.engine) as session:
        return load_recorded(session, log_size)


def size_of(runtime: Runtime) -> int:
    with read_session(runtime.engine) as session:
        return get_head(session).size


def changed(catalogue: Catalogue, identifier: str, **changes: Any) -> dict[str, Any]:
    return {**catalogue.get(identifier).to_json(), **changes}


def with_shipped(identifier: str, **changes: Any) -> Catalogue:
    """The shipped catalogue with one document that says something else."""
    files = {name: dict(provider.data) for name, provider in load_catalogue().providers.items()}
    for file in files.values():
        file["documents"] = [{**item, **(changes if item["id"] == identifier else {})} for item in file["documents"]]
    return build_catalogue(files)


def test_the_catalogue_out_of_the_log_is_the_one_that_was_loaded(runtime: Runtime) -> None:
    found = recorded(runtime)
    shipped = load_catalogue()
    assert found.digest == runtime.catalogue.digest == shipped.digest
    assert [document.id for document in found.documents] == [document.id for document in shipped.documents]
    assert [document.digest for document in found.documents] == [document.digest for document in shipped.documents]
    assert {name: provider.aliases for name, provider in found.providers.items()} == {
        name: provider.aliases for name, provider in shipped.providers.items()
    }


def test_every_size_keeps_the_catalogue_that_it_had(runtime: Runtime) -> None:
    digests = {size_of(runtime): runtime.catalogue.digest}
    for number in range(3):
        record_terms(runtime, changed(runtime.catalogue, SMOLLM, notes=f"reading {number}"), by="ada")
        digests[size_of(runtime)] = runtime.catalogue.digest
    assert len(set(digests.values())) == 4
    assert {size: recorded(runtime, size).digest for size in digests} == digests
    with pytest.raises(NotFoundError):
        recorded(runtime, 2)


@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_whatever_is_recorded_in_whatever_order_the_log_gives_it_back(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("order")
    names = [SMOLLM, "meta-llama-3.1", "deepseek-mit", "new-one"]
    with opened(folder, f"sqlite:///{folder / 'x.db'}", Clock(datetime(2026, 11, 24, 10, tzinfo=UTC))) as runtime:
        for number, name in enumerate(data.draw(st.lists(st.sampled_from(names), min_size=1, max_size=4))):
            base = name if runtime.catalogue.find(name) else SMOLLM
            value = changed(runtime.catalogue, base, id=name, series=f"own/{name}", notes=f"reading {number}")
            record_terms(runtime, value, by="ada")
            assert recorded(runtime).digest == runtime.catalogue.digest
        with read_session(runtime.engine) as session:
            again = merge_shipped(session, load_catalogue())
        assert (again.catalogue.digest, again.missing) == (runtime.catalogue.digest, {})


def test_what_a_person_recorded_stays_in_force_after_a_restart(tmp_path: Path, database_url: str, clock: Clock) -> None:
    with opened(tmp_path, database_url, clock) as runtime:
        record_terms(runtime, changed(runtime.catalogue, SMOLLM, notes="read again"), by="ada")
        record_terms(runtime, changed(runtime.catalogue, SMOLLM, id="smollm-4", models=["smollm4-*"]), by="ada")
        digest, size = runtime.catalogue.digest, size_of(runtime)
    with opened(tmp_path, database_url, clock) as runtime:
        assert runtime.catalogue.digest == runtime.recorder.catalogue.digest == digest
        assert runtime.catalogue.get(SMOLLM).notes == "read again"
        assert runtime.catalogue.get("smollm-4").models == ("smollm4-*",)
        assert size_of(runtime) == size


def test_a_shipped_file_that_changed_supersedes_what_was_recorded_of_it_and_nothing_else(
    tmp_path: Path, database_url: str, clock: Clock
) -> None:
    with opened(tmp_path, database_url, clock) as runtime:
        record_terms(runtime, changed(runtime.catalogue, SMOLLM, notes="by a person"), by="ada")
        record_terms(runtime, changed(runtime.catalogue, "meta-llama-3.1", notes="by a person"), by="ada")
        record_terms(runtime, changed(runtime.catalogue, SMOLLM, id="smollm-4", models=["smollm4-*"]), by="ada")
        before, size = runtime.catalogue.digest, size_of(runtime)
    with opened(tmp_path, database_url, clock, with_shipped(SMOLLM, notes="shipped anew")) as runtime:
        assert runtime.catalogue.get(SMOLLM).notes == "shipped anew"
        assert runtime.catalogue.get("meta-llama-3.1").notes == "by a person"
        assert runtime.catalogue.find("smollm-4")
        assert size_of(runtime) == size + 1
        assert recorded(runtime).digest == runtime.catalogue.digest
        assert recorded(runtime, size).digest == before


def test_a_new_shipped_document_does_not_drop_one_that_a_person_added(
    tmp_path: Path, database_url: str, clock: Clock
) -> None:
    files = {name: dict(provider.data) for name, provider in load_catalogue().providers.items()}
    file = files["huggingface-smollm"]
    file["documents"] = [*file["documents"], {**file["documents"][0], "id": "smollm-5", "models": ["smollm5-*"]}]
    with opened(tmp_path, database_url, clock) as runtime:
        record_terms(runtime, changed(runtime.catalogue, SMOLLM, id="smollm-4", models=["smollm4-*"]), by="ada")
    with opened(tmp_path, database_url, clock, build_catalogue(files)) as runtime:
        ids = [document.id for document in runtime.catalogue.provider("huggingface-smollm").documents]
        assert ids == [SMOLLM, "smollm-5", "smollm-4"]
        assert recorded(runtime).digest == runtime.catalogue.digest


def test_a_document_that_is_no_longer_shipped_is_not_in_force_and_stays_on_record(
    tmp_path: Path, database_url: str, clock: Clock
) -> None:
    files = {name: dict(provider.data) for name, provider in load_catalogue().providers.items()}
    del files["xai"]["documents"]
    files["xai"]["documents"] = load_catalogue().providers["xai"].data["documents"][:1]
    with opened(tmp_path, database_url, clock) as runtime:
        gone, size = runtime.catalogue.provider("xai").documents[1].id, size_of(runtime)
    smaller = build_catalogue(files)
    with opened(tmp_path, database_url, clock, smaller) as runtime:
        assert runtime.catalogue.digest == smaller.digest == recorded(runtime).digest
        assert runtime.catalogue.find(gone) is None
        assert recorded(runtime, size).find(gone)


def test_words_that_were_altered_beside_the_log_are_noticed(runtime: Runtime) -> None:
    with write_session(runtime.engine) as session:
        index = session.exec(select(StatementRow.index).where(StatementRow.key == SMOLLM)).one()
        query = select(ContentSegment).where(ContentSegment.first_index <= index)
        row = session.exec(query.order_by(col(ContentSegment.first_index).desc())).first()
        assert row is not None
        items = unpack_segment(row.frames)
        items[index - row.first_index] = items[index - row.first_index].replace(b"allowed", b"refused")
        row.frames = pack_segment(items)
    with pytest.raises(DigestMismatchError, match=SMOLLM):
        recorded(runtime)


def test_two_that_record_at_once_stand_on_each_other(runtime: Runtime) -> None:
    def record(number: int) -> None:
        value = changed(runtime.catalogue, SMOLLM, id=f"smollm-{number}", models=[f"smollm{number}-*"])
        record_terms(runtime, value, by="ada")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(record, range(10, 16)))
    assert recorded(runtime).digest == runtime.catalogue.digest
    assert all(runtime.catalogue.find(f"smollm-{number}") for number in range(10, 16))


def test_the_same_words_again_are_a_conflict_and_a_key_is_answered_once(runtime: Runtime) -> None:
    value = changed(runtime.catalogue, SMOLLM, notes="once")
    first = record_terms(runtime, value, by="ada", key="terms_1")
    assert record_terms(runtime, value, by="ada", key="terms_1").first_index == first.first_index
    with pytest.raises(ConflictError):
        record_terms(runtime, value, by="ada")
    with pytest.raises(ConflictError):
        record_terms(runtime, changed(runtime.catalogue, SMOLLM, notes="twice"), by="ada", key="terms_1")
    with read_session(runtime.engine) as session:
        row = list_recorded(session)[SMOLLM]
    assert (row.predicate["recorded_by"], row.predicate["recorded_at"]) == ("ada", "2026-11-24T10:00:00Z")
    assert not row.key.startswith(PROVIDER_PREFIX)
