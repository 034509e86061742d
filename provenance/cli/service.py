"""One service a data directory: who holds it, and a service inside this process for commands that find none.

- The holder of the lock is a `provenance serve`, or a command that works embedded. Two would take up each other's jobs.
- The lock file names the holder's address, so that a command beside a running service talks to that.
- A command that holds the lock waits for its visitors before it ends: it takes its address back, then the visitors' lock.
"""

from __future__ import annotations

import fcntl
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from provenance.errors import ConflictError, UnavailableError

if TYPE_CHECKING:
    from uvicorn import Server

    from provenance.settings import Settings

LOCK_FILE, VISITORS_FILE = "service.lock", "service.visitors"
COMMAND, SERVE = "command", "serve"
WAIT_FOR_COMMAND_SECONDS = 10.0
START_SECONDS = 60.0
ORPHANS_SECONDS = 10.0  # for the processes of a service that was killed: each ends by itself


@dataclass
class Hold:
    """The lock on a data directory; let go of by `release`, or by the end of this process."""

    descriptor: int

    def announce(self, kind: str, url: str | None) -> None:
        """Write down who holds the directory and where it answers."""
        os.ftruncate(self.descriptor, 0)
        os.pwrite(self.descriptor, orjson.dumps({"kind": kind, "url": url, "pid": os.getpid()}), 0)

    def release(self) -> None:
        """Let go."""
        os.ftruncate(self.descriptor, 0)
        os.close(self.descriptor)


def try_hold(data_dir: Path) -> Hold | None:
    """The lock, or None while somebody else has it."""
    descriptor = os.open(data_dir / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return Hold(descriptor)


def hold(data_dir: Path, purpose: str) -> Hold:
    """The lock.

    Raises:
        ConflictError: somebody else has it; named with process and address.
    """
    deadline = time.monotonic() + ORPHANS_SECONDS
    while (held := try_hold(data_dir)) is None and time.monotonic() < deadline and _is_orphaned(data_dir):
        time.sleep(0.05)
    if held is None:
        other = read_holder(data_dir)
        where = f", at {other['url']}" if other.get("url") else ""
        raise ConflictError(
            f"{purpose}: process {other.get('pid', 'unknown')} ({other.get('kind', 'a service')}{where}) uses the data "
            f"directory {data_dir}; stop it first"
        )
    return held


def read_holder(data_dir: Path) -> dict[str, Any]:
    """What the holder of the lock wrote down; nothing while it is starting, or where it is dead."""
    said = _read_lock(data_dir)
    return said if _is_running(said.get("pid")) else {}


def _read_lock(data_dir: Path) -> dict[str, Any]:
    try:
        value = orjson.loads((data_dir / LOCK_FILE).read_bytes())
    except (OSError, orjson.JSONDecodeError):
        return {}
    return value if isinstance(value, dict) else {}


def _is_orphaned(data_dir: Path) -> bool:
    """Whether who wrote into the lock file is dead: then only its children hold the lock still."""
    pid = _read_lock(data_dir).get("pid")
    return pid is not None and not _is_running(pid)


def _is_running(pid: Any) -> bool:
    try:
        os.kill(int(pid), 0)
    except PermissionError:
        return True
    except (OSError, TypeError, ValueError, OverflowError):
        return False
    return True


@contextmanager
def local_service(settings: Settings) -> Iterator[tuple[str, str]]:
    """Address and token of the service of the local data directory: the one that runs, or one in this process."""
    from provenance.settings import prepare_data_dir

    prepare_data_dir(settings.data_dir)
    with ExitStack() as visit:
        held, url = _find(settings.data_dir, visit)
        if held is None:
            yield str(url), visit.enter_context(_temporary_token(settings))
            return
    try:
        with _embedded(settings, held) as url, _temporary_token(settings) as token:
            yield url, token
    finally:
        held.release()


def _find(data_dir: Path, visit: ExitStack) -> tuple[Hold | None, str | None]:
    """The lock, or the address of a service that lasts as long as `visit`."""
    deadline = time.monotonic() + WAIT_FOR_COMMAND_SECONDS
    start_deadline = time.monotonic() + START_SECONDS
    while True:
        held = try_hold(data_dir)
        if held is not None:
            return held, None
        other = read_holder(data_dir)
        url = other.get("url")
        # A short command is waited for: its service ends with it. A long one (a training) is talked to.
        if url and other.get("kind") == SERVE:
            return None, url
        if url and time.monotonic() >= deadline:
            visit.enter_context(_visitors_lock(data_dir, fcntl.LOCK_SH))
            if read_holder(data_dir).get("url") == url:
                return None, url
            visit.close()
        if time.monotonic() >= start_deadline:
            raise UnavailableError(f"process {other.get('pid', 'unknown')} holds {data_dir} and does not answer")
        time.sleep(0.05)


def open_listener(host: str, port: int, family: int = socket.AF_INET) -> socket.socket:
    """A listening socket whose connections send each answer at once.

    asyncio says so only for sockets that it makes itself; without it the second packet of an answer waits for the client's
    delayed acknowledgement, 40 ms of every request.
    """
    listener = socket.create_server((host, port), family=family, backlog=2048)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # accepted connections inherit it
    return listener


@contextmanager
def _visitors_lock(data_dir: Path, kind: int) -> Iterator[None]:
    with (data_dir / VISITORS_FILE).open("ab") as file:
        fcntl.flock(file, kind)
        yield


@contextmanager
def _embedded(settings: Settings, held: Hold) -> Iterator[str]:
    import uvicorn

    from provenance.api.app import create_app
    from provenance.runtime import open_runtime

    listener = open_listener("127.0.0.1", 0)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    app = create_app(open_runtime(settings))
    config = uvicorn.Config(app, log_level="error", access_log=False, lifespan="on", timeout_graceful_shutdown=5)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="embedded", daemon=True)
    thread.start()
    try:
        wait_until_started(server, thread)
        held.announce(COMMAND, url)
        yield url
    finally:
        held.announce(COMMAND, None)
        with _visitors_lock(settings.data_dir, fcntl.LOCK_EX):
            server.should_exit = True
        thread.join(timeout=30)
        listener.close()


def wait_until_started(server: Server, thread: threading.Thread) -> None:
    """Wait for a server that starts in `thread`.

    Raises:
        UnavailableError: it ended instead; it has said why on stderr.
    """
    while not server.started:
        if not thread.is_alive():
            raise UnavailableError("the service could not start; the reason stands above")
        time.sleep(0.01)


@contextmanager
def _temporary_token(settings: Settings) -> Iterator[str]:
    """A token of the person at this terminal, who may read keys and database anyway; it ends with the command."""
    from provenance.ledger.append import format_time
    from provenance.store.session import make_engine, write_session
    from provenance.store.tokens import TERMINAL_PREFIX, create_token, revoke_token

    now = datetime.now(UTC)
    expires = format_time(now + timedelta(days=7))
    engine = make_engine(settings.resolved_database_url)
    name = f"{TERMINAL_PREFIX}{os.getpid()}-{os.urandom(4).hex()}"
    try:
        with write_session(engine) as session:
            _, secret = create_token(session, name=name, role="admin", now=format_time(now), expires_at=expires)
        try:
            yield secret
        finally:
            with suppress(Exception), write_session(engine) as session:  # it expires by itself
                revoke_token(session, name, format_time(datetime.now(UTC)))
    finally:
        engine.dispose()
