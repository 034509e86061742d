"""The entry of a sample, against its definition: the canonical Statement of a plain dict, built field by field."""

from __future__ import annotations

from typing import Any

import msgspec
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlmodel import select

from provenance.attestation.envelope import parse_entry
from provenance.attestation.facts import fact_class_digest, sample_facts
from provenance.attestation.predicates import check_predicate
from provenance.attestation.statement import Statement, Subject, format_statement
from provenance.canonical import COMPLETION_DOMAIN, PROMPT_DOMAIN, canonical_bytes, commit
from provenance.capture.entry import write_sample
from provenance.capture.record import Recorder
from provenance.capture.sample import Message, Sample
from provenance.errors import MalformedError
from provenance.ledger.append import Draft, Receipt
from provenance.ledger.merkle import leaf_hash
from provenance.store.reindex import reindex
from provenance.store.segment import unpack_segment
from provenance.store.session import read_session, write_session
from provenance.store.tables import SampleRow
from provenance.terms.catalogue import Catalogue
from provenance.terms.resolve import resolve_terms
from tests.capture.any_sample import raw_samples
from tests.store.logs import Log, check_log, make_samples, raw_sample, read_index

LISTS = st.lists(raw_samples, min_size=1, max_size=3)


def _plain_entry(sample: Sample, words: dict[str, Any], capture: str, catalogue: Catalogue) -> bytes:
    """What an entry is: `words` give the salts, which are drawn at random."""
    predicate: dict[str, Any] = msgspec.to_builtins(sample)
    prompt, completion = (canonical_bytes(predicate.pop(half)) for half in ("prompt", "completion"))
    commitment = commit(COMPLETION_DOMAIN, bytes.fromhex(words["completion_salt"]), completion)
    predicate |= {
        "capture": capture,
        "evidence": "declared",
        "logged_at": "2026-11-24T10:00:00Z",
        "prompt_commitment": commit(PROMPT_DOMAIN, bytes.fromhex(words["prompt_salt"]), prompt),
        "completion_commitment": commitment,
        "size_bytes": {"prompt": len(prompt), "completion": len(completion)},
    }
    facts = sample_facts(predicate)
    predicate["fact_class"] = fact_class_digest(facts)
    bound = resolve_terms(facts, catalogue).documents
    predicate["terms"] = [{"id": document.id, "digest": document.digest} for document in bound]
    subject = Subject("sample", {"sha256": commitment.removeprefix("sha256:")})
    return format_statement(Statement((subject,), "sample", predicate))


@pytest.fixture
def drafts() -> list[Draft]:
    return []


@pytest.fixture
def recorder(sqlite_log: Log, catalogue: Catalogue, drafts: list[Draft]) -> Recorder:
    """A recorder whose drafts can be looked at; they are appended all the same."""
    recorder = sqlite_log.recorder(catalogue)
    append = recorder.append

    def keep(draft: Draft) -> Receipt:
        drafts.append(draft)
        return append(draft)

    recorder.append = keep
    return recorder


@given(raws=LISTS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_an_entry_is_the_canonical_statement_of_its_sample(
    recorder: Recorder, drafts: list[Draft], catalogue: Catalogue, raws: list[dict[str, Any]]
) -> None:
    samples = make_samples(*raws)
    recorder.record(samples, source="api")
    draft = drafts[-1]
    *entries, batch = draft.entries
    words = [orjson.loads(item) for item in unpack_segment(draft.words)]
    for entry, sample, said in zip(entries, samples, words, strict=True):
        predicate = parse_entry(entry).predicate
        check_predicate("sample", predicate)
        assert entry == _plain_entry(sample, said, predicate["capture"], catalogue)
        assert said["prompt"] == msgspec.to_builtins(sample.prompt)
        assert said["completion"] == msgspec.to_builtins(sample.completion)
    assert parse_entry(batch).predicate["count"] == len(samples)
    assert unpack_segment(draft.frames) == [*entries, batch]
    assert list(draft.leaves) == [leaf_hash(entry) for entry in draft.entries]


@given(raw=raw_samples)
def test_a_sample_is_written_canonically(raw: dict[str, Any]) -> None:
    (sample,) = make_samples(raw)
    assert write_sample(sample) == canonical_bytes(msgspec.to_builtins(sample))


def test_a_word_that_json_cannot_carry_is_refused() -> None:
    (sample,) = make_samples(raw_sample())
    sample.completion = [Message(role="assistant", content="\ud800")]
    with pytest.raises(MalformedError, match="not canonical JSON"):
        write_sample(sample)


@given(raws=LISTS)
@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_rows_of_any_samples_are_those_that_the_entries_make(
    log: Log, catalogue: Catalogue, raws: list[dict[str, Any]]
) -> None:
    log.recorder(catalogue).record(make_samples(*raws), source="api")
    check_log(log.engine, log.ring)
    with read_session(log.engine) as session:
        live = read_index(session)
    with write_session(log.engine) as session:
        reindex(session)
        assert read_index(session) == live


OTHER_FACTS = (
    {"role": "judge"},
    {"generated_in": None},
    {"generated_in": "DE"},
    {"generated_at": "2026-11-21T10:00:00Z"},
    {"account": None},
    {"account": {"holder": None}},
    {"account": {"holder": "other", "plan": "api"}},
    {"prompt_origin": None},
    {"prompt_origin": {"kind": "dataset", "ref": None, "license": "CC0-1.0"}},
    {"prompt_origin": {"kind": "human", "ref": None, "license": None}},
    {"human_contribution": {"kind": "edit"}},
    {"human_contribution": {"kind": None}},
    {"teacher__provider": "meta"},
    {"teacher__model": "other"},
    {"teacher__served_model": "other"},
    {"teacher__revision": "r1"},
    {"teacher__obtained_at": "2026-02-03"},
    {"teacher__route": "reseller"},
    {"teacher__host": "azure"},
    {"teacher__route": "dataset", "source_dataset": {"ref": "a/b"}},
    {"teacher__route": "dataset", "source_dataset": {"ref": "a/c"}},
    {"teacher__route": "dataset", "source_dataset": {"ref": "a/b", "license": "MIT"}},
)


def test_each_fact_makes_a_class_of_its_own_in_one_batch(sqlite_log: Log, catalogue: Catalogue) -> None:
    raws = [raw_sample(), *(raw_sample(**change) for change in OTHER_FACTS)]
    sqlite_log.recorder(catalogue).record(make_samples(*raws), source="api")
    entries = check_log(sqlite_log.engine, sqlite_log.ring)
    said = [parse_entry(entry).predicate for entry in entries[1:-1]]
    assert [item["fact_class"] for item in said] == [fact_class_digest(sample_facts(item)) for item in said]
    assert len({item["fact_class"] for item in said}) == len(raws)


def test_a_row_says_what_its_sample_says(log: Log, catalogue: Catalogue) -> None:
    raws = [
        raw_sample(external_id="é-1", usage={"input_tokens": 1, "output_tokens": None}, completion="x" * 400),
        raw_sample(generated_at="2026-11-20T12:00:00.250+02:00", usage={"output_tokens": 2**31 - 1}),
    ]
    log.recorder(catalogue).record(make_samples(*raws), source="api")
    with read_session(log.engine) as session:
        first, second = session.exec(select(SampleRow)).all()
    assert (first.index, first.batch_index, first.generated_at) == (1, 3, "2026-11-20T10:00:00Z")
    assert (first.external_id, first.tokens) == ("é-1", (400 + len('[{"content":"","role":"assistant"}]')) // 4)
    assert (second.external_id, second.tokens, second.generated_at) == (None, 2**31 - 1, "2026-11-20T10:00:00.250Z")
