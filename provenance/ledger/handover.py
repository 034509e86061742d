"""How a draft is handed to the sequencer of another process: messages, their bytes, and the socket that they cross.

- A frame is four bytes of length and one msgpack message; a longer one than `MAX_FRAME_BYTES` is refused on both sides.
- The messages are typed and derived from the values themselves (`Draft`, `Receipt`); nothing that arrives is executed.
- An error of ours crosses as its class, words and fields, and is raised on the other side as what it was.
- The socket belongs to one user: its file has mode 0600, and a peer of another user is refused on both sides.

Order of use: `listen_privately` in the process that outlives the sequencer; `connect_privately` where drafts are made.
"""

from __future__ import annotations

import os
import socket
import stat
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from provenance import errors
from provenance.errors import FieldError, MalformedError, ProvenanceError, SettingsError, UnavailableError
from provenance.ledger.append import Draft, Receipt

SOCKET_NAME = "sequencer.sock"
MAX_FRAME_BYTES = 1 << 30
MAX_ADDRESS_BYTES = 100  # Linux takes 107, macOS 103
BACKLOG = 1024
_LENGTH = struct.Struct("!I")


class Append(msgspec.Struct, tag="append"):
    """Append this, and answer once it is durable."""

    draft: Draft


class Ask(msgspec.Struct, tag="ask"):
    """Say whether you are there, and how publication goes."""


class Appended(msgspec.Struct, tag="appended"):
    """It is durable."""

    receipt: Receipt


class State(msgspec.Struct, tag="state"):
    """The sequencer is there; `publication_failure` says why the log cannot be published, if so. Also its greeting."""

    publication_failure: str | None = None


class Failure(msgspec.Struct, tag="failure"):
    """An error of ours: the name of its class in `provenance.errors`, its words, its fields."""

    kind: str
    detail: str
    errors: list[FieldError] = []


Request = Append | Ask
Answer = Appended | State | Failure
_encoder = msgspec.msgpack.Encoder()
_requests: msgspec.msgpack.Decoder[Request] = msgspec.msgpack.Decoder(Request)
_answers: msgspec.msgpack.Decoder[Answer] = msgspec.msgpack.Decoder(Answer)


def format_message(message: Request | Answer) -> bytes:
    """The bytes of a message.

    Raises:
        MalformedError: it would be larger than a frame may be.
    """
    data = _encoder.encode(message)
    if len(data) > MAX_FRAME_BYTES:
        expected = f"at most {MAX_FRAME_BYTES:,} bytes for the sequencer; send fewer samples at once"
        raise MalformedError(
            f"the request makes {len(data):,} bytes; expected {expected}",
            FieldError("samples", f"{len(data):,} bytes", expected),
        )
    return data


def parse_request(data: bytes | bytearray) -> Request:
    """A message to the sequencer.

    Raises:
        MalformedError: it is none.
    """
    try:
        return _requests.decode(data)
    except msgspec.MsgspecError as exc:
        raise MalformedError(f"not a message to the sequencer: {exc}") from exc


def parse_answer(data: bytes | bytearray) -> Answer:
    """A message from the sequencer.

    Raises:
        MalformedError: it is none.
    """
    try:
        return _answers.decode(data)
    except msgspec.MsgspecError as exc:
        raise MalformedError(f"not an answer of the sequencer: {exc}") from exc


def describe_failure(exc: BaseException) -> Failure:
    """An error as it crosses; one that is not ours, or a class that others do not know, as the nearest that they do."""
    if not isinstance(exc, ProvenanceError):
        return Failure(ProvenanceError.__name__, f"{type(exc).__name__}: {exc}")
    known = next(each for each in type(exc).__mro__ if getattr(errors, each.__name__, None) is each)
    return Failure(known.__name__, exc.detail, [FieldError(**error.to_json()) for error in exc.errors])


def restore_failure(failure: Failure) -> ProvenanceError:
    """The error that crossed."""
    found = getattr(errors, failure.kind, None)
    kind = found if isinstance(found, type) and issubclass(found, ProvenanceError) else ProvenanceError
    return kind(failure.detail, *failure.errors)


def send_frame(connection: socket.socket, data: bytes) -> None:
    """Send one message.

    Raises:
        OSError: the other side is gone; it has not got the whole message.
    """
    connection.sendall(_LENGTH.pack(len(data)))
    connection.sendall(data)


def receive_frame(connection: socket.socket) -> bytearray | None:
    """One message; None when the other side has ended, also in the middle of a message.

    Raises:
        OSError: the connection broke.
        MalformedError: a message that is larger than one may be.
    """
    header = _receive(connection, _LENGTH.size)
    if header is None:
        return None
    (length,) = _LENGTH.unpack(header)
    if length > MAX_FRAME_BYTES:
        raise MalformedError(f"a message of {length:,} bytes; expected at most {MAX_FRAME_BYTES:,}")
    return _receive(connection, length)


def _receive(connection: socket.socket, count: int) -> bytearray | None:
    data = bytearray(count)
    view, filled = memoryview(data), 0
    while filled < count:
        got = connection.recv_into(view[filled:])
        if not got:
            return None
        filled += got
    return data


def listen_privately(folder: Path) -> socket.socket:
    """A listening socket in `folder`, for this user alone; what an earlier service left there is replaced.

    Raises:
        SettingsError: the place is taken by what is not our socket, or its name is too long for a socket.
    """
    path = folder / SOCKET_NAME
    if os.path.lexists(path):
        _check_owner(path)
        path.unlink()
    listener = socket.socket(socket.AF_UNIX)
    before = os.umask(0o177)
    try:
        with _address(folder) as address:
            listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as exc:
        listener.close()
        raise SettingsError(f"PROVENANCE_DATA_DIR: no socket can be made in {folder}: {exc.strerror or exc}") from exc
    finally:
        os.umask(before)
    return listener


def connect_privately(folder: Path, timeout_seconds: float) -> socket.socket:
    """A connection to the socket in `folder`, with this time-out on it.

    Raises:
        OSError: nobody listens there.
        SettingsError: the socket, or who listens, is another user's.
    """
    path = folder / SOCKET_NAME
    _check_owner(path)
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.settimeout(timeout_seconds)
        with _address(folder) as address:
            connection.connect(address)
        check_peer(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def check_peer(connection: socket.socket) -> None:
    """Refuse a process of another user on the other side, where the system tells who it is.

    Raises:
        SettingsError: it is another user's.
    """
    if not hasattr(socket, "SO_PEERCRED"):
        return
    size = struct.calcsize("3i")
    _, user, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    if user != os.geteuid():
        raise SettingsError(f"the other side of {SOCKET_NAME} belongs to user {user}; expected user {os.geteuid()}")


def _check_owner(path: Path) -> None:
    status = path.lstat()
    is_ours = stat.S_ISSOCK(status.st_mode) and status.st_uid == os.geteuid() and not status.st_mode & 0o077
    if not is_ours:
        expected = f"a socket of user {os.geteuid()} that nobody else may use; remove it if you know what it is"
        raise SettingsError(f"{path} is not ours (mode {status.st_mode:o}, user {status.st_uid}); expected {expected}")


@contextmanager
def _address(folder: Path) -> Iterator[str]:
    """The address of the socket. A long one goes by a descriptor of its folder, where the system has such names."""
    path = str(folder / SOCKET_NAME)
    if len(os.fsencode(path)) <= MAX_ADDRESS_BYTES or not sys.platform.startswith("linux"):
        yield path
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}/{SOCKET_NAME}"
    finally:
        os.close(descriptor)


def unavailable(problem: str, cause: BaseException | None = None) -> UnavailableError:
    """The sequencer cannot be asked; `problem` says what is known of the entries."""
    error = UnavailableError(f"the sequencer of this service {problem}")
    error.__cause__ = cause
    return error
