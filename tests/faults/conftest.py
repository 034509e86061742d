"""A base log on each engine, made once a module, and copies of it for the faults."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.faults.scene import Keys, Place, copy_files, make_base
from tests.faults.victim import Victim
from tests.postgres import PostgresCluster

_numbers = itertools.count()


@dataclass
class Base:
    """The log that is copied, its keys, and a process whose children die."""

    place: Place
    keys: Keys
    victim: Victim
    cluster: PostgresCluster | None
    _copies: list[str] = field(default_factory=list)

    @property
    def on_postgres(self) -> bool:
        """Whether its database is a server's."""
        return self.cluster is not None

    def copy(self, folder: Path) -> Place:
        """A copy in `folder`, which is to be new."""
        data_dir = copy_files(self.place, folder / "data")
        if self.cluster is None:
            return Place(data_dir, f"sqlite:///{data_dir / 'provenance.db'}")
        name = f"fault_{next(_numbers)}"
        self._copies.append(name)
        return Place(data_dir, self.cluster.create_database(name, template="fault_base"))

    def drop_copies(self) -> None:
        """Let go of the copies on the server; files go with the test's folder."""
        while self._copies and self.cluster is not None:
            self.cluster.drop_database(self._copies.pop())


@pytest.fixture(scope="module")
def whole_base(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Base]:
    """The base of a module on the engine that its parameter names."""
    data_dir = tmp_path_factory.mktemp("faults") / "data"
    cluster: PostgresCluster | None = None
    url = f"sqlite:///{data_dir / 'provenance.db'}"
    if request.param == "postgres":
        cluster = request.getfixturevalue("postgres_cluster")
        url = cluster.create_database("fault_base")
    place = Place(data_dir, url)
    make_base(place)
    base = Base(place, Keys(data_dir), Victim(data_dir), cluster)
    yield base
    base.victim.close()
    base.drop_copies()
    if cluster is not None:
        cluster.drop_database("fault_base")


@pytest.fixture
def base(whole_base: Base) -> Iterator[Base]:
    """The base; its copies go after each test."""
    yield whole_base
    whole_base.drop_copies()


@pytest.fixture
def new_copy(base: Base, tmp_path: Path) -> Callable[[], Place]:
    """Makes copies, each in a folder of its own."""
    return lambda: base.copy(tmp_path / str(next(_numbers)))
