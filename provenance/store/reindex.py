"""Make the index tables again from the entries alone (`provenance db reindex`)."""

from __future__ import annotations

from sqlmodel import Session

from provenance.attestation.envelope import parse_entry
from provenance.attestation.statement import Statement
from provenance.store.index import clear_index, index_entries
from provenance.store.log import find_head, iterate_entries

MIN_GROUP = 1_000


def reindex(session: Session) -> int:
    """Empty the index tables and fill them from the entries; the answer is how many entries were read.

    The head stays locked meanwhile, so no append comes between. The caller commits: until then readers see the old rows.
    """
    find_head(session, lock=True)
    clear_index(session)
    first, count = 0, 0
    statements: list[Statement] = []
    for index, entry in iterate_entries(session):
        statements.append(parse_entry(entry))
        count = index + 1
        if len(statements) >= MIN_GROUP and statements[-1].kind != "sample":  # never between samples and their batch
            index_entries(session, first, statements)
            session.flush()
            first, statements = count, []
    index_entries(session, first, statements)
    session.flush()
    return count
