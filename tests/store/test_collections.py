from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine
from sqlmodel import Session

from provenance.errors import NotFoundError
from provenance.store.collections import get_curation, list_curations
from provenance.store.tables import StatementRow


@pytest.fixture
def session(engine: Engine) -> Iterator[Session]:
    with Session(engine) as found:
        said = [
            ("a", {"kind": "dataset-facts"}),
            ("b", {"kind": "terms-history"}),
            ("c", {}),
            ("d", {"kind": "dataset-facts"}),
        ]
        for index, (key, predicate) in enumerate(said):
            found.add(StatementRow(index=index, kind="curation", key=key, predicate={"id": key, **predicate}))
        found.add(StatementRow(index=9, kind="terms", key="a", predicate={"id": "a", "kind": "dataset-facts"}))
        found.flush()
        yield found


def test_curations_are_told_apart_by_their_kind_newest_first(session: Session) -> None:
    assert [row.key for row in list_curations(session, "dataset-facts")] == ["d", "a"]
    assert get_curation(session, "dataset-facts", "a").index == 0


@pytest.mark.parametrize("key", ["b", "c", "nothing"])
def test_a_curation_of_another_kind_is_not_found(session: Session, key: str) -> None:
    with pytest.raises(NotFoundError, match="dataset-facts"):
        get_curation(session, "dataset-facts", key)
