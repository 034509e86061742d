"""Make the index tables again from the entries alone (`provenance db reindex`)."""

from __future__ import annotations

from collections.abc import Callable

from sqlmodel import Session

from provenance.attestation.envelope import parse_entry
from provenance.attestation.statement import Statement
from provenance.errors import UnavailableError
from provenance.store.index import clear_index, index_entries
from provenance.store.lineage import check_complete
from provenance.store.log import find_head, iterate_entries

MIN_GROUP = 1_000


def reindex(session: Session, report: Callable[[int, int], object] | None = None) -> int:
    """Empty the index tables and fill them from the entries; the answer is how many entries were read.

    The head stays locked meanwhile, so no append comes between. The caller commits: until then readers see the old rows.
    `report` is told how many entries are done, of how many.
    """
    head = find_head(session, lock=True)
    total = 0 if head is None else head.size
    clear_index(session)
    first = 0
    statements: list[Statement] = []
    for index, entry in iterate_entries(session, 0, total):
        statements.append(parse_entry(entry))
        if len(statements) >= MIN_GROUP and statements[-1].kind != "sample":  # never between samples and their batch
            index_entries(session, first, statements)
            session.flush()
            session.expunge_all()
            first, statements = index + 1, []
            if report is not None:
                report(first, total)
    index_entries(session, first, statements)
    session.flush()
    return total


def is_behind(session: Session) -> bool:
    """Whether the index was made by a version that knew fewer tables: what it lacks stands in the entries."""
    if find_head(session) is None:
        return False
    try:
        check_complete(session)
    except UnavailableError:
        return True
    return False
