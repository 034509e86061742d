"""The ground of the other tests holds: the network is shut, databases are fresh, missing tools are named."""

from __future__ import annotations

import os
import socket
import sys
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import inspect, text

from tests import conftest

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from tests.conftest import Clock


def test_a_name_outside_this_machine_is_not_looked_up() -> None:
    with pytest.raises(BaseException, match="tests talk to this machine only"):
        socket.getaddrinfo("teacher.invalid", 443)


@pytest.mark.parametrize("address", [("192.0.2.1", 443), ("10.0.0.1", 80), ("2001:db8::1", 443, 0, 0)])
def test_an_address_outside_this_machine_is_refused(address: tuple[object, ...]) -> None:
    with socket.socket() as unused, pytest.raises(BaseException, match="tests talk to this machine only"):
        sys.audit("socket.connect", unused, address)  # what CPython raises before it connects


def test_loopback_is_open() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        assert client.getpeername() == server.getsockname()


def test_a_test_has_a_data_directory_of_its_own(tmp_path: Path) -> None:
    assert Path(os.environ["PROVENANCE_DATA_DIR"]).is_relative_to(tmp_path)


@pytest.mark.parametrize("round_number", [1, 2])
def test_a_database_is_migrated_and_fresh(engine: Engine, round_number: int) -> None:
    with engine.begin() as connection:
        assert inspect(connection).has_table("alembic_version")
        assert not inspect(connection).has_table("left_behind")
        connection.execute(text("CREATE TABLE left_behind (id INTEGER)"))


def test_the_other_database_is_a_real_postgresql(postgres_url: str) -> None:
    from provenance.store.session import make_engine

    engine = make_engine(postgres_url)
    with engine.connect() as connection:
        assert connection.execute(text("SHOW server_version_num")).scalar_one() >= "180000"
    engine.dispose()


def test_an_empty_database_has_no_tables(empty_database_url: str) -> None:
    from provenance.store.session import make_engine

    engine = make_engine(empty_database_url)
    assert inspect(engine).get_table_names() == []
    engine.dispose()


def test_a_fixture_that_needs_a_tool_brings_its_marker(request: pytest.FixtureRequest, chromium_path: str) -> None:
    assert request.node.get_closest_marker("browser")
    assert os.access(chromium_path, os.X_OK)


def test_a_tool_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conftest, "find_chromium", lambda: None)
    assert conftest.TOOLS["browser"]() == "Chromium is not installed; CHROMIUM may name it"


def test_the_clock_moves_only_when_told(clock: Clock) -> None:
    start = clock()
    assert clock() == start
    assert clock.advance(minutes=5) - start == timedelta(minutes=5)
    assert start.tzinfo is not None
