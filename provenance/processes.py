"""One service of several processes: one opens the runtime and closes it again, then each joins, one of them as the writer.

- The sequencer alone writes the log, signs and publishes; all others hand it their drafts over a socket (`ledger.remote`).
- Jobs run in a process of their own. What a request must see of another process's doing stands in the database or in
  files; what is in force is looked up before each request (`Runtime.refresh`).
"""

from __future__ import annotations

from dataclasses import replace
from threading import Lock

from provenance.capture.record import Recorder
from provenance.ledger.keys import open_keys
from provenance.ledger.remote import RemoteSequencer
from provenance.ledger.ring import key_passphrase
from provenance.ledger.sequencer import Writer
from provenance.runtime import Runtime, open_quorum, open_sequencer, start_publishing
from provenance.store.session import make_engine


def join_as_writer(opened: Runtime) -> Runtime:
    """The runtime of the one process that writes the log and publishes it.

    Raises:
        as `open_runtime`.
    """
    runtime = _join(opened)
    sequencer = open_sequencer(runtime.settings, runtime.engine, runtime.ring, runtime.clock)
    _write_through(runtime, sequencer)
    open_quorum(runtime)
    start_publishing(runtime, sequencer)
    return runtime


def join(opened: Runtime) -> Runtime:
    """The runtime of any other process: what it appends, the sequencer appends.

    Raises:
        as `open_runtime`.
    """
    runtime = _join(opened)
    runtime.ring = replace(runtime.ring, log_signers=())  # checkpoints are signed in one place
    sequencer = RemoteSequencer(runtime.engine, runtime.settings.data_dir)
    _write_through(runtime, sequencer)
    open_quorum(runtime)
    runtime.publication_failure = sequencer.publication_failure
    return runtime


def _join(opened: Runtime) -> Runtime:
    settings = opened.settings
    ring = open_keys(settings.data_dir / "keys", key_passphrase(settings))
    engine = make_engine(settings.resolved_database_url)
    return replace(
        opened,
        engine=engine,
        ring=ring,
        publisher=None,
        quorum=None,
        mirror=None,
        mirror_publisher=None,
        is_shared=True,
        _refreshing=Lock(),
    )


def _write_through(runtime: Runtime, writer: Writer) -> None:
    runtime.sequencer = writer
    runtime.recorder = Recorder(
        writer.append,
        runtime.ring,
        runtime.catalogue,
        runtime.clock,
        find_replay=writer.find_replay,
        stay=runtime.recorder.stay,
    )
