"""A disk that is really full: `provenance serve` on a file system of a few megabytes, in a mount space of its own.

The small disk goes with the service's process; nothing stays mounted. Needs `unshare` and the right to use it (Linux).
"""

from __future__ import annotations

import functools
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.faults.scene import Place, check_place, check_published
from tests.service import WAIT_SECONDS, ServiceProcess, make_sample

BALLAST = 4 << 20
# Mounts a disk of $1 bytes at $2, copies $3 onto it if that is a folder, adds the ballast, and becomes the command.
ON_A_SMALL_DISK = (
    'mount -t tmpfs -o "size=$1" none "$2" && if [ -d "$3" ]; then cp -a "$3/." "$2/"; fi '
    f'&& head -c {BALLAST} /dev/zero > "$2/.ballast" && shift 3 && exec "$@"'
)
APART = ("unshare", "--map-root-user", "--mount", "sh", "-c", ON_A_SMALL_DISK, "sh")

pytestmark = pytest.mark.slow


@functools.cache
def _cannot_mount() -> str | None:
    if shutil.which("unshare") is None:
        return "there is no `unshare`"
    done = subprocess.run([*APART, str(2 * BALLAST), "/mnt", "", "true"], capture_output=True, text=True, check=False)
    return None if done.returncode == 0 else f"no file system can be mounted here: {done.stderr.strip()}"


class SmallDisk(ServiceProcess):
    """A service whose `full` folder lies on a disk of `size` bytes."""

    def __init__(self, data_dir: Path, full: Path, size: int, source: Path) -> None:
        super().__init__(data_dir)
        self.full = full
        self.prefix = (*APART, str(size), str(full), str(source))

    def inside(self, path: Path) -> Path:
        """A path as the service sees it."""
        assert self.process is not None
        return Path(f"/proc/{self.process.pid}/root{path}")

    def make_room(self) -> None:
        """Delete the ballast."""
        self.inside(self.full / ".ballast").unlink()

    def send(self, number: int) -> httpx.Response:
        """Send request `number`: a batch of samples whose words do not compress."""
        samples = [
            make_sample(at, external_id=f"{number}/{at}") | {"completion": _noise(number, at)} for at in range(10)
        ]
        headers = {"Idempotency-Key": f"request-{number}"}
        answer: httpx.Response = self.client.post("/api/v1/samples", json=samples, headers=headers)
        return answer


def _noise(number: int, at: int) -> str:
    import random

    return random.Random(number * 1000 + at).randbytes(4000).hex()  # noqa: S311 - no secret


@pytest.fixture
def start(world: Path, tmp_path: Path) -> Iterator[Callable[..., SmallDisk]]:
    """Starts a service with a small disk under its data directory, or under `log` in it."""
    if reason := _cannot_mount():
        pytest.skip(reason)
    started: list[SmallDisk] = []

    def begin(below: str, size: int) -> SmallDisk:
        source = Path(shutil.copytree(world, tmp_path / "source"))
        if below == "log":
            service = SmallDisk(source, source / "log", size, tmp_path / "none")
        else:
            disk = tmp_path / "disk"
            disk.mkdir()
            service = SmallDisk(disk, disk, size, source)
        service.token = ServiceProcess(source).make_token("test")
        started.append(service)
        service.start()
        return service

    yield begin
    for service in started:
        service.close()


def _wait_for(condition: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + WAIT_SECONDS
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return found


def _fill(service: SmallDisk, until: Callable[[httpx.Response], bool]) -> dict[int, httpx.Response]:
    answers: dict[int, httpx.Response] = {}
    for number in range(200):
        answers[number] = service.send(number)
        if until(answers[number]):
            return answers
    raise AssertionError("the disk did not fill")


def _acknowledged(answers: dict[int, httpx.Response]) -> dict[int, str]:
    return {
        answer.json()["first_index"] + at: f"{number}/{at}"
        for number, answer in answers.items()
        if answer.status_code == 201
        for at in range(10)
    }


def test_a_full_disk_under_the_database_refuses_and_loses_nothing(
    start: Callable[..., SmallDisk], tmp_path: Path
) -> None:
    service = start("data", 12 << 20)
    answers = _fill(service, lambda answer: answer.status_code != 201)
    first = max(answers)
    for number in range(first + 1, first + 4):  # it stays so, and says so each time
        answers[number] = service.send(number)
    refused = [number for number, answer in answers.items() if answer.status_code != 201]
    for number in refused:
        assert answers[number].status_code == 503, answers[number].text
        said = answers[number].json()["detail"]
        assert "make room on its disk, then send the request again" in said, said
        assert "INSERT" not in said
    assert service.get(f"/api/v1/log/entries/{min(_acknowledged(answers))}")  # what is there can be read
    service.make_room()
    for number in refused:  # without another start
        answers[number] = service.send(number)
        assert answers[number].status_code == 201, answers[number].text
    _wait_for(lambda: service.client.get("/readyz").status_code == 200)
    size = service.log_size()
    _wait_for(lambda: check_published(service.inside(service.full / "log")) == size)
    assert service.process is not None
    service.process.send_signal(signal.SIGSTOP)  # nobody writes while the files are copied
    copy = Path(shutil.copytree(service.inside(service.full), tmp_path / "copy"))
    service.kill()
    place = Place(copy, f"sqlite:///{copy / 'provenance.db'}")
    check_place(place, _acknowledged(answers))
    assert check_published(place.published) == size


def test_a_full_disk_under_the_published_files_stops_no_append(start: Callable[..., SmallDisk]) -> None:
    service = start("log", 6 << 20)
    answers = _fill(service, lambda _: service.client.get("/readyz").status_code == 503)
    said = service.client.get("/readyz").json()["detail"]
    assert "the log cannot be published" in said
    assert "No space left on device" in said
    answers[len(answers)] = service.send(len(answers))
    assert {answer.status_code for answer in answers.values()} == {201}
    assert check_published(service.inside(service.full)) < service.log_size()  # what is published is whole, and older
    service.make_room()
    size = service.log_size()
    _wait_for(lambda: service.client.get("/readyz").status_code == 200)
    _wait_for(lambda: check_published(service.inside(service.full)) == size)
    service.kill()
    place = Place(service.data_dir, f"sqlite:///{service.data_dir / 'provenance.db'}")
    check_place(place, _acknowledged(answers))
