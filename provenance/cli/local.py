"""What works on the data directory itself, with the service stopped or running: a read session, the log's keys."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from provenance.cli.connect import local_settings
from provenance.errors import NotFoundError, UnavailableError

if TYPE_CHECKING:
    from sqlmodel import Session

    from provenance.ledger.keys import KeyRecord
    from provenance.settings import Settings


@contextmanager
def read_database() -> Iterator[tuple[Settings, Session]]:
    """A read session on the local database; nothing is created.

    Raises:
        NotFoundError: there is none yet.
        UnavailableError: it cannot be read.
    """
    settings = local_settings()
    from sqlalchemy.exc import SQLAlchemyError

    from provenance.store.session import make_engine, read_session

    path = settings.data_dir / "provenance.db"
    if settings.database_url is None and not path.exists():
        raise NotFoundError(f"there is no database in {settings.data_dir} yet; `provenance serve` creates one")
    engine = make_engine(settings.resolved_database_url)
    try:
        with read_session(engine) as session:
            yield settings, session
    except SQLAlchemyError as exc:
        raise UnavailableError(
            f"the database {settings.database_url or path} cannot be read: {exc.__cause__ or exc}"
        ) from exc
    finally:
        engine.dispose()


def read_keys(settings: Settings) -> tuple[KeyRecord, ...]:
    """The public halves of the local keys; no passphrase is needed.

    Raises:
        NotFoundError: there are none.
    """
    from provenance.ledger.keys import read_index

    return read_index(settings.data_dir / "keys")[1]


@contextmanager
def hold_alone(purpose: str) -> Iterator[Settings]:
    """The local data directory while no service or other command uses it.

    Raises:
        ConflictError: somebody does; named with process and address.
    """
    settings = local_settings()
    from provenance.cli.service import COMMAND, hold
    from provenance.settings import prepare_data_dir

    prepare_data_dir(settings.data_dir)
    held = hold(settings.data_dir, purpose)
    try:
        held.announce(COMMAND, None)
        yield settings
    finally:
        held.release()
