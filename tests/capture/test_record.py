"""Recording: what an entry says of a sample, what the collector signs, and what never leaves the content store."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlmodel import select

from provenance.attestation.envelope import open_envelope, parse_entry
from provenance.attestation.facts import fact_class_digest, sample_facts
from provenance.attestation.predicates import check_predicate
from provenance.attestation.statement import Statement
from provenance.canonical import (
    COMPLETION_DOMAIN,
    PROMPT_DOMAIN,
    canonical_bytes,
    format_digest,
    parse_digest,
    verify_commitment,
)
from provenance.capture import record as module
from provenance.capture.record import Recorder
from provenance.errors import ConflictError, DigestMismatchError, MalformedError, StatementError
from provenance.ledger.merkle import leaf_hash, tree_root
from provenance.store.log import find_content, read_entry
from provenance.store.session import read_session
from provenance.store.tables import FactClass, SampleRow
from provenance.terms.catalogue import Catalogue
from provenance.terms.resolve import resolve_terms
from tests.store.logs import Log, check_log, make_samples, raw_sample

SECRET = "a sentence that stands nowhere but here"


@pytest.fixture
def recorder(log: Log, catalogue: Catalogue) -> Recorder:
    return log.recorder(catalogue)


@pytest.fixture
def sqlite_recorder(sqlite_log: Log, catalogue: Catalogue) -> Recorder:
    return sqlite_log.recorder(catalogue)


def _statements(log: Log) -> list[Statement]:
    return [parse_entry(entry) for entry in check_log(log.engine, log.ring)]


def test_samples_stand_before_the_batch_that_signs_them(log: Log, recorder: Recorder) -> None:
    receipt = recorder.record(make_samples(*[raw_sample()] * 3), source="api")
    assert (receipt.first_index, receipt.count, receipt.tree_size) == (1, 4, 5)
    entries = check_log(log.engine, log.ring)
    assert [parse_entry(entry).kind for entry in entries] == ["capture", "sample", "sample", "sample", "batch"]
    batch = open_envelope(entries[4], log.ring.public_keys_of("collector"))
    root = format_digest(tree_root([leaf_hash(entry) for entry in entries[1:4]]))
    assert (batch.predicate["count"], batch.predicate["root"]) == (3, root)
    assert dict(batch.subjects[0].digest) == {"sha256": parse_digest(root).hex()}
    capture = open_envelope(entries[0], log.ring.public_keys_of("collector"))
    assert capture.predicate["id"] == batch.predicate["capture"]


def test_every_predicate_has_the_form_of_its_kind(log: Log, recorder: Recorder) -> None:
    recorder.record(make_samples(raw_sample(), {name: raw_sample()[name] for name in ("dataset", "teacher", "generated_at", "prompt", "completion")}), source="api")  # fmt: skip
    for statement in _statements(log):
        check_predicate(statement.kind, statement.predicate)


def test_an_entry_says_what_was_handed_in(log: Log, recorder: Recorder) -> None:
    raw = raw_sample(human_contribution={"kind": "edit"}, parents=["1"], external_id="x-1")
    recorder.record(make_samples(raw), source="api")
    predicate = _statements(log)[1].predicate
    for name in raw.keys() - {"prompt", "completion", "teacher"}:
        assert predicate[name] == raw[name], name
    assert {name: predicate["teacher"][name] for name in raw["teacher"]} == raw["teacher"]
    assert (predicate["evidence"], predicate["logged_at"]) == ("declared", "2026-11-24T10:00:00Z")


@pytest.mark.parametrize("text", ["plain", "a\u0000b", "\u202e\ufeff", "\U0001f600" * 100, '{"a": 1, "a": 2}', "\\"])
def test_the_words_open_the_commitments_and_no_others_do(sqlite_log: Log, sqlite_recorder: Recorder, text: str) -> None:
    sqlite_recorder.record(make_samples(raw_sample(prompt=text, completion=text)), source="api")
    statement = _statements(sqlite_log)[1]
    with read_session(sqlite_log.engine) as session:
        words = find_content(session, 1)
    assert words is not None
    assert words["prompt"][0]["content"] == words["completion"][0]["content"] == text
    for half, domain in (("prompt", PROMPT_DOMAIN), ("completion", COMPLETION_DOMAIN)):
        commitment, salt = statement.predicate[f"{half}_commitment"], bytes.fromhex(words[f"{half}_salt"])
        verify_commitment(commitment, domain, salt, canonical_bytes(words[half]))
        with pytest.raises(DigestMismatchError):
            verify_commitment(commitment, domain, salt, canonical_bytes([*words[half], {}]))
    assert dict(statement.subjects[0].digest) == {"sha256": commitment.removeprefix("sha256:")}


def test_the_same_words_twice_do_not_show(log: Log, recorder: Recorder) -> None:
    recorder.record(make_samples(raw_sample(), raw_sample()), source="api")
    first, second = (statement.predicate for statement in _statements(log)[1:3])
    assert first["prompt_commitment"] != second["prompt_commitment"]
    assert first["completion_commitment"] != second["completion_commitment"]
    assert first["prompt_commitment"] != first["completion_commitment"]
    with read_session(log.engine) as session:
        salts = [words[name] for index in (1, 2) if (words := find_content(session, index)) for name in ("prompt_salt", "completion_salt")]  # fmt: skip
    assert len(set(salts)) == 4
    assert {len(salt) for salt in salts} == {64}


def test_no_entry_holds_a_word_of_prompt_or_completion(log: Log, recorder: Recorder) -> None:
    recorder.record(make_samples(raw_sample(prompt=SECRET, completion=SECRET)), source="api")
    for entry in check_log(log.engine, log.ring):
        assert SECRET.encode() not in entry
        assert "stands nowhere" not in str(parse_entry(entry))


def test_the_class_is_that_of_the_facts_that_the_entry_tells(log: Log, recorder: Recorder) -> None:
    raws = [
        raw_sample(),
        raw_sample(prompt="other", request_id="2"),
        raw_sample(role="judge"),
        raw_sample(account=None),
    ]
    recorder.record(make_samples(*raws), source="api")
    statements = _statements(log)[1:5]
    for statement in statements:
        assert statement.predicate["fact_class"] == fact_class_digest(sample_facts(statement.predicate))
    assert len({statement.predicate["fact_class"] for statement in statements}) == 3
    with read_session(log.engine) as session:
        classes = {row.id: row for row in session.exec(select(FactClass))}
        for row, statement in zip(session.exec(select(SampleRow).order_by(SampleRow.index)), statements, strict=True):  # type: ignore[arg-type]  # a column at run time
            assert classes[row.fact_class_id].digest == statement.predicate["fact_class"]
            assert classes[row.fact_class_id].facts == sample_facts(statement.predicate)
    assert len(classes) == 3


def test_the_terms_in_force_are_bound_with_their_digests(log: Log, recorder: Recorder, catalogue: Catalogue) -> None:
    llama = {"provider": "meta", "model": "llama-3.1-8b-instruct", "route": "weights"}
    unknown = {"provider": "nobody", "model": "unheard-of", "route": "api"}
    raws = [raw_sample(), raw_sample(teacher=llama, account=None), raw_sample(teacher=unknown)]
    recorder.record(make_samples(*raws), source="api")
    openai, meta, nobody = (statement.predicate for statement in _statements(log)[1:4])
    assert nobody["terms"] == []  # a gap in the catalogue loses no sample
    for predicate, provider in ((openai, "openai"), (meta, "meta")):
        assert predicate["terms"]
        bound = resolve_terms(sample_facts(predicate), catalogue).documents
        assert [item["id"] for item in predicate["terms"]] == [document.id for document in bound]
        for item in predicate["terms"]:
            document = catalogue.get(item["id"])
            assert (document.provider, document.digest) == (provider, item["digest"])


@pytest.mark.parametrize(
    ("source", "evidence"),
    [("import", "claimed"), ("api", "declared"), ("sdk", "declared"), ("cli", "declared"), ("gateway", "recorded")],
)
def test_the_door_sets_the_grade_of_evidence(
    sqlite_log: Log, sqlite_recorder: Recorder, source: str, evidence: str
) -> None:
    sqlite_recorder.record(make_samples(raw_sample()), source=source)
    capture, sample, _ = _statements(sqlite_log)
    assert (capture.predicate["source"], sample.predicate["evidence"]) == (source, evidence)


def test_a_capture_is_opened_once_for_each_dataset_and_door(log: Log, recorder: Recorder) -> None:
    for source in ("api", "api", "gateway"):
        recorder.record(make_samples(raw_sample(), raw_sample(dataset="code")), source=source)
    statements = _statements(log)
    opened = {
        s.predicate["id"]: (s.predicate["dataset"], s.predicate["source"]) for s in statements if s.kind == "capture"
    }
    assert sorted(opened.values()) == [("code", "api"), ("code", "gateway"), ("math", "api"), ("math", "gateway")]
    for statement in (statement for statement in statements if statement.kind == "sample"):
        assert opened[statement.predicate["capture"]][0] == statement.predicate["dataset"]


def test_what_is_refused_leaves_nothing_in_the_log(log: Log, recorder: Recorder) -> None:
    samples = make_samples(raw_sample(), raw_sample(dataset="new"))
    samples[1].parameters = {"seed": 2**60}
    with pytest.raises(StatementError):
        recorder.record(samples, source="api")
    with pytest.raises(MalformedError, match="no sample"):
        recorder.record([], source="api")
    assert _statements(log) == []


def test_the_same_request_is_recorded_once_though_its_salts_differ(log: Log, recorder: Recorder) -> None:
    samples = make_samples(raw_sample(), raw_sample())
    first = recorder.record(samples, source="api", idempotency_key="k")
    again = recorder.record(samples, source="api", idempotency_key="k")
    assert (again.replayed, again.first_index, again.count) == (True, first.first_index, 3)
    assert len(_statements(log)) == 4


def test_a_replay_after_a_restart_adds_nothing_not_even_a_capture(
    log: Log, recorder: Recorder, catalogue: Catalogue
) -> None:
    samples = make_samples(raw_sample())
    recorder.record(samples, source="api", idempotency_key="k")
    assert log.recorder(catalogue).record(samples, source="api", idempotency_key="k").replayed
    assert len(_statements(log)) == 3


def test_a_key_does_not_stand_for_other_samples_or_another_door(log: Log, recorder: Recorder) -> None:
    recorder.record(make_samples(raw_sample()), source="api", idempotency_key="k")
    for samples, source in (
        (make_samples(raw_sample(completion="other")), "api"),
        (make_samples(raw_sample()), "import"),
    ):
        with pytest.raises(ConflictError):
            recorder.record(samples, source=source, idempotency_key="k")
    assert len(_statements(log)) == 3


def test_many_classes_are_not_all_remembered(
    sqlite_log: Log, sqlite_recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_REMEMBERED_CLASSES", 3)
    raws = [raw_sample(account={"holder": f"holder {number}"}) for number in range(10)]
    sqlite_recorder.record(make_samples(*raws), source="api")
    assert len(sqlite_recorder._bindings) <= 3
    digests = {statement.predicate["fact_class"] for statement in _statements(sqlite_log)[1:11]}
    assert len(digests) == 10


def test_a_batch_of_a_thousand_is_one_segment_of_entries_and_one_of_words(
    sqlite_log: Log, sqlite_recorder: Recorder, tmp_path: Path
) -> None:
    receipt = sqlite_recorder.record(make_samples(*[raw_sample(completion="x " * 1000)] * 1000), source="api")
    assert receipt.count == 1001
    with read_session(sqlite_log.engine) as session:
        assert parse_entry(read_entry(session, receipt.first_index + 1000)).kind == "batch"
        words = find_content(session, receipt.first_index + 999)
    assert words is not None
    assert words["completion"][0]["content"] == "x " * 1000
    assert len(check_log(sqlite_log.engine, sqlite_log.ring)) == 1002
    assert sum(path.stat().st_size for path in tmp_path.glob("provenance.db*")) < 4_000_000
