"""Two writers on one log, and one of them dies at a step of its append while the other goes on: no fork, nothing lost."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from tests.conftest import ENGINES
from tests.faults.conftest import Base
from tests.faults.scene import Place, check_place, draft_of, open_writer, read_acknowledged
from tests.faults.seams import Break
from tests.faults.table import APPEND, NOTHING
from tests.faults.victim import KEY, NAMES

NewCopy = Callable[[], Place]
STEPS = (
    "read log_head",
    "read log_tile",
    "write entry_segment",
    "write log_head",
    "commit",
    "fsync keys/signed",
    "answer",
)
LEAST = 6  # samples of the other writer before and after each death


class _Other:
    """A writer in this process that appends as long as it is entered; `acknowledged` is index -> `external_id`."""

    def __init__(self, base: Base, place: Place) -> None:
        self.acknowledged: dict[int, str] = {}
        self.failure: Exception | None = None
        self._base, self._place, self._stop = base, place, threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> _Other:
        self._thread.start()
        self.wait_for_more()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(timeout=60)
        if self.failure is not None:
            raise self.failure

    def wait_for_more(self) -> None:
        """Wait until it has been answered some more times."""
        wanted, deadline = len(self.acknowledged) + LEAST, time.monotonic() + 60
        while len(self.acknowledged) < wanted and self.failure is None:
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def _run(self) -> None:
        log = open_writer(self._place, self._base.keys)
        try:
            number = 0
            while not self._stop.is_set():
                names = [f"other-{number}-{at}" for at in range(2)]
                receipts = [
                    log.sequencer.append(draft) for draft in draft_of(self._base.keys, names, f"other-{number}")
                ]
                self.acknowledged |= {receipts[-1].first_index + at: name for at, name in enumerate(names)}
                number += 1
        except Exception as exc:  # noqa: BLE001 - handed to the test
            self.failure = exc
        finally:
            log.close()


@pytest.mark.parametrize("kind", ENGINES)
def test_a_writer_that_dies_beside_another_takes_nothing_with_it(base: Base, new_copy: NewCopy) -> None:
    for row in [row for row in APPEND if row.step in STEPS]:
        place = new_copy()
        with _Other(base, place) as other:
            assert base.victim.run("append", place, Break(row.step, 0, "after")) == {"signal": 9}
            other.wait_for_more()
        acknowledged = read_acknowledged(place.data_dir.parent / "acknowledged")
        found = check_place(place, acknowledged | other.acknowledged)
        kept = [name for name in found.values() if name in NAMES]
        assert kept == ([] if row.after == NOTHING else NAMES), row.step
        log = open_writer(place, base.keys)  # what the dead one was asked for is done once
        again = log.sequencer.append(draft_of(base.keys, NAMES, KEY)[1])
        log.close()
        assert again.replayed == (row.after != NOTHING), row.step
        check_place(place, {again.first_index + at: name for at, name in enumerate(NAMES)} | other.acknowledged)
