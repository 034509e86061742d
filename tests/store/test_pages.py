"""What pages ask of samples: the keyset list against plain sorting, whatever the filter and the cursor."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest
from sqlalchemy import Engine
from sqlmodel import Session

from provenance.store.pages import MAX_SLICES_APART, Slice, find_samples, list_latest, list_newest, list_slices
from provenance.store.session import read_session, write_session
from provenance.store.tables import ClassBlock, Dataset, Decision, DecisionClass, FactClass, SampleRow

DATASETS, CLASSES, SAMPLES = 2, MAX_SLICES_APART, 700
LIMIT = 20


def fill(session: Session) -> None:
    """Samples spread unevenly over two datasets and as many classes as are still walked apart."""
    for number in range(1, DATASETS + 1):
        session.add(Dataset(id=number, name=f"d{number}", first_index=0, samples=0))
    for number in range(1, CLASSES + 1):
        facts = {"teacher": {"route": "api"}, "evidence": "declared"}
        session.add(FactClass(id=number, digest=f"sha256:{number:064x}", teacher=f"p/m{number % 5}", facts=facts))
    session.flush()
    held: Counter[tuple[int, int]] = Counter()
    for place in range(SAMPLES):
        index = 3 * place + place % 2  # the log holds other entries between them
        kind, dataset = 1 + 7 * place % CLASSES, 1 + place // CLASSES % DATASETS
        held[dataset, kind] += 1
        row = {"index": index, "batch_index": index, "dataset_id": dataset, "fact_class_id": kind}
        session.add(SampleRow(**row, generated_at="2026-11-24T10:00:00Z", tokens=1, external_id=f"x{place % 600}"))
    for (dataset, kind), samples in held.items():
        session.add(ClassBlock(dataset_id=dataset, fact_class_id=kind, block=0, samples=samples, tokens=samples))


FILTERS: dict[str, Callable[[Slice], bool]] = {
    "one class": lambda item: item.key[1] == 1,
    "one teacher": lambda item: item.fact_class.teacher == "p/m1",
    "one data set": lambda item: item.dataset.name == "d2",
    "everything": lambda _: True,
    "nothing": lambda _: False,
}


@pytest.mark.parametrize("name", FILTERS)
def test_the_list_is_the_sorted_samples_cut_at_the_cursor(engine: Engine, name: str) -> None:
    with write_session(engine) as session:
        fill(session)
    with read_session(engine) as session:
        everything = list_newest(session, None, limit=SAMPLES + 1)
        chosen = [item for item in list_slices(session) if FILTERS[name](item)]
        kept = {item.key for item in chosen}
        expected = [row.index for row in everything if (row.dataset_id, row.fact_class_id) in kept]
        assert sum(item.samples for item in chosen) == len(expected)
        assert (len(chosen) > MAX_SLICES_APART) == (name == "everything")  # both ways of walking are taken
        for cursor in (0, 1, 700, 1500, 10**6):
            older = list_newest(session, chosen, before=cursor, limit=LIMIT)
            newer = list_newest(session, chosen, after=cursor, limit=LIMIT)
            assert [row.index for row in older] == [index for index in expected if index < cursor][:LIMIT]
            assert [row.index for row in newer] == [index for index in expected if index > cursor][-LIMIT:]


def test_a_sample_is_found_by_its_index_and_its_external_id_alone(engine: Engine) -> None:
    with write_session(engine) as session:
        fill(session)
    with read_session(engine) as session:
        assert [row.index for row in find_samples(session, "x7")] == [3 * 607 + 1, 22]
        assert [row.index for row in find_samples(session, "22")] == [22]
        assert find_samples(session, "23") == []
        assert find_samples(session, "9" * 30) == []


def test_the_newest_decision_speaks_for_a_class(engine: Engine) -> None:
    with write_session(engine) as session:
        fill(session)
        session.flush()
        for index, verdict in ((5000, "allow"), (6000, "deny")):
            session.add(Decision(id=f"dec_{index}", index=index, student="s", action="train", verdict=verdict))
            session.flush()
            session.add(DecisionClass(decision=f"dec_{index}", fact_class_id=1, verdict=verdict, samples=1, tokens=1))
    with read_session(engine) as session:
        assert {number: row.verdict for number, row in list_latest(session).items()} == {1: "deny"}
