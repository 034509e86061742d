"""Several runtimes on one data directory, one of them the writer: what one puts in force binds the others."""

from __future__ import annotations

import copy
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest

from provenance.capture.sample import parse_samples
from provenance.errors import ConflictError
from provenance.govern import approve_pack, propose_pack, record_terms
from provenance.ledger.audit import audit_log
from provenance.ledger.handover import State, listen_privately
from provenance.ledger.remote import serve_appends
from provenance.ledger.sequencer import Sequencer
from provenance.policy.proposal import read_folder
from provenance.processes import join, join_as_writer
from provenance.resources import find_resource
from provenance.runtime import Runtime, open_runtime
from provenance.settings import Settings
from provenance.store.history import list_history
from provenance.store.log import find_statement, read_statement
from provenance.store.session import read_session
from tests.service import make_sample


@dataclass
class Together:
    """Two processes' runtimes, as workers have them, and the writer's."""

    first: Runtime
    second: Runtime
    writer: Runtime


@pytest.fixture
def together(database_url: str, tmp_path: Path) -> Iterator[Together]:
    """All three in this process, over a real socket."""
    opened = open_runtime(Settings(data_dir=tmp_path / "data", database_url=database_url))
    opened.close()
    with listen_privately(tmp_path / "data") as listener:
        writer = join_as_writer(opened)
        assert isinstance(writer.sequencer, Sequencer)
        serve_appends(listener, writer.sequencer, lambda: State(writer.publication_failure()))
        runtimes = join(opened), join(opened)
        yield Together(*runtimes, writer)
        for runtime in (*runtimes, writer):
            runtime.close()


def barred(runtime: Runtime, clause: str) -> dict[str, Any]:
    document = runtime.catalogue.find("smollm-apache")
    assert document is not None
    value = copy.deepcopy(document.to_json())  # what it holds is the catalogue's own
    value["facts"]["train_on_outputs"] |= {
        "value": "prohibited-any-other-model",
        "scope": "any-model",
        "clause": clause,
    }
    return value


def reworded() -> dict[str, Any]:
    value: dict[str, Any] = read_folder(find_resource("policies"))
    value["rules"]["quality"] = value["rules"]["quality"].replace("A quality check failed", "A check of quality failed")
    return value


def capture(runtime: Runtime, name: str) -> dict[str, str]:
    """Record one sample; the terms that it was bound to, by id."""
    body = make_sample(dataset="both", external_id=name)
    samples = parse_samples(orjson.dumps([body]), now=runtime.clock(), lines=False)
    receipt = runtime.recorder.record(samples, source="api")
    assert receipt.count == 2
    return {item["id"]: item["digest"] for item in bound(runtime, receipt.first_index)}


def bound(runtime: Runtime, index: int) -> list[dict[str, str]]:
    with read_session(runtime.engine) as session:
        terms: list[dict[str, str]] = read_statement(session, index).predicate["terms"]
        return terms


def test_only_the_writer_can_sign_a_checkpoint(together: Together) -> None:
    assert together.writer.ring.log_signers
    assert not together.first.ring.log_signers
    assert together.first.ring.vkey_lines == together.writer.ring.vkey_lines


def test_nothing_is_read_again_while_nothing_changed(together: Together) -> None:
    catalogue, pack = together.second.catalogue, together.second.pack
    capture(together.first, "a")
    together.second.refresh()
    assert together.second.catalogue is catalogue
    assert together.second.pack is pack


def test_terms_of_one_process_bind_what_the_other_records_next(together: Together) -> None:
    first, second = together.first, together.second
    before = capture(second, "a")["smollm-apache"]
    record_terms(first, barred(first, "9"), by="ada")
    second.refresh()
    assert second.catalogue.digest == first.catalogue.digest
    after = capture(second, "b")["smollm-apache"]
    changed = first.catalogue.find("smollm-apache")
    assert changed is not None
    assert (after == before, after) == (False, changed.digest)


def test_what_is_changed_at_once_in_both_stands_one_on_the_other(together: Together) -> None:
    both = [(together.first, "9"), (together.second, "10"), (together.first, "11"), (together.second, "12")]
    threads = [
        threading.Thread(target=record_terms, args=(runtime, barred(runtime, clause)), kwargs={"by": "ada"})
        for runtime, clause in both
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    together.first.refresh()
    together.second.refresh()
    assert together.first.catalogue.digest == together.second.catalogue.digest
    with read_session(together.first.engine) as session:
        said = [row.predicate for row in list_history(session, ["terms"]) if row.key == "smollm-apache"]
    assert len(said) == 5
    assert said[-1]["catalogue_digest"] == together.first.catalogue.digest


def test_a_pack_that_one_process_approved_judges_in_the_other(together: Together) -> None:
    first, second = together.first, together.second
    propose_pack(first, reworded(), by="ada")
    with read_session(second.engine) as session:
        said = list_history(session, ["policy"])[-1].predicate
    approve_pack(second, said["id"], digest=said["digest"], replay_digest=said["replay"]["digest"], by="bob")
    first.refresh()
    assert first.pack.digest == second.pack.digest == said["digest"]
    with pytest.raises(ConflictError, match="in force already"):
        propose_pack(first, reworded(), by="ada")


def test_both_stay_at_one_door_which_is_logged_once(together: Together) -> None:
    for name, runtime in (("a", together.first), ("b", together.second), ("c", together.first)):
        capture(runtime, name)
    with read_session(together.first.engine) as session:
        captures = list_history(session, ["capture"])
        assert audit_log(session, together.first.ring.vkeys).ok
        assert find_statement(session, "capture", captures[0].key) is not None
    assert len(captures) == 1


def test_a_failure_of_publication_is_seen_from_everywhere(together: Together) -> None:
    publisher = together.writer.publisher
    assert publisher is not None
    assert together.first.publication_failure() is None
    publisher.failure = OSError("no space left on device")
    assert together.first.publication_failure() == "no space left on device"
    publisher.failure = None
