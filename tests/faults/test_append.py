"""Each step of the append breaks before and after it is done, by its error and by the death of the writer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest

from provenance.errors import ProvenanceError
from provenance.ledger.append import Receipt
from tests.conftest import ENGINES
from tests.faults.conftest import Base
from tests.faults.scene import Place, access_draft, check_place, draft_of, open_writer, read_acknowledged
from tests.faults.seams import Break, InjectedError, Moment, count_steps, watch
from tests.faults.table import ALL, APPEND, APPEND_TWICE, NOTHING, Kept, Row, list_cases
from tests.faults.victim import KEY, NAMES, append_new

NewCopy = Callable[[], Place]
TWICE = tuple(Row(step, kept, kept, only_files=True) for step in APPEND_TWICE for kept in (NOTHING, ALL))


@pytest.fixture
def steps(base: Base, new_copy: NewCopy) -> Counter[str]:
    """The steps of an append, each with how often it comes."""
    if not base.steps:
        place = new_copy()
        base.steps = count_steps(lambda at: append_new(place, base.keys, at))
    return base.steps


@pytest.mark.parametrize("kind", ENGINES)
def test_each_step_of_the_append_has_its_row(base: Base, steps: Counter[str]) -> None:
    rows = [row.step for row in APPEND if not (row.only_sqlite and base.on_postgres)]
    assert set(steps) == {*rows, *APPEND_TWICE}
    assert len(rows) == len(set(rows))
    assert len(steps) == (23 if base.on_postgres else 25)


def _times(base: Base, steps: Counter[str], row: Row) -> list[int]:
    """Which times a step comes as this row says; on a server, which is slow to copy, the first and the last."""
    count = steps[row.step]
    if row in TWICE:
        return list(range(count // 2)) if row.before == NOTHING else list(range(count // 2, count))
    return sorted({0, count - 1}) if base.on_postgres else list(range(count))


def _kept(row: Row, moment: Moment) -> Kept:
    return row.after if moment == "after" else row.before


def _check(place: Place, acknowledged: dict[int, str], kept: Kept, *, rows: bool = True) -> None:
    found = check_place(place, acknowledged, rows=rows)
    assert [name for name in found.values() if name in NAMES] == (NAMES if kept == ALL else [])


@pytest.mark.parametrize(("kind", "row", "moment"), list_cases((*APPEND, *TWICE)))
def test_a_step_that_fails_loses_nothing_and_the_writer_goes_on(
    base: Base, steps: Counter[str], new_copy: NewCopy, row: Row, moment: Moment
) -> None:
    for number in _times(base, steps, row):
        place = new_copy()
        fault = Break(row.step, number, moment)
        capture, samples = draft_of(base.keys, NAMES, KEY)
        before = open_writer(place, base.keys)
        before.sequencer.append(capture)
        before.close()
        log = open_writer(place, base.keys)
        with watch(log.engine, place.data_dir, fault):
            answer = _try(lambda: log.sequencer.append(samples))  # noqa: B023 - called at once
        assert fault.fired
        kept = _kept(row, moment)
        first = answer.first_index if isinstance(answer, Receipt) else None
        acknowledged = {} if first is None else {first + at: name for at, name in enumerate(NAMES)}
        _check(place, acknowledged, kept, rows=False)
        if not isinstance(answer, Receipt):
            _is_true(answer, kept)
        # The same writer goes on, and the same request is done once.
        log.sequencer.append(access_draft(base.keys, "goes on"))
        again = log.sequencer.append(samples)
        assert again.replayed == (kept == ALL)
        log.close()
        _check(place, {again.first_index + at: name for at, name in enumerate(NAMES)}, ALL)


def _try(act: Callable[[], Receipt]) -> Receipt | Exception:
    try:
        return act()
    except (ProvenanceError, InjectedError) as exc:
        return exc


def _is_true(answer: Exception, kept: Kept) -> None:
    """What a refusal says of the log is so."""
    if isinstance(answer, ProvenanceError):
        says_kept = "are in the log" in answer.detail
        assert says_kept == (kept == ALL), answer.detail
        assert says_kept or "nothing was" in answer.detail or "cannot be used" in answer.detail, answer.detail


@pytest.mark.parametrize(("kind", "row", "moment"), list_cases((*APPEND, *TWICE)))
def test_a_writer_that_dies_at_a_step_loses_nothing_and_the_next_one_goes_on(
    base: Base, steps: Counter[str], new_copy: NewCopy, row: Row, moment: Moment
) -> None:
    for number in _times(base, steps, row):
        place = new_copy()
        assert base.victim.run("append", place, Break(row.step, number, moment)) == {"signal": 9}
        acknowledged = read_acknowledged(place.data_dir.parent / "acknowledged")
        kept = _kept(row, moment)
        _check(place, acknowledged, kept, rows=False)
        log = open_writer(place, base.keys)
        log.sequencer.append(access_draft(base.keys, "goes on"))
        replay = log.sequencer.find_replay(KEY, draft_of(base.keys, NAMES, KEY)[1].request_digest)
        assert (replay is not None) == (kept == ALL)
        log.close()
        _check(place, acknowledged, kept)
