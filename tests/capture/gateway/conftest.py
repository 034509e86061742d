"""A gateway over a teacher's server and a log that can refuse."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from provenance.capture.gateway import Gateway
from tests.capture.gateway.parts import NOW, Log, write_file
from tests.capture.gateway.upstream_server import Teacher, run_teacher


@pytest.fixture
def teacher() -> Iterator[Teacher]:
    with run_teacher() as running:
        yield running


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def gateway(tmp_path: Path, teacher: Teacher, log: Log) -> Iterator[Gateway]:
    write_file(tmp_path, base_url=teacher.url)
    gateway = Gateway(tmp_path / "gateway.yaml", log.record, lambda: NOW, 5.0, 1_000_000)
    yield gateway
    gateway.close()
