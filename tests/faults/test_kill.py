"""`kill -9` of `provenance serve` at random moments under load: while it captures, while it publishes, while it starts.

A few by default; `KILLS=200` makes it 200, `SEED` repeats a run. After each kill, with the service dead: the log verifies
whole, each sample that was acknowledged is there, none is there twice, and what is published verifies by itself.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from sqlalchemy import inspect

from provenance.store.log import find_head
from provenance.store.session import make_engine, read_session
from tests.conftest import ENGINES
from tests.faults.scene import Place, check_place, check_published, read_acknowledged
from tests.postgres import PostgresCluster
from tests.service import ROOT, ServiceProcess, make_sample

KILLS = int(os.environ.get("KILLS", "8"))
SEED = int(os.environ.get("SEED", "0")) or random.SystemRandom().randrange(1, 1 << 32)
CHAIN = 10  # kills of one log, then another begins
PIPELINES = 3
MOMENTS = ("load", "load", "load", "publication", "start")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(60 + 30 * KILLS)]


@dataclass
class Load:
    """Pipelines that send batches until the service is gone; what was not acknowledged they send again, by its key."""

    acknowledged: Path
    dice: random.Random
    numbers: dict[str, int] = field(default_factory=dict)  # key -> how many samples the request has
    open: set[str] = field(default_factory=set)
    lock: threading.Lock = field(default_factory=threading.Lock)
    answers: int = 0

    def run_until(self, service: ServiceProcess, end: Callable[[], None]) -> None:
        """Send until `end` has returned; it ends the service."""
        threads = [threading.Thread(target=self._send, args=(service,)) for _ in range(PIPELINES)]
        for thread in threads:
            thread.start()
        try:
            end()
        finally:
            service.kill()
            for thread in threads:
                thread.join(timeout=60)

    def _next(self) -> str:
        with self.lock:
            if self.open and self.dice.random() < 0.5:
                return self.open.pop()
            key = f"request-{len(self.numbers)}"
            self.numbers[key] = self.dice.randint(1, 12)
            return key

    def _send(self, service: ServiceProcess) -> None:
        with httpx.Client(base_url=service.client.base_url, headers=service.client.headers, timeout=60) as client:
            while True:
                key = self._next()
                names = [f"{key}/{number}" for number in range(self.numbers[key])]
                samples = [make_sample(number, external_id=name) for number, name in enumerate(names)]
                try:
                    answer = client.post("/api/v1/samples", json=samples, headers={"Idempotency-Key": key})
                except httpx.HTTPError:
                    with self.lock:
                        self.open.add(key)
                    return
                assert answer.status_code == 201, answer.text
                first = answer.json()["first_index"]
                with self.lock, self.acknowledged.open("a") as file:
                    file.write("".join(f"{first + at} {name}\n" for at, name in enumerate(names)))
                    self.answers += 1


@pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("kind", ENGINES)
def test_kills_at_random_moments_lose_nothing(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    cluster = request.getfixturevalue("postgres_cluster") if kind == "postgres" else None
    dice = random.Random(f"{SEED} {kind}")  # noqa: S311 - repeatable, and no secret
    print(f"SEED={SEED} KILLS={KILLS}: {(KILLS + 1) // 2} of them on {kind}")
    killed: dict[str, int] = dict.fromkeys(MOMENTS, 0)
    totals = [0, 0]
    for chain in range(0, (KILLS + 1) // 2, CHAIN):
        rounds = min(CHAIN, (KILLS + 1) // 2 - chain)
        for number, samples in enumerate(_run_chain(tmp_path / str(chain), rounds, dice, cluster, killed)):
            totals[number] += samples
        print(
            f"{kind}: {sum(killed.values())} kills, {totals[0]} samples acknowledged, {totals[1]} in the logs",
            flush=True,
        )
    print(f"{kind}: kills {killed}, {totals[0]} samples acknowledged, {totals[1]} in the logs")
    assert sum(killed.values()) == (KILLS + 1) // 2


def _run_chain(
    folder: Path, rounds: int, dice: random.Random, cluster: PostgresCluster | None, killed: dict[str, int]
) -> tuple[int, int]:
    """Kill one log's service again and again; how many samples were acknowledged, and how many are there."""
    folder.mkdir()
    data_dir, name = folder / "data", f"kill_{folder.name}"
    url = cluster.create_database(name) if cluster else f"sqlite:///{data_dir / 'provenance.db'}"
    place = Place(data_dir, url)
    service = ServiceProcess(data_dir, PROVENANCE_DATABASE_URL=url)
    load = Load(folder / "acknowledged", dice)
    try:
        for _ in range(rounds):
            moment = dice.choice(MOMENTS)
            _kill(service, load, moment, dice)
            killed[moment] += 1
            _check(place, load)
        service.start()  # what was not acknowledged is sent once more, and all is there once
        load.run_until(service, lambda: _wait_for(lambda: not load.open))
        found = _check(place, load, rows=True)
        _verify_by_command(place)
        assert len(found) >= sum(1 for _ in read_acknowledged(load.acknowledged))
        return len(read_acknowledged(load.acknowledged)), len(found)
    finally:
        service.close()
        if cluster is not None:
            cluster.drop_database(name)


def _kill(service: ServiceProcess, load: Load, moment: str, dice: random.Random) -> None:
    if moment == "start":
        service.spawn()
        time.sleep(dice.uniform(0.2, 4.0))
        service.kill()
        return
    service.start()
    before = load.answers
    if moment == "load":
        load.run_until(service, lambda: time.sleep(dice.uniform(0.0, 1.0)))
        return

    def wait_for_a_file() -> None:
        _wait_for(lambda: load.answers > before and _is_publishing(service.data_dir / "log"), pause=0.0005)
        time.sleep(dice.choice((0.0, 0.0, dice.uniform(0, 0.02))))

    load.run_until(service, wait_for_a_file)


def _is_publishing(folder: Path) -> bool:
    """Whether a file is being written that does not have its name yet."""
    seen = [*folder.iterdir(), *(folder / "tile").rglob(".*")] if folder.exists() else []
    return any(path.name.startswith(".") and not path.name.startswith(".published") for path in seen)


def _wait_for(condition: Callable[[], bool], pause: float = 0.02) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(pause)


def _check(place: Place, load: Load, *, rows: bool = False) -> dict[int, str]:
    acknowledged = read_acknowledged(load.acknowledged)
    if not _has_log(place):
        assert not acknowledged
        return {}  # it died before it had made the log
    check_published(place.published)
    return check_place(place, acknowledged, rows=rows)


def _has_log(place: Place) -> bool:
    if not (place.data_dir / "keys" / "signed").exists():
        return False
    engine = make_engine(place.url)
    try:
        with read_session(engine) as session:
            return inspect(engine).has_table("log_head") and find_head(session) is not None
    finally:
        engine.dispose()


def _verify_by_command(place: Place) -> None:
    environment = {**os.environ, "PROVENANCE_DATA_DIR": str(place.data_dir), "PROVENANCE_DATABASE_URL": place.url}
    command = [sys.executable, "-m", "provenance", "log", "verify", "--json"]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)["ok"]
