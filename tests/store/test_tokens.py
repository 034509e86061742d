"""Bearer tokens: shown once, kept as digests, over when they expire or are revoked."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine, text

from provenance.errors import ConflictError, NotFoundError
from provenance.store.session import read_session, write_session
from provenance.store.tokens import create_token, find_token, list_tokens, revoke_token

DAY1, DAY2, DAY3 = "2026-11-24T10:00:00Z", "2026-11-25T10:00:00Z", "2026-11-26T10:00:00Z"


def test_a_token_opens_until_it_expires(engine: Engine) -> None:
    with write_session(engine) as session:
        row, secret = create_token(session, name="ci", role="writer", now=DAY1, expires_at=DAY2)
        identifier = row.id
    with read_session(engine) as session:
        found = find_token(session, secret, DAY1)
        assert found is not None
        assert (found.id, found.role) == (identifier, "writer")
        assert find_token(session, secret, DAY2) is None
        assert find_token(session, secret + "x", DAY1) is None
        assert find_token(session, "", DAY1) is None


def test_the_secret_is_not_in_the_database(engine: Engine) -> None:
    with write_session(engine) as session:
        _, secret = create_token(session, name="ci", role="writer", now=DAY1, expires_at=None)
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT * FROM token")).all()
    assert secret not in str(rows)
    assert secret.startswith("prv_")
    assert len(secret) > 40


def test_a_revoked_token_is_over_and_stays_listed(engine: Engine) -> None:
    with write_session(engine) as session:
        _, secret = create_token(session, name="ci", role="writer", now=DAY1, expires_at=None)
        revoke_token(session, "ci", DAY2)
        assert find_token(session, secret, DAY3) is None
        assert [(row.name, row.revoked_at) for row in list_tokens(session)] == [("ci", DAY2)]
        with pytest.raises(NotFoundError, match="there is no token 'ci' in use"):
            revoke_token(session, "ci", DAY3)


def test_a_name_in_use_is_taken_and_one_that_is_over_is_free(engine: Engine) -> None:
    with write_session(engine) as session:
        create_token(session, name="ci", role="writer", now=DAY1, expires_at=DAY2)
        with pytest.raises(ConflictError, match="there is a token named 'ci' already"):
            create_token(session, name="ci", role="reader", now=DAY1, expires_at=None)
        later, _ = create_token(session, name="ci", role="reader", now=DAY3, expires_at=None)
        assert revoke_token(session, later.id, DAY3).name == "ci"
