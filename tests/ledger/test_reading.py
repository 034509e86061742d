"""What one segment says by itself: every check is broken once, and each time the entry is named."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
import pytest

from provenance.canonical import canonical_bytes
from provenance.ledger.merkle import leaf_hash
from provenance.ledger.reading import Reading, SegmentBytes, count_workers, read_segment
from provenance.store.segment import ITEMS_PER_FRAME, pack_segment
from tests.evidence_factory import COMPLETIONS, PROMPTS, make_log, salt

LOG = make_log()
SAMPLE = LOG.samples[0]
Change = Callable[[Any], object]


def words(number: int) -> dict[str, Any]:
    return {
        "prompt": PROMPTS[number],
        "completion": COMPLETIONS[number],
        "prompt_salt": salt(number, 1).hex(),
        "completion_salt": salt(number, 2).hex(),
    }


def content() -> list[bytes]:
    found = [b""] * len(LOG.entries)
    for number, index in enumerate(LOG.samples):
        found[index] = orjson.dumps(words(number))
    return found


def read(entries: list[bytes], items: list[bytes] | None = None, first: int = 0) -> Reading:
    items = content() if items is None else items
    stored = SegmentBytes(first, len(entries), len(entries), pack_segment(entries), pack_segment(items), len(items))
    return read_segment(stored)


def test_a_segment_that_is_whole_gives_leaves_samples_and_signed_statements() -> None:
    reading = read(LOG.entries)
    assert reading.findings == []
    assert reading.leaves == [leaf_hash(entry) for entry in LOG.entries]
    assert [index for index, sample in enumerate(reading.samples) if sample] == LOG.samples
    assert list(reading.signed) == [index for index in range(len(LOG.entries)) if index not in LOG.samples]
    assert (reading.words, reading.gone) == (5, [])


def change_sample(change: Change) -> Callable[[list[bytes]], int]:
    def act(entries: list[bytes]) -> int:
        value = orjson.loads(entries[SAMPLE])
        change(value)
        entries[SAMPLE] = canonical_bytes(value)
        return SAMPLE

    return act


def put(index: int, entry: bytes) -> Callable[[list[bytes]], int]:
    def act(entries: list[bytes]) -> int:
        entries[index] = entry
        return index

    return act


BROKEN_ENTRIES = {
    "no JSON": put(SAMPLE, b"\xff"),
    "not canonical": put(SAMPLE, LOG.entries[SAMPLE].replace(b":null", b": null", 1)),
    "a duplicate key": put(SAMPLE, LOG.entries[SAMPLE].replace(b'"role":', b'"role":"judge","role":', 1)),
    "no object": put(SAMPLE, b"[]"),
    "another statement type": change_sample(lambda it: it.update(_type="https://in-toto.io/Statement/v0.1")),
    "an unknown kind": change_sample(lambda it: it.update(predicateType="https://provenance-ledger.dev/odd/v1")),
    "a further field": change_sample(lambda it: it.update(more=1)),
    "no subject": change_sample(lambda it: it.update(subject=[])),
    "no predicate": change_sample(lambda it: it.pop("predicate")),
    "a field less": change_sample(lambda it: it["predicate"].pop("terms")),
    "a field of another form": change_sample(lambda it: it["predicate"].update(terms={})),
    "a commitment that is none": change_sample(lambda it: it["predicate"].update(prompt_commitment="sha256:00")),
    "an unknown grade": change_sample(lambda it: it["predicate"].update(evidence="certain")),
    "a bare statement of a signed kind": change_sample(
        lambda it: it.update(predicateType="https://provenance-ledger.dev/recall/v1", predicate={"id": "rec_1"})
    ),
    "an envelope without signatures": put(
        0, canonical_bytes({**orjson.loads(LOG.entries[0]), "signatures": []})
    ),
    "an envelope of another type": put(
        0, canonical_bytes({**orjson.loads(LOG.entries[0]), "payloadType": "text/plain"})
    ),
    "an envelope of loose base64": put(
        0, canonical_bytes({**orjson.loads(LOG.entries[0]), "payload": orjson.loads(LOG.entries[0])["payload"] + "\n"})
    ),
}  # fmt: skip


@pytest.mark.parametrize("defect", BROKEN_ENTRIES)
def test_an_entry_that_is_not_well_formed_is_named_and_its_bytes_are_hashed_all_the_same(defect: str) -> None:
    entries = list(LOG.entries)
    index = BROKEN_ENTRIES[defect](entries)
    reading = read(entries)
    assert [(item.step, item.index, item.exact) for item in reading.findings] == [(2, index, True)]
    assert reading.leaves[index] == leaf_hash(entries[index])
    assert not reading.samples[index]
    assert index not in reading.signed


BROKEN_WORDS: dict[str, Change] = {
    "another prompt": lambda it: it.update(prompt="other"),
    "another completion": lambda it: it.update(completion="other"),
    "another salt of the prompt": lambda it: it.update(prompt_salt=salt(3, 1).hex()),
    "another salt of the completion": lambda it: it.update(completion_salt=salt(3, 2).hex()),
    "a short salt": lambda it: it.update(prompt_salt="00"),
    "a salt that is no hex": lambda it: it.update(completion_salt="zz" * 32),
    "no prompt": lambda it: it.pop("prompt"),
    "no salt": lambda it: it.pop("completion_salt"),
    "prompt and completion exchanged": lambda it: it.update(prompt=it["completion"], completion=it["prompt"]),
}


@pytest.mark.parametrize("defect", BROKEN_WORDS)
def test_words_that_do_not_open_their_commitments_are_named(defect: str) -> None:
    value = words(0)
    BROKEN_WORDS[defect](value)
    items = content()
    items[SAMPLE] = orjson.dumps(value)
    reading = read(LOG.entries, items)
    assert [(item.step, item.index) for item in reading.findings] == [(6, SAMPLE)]
    assert (reading.words, reading.gone) == (4, [])
    assert reading.samples[SAMPLE]  # the entry itself is in order


@pytest.mark.parametrize("item", [b"[]", b"null", b"{", b"\xff"])
def test_words_that_are_no_words_are_named(item: bytes) -> None:
    items = content()
    items[SAMPLE] = item
    assert [(found.step, found.index) for found in read(LOG.entries, items).findings] == [(6, SAMPLE)]


def test_samples_without_words_are_listed_not_judged() -> None:
    items = content()
    items[SAMPLE + 1] = b""
    assert read(LOG.entries, items).gone == [SAMPLE + 1]
    bare = read_segment(SegmentBytes(7, len(LOG.entries), len(LOG.entries), pack_segment(LOG.entries)))
    assert bare.gone == [index + 7 for index in LOG.samples]


def test_only_what_belongs_to_the_log_is_read() -> None:
    stored = SegmentBytes(0, len(LOG.entries), 2, pack_segment(LOG.entries))
    assert read_segment(stored).leaves == [leaf_hash(entry) for entry in LOG.entries[:2]]


def test_a_frame_that_does_not_unpack_costs_its_own_entries_only() -> None:
    frames, count = pack_segment(LOG.entries * 20), len(LOG.entries) * 20
    assert ITEMS_PER_FRAME < count < 2 * ITEMS_PER_FRAME
    reading = read_segment(SegmentBytes(0, count, count, frames[:-30] + bytes(30)))
    lost = [index for index, leaf in enumerate(reading.leaves) if leaf is None]
    assert lost == list(range(ITEMS_PER_FRAME, count))
    assert [item.index for item in reading.findings] == lost


@pytest.mark.parametrize("promised", [len(LOG.entries) - 1, len(LOG.entries) + 1])
def test_a_row_that_promises_another_count_than_it_holds_is_read_as_far_as_it_goes(promised: int) -> None:
    reading = read_segment(SegmentBytes(0, promised, promised, pack_segment(LOG.entries)))
    assert len(reading.leaves) == promised
    assert [item.index for item in reading.findings] == list(range(len(LOG.entries), promised))


def test_a_small_log_starts_no_process() -> None:
    assert count_workers(0) == count_workers(1_000) == 1
    assert 1 <= count_workers(10**9) <= 1024
