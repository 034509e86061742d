"""A writer that dies at any moment, or whose disk is full, loses nothing that it had acknowledged."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from provenance.attestation.envelope import parse_entry
from provenance.ledger.publish import publish
from provenance.store.session import read_session
from tests.store.logs import check_log, open_log

ROOT = Path(__file__).parents[2]

# Forks a writer again and again and kills it in the middle of its work. The writer names what was acknowledged in a file,
# after the receipt and before the next request of that thread.
KILLED_WRITERS = """
import os, random, signal, sys, threading, time
from pathlib import Path
from provenance.ledger.append import make_draft
from tests.store.logs import open_log

url, folder, acknowledged, kills = sys.argv[1], Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])

def write(round_number):
    log = open_log(url, folder)
    out = os.open(acknowledged, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    def work(thread):
        for number in range(10**9):
            names = [f"{round_number}/{thread}/{number}/{part}" for part in range(1 + number % 3)]
            receipt = log.sequencer.append(make_draft([log.access(name) for name in names]))
            os.write(out, "".join(f"{receipt.first_index + at} {name}\\n" for at, name in enumerate(names)).encode())
    for thread in range(4):
        threading.Thread(target=work, args=(thread,), daemon=True).start()
    time.sleep(600)

def size():
    return os.path.getsize(acknowledged) if os.path.exists(acknowledged) else 0

moments = random.Random(7)
for round_number in range(kills):
    before = size()
    child = os.fork()
    if child == 0:
        try:
            write(round_number)
        finally:
            os._exit(1)
    deadline = time.monotonic() + 60
    while round_number % 5 and size() == before and time.monotonic() < deadline:  # each fifth dies while it starts
        time.sleep(0.005)
    time.sleep(moments.random() * 0.2)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL, "the writer ended by itself"
"""


def _run(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.run(command, check=False, timeout=240, capture_output=True, text=True, cwd=ROOT)


@pytest.mark.slow
def test_a_killed_writer_loses_nothing_and_does_nothing_twice(database_url: str, tmp_path: Path) -> None:
    folder, acknowledged = tmp_path / "keys", tmp_path / "acknowledged"
    open_log(database_url, folder).close()
    done = _run(KILLED_WRITERS, database_url, str(folder), str(acknowledged), "20")
    assert (done.returncode, done.stderr) == (0, "")
    log = open_log(database_url, folder)
    log.append("after")  # a new append works, and checks the tiles against the head
    targets = [parse_entry(entry).predicate["target"] for entry in check_log(log.engine, log.ring)]
    answers = [line.split(" ") for line in acknowledged.read_text().splitlines()]
    assert {answer[1].split("/")[0] for answer in answers} >= {str(number) for number in range(20) if number % 5}
    for index, target in answers:
        assert targets[int(index)] == target
    assert len(set(targets)) == len(targets)
    last = log.sign_once.last()
    assert last is not None
    assert last[0] == len(targets)
    log.close()


# A limit on the size of its files is as good as a full disk: the write itself fails, in the database or beside it.
FULL_DISK = """
import resource, sys
from pathlib import Path
from provenance.errors import UnavailableError
from provenance.ledger.publish import publish
from provenance.store.session import read_session
from tests.store.logs import open_log

url, folder, published = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
log = open_log(url, folder)
log.append("first")
with read_session(log.engine) as session:
    publish(session, published, log.ring.vkey_lines)
hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[4]), hard))
acknowledged, refused = [(0, "first")], 0
for number in range(400):
    try:
        acknowledged.append((log.append(f"{number}", "x" * 20_000).first_index, f"{number}"))
    except UnavailableError as exc:
        refused += 1
        message = str(exc)
        if refused == 3:
            break
try:
    with read_session(log.engine) as session:
        publish(session, published, log.ring.vkey_lines)
except OSError as exc:
    print("publish:", exc.errno)
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
acknowledged.append((log.append("room again").first_index, "room again"))
log.close()
print("refused:", refused, message)
for index, name in acknowledged:
    print(index, name)
"""


@pytest.mark.parametrize("limit", [300_000, 1_000_000])
def test_a_full_disk_refuses_appends_and_loses_nothing(sqlite_url: str, tmp_path: Path, limit: int) -> None:
    folder, published = tmp_path / "keys", tmp_path / "log"
    open_log(sqlite_url, folder).close()
    done = _run(FULL_DISK, sqlite_url, str(folder), str(published), str(limit))
    assert (done.returncode, done.stderr) == (0, "")
    said = [line for line in done.stdout.splitlines() if not line[0].isdigit()]
    answers = [line.split(" ", 1) for line in done.stdout.splitlines() if line[0].isdigit()]
    assert any(
        line.startswith("refused: 3 the database did not take the entries, nothing was changed") for line in said
    )
    log = open_log(sqlite_url, folder)
    targets = [parse_entry(entry).predicate["target"] for entry in check_log(log.engine, log.ring)]
    for index, target in answers:
        assert targets[int(index)] == target
    assert len(targets) == 2 * (len(answers) - 2) + 2  # what was refused is not there
    with read_session(log.engine) as session:
        assert publish(session, published, log.ring.vkey_lines) == len(targets)
    log.close()
