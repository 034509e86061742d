"""What works on the data directory itself, with the service stopped or running: a read session, keys, what is in force."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from provenance.cli.connect import local_settings
from provenance.errors import NotFoundError, UnavailableError

if TYPE_CHECKING:
    from datetime import date

    from sqlmodel import Session

    from provenance.ledger.keys import KeyRecord
    from provenance.lineage.inherited import Inheritance
    from provenance.policy.known import Known
    from provenance.policy.lifts import Lifts
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


def load_in_force(known_at: str | None = None, day: date | None = None) -> Known:
    """Terms and pack as the local log has them now, or had them then, with what lifts rules on `day`; else the shipped ones.

    Raises:
        NotFoundError: there is no log to say what was known then.
    """
    settings = local_settings()
    from datetime import UTC, datetime

    from provenance.policy.known import Known, load_known
    from provenance.policy.lifts import load_lifts
    from provenance.policy.pack import load_pack
    from provenance.policy.recorded import choose_pack
    from provenance.store.log import find_head
    from provenance.terms.catalogue import load_catalogue
    from provenance.terms.recorded import merge_shipped

    if known_at is None and not _has_database(settings):
        return Known(None, load_catalogue(), load_pack())
    with read_database() as (_, session):
        if known_at is not None:
            return load_known(session, known_at, now=datetime.now(UTC), day=day)
        head = find_head(session)
        terms, chosen = merge_shipped(session, load_catalogue()), choose_pack(session, load_pack())
        held = load_lifts(session, day or datetime.now(UTC).date())
        return Known(head.size if head else None, terms.catalogue, chosen.pack, held)


def load_local_lifts(day: date) -> Lifts:
    """The agreements and exceptions of the local log that are in force on a day; none where there is no log."""
    from provenance.policy.lifts import Lifts, load_lifts

    if not _has_database(local_settings()):
        return Lifts()
    with read_database() as (_, session):
        return load_lifts(session, day)


def inherit_local(sample: Mapping[str, Any], known: Known, terms_of: date | None) -> Inheritance:
    """What the teacher that a sample names carries by the local log; nothing where there is no log."""
    from provenance.lineage.inherit import inherit_teacher
    from provenance.lineage.inherited import NOTHING

    if known.log_size is None:
        return NOTHING
    with read_database() as (_, session):
        return inherit_teacher(session, sample, known.log_size, known.catalogue, terms_of=terms_of)


def _has_database(settings: Settings) -> bool:
    return settings.database_url is not None or (settings.data_dir / "provenance.db").exists()


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
