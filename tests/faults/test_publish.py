"""Each step of the publication breaks before and after it is done, by its error and by the death of who publishes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest
from sqlalchemy.exc import SQLAlchemyError

from provenance.ledger.publish import read_checkpoint
from tests.conftest import ENGINES
from tests.faults.conftest import Base
from tests.faults.scene import Place, draft_of, open_writer, publish_log
from tests.faults.seams import Break, Moment, count_steps, watch
from tests.faults.table import ALL, PUBLISH, PUBLISH_OFTEN, Kept, Row, list_cases
from tests.faults.victim import NAMES, publish_new
from tests.ledger.test_publish import verify_folder, verify_folder_or_old

NewCopy = Callable[[], Place]
OLD_SIZE = 250
NEW_SIZE = 262
OFTEN = tuple(Row(step, kept, kept, only_files=True) for step in PUBLISH_OFTEN for kept in ("nothing", "all"))


@pytest.fixture
def steps(base: Base, new_copy: NewCopy) -> Counter[str]:
    """The steps of a publication, each with how often it comes; the first call leaves the base with more than is published."""
    if not base.steps:
        log = open_writer(base.place, base.keys)
        for draft in draft_of(base.keys, NAMES):
            log.sequencer.append(draft)
        log.close()
        place = new_copy()
        base.steps = count_steps(lambda at: publish_new(place, base.keys, at))
    return base.steps


@pytest.mark.parametrize("kind", ENGINES)
def test_each_step_of_the_publication_has_its_row(base: Base, steps: Counter[str]) -> None:
    rows = [row.step for row in PUBLISH if not (row.only_sqlite and base.on_postgres)]
    assert set(steps) == {*rows, *PUBLISH_OFTEN}
    assert len(rows) == len(set(rows))
    assert len(steps) == (52 if base.on_postgres else 53)


def _times(steps: Counter[str], row: Row) -> list[int]:
    """Which times a step comes as this row says; the reads of a long log are one as the other."""
    count = steps[row.step]
    if row in OFTEN:  # only the last follows the checkpoint
        return [count - 1] if row.before == ALL else list(range(count - 1))
    return sorted({0, count - 1}) if row.step.startswith("read") else list(range(count))


CASES = list_cases((*PUBLISH, *OFTEN))


def _check(place: Place, kept: Kept) -> None:
    """What is published verifies: it is whole, and its checkpoint names nothing that is not there."""
    assert verify_folder_or_old(place.published) == (NEW_SIZE if kept == ALL else OLD_SIZE)
    if kept == ALL:
        assert verify_folder(place.published)[0].size == NEW_SIZE
    assert read_checkpoint(place.published) is not None


def _complete(place: Place, base: Base) -> None:
    """The next publication brings all of it."""
    log = open_writer(place, base.keys)
    assert publish_log(log, place) == NEW_SIZE
    log.close()
    assert verify_folder(place.published)[0].size == NEW_SIZE


@pytest.mark.parametrize(("kind", "row", "moment"), CASES)
def test_a_step_that_fails_leaves_what_was_published_and_the_next_try_completes_it(
    base: Base, steps: Counter[str], new_copy: NewCopy, row: Row, moment: Moment
) -> None:
    for number in _times(steps, row):
        place = new_copy()
        fault = Break(row.step, number, moment)
        log = open_writer(place, base.keys)
        failure = _publish(lambda: publish_log(log, place), log.engine, place, fault)  # noqa: B023 - called at once
        log.close()
        assert fault.fired
        # A folder that is there although making it failed is as good as made.
        assert (failure is None) == (row.step.startswith("mkdir") and moment == "after")
        _check(place, ALL if failure is None else row.after if moment == "after" else row.before)
        assert not [
            path for path in place.published.rglob(".*") if path.name.count(".") > 1 and "lock" not in path.name
        ]
        _complete(place, base)


def _publish(act: Callable[[], int], engine: object, place: Place, fault: Break) -> Exception | None:
    try:
        with watch(engine, place.data_dir, fault):  # type: ignore[arg-type]  # the tables of both engines hand one over
            act()
    except (OSError, SQLAlchemyError) as exc:
        return exc
    return None


@pytest.mark.parametrize(("kind", "row", "moment"), CASES)
def test_a_death_at_a_step_leaves_what_was_published_and_the_next_one_completes_it(
    base: Base, steps: Counter[str], new_copy: NewCopy, row: Row, moment: Moment
) -> None:
    for number in _times(steps, row):
        place = new_copy()
        assert base.victim.run("publish", place, Break(row.step, number, moment)) == {"signal": 9}
        _check(place, row.after if moment == "after" else row.before)
        _complete(place, base)
