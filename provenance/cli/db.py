"""`provenance db`: the database of the local data directory."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from provenance.cli.connect import local_settings
from provenance.cli.local import hold_alone
from provenance.cli.output import print_line, show_progress
from provenance.errors import ConflictError, FieldError, MalformedError, NotFoundError, SettingsError

if TYPE_CHECKING:
    from provenance.settings import Settings

app = typer.Typer(help="The database: schema, index, copies.", no_args_is_help=True)


@app.command("upgrade")
def upgrade() -> None:
    """Bring the database to the newest schema; on a fresh one, create it."""
    settings = local_settings()
    from provenance.settings import prepare_data_dir
    from provenance.store.migrate import upgrade as apply

    prepare_data_dir(settings.data_dir)
    apply(settings.resolved_database_url)
    print_line("the database has the newest schema")


@app.command("reindex")
def reindex() -> None:
    """Build the index tables again out of the log's entries. The service must be stopped."""
    with hold_alone("db reindex") as settings:
        from provenance.store.reindex import reindex as make_again
        from provenance.store.session import make_engine, write_session

        engine = make_engine(settings.resolved_database_url)
        try:
            with write_session(engine) as session, show_progress() as progress:
                task = progress.add_task("entries", total=None)
                size = make_again(session, lambda done, total: progress.update(task, completed=done, total=total))
        finally:
            engine.dispose()
    print_line(f"{size:,} entries indexed")


@app.command("backup")
def backup(file: Annotated[Path, typer.Argument(help="Where to; must not exist.")]) -> None:
    """Copy the embedded database to a file, beside a running service too. Keys are not in it: keep `keys/` elsewhere."""
    source = _sqlite(local_settings())
    if not source.exists():
        raise NotFoundError(f"there is no database {source}")
    if file.exists():
        raise ConflictError(f"{file} exists; backups never overwrite", FieldError("file", str(file), "a new file"))
    try:
        with (
            closing(sqlite3.connect(source)) as old,
            closing(sqlite3.connect(file)) as new,
            show_progress() as progress,
        ):
            task = progress.add_task("pages", total=None)
            old.backup(
                new,
                pages=500,
                progress=lambda _, left, total: progress.update(task, completed=total - left, total=total),
            )
    except (sqlite3.Error, OSError) as exc:
        file.unlink(missing_ok=True)
        raise MalformedError(
            f"{file} cannot be written: {exc}", FieldError("file", str(file), "a writable file")
        ) from exc
    size, _ = read_head(file)
    print_line(f"{file}: the log at {size:,} entries")


@app.command("restore")
def restore(file: Annotated[Path, typer.Argument(help="A file that `db backup` wrote.")]) -> None:
    """Put a backup in the place of the embedded database. Refused if the log has gone on since. The service must be stopped."""
    if not file.is_file():
        raise NotFoundError(f"there is no file {file}")
    with hold_alone("db restore") as settings:
        from provenance.ledger.keys import SignOnce

        target = _sqlite(settings)
        size, root = read_head(file)
        register = settings.data_dir / "keys" / "signed"
        last = SignOnce(register).last() if register.exists() else None
        if last is not None and (last[0] > size or (last[0] == size and last[1] != root)):
            raise ConflictError(
                f"{file} holds {size:,} entries, but a tree of {last[0]:,} was signed since: going on from it would fork "
                "the log. Nothing was changed.",
                FieldError("file", str(file), f"a backup with at least {last[0]} entries"),
            )
        temporary = target.with_name(f".{target.name}.restore")
        with closing(sqlite3.connect(file)) as old, closing(sqlite3.connect(temporary)) as new:
            old.backup(new)
        kept = target.with_name(f"{target.name}.before-restore")
        if target.exists():
            _fold_in(target)
            target.replace(kept)
        temporary.replace(target)
    print_line(f"restored the log at {size:,} entries; what was there is {kept}")


def read_head(file: Path) -> tuple[int, bytes]:
    """Tree size and root of a database file that is sound.

    Raises:
        MalformedError: it is no database of ours, or damaged.
    """
    expected = "a file that `provenance db backup` wrote"
    try:
        with closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True)) as database:
            (sound,) = database.execute("PRAGMA integrity_check(1)").fetchone()
            size, root = database.execute("SELECT size, root FROM log_head WHERE id = 1").fetchone()
    except (sqlite3.Error, TypeError) as exc:
        raise MalformedError(f"{file} is not {expected}: {exc}", FieldError("file", str(file), expected)) from exc
    if sound != "ok":
        raise MalformedError(f"{file} is damaged: {sound}", FieldError("file", str(file), expected))
    return int(size), bytes(root)


def _fold_in(path: Path) -> None:
    # What stands in the write-ahead log beside the file would be lost to the copy that is kept, or mixed into the new one.
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _sqlite(settings: Settings) -> Path:
    from sqlalchemy.engine import make_url

    url = make_url(settings.resolved_database_url)
    if not url.drivername.startswith("sqlite") or not url.database:
        expected = "the embedded SQLite database; for PostgreSQL use pg_dump and pg_restore"
        raise SettingsError(
            f"db backup and restore copy {expected}", FieldError("PROVENANCE_DATABASE_URL", url.drivername, expected)
        )
    return Path(url.database)
