"""A base log on each engine, made once a module, and copies of it for the faults."""

from __future__ import annotations

import itertools
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.faults.scene import Keys, Place, copy_files, make_base
from tests.faults.victim import Victim
from tests.postgres import PostgresCluster
from tests.service import world  # noqa: F401  # fixture

MEMORY = Path("/dev/shm")  # noqa: S108 - of Linux; folders of a random name are made in it
_numbers = itertools.count()


@dataclass
class Base:
    """The log that is copied, its keys, and a process whose children die."""

    place: Place
    keys: Keys
    victim: Victim
    cluster: PostgresCluster | None
    steps: Counter[str] = field(default_factory=Counter)  # of what the module breaks, each with how often it comes
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


MakeOnce = Callable[[str], Base]


@pytest.fixture(scope="module")
def make_once(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MakeOnce]:
    """Gives the base of a module on an engine. A fixture with a parameter would be made anew for each row of a table."""
    made: dict[str, Base] = {}

    def make(kind: str) -> Base:
        if kind not in made:
            data_dir = tmp_path_factory.mktemp("faults") / "data"
            cluster: PostgresCluster | None = None
            url = f"sqlite:///{data_dir / 'provenance.db'}"
            if kind == "postgres":
                cluster = request.getfixturevalue("postgres_cluster")
                url = cluster.create_database("fault_base")
            place = Place(data_dir, url)
            make_base(place)
            made[kind] = Base(place, Keys(data_dir), Victim(data_dir), cluster)
        return made[kind]

    yield make
    for base in made.values():
        base.victim.close()
        base.drop_copies()
        if base.cluster is not None:
            base.cluster.drop_database("fault_base")


@pytest.fixture
def base(kind: str, make_once: MakeOnce) -> Iterator[Base]:
    """The base on the engine that the test's parameter `kind` names; its copies go after each test."""
    found = make_once(kind)
    yield found
    found.drop_copies()


@pytest.fixture
def new_copy(base: Base) -> Iterator[Callable[[], Place]]:
    """Makes copies, each in a folder of its own; in memory where it can be, as every step of these tests syncs a file."""
    with tempfile.TemporaryDirectory(prefix="provenance-faults-", dir=MEMORY if MEMORY.is_dir() else None) as folder:
        yield lambda: base.copy(Path(folder) / str(next(_numbers)))
