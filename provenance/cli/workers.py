"""`provenance serve --workers N`: which processes there are, and what each does.

- The sequencer writes the log, signs and publishes; it alone asks witnesses.
- The jobs process builds releases, trains, reports and erases; it looks for what the workers accepted.
- The workers answer HTTP from one listening socket and hand what they append to the sequencer.
"""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Callable
from functools import partial

from provenance.cli.supervise import Child, Supervisor
from provenance.ledger.handover import SOCKET_NAME, State, listen_privately
from provenance.ledger.remote import serve_appends
from provenance.ledger.sequencer import Sequencer
from provenance.processes import join, join_as_writer
from provenance.runtime import Runtime, open_runtime
from provenance.settings import Settings

JOB_POLL_SECONDS = 0.25
WORKER_PATIENCE_SECONDS, SEQUENCER_PATIENCE_SECONDS = 20.0, 120.0
IsUp = Callable[[], None]


def serve_with_workers(settings: Settings, workers: int, listener: socket.socket, announce: Callable[[], None]) -> int:
    """Serve until a signal asks to stop; the answer is the exit code.

    Raises:
        as `open_runtime`.
    """
    opened = open_runtime(settings)
    opened.close()  # no connection and no thread is left when the processes are forked
    with listen_privately(settings.data_dir) as drafts:
        children = [
            Child("the sequencer", partial(_run_sequencer, opened, drafts), 1, SEQUENCER_PATIENCE_SECONDS),
            Child("the jobs process", partial(_run_jobs, opened), 0, WORKER_PATIENCE_SECONDS),
        ]
        for number in range(1, workers + 1):
            act = partial(_run_worker, opened, listener)
            children.append(Child(f"worker {number}", act, 0, WORKER_PATIENCE_SECONDS))
        try:
            return Supervisor(children, announce).run()
        finally:
            (settings.data_dir / SOCKET_NAME).unlink(missing_ok=True)


def _run_sequencer(opened: Runtime, drafts: socket.socket, is_up: IsUp) -> None:
    stopped = _stopped_by_signal()
    runtime = join_as_writer(opened)
    if not isinstance(runtime.sequencer, Sequencer):
        raise TypeError("the writer is no sequencer")
    serve_appends(drafts, runtime.sequencer, lambda: State(runtime.publication_failure()))
    is_up()
    stopped.wait()
    runtime.close()


def _run_jobs(opened: Runtime, is_up: IsUp) -> None:
    from provenance.jobs.engine import engine
    from provenance.jobs.start import start_jobs

    stopped = _stopped_by_signal()
    runtime = join(opened)
    courier = start_jobs(runtime)
    is_up()
    while not stopped.wait(JOB_POLL_SECONDS):
        engine.start_accepted()
    courier.close()
    engine.close()
    runtime.close()


def _run_worker(opened: Runtime, listener: socket.socket, is_up: IsUp) -> None:
    from provenance.api.app import create_app
    from provenance.cli.server import LISTEN_BACKLOG, make_server

    def up() -> None:
        listener.listen(LISTEN_BACKLOG)  # the queue of all workers is this long again, see below
        is_up()

    app = create_app(join(opened), runs_jobs=False)
    # asyncio takes as many connections at once as the backlog says: with one, the worker with the least to do takes the
    # next, and a burst of pipelines is spread over all.
    make_server(app, up, backlog=1).run(sockets=[listener])


def _stopped_by_signal() -> threading.Event:
    stopped = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopped.set())
    return stopped
