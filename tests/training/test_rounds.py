from __future__ import annotations

import math
import pickle
import threading
import time
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from provenance.canonical import canonical_bytes, sha256_digest
from provenance.errors import MalformedError
from provenance.training.rounds import (
    MAX_ROUND_BYTES,
    ROUNDS,
    Answer,
    Round,
    RoundStopError,
    Written,
    find_answer,
    format_round,
    list_waiting,
    parse_round,
    submit_round,
    write_answer,
)

IDS = "sha256:" + "1" * 64
ROUND = Round(3, 1.0, [Written(7, "a heron", 3, 4.25, IDS)])


def folders(tmp_path: Path) -> tuple[Path, Path]:
    (tmp_path / "out").mkdir()
    return tmp_path / "out", tmp_path / "answers"


def submit(tmp_path: Path, said: Round = ROUND, *, reason: str | None = None, patience: float = 0.2) -> Answer:
    return submit_round(tmp_path / "out", tmp_path / "answers", said, stop=lambda: reason, patience_seconds=patience)


def test_a_round_waits_until_exactly_its_bytes_are_answered(tmp_path: Path) -> None:
    output, answers = folders(tmp_path)
    digest = sha256_digest(format_round(ROUND))
    write_answer(answers, "00000003.json", Answer("sha256:" + "0" * 64, True, "of another round"))
    got: list[Answer] = []
    waiting = threading.Thread(target=lambda: got.append(submit(tmp_path, patience=60)))
    waiting.start()
    while not (found := list_waiting(output, answers)):
        time.sleep(0.01)
    assert found == [("00000003.json", format_round(ROUND))]
    assert waiting.is_alive()
    write_answer(answers, found[0][0], Answer(digest, True, "fine", 12, 1))
    waiting.join(10)
    assert got == [Answer(digest, True, "fine", 12, 1)]
    assert list_waiting(output, answers) == []
    assert submit(tmp_path) == got[0]  # written again after a kill, it is answered already


@pytest.mark.parametrize(("reason", "expected"), [(None, "unanswered"), ("cancelled", "cancelled")])
def test_a_round_that_nobody_answers_stops_the_run(tmp_path: Path, reason: str | None, expected: str) -> None:
    folders(tmp_path)
    with pytest.raises(RoundStopError) as caught:
        submit(tmp_path, reason=reason)
    assert caught.value.reason == expected


def test_a_round_that_is_refused_stops_the_run_and_says_why(tmp_path: Path) -> None:
    _, answers = folders(tmp_path)
    digest = sha256_digest(format_round(ROUND))
    write_answer(answers, "00000003.json", Answer(digest, False, "the release was recalled"))
    with pytest.raises(RoundStopError, match="recalled") as caught:
        submit(tmp_path)
    assert caught.value.reason == "refused"


def test_a_link_or_a_flood_is_never_read(tmp_path: Path) -> None:
    output, answers = folders(tmp_path)
    (tmp_path / "secret").write_text("a key of the service")
    (output / ROUNDS).mkdir()
    (output / ROUNDS / "00000001.json").symlink_to(tmp_path / "secret")
    with (output / ROUNDS / "00000002.json").open("wb") as stream:
        stream.truncate(MAX_ROUND_BYTES + 1)
    assert [data for _, data in list_waiting(output, answers)] == [b"", b""]
    with pytest.raises(MalformedError):
        parse_round(b"")


@pytest.mark.parametrize(
    "change",
    [
        {"samples": []},
        {"step": -1},
        {"step": "3"},
        {"more": 1},
        {"samples": [{"entry_index": 7}]},
        {"samples": [msgspec.to_builtins(ROUND.samples[0]) | {"nats": -1}]},
        {"samples": [msgspec.to_builtins(ROUND.samples[0]) | {"ids_digest": "sha256:12"}]},
        {"samples": [msgspec.to_builtins(ROUND.samples[0]) | {"entry_index": True}]},
    ],
)
def test_what_is_no_round_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(MalformedError):
        parse_round(canonical_bytes(msgspec.to_builtins(ROUND) | change))


@given(
    st.builds(
        Round,
        st.integers(0, 10**6),
        st.floats(0, 10),
        st.lists(
            st.builds(Written, st.integers(0, 10**6), st.text(), st.integers(0, 99), st.floats(0, 1e6), st.just(IDS)),
            min_size=1,
            max_size=3,
        ),
    )
)
def test_a_round_reads_back_as_it_was_written(said: Round) -> None:
    found = parse_round(format_round(said))
    assert [item.text for item in found.samples] == [item.text for item in said.samples]
    assert math.isclose(found.temperature, said.temperature)
    assert format_round(found) == format_round(said)


def test_a_stop_travels_to_the_other_processes_as_it_is() -> None:
    sent = pickle.loads(pickle.dumps(RoundStopError("refused", "recalled")))  # noqa: S301  # our own bytes
    assert (sent.reason, sent.detail, str(sent)) == ("refused", "recalled", "recalled")


def test_no_answer_is_none(tmp_path: Path) -> None:
    assert find_answer(tmp_path, "00000001.json", IDS) is None
