"""A process whose children die on command: `kill -9` of a writer at a chosen moment of a chosen step.

It opens what is dear once and forks a child for each order, a line of JSON on stdin; the answer is how the child ended.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.faults.scene import Keys, Place, draft_of, open_writer, publish_log, write_acknowledged
from tests.faults.seams import Break, watch

ROOT = Path(__file__).parents[2]
NAMES = [f"new-{number}" for number in range(10)]
KEY = "the-request"


def append_new(place: Place, keys: Keys, at: Any) -> None:
    """What the table of the append breaks: ten samples and their batch, by a writer that must first read the edge."""
    capture, samples = draft_of(keys, NAMES, KEY)
    before = open_writer(place, keys)
    before.sequencer.append(capture)
    before.close()
    log = open_writer(place, keys)
    try:
        with watch(log.engine, place.data_dir, at):
            receipt = log.sequencer.append(samples)
            write_acknowledged(place.data_dir.parent / "acknowledged", receipt.first_index, NAMES)
    finally:
        log.close()


def publish_new(place: Place, keys: Keys, at: Any) -> None:
    """What the table of the publication breaks: a folder that is behind is brought up to the log."""
    log = open_writer(place, keys)
    try:
        with watch(log.engine, place.data_dir, at):
            publish_log(log, place)
    finally:
        log.close()


ACTS = {"append": append_new, "publish": publish_new}


class Victim:
    """The process, from the outside."""

    def __init__(self, data_dir: Path) -> None:
        program = "from tests.faults.victim import main; main()"
        self._process = subprocess.Popen(
            [sys.executable, "-c", program, str(data_dir)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
        )  # fmt: skip

    def run(self, act: str, place: Place, fault: Break) -> Mapping[str, Any]:
        """Let a child do `act` until `fault` kills it; `{"signal": ...}` or `{"exit": ...}`."""
        order = {
            "act": act, "data_dir": str(place.data_dir), "url": place.url,
            "fault": [fault.step, fault.number, fault.moment],
        }  # fmt: skip
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        answer: Mapping[str, Any] = json.loads(self._process.stdout.readline())
        return answer

    def close(self) -> None:
        """End it."""
        self._process.communicate(timeout=60)


def main() -> None:
    """Serve orders until stdin ends."""
    keys = Keys(Path(sys.argv[1]))
    assert keys.catalogue is not None
    for line in sys.stdin:
        order = json.loads(line)
        child = os.fork()
        if child == 0:
            try:
                step, number, moment = order["fault"]
                place = Place(Path(order["data_dir"]), order["url"])
                ACTS[order["act"]](place, keys, Break(step, number, moment, deadly=True))
            finally:
                os._exit(1)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        print(json.dumps({"signal": -status} if status < 0 else {"exit": status}), flush=True)
