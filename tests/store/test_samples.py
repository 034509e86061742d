"""Queries over samples: selections, classes, pages."""

from __future__ import annotations

from typing import Any

import pytest
from sqlmodel import select

from provenance.errors import MalformedError, NotFoundError
from provenance.store import samples, samples_index
from provenance.store.samples import (
    check_selection,
    count_classes,
    get_dataset,
    get_sample,
    iterate_samples,
    list_datasets,
    list_samples,
)
from provenance.store.session import read_session
from provenance.store.tables import SampleRow
from provenance.terms.catalogue import Catalogue
from tests.store.logs import Log, make_samples, raw_sample


@pytest.fixture
def filled(log: Log, catalogue: Catalogue) -> Log:
    """Entry 0 and 6 open captures; samples stand at 1-4 (math), 7-8 (math, claimed) and 7+."""
    recorder = log.recorder(catalogue)
    raw = [raw_sample(), raw_sample(), raw_sample(teacher__model="gpt-4o-mini"), raw_sample(teacher__route="consumer")]
    recorder.record(make_samples(*raw), source="api")
    recorder.record(make_samples(raw_sample(), raw_sample(usage={"output_tokens": 100})), source="import")
    recorder.record(make_samples(raw_sample(dataset="code")), source="api")
    return log


@pytest.mark.parametrize(
    ("selection", "samples"),
    [
        ({}, 6),
        ({"teacher": "openai/gpt-4o-mini"}, 1),
        ({"route": "api"}, 5),
        ({"evidence": "claimed"}, 2),
        ({"route": "api", "evidence": "declared"}, 3),
        ({"teacher": "openai/none"}, 0),
    ],
)
def test_a_selection_counts_what_it_names(filled: Log, selection: dict[str, str], samples: int) -> None:
    with read_session(filled.engine) as session:
        classes = count_classes(session, "math", check_selection(selection), 10**9)
        assert sum(item.samples for item in classes) == samples
        if classes:
            ids = [item.id for item in classes]
            rows = list(iterate_samples(session, "math", ids, 10**9))
            assert len(rows) == samples
            assert [row.index for row in rows] == sorted(row.index for row in rows)
            assert sum(row.tokens for row in rows) == sum(item.tokens for item in classes)


def test_a_class_can_be_selected_by_its_digest(filled: Log) -> None:
    with read_session(filled.engine) as session:
        first = count_classes(session, "math", {}, 10**9)[0]
        assert count_classes(session, "math", {"fact_class": first.digest}, 10**9) == [first]


def test_an_older_log_size_sees_no_later_sample(filled: Log) -> None:
    with read_session(filled.engine) as session:
        assert sum(item.samples for item in count_classes(session, "math", {}, 3)) == 2
        assert len(list(iterate_samples(session, "math", [1, 2, 3, 4, 5], 3))) == 2


@pytest.mark.parametrize(
    "selection", [{"color": "red"}, {"teacher": 5}, {"teacher": ""}, {"route": "a\nb"}, {"route": None}]
)
def test_a_bad_selection_names_its_field(selection: dict[str, Any]) -> None:
    with pytest.raises(MalformedError) as caught:
        check_selection(selection)
    assert caught.value.errors[0].field == f"selection.{next(iter(selection))}"


def test_pages_go_from_the_newest_to_the_oldest(filled: Log) -> None:
    with read_session(filled.engine) as session:
        newest = [row.index for row, _, _ in list_samples(session, limit=3)]
        older = [row.index for row, _, _ in list_samples(session, before=newest[-1])]
        assert newest + older == sorted(newest + older, reverse=True)
        assert len(newest + older) == 7
        row, fact_class, dataset = list_samples(session)[0]
        assert (dataset.name, fact_class.teacher) == ("code", "openai/gpt-4o-2024-08-06")
        where = [SampleRow.dataset_id == get_dataset(session, "code").id]
        assert [found[0].index for found in list_samples(session, where=where)] == [row.index]  # type: ignore[arg-type]  # columns at run time


def test_datasets_begin_with_their_first_sample(filled: Log) -> None:
    with read_session(filled.engine) as session:
        assert [item.name for item in list_datasets(session)] == ["code", "math"]
        with pytest.raises(NotFoundError, match="it begins with its first sample"):
            get_dataset(session, "nothing")


def test_an_entry_that_is_no_sample_is_not_found_as_one(filled: Log) -> None:
    with read_session(filled.engine) as session:
        assert get_sample(session, 1).index == 1
        with pytest.raises(NotFoundError, match="entry 0 is not a sample"):
            get_sample(session, 0)


@pytest.mark.parametrize("entries", [1, 2, 3, 5, 8, 1 << 16])
def test_counts_by_block_are_those_of_the_rows_at_every_size(
    log: Log, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch, entries: int
) -> None:
    for module in (samples_index, samples):
        monkeypatch.setattr(module, "BLOCK_ENTRIES", entries)
    recorder = log.recorder(catalogue)
    for number in range(3):  # a class comes back in later batches, and two data sets share a block
        again = [raw_sample(usage={"output_tokens": 10 * number}), raw_sample(teacher__model="gpt-4o-mini")]
        recorder.record(make_samples(*again, raw_sample(dataset="code")), source="api")
    with read_session(log.engine) as session:
        rows = list(session.exec(select(SampleRow)).all())
        names = {row.id: row.name for row in list_datasets(session)}
        for size in range(max(row.index for row in rows) + 3):
            for name in ("math", "code"):
                expected: dict[int, tuple[int, int]] = {}
                for row in rows:
                    if names[row.dataset_id] == name and row.index < size:
                        held = expected.get(row.fact_class_id, (0, 0))
                        expected[row.fact_class_id] = (held[0] + 1, held[1] + row.tokens)
                found = count_classes(session, name, {}, size)
                assert {item.id: (item.samples, item.tokens) for item in found} == expected
