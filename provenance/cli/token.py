"""`provenance token`: who may write to this service. Works on the data directory, beside a running service too."""

from __future__ import annotations

import getpass
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from provenance.cli.connect import local_settings
from provenance.cli.output import JsonOption, print_fields, print_json, print_line, print_table, say
from provenance.errors import FieldError, MalformedError

if TYPE_CHECKING:
    from provenance.runtime import Runtime

app = typer.Typer(help="Tokens of pipelines and people.", no_args_is_help=True)
_DURATION = re.compile(r"([1-9]\d{0,4})([mhdw])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
FIELDS = ("id", "name", "role", "created_at", "expires_at", "revoked_at")


@app.command("create")
def create(
    name: Annotated[str, typer.Option(help="Whose token it is.")],
    role: Annotated[str, typer.Option(help="collector, engineer, compliance, counsel, auditor, viewer or admin.")],
    expires: Annotated[str | None, typer.Option(help="How long it is good for: 12h, 30d, 8w.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Make a token; it is shown once and kept nowhere."""
    with _opened() as runtime:
        from provenance.api.deps import ROLES
        from provenance.ledger.append import format_time
        from provenance.store.session import write_session
        from provenance.store.tokens import create_token

        _check_role(role, sorted(ROLES))
        _check_name(name)
        now = runtime.clock()
        expires_at = format_time(now + parse_duration(expires)) if expires else None
        with write_session(runtime.engine) as session:
            row, secret = create_token(session, name=name, role=role, now=format_time(now), expires_at=expires_at)
            made = {"id": row.id, "name": row.name, "role": row.role, "token": secret, "expires_at": row.expires_at}
        runtime.append_access(_actor(), "token.create", f"{made['id']} {role}")
    if as_json:
        print_json(made)
        return
    print_fields({**made, "expires_at": made["expires_at"] or "never"})
    say("Keep it: it is not shown again. Use it as PROVENANCE_TOKEN, or `Authorization: Bearer TOKEN`.")


@app.command("list")
def list_all(
    show_ended: Annotated[bool, typer.Option("--all", help="Those that were revoked or have expired, too.")] = False,
    as_json: JsonOption = False,
) -> None:
    """List tokens; the secrets themselves are not kept."""
    from provenance.cli.local import read_database

    with read_database() as (_, session):
        from provenance.ledger.append import format_time
        from provenance.store.tokens import list_tokens

        now = format_time(datetime.now(UTC))
        rows = [{name: getattr(row, name) for name in FIELDS} for row in list_tokens(session)]
    if not show_ended:
        rows = [
            row for row in rows if row["revoked_at"] is None and not (row["expires_at"] and row["expires_at"] <= now)
        ]
    if as_json:
        print_json(rows)
        return
    print_table(FIELDS, ([row[name] for name in FIELDS] for row in rows), empty="No token is in use.")


@app.command("revoke")
def revoke(
    name: Annotated[str, typer.Argument(help="Name or id.")],
    reason: Annotated[str | None, typer.Option(help="Why; it is logged.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Revoke a token; it ends at once."""
    with _opened() as runtime:
        from provenance.ledger.append import format_time
        from provenance.store.session import write_session
        from provenance.store.tokens import revoke_token

        with write_session(runtime.engine) as session:
            row = revoke_token(session, name, format_time(runtime.clock()))
            ended: dict[str, Any] = {field: getattr(row, field) for field in FIELDS}
        runtime.append_access(_actor(), "token.revoke", ended["id"], reason)
    if as_json:
        print_json(ended)
    else:
        print_line(f"revoked {ended['name']} ({ended['id']})")


def parse_duration(text: str, name: str = "expires") -> timedelta:
    """`30d`, `12h`, `8w`, `90m` as a duration; `name` is the option that it stands in.

    Raises:
        MalformedError: another form.
    """
    match = _DURATION.fullmatch(text)
    if match is None:
        expected = "a number and m, h, d or w, for example 30d"
        raise MalformedError(f"{name}: expected {expected}, got {text!r}", FieldError(name, text, expected))
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


def _check_role(role: str, known: list[str]) -> None:
    if role not in known:
        expected = " | ".join(known)
        raise MalformedError(f"role: expected {expected}, got {role!r}", FieldError("role", role, expected))


def _check_name(name: str) -> None:
    if not (name.strip() and len(name) <= 100 and name.isprintable()):
        expected = "1 to 100 printable characters"
        raise MalformedError(f"name: expected {expected}, got {name!r}", FieldError("name", name, expected))


def _actor() -> str:
    try:
        return f"terminal:{getpass.getuser()}"
    except (OSError, KeyError):  # an account without a name, as in some containers
        return "terminal"


@contextmanager
def _opened() -> Iterator[Runtime]:
    settings = local_settings()
    from provenance.runtime import open_runtime

    runtime = open_runtime(settings)
    try:
        yield runtime
    finally:
        runtime.close()
