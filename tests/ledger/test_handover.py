"""Messages to the sequencer and the socket that they cross: what goes in comes out, and what is hostile is refused."""

from __future__ import annotations

import os
import socket
import struct
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from provenance import errors
from provenance.attestation.statement import Statement, Subject
from provenance.errors import ConflictError, FieldError, MalformedError, ProvenanceError, SettingsError
from provenance.ledger import handover
from provenance.ledger.append import Draft, Receipt
from provenance.ledger.handover import (
    SOCKET_NAME,
    Append,
    Appended,
    Ask,
    Failure,
    State,
    connect_privately,
    describe_failure,
    format_message,
    listen_privately,
    parse_answer,
    parse_request,
    receive_frame,
    restore_failure,
    send_frame,
)
from provenance.store.samples_index import SampleGroup, SampleLine

JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
STATEMENTS = st.builds(
    Statement,
    st.tuples(st.builds(Subject, st.text(max_size=9), st.dictionaries(st.text(max_size=9), st.text(max_size=9)))),
    st.text(max_size=9),
    st.dictionaries(st.text(max_size=9), JSON, max_size=5),
)
LINES = st.builds(
    SampleLine,
    dataset=st.text(max_size=9),
    fact_class=st.text(max_size=9),
    generated_at=st.text(max_size=20),
    tokens=st.integers(0, 2**31),
    external_id=st.none() | st.text(max_size=9),
    weights=st.none() | st.text(max_size=9),
    parents=st.lists(st.text(max_size=9), max_size=3),
)
FACTS = st.dictionaries(st.text(max_size=9), st.dictionaries(st.text(max_size=9), JSON, max_size=3), max_size=3)
GROUPS = st.builds(SampleGroup, lines=st.lists(LINES, max_size=3), facts=FACTS)
DRAFTS = st.builds(
    Draft,
    entries=st.lists(st.binary(max_size=40), max_size=3),
    said=st.lists(STATEMENTS | GROUPS, max_size=3),
    leaves=st.lists(st.binary(min_size=32, max_size=32), max_size=3),
    frames=st.binary(max_size=40),
    words=st.binary(max_size=40),
    words_count=st.integers(0, 2**31),
    idempotency_key=st.none() | st.text(max_size=30),
    request_digest=st.text(max_size=30),
)
PUBLIC = [each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, ProvenanceError)]


@given(DRAFTS)
def test_a_draft_crosses_as_it_is(draft: Draft) -> None:
    request = parse_request(format_message(Append(draft)))
    assert isinstance(request, Append)
    assert request.draft == draft


@given(st.builds(Receipt, *[st.integers(0, 2**53)] * 3, st.text(), st.booleans()))
def test_a_receipt_crosses_as_it_is(receipt: Receipt) -> None:
    answer = parse_answer(format_message(Appended(receipt)))
    assert isinstance(answer, Appended)
    assert answer.receipt == receipt


@given(st.binary(max_size=200))
def test_bytes_that_are_no_message_are_refused_and_never_run(data: bytes) -> None:
    for parse in (parse_request, parse_answer):
        try:
            parse(data)
        except MalformedError:
            continue


@pytest.mark.parametrize(
    "value",
    [
        {"type": "append"},
        {"type": "append", "draft": {"entries": ["text"], "said": [], "leaves": [], "frames": b""}},
        {"type": "append", "draft": {"entries": [b"x"], "said": [{"kind": 3}], "leaves": [], "frames": b""}},
        {"type": "run", "command": "id"},
        ["append"],
        None,
    ],
)
def test_a_message_of_another_shape_is_refused(value: Any) -> None:
    with pytest.raises(MalformedError, match="not a message to the sequencer"):
        parse_request(msgspec.msgpack.encode(value))


@pytest.mark.parametrize("kind", PUBLIC, ids=lambda kind: str(kind.__name__))
def test_each_error_of_ours_comes_out_as_it_went_in(kind: type[ProvenanceError]) -> None:
    fields = [FieldError("entries[3]", "x" * 500, "fewer", line=4), FieldError("n", 3, "4")]
    sent = kind("what happened", *([] if kind is errors.DeniedError else fields))
    answer = parse_answer(format_message(describe_failure(sent)))
    assert isinstance(answer, Failure)
    restored = restore_failure(answer)
    assert type(restored) is kind
    assert (restored.detail, restored.code, restored.status) == (sent.detail, sent.code, sent.status)
    assert [error.to_json() for error in restored.errors] == [error.to_json() for error in sent.errors]


class OnlyHereError(ConflictError):
    code = "only-here"


def test_an_error_that_others_do_not_know_comes_out_as_the_nearest_that_they_do() -> None:
    assert type(restore_failure(describe_failure(OnlyHereError("no")))) is ConflictError
    assert restore_failure(describe_failure(ZeroDivisionError("by zero"))).detail == "ZeroDivisionError: by zero"


@pytest.mark.parametrize("name", ["FieldError", "Mapping", "no such thing", "__builtins__"])
def test_a_name_that_is_no_error_of_ours_makes_a_plain_one(name: str) -> None:
    assert type(restore_failure(Failure(name, "x"))) is ProvenanceError


def test_a_message_larger_than_a_frame_is_refused_on_both_sides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handover, "MAX_FRAME_BYTES", 1000)
    with pytest.raises(MalformedError, match="expected at most 1,000 bytes"):
        format_message(Append(Draft([b"x" * 2000], [], [], b"")))
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(struct.pack("!I", 1001))
        with pytest.raises(MalformedError, match="a message of 1,001 bytes"):
            receive_frame(ours)


@pytest.mark.parametrize("sent", [b"", b"\0\0", struct.pack("!I", 10) + b"short"])
def test_a_connection_that_ends_in_a_message_has_brought_none(sent: bytes) -> None:
    ours, theirs = socket.socketpair()
    with ours:
        theirs.sendall(sent)
        theirs.close()
        assert receive_frame(ours) is None


def test_frames_of_any_length_cross(tmp_path: Path) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        for data in (b"", b"x", b"y" * 3_000_000):
            thread = threading.Thread(target=send_frame, args=(theirs, data))
            thread.start()
            assert bytes(receive_frame(ours) or b"") == data
            thread.join()


def test_the_socket_is_for_its_owner_alone_and_replaces_a_left_over(tmp_path: Path) -> None:
    for _ in range(2):
        listener = listen_privately(tmp_path)
        assert (tmp_path / SOCKET_NAME).stat().st_mode & 0o777 == 0o600
        with listener, connect_privately(tmp_path, 5):
            accepted, _ = listener.accept()
            accepted.close()


def test_a_socket_deep_in_a_tree_is_reached_too(tmp_path: Path) -> None:
    folder = tmp_path / ("deep" * 20) / ("deeper" * 20)
    folder.mkdir(parents=True)
    if not Path("/proc/self/fd").is_dir():
        with pytest.raises(SettingsError, match="no socket can be made"):
            listen_privately(folder)
        return
    with listen_privately(folder) as listener, connect_privately(folder, 5):
        listener.accept()[0].close()


@pytest.mark.parametrize("mode", [0o666, 0o660, 0o601])
def test_a_socket_that_others_may_use_is_refused(tmp_path: Path, mode: int) -> None:
    with listen_privately(tmp_path):
        (tmp_path / SOCKET_NAME).chmod(mode)
        with pytest.raises(SettingsError, match="is not ours"):
            connect_privately(tmp_path, 5)


def test_what_is_no_socket_is_neither_replaced_nor_connected_to(tmp_path: Path) -> None:
    path = tmp_path / SOCKET_NAME
    path.write_text("somebody's notes")
    path.chmod(0o600)
    with pytest.raises(SettingsError, match="is not ours"):
        listen_privately(tmp_path)
    with pytest.raises(SettingsError, match="is not ours"):
        connect_privately(tmp_path, 5)
    assert path.read_text() == "somebody's notes"
    path.unlink()
    (tmp_path / "elsewhere").mkdir()
    with listen_privately(tmp_path / "elsewhere"):
        path.symlink_to(tmp_path / "elsewhere" / SOCKET_NAME)
        with pytest.raises(SettingsError, match="is not ours"):
            connect_privately(tmp_path, 5)


def test_a_socket_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a socket away")
    with listen_privately(tmp_path):
        os.chown(tmp_path / SOCKET_NAME, 12345, 12345)
        with pytest.raises(SettingsError, match="user 12345"):
            connect_privately(tmp_path, 5)


@dataclass
class _Peer:
    """A connection whose other side is of this user."""

    user: int

    def getsockopt(self, *_: Any) -> bytes:
        return struct.pack("3i", 1, self.user, 1)


def test_a_peer_of_another_user_is_refused() -> None:
    if not hasattr(socket, "SO_PEERCRED"):
        pytest.skip("this system does not say who is at the other side")
    handover.check_peer(_Peer(os.geteuid()))  # type: ignore[arg-type]  # all that is asked of it
    with pytest.raises(SettingsError, match="belongs to user 54321"):
        handover.check_peer(_Peer(54321))  # type: ignore[arg-type]  # the same


def test_the_small_messages_cross() -> None:
    assert isinstance(parse_request(format_message(Ask())), Ask)
    assert parse_answer(format_message(State("no space left"))) == State("no space left")
