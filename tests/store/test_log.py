"""Reading the log tables: entries, words, statements."""

from __future__ import annotations

from pathlib import Path

import pytest

from provenance.errors import NotFoundError
from provenance.ledger.append import make_draft
from provenance.store.log import (
    find_content,
    find_statement,
    get_head,
    get_statement,
    iterate_entries,
    list_statements,
    load_contents,
    load_entries,
    load_tile,
    read_entry,
)
from provenance.store.samples import get_sample
from provenance.store.session import make_engine, read_session
from tests.store.logs import Log, digest_of
from tests.store.statements import say


@pytest.fixture
def entries(log: Log) -> list[bytes]:
    """Entries in segments of 1, 5, 100 and 2, some with words beside them."""
    made: list[bytes] = []
    for count in (1, 5, 100, 2):
        fresh = [log.access(f"{count}-{number}") for number in range(count)]
        words = [b'{"n":%d}' % (len(made) + number) for number in range(count // 2)]
        log.sequencer.append(make_draft(fresh, words))
        made += fresh
    return made


def test_each_entry_is_read_by_its_index(log: Log, entries: list[bytes]) -> None:
    with read_session(log.engine) as session:
        assert [read_entry(session, index) for index in range(108)] == entries
        for index in (-1, 108, 10_000, 2**63, 2**80):
            with pytest.raises(NotFoundError, match=f"there is no entry {index}"):
                read_entry(session, index)
            assert find_content(session, index) is None
            with pytest.raises(NotFoundError):
                get_sample(session, index)


def test_entries_are_read_in_order_from_anywhere_to_anywhere(log: Log, entries: list[bytes]) -> None:
    numbered = list(enumerate(entries))
    with read_session(log.engine) as session:
        assert list(iterate_entries(session)) == numbered
        for start, stop in ((0, 1), (0, 0), (1, 6), (3, 4), (5, 107), (6, 108), (107, 108), (50, 40), (108, None)):
            assert list(iterate_entries(session, start, stop)) == numbered[start:stop], (start, stop)


def test_many_entries_are_read_at_once_as_they_are_one_by_one(log: Log, entries: list[bytes]) -> None:
    with read_session(log.engine) as session:
        for indices in ([], [0], [2, 57, 106], list(range(len(entries)))):
            assert load_entries(session, indices) == {index: entries[index] for index in indices}
        with pytest.raises(NotFoundError, match="there is no entry 108"):
            load_entries(session, [3, 108])


def test_words_are_found_alone_and_together(log: Log, entries: list[bytes]) -> None:
    with read_session(log.engine) as session:
        alone = {index: find_content(session, index) for index in range(len(entries) + 3)}
        assert dict(load_contents(session, list(alone))) == alone
        assert dict(load_contents(session, [2, 57, 106])) == {2: {"n": 2}, 57: None, 106: {"n": 106}}
    with_words = [index for index, words in alone.items() if words]
    assert with_words == [1, 2, *range(6, 56), 106]
    assert all(alone[index] == {"n": index} for index in with_words)


def test_a_tile_is_read_as_far_as_it_is_filled(log: Log, entries: list[bytes]) -> None:
    with read_session(log.engine) as session:
        whole = load_tile(session, 0, 0, len(entries))
        assert load_tile(session, 0, 0, 7) == whole[: 7 * 32]
        for tile in ((0, 0, 109), (0, 1, 1), (1, 0, 1)):
            with pytest.raises(NotFoundError, match="does not hold"):
                load_tile(session, *tile)


def test_the_newest_statement_of_a_key_is_found(log: Log) -> None:
    for version in range(3):
        say(log, "student", id="stu_1", facts={"name": f"v{version}"}, digest=digest_of(f"{version}"))
    say(log, "student", id="stu_2", facts={"name": "other"}, digest=digest_of("other"))
    with read_session(log.engine) as session:
        assert get_statement(session, "student", "stu_1").predicate["facts"] == {"name": "v2"}
        assert find_statement(session, "student", "stu_3") is None
        with pytest.raises(NotFoundError, match="there is no student 'stu_3' in the log"):
            get_statement(session, "student", "stu_3")
        assert [row.index for row in list_statements(session, "student", limit=2)] == [3, 2]
        assert [row.index for row in list_statements(session, "student", before=2)] == [1, 0]
        assert list_statements(session, "run") == []


def test_a_database_without_a_log_says_so(sqlite_url: str) -> None:
    engine = make_engine(sqlite_url)
    with read_session(engine) as session, pytest.raises(NotFoundError, match="there is no log here yet"):
        get_head(session)
    engine.dispose()


def test_an_entry_lies_in_the_database_as_frames(sqlite_log: Log, tmp_path: Path) -> None:
    sqlite_log.sequencer.append(make_draft([sqlite_log.access("same")] * 1000))
    with read_session(sqlite_log.engine) as session:
        assert len(read_entry(session, 999)) > 500
    assert sum(path.stat().st_size for path in tmp_path.glob("provenance.db*")) < 2_000_000
