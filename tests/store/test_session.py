"""Sessions: one commit or none, one snapshot a reader, one writer at a time; addresses that cannot be used."""

from __future__ import annotations

import threading

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, select

from provenance.errors import SettingsError
from provenance.store.session import make_engine, read_session, write_session
from provenance.store.tables import Dataset, DecisionClass


def _names(session: Session) -> list[str]:
    return sorted(session.exec(select(Dataset.name)).all())


def _add(session: Session, name: str) -> None:
    session.add(Dataset(name=name, first_index=0))
    session.flush()


def test_what_is_written_is_there_for_the_next(engine: Engine) -> None:
    with write_session(engine) as session:
        _add(session, "a")
    with read_session(engine) as session:
        assert _names(session) == ["a"]


@pytest.mark.parametrize("fault", [ValueError, KeyboardInterrupt])
def test_an_error_rolls_everything_back(engine: Engine, fault: type[BaseException]) -> None:
    def work() -> None:
        with write_session(engine) as session:
            _add(session, "a")
            raise fault

    with pytest.raises(fault):
        work()
    with read_session(engine) as session:
        assert _names(session) == []


def test_a_reader_sees_one_snapshot(engine: Engine) -> None:
    with write_session(engine) as session:
        _add(session, "before")
    with read_session(engine) as reader:
        assert _names(reader) == ["before"]
        with write_session(engine) as writer:
            _add(writer, "meanwhile")
        assert _names(reader) == ["before"]
    with read_session(engine) as reader:
        assert _names(reader) == ["before", "meanwhile"]


def test_a_reader_keeps_nothing(engine: Engine) -> None:
    with read_session(engine) as reader:
        if engine.dialect.name == "sqlite":  # PostgreSQL refuses the statement itself
            _add(reader, "never")
    with read_session(engine) as reader:
        assert _names(reader) == []


def test_sqlite_writers_take_turns_from_their_first_statement(sqlite_url: str) -> None:
    engine = make_engine(sqlite_url)
    inside, may_end, second_done = threading.Event(), threading.Event(), threading.Event()

    def first() -> None:
        with write_session(engine) as session:
            _names(session)  # reading alone takes the write lock
            inside.set()
            assert may_end.wait(60)
            _add(session, "first")

    def second() -> None:
        assert inside.wait(60)
        with write_session(engine) as session:
            assert _names(session) == ["first"]  # it began when the first had ended
            _add(session, "second")
        second_done.set()

    threads = [threading.Thread(target=first), threading.Thread(target=second)]
    for thread in threads:
        thread.start()
    assert inside.wait(60)
    assert not second_done.wait(0.2)
    may_end.set()
    for thread in threads:
        thread.join(60)
    assert second_done.is_set()
    engine.dispose()


def test_a_row_cannot_point_to_nothing(engine: Engine) -> None:
    with pytest.raises(IntegrityError), write_session(engine) as session:
        session.add(DecisionClass(decision="dec_0", fact_class_id=1, verdict="deny", samples=1, tokens=1))


def test_sqlite_is_set_up_to_keep_what_it_acknowledged_and_to_forget_what_it_erased(sqlite_url: str) -> None:
    engine = make_engine(sqlite_url)
    expected = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "secure_delete": 1, "page_size": 16384}
    with engine.connect() as connection:
        found = {name: connection.execute(text(f"PRAGMA {name}")).scalar_one() for name in expected}
    assert found == expected
    engine.dispose()


@pytest.mark.parametrize("url", ["", "provenance.db", "mysql://root:secret@host/db", "sqlite+aiosqlite:///x"])
def test_an_address_that_is_not_supported_is_named(url: str) -> None:
    with pytest.raises(SettingsError, match="expected sqlite:///PATH or postgresql://") as caught:
        make_engine(url)
    assert caught.value.errors[0].field == "PROVENANCE_DATABASE_URL"
    assert "secret" not in str(caught.value.errors)


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg"])
def test_postgres_is_reached_by_psycopg(scheme: str) -> None:
    engine = make_engine(f"{scheme}://user@localhost/name")
    assert engine.url.drivername == "postgresql+psycopg"
    engine.dispose()
