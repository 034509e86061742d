"""`provenance keys`: the public halves of all keys; rotation, and revocation of one that was lost or stolen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from provenance.cli.connect import is_remote, local_settings, open_client
from provenance.cli.local import read_keys
from provenance.cli.output import JsonOption, print_json, print_line, print_table, say
from provenance.cli.token import parse_duration
from provenance.errors import FieldError, NotFoundError, SettingsError

if TYPE_CHECKING:
    from provenance.ledger.keys import KeyRecord
    from provenance.runtime import Runtime

app = typer.Typer(help="Keys: one purpose each.", no_args_is_help=True)
COLUMNS = ("purpose", "name", "algorithm", "state", "valid_from", "valid_to", "keyid")


@app.command("list")
def list_all(as_json: JsonOption = False) -> None:
    """List every key there ever was, with what verifies its signatures."""
    _print_keys(_list_keys(), as_json=as_json)


def _list_keys() -> list[dict[str, Any]]:
    if is_remote():
        with open_client() as client:
            keys: list[dict[str, Any]] = client.get("/api/v1/keys")
            return keys
    return [record.to_public() for record in read_keys(local_settings())]


@app.command("export")
def export(
    which: Annotated[str, typer.Argument(help="A purpose, or the id of a key, or its first characters (8 or more).")],
    output: Annotated[Path | None, typer.Option(help="File to write; standard output without it.")] = None,
) -> None:
    """Print a public key as PEM, for other programs: `model_signing verify key --public_key` reads that of `model`."""
    from provenance.attestation.signature import PublicKey
    from provenance.canonical import parse_base64

    pem = PublicKey(parse_base64(_choose(_list_keys(), which)["public_key"], "public_key")).pem
    if output is None:
        typer.echo(pem, nl=False)
    else:
        output.write_text(pem, encoding="ascii")
        say(f"written to {output}")


def _choose(keys: Sequence[dict[str, Any]], which: str) -> dict[str, Any]:
    """The newest active key of a purpose, or the one of this id, whatever its state."""
    plain = [key for key in keys if key.get("public_key")]
    found = [key for key in plain if key["purpose"] == which and key["state"] == "active"][-1:]
    if not found and len(which) >= 8:
        found = [key for key in plain if key["keyid"].startswith(which)]
    if len(found) != 1:
        purposes = ", ".join(sorted({key["purpose"] for key in plain}))
        expected = f"{purposes}, or the id of one of their keys; a log key is printed by `keys list`"
        raise NotFoundError(f"no key {which!r}", FieldError("key", which, expected))
    return found[0]


@app.command("rotate")
def rotate(
    purpose: Annotated[str, typer.Argument(help="authority, log, collector, release or model.")],
    overlap: Annotated[str, typer.Option(help="How long the old key stays valid beside the new one: 12h, 7d.")] = "7d",
    as_json: JsonOption = False,
) -> None:
    """Make a new key for a purpose, introduced by the authority's. The service must be stopped."""
    from provenance.ledger.rotate import rotate_key

    during = _parse_overlap(overlap)

    def change(runtime: Runtime, folder: Path, passphrase: str, now: datetime) -> list[KeyRecord]:
        introduce = _introducer(runtime)
        return rotate_key(folder, purpose, passphrase, now=now, overlap=during, introduce=introduce)

    _print_keys(_change(f"keys rotate {purpose}", change), as_json=as_json)


@app.command("adopt")
def adopt(
    purpose: Annotated[str, typer.Argument(help="authority, collector or release.")],
    uri: Annotated[str, typer.Option(help="Where the key lies: hsm:2?label=token, awskms:..., gcpkms:..., hv:...")],
    public_key: Annotated[Path, typer.Option(help="File with its public half, as PEM.", exists=True, dir_okay=False)],
    overlap: Annotated[str, typer.Option(help="How long the old key stays valid beside it: 12h, 7d.")] = "7d",
    as_json: JsonOption = False,
) -> None:
    """Let a key that lies in a device, cloud or vault take over a purpose. The service must be stopped."""
    from provenance.ledger.adopt import adopt_key, parse_public_pem

    during = _parse_overlap(overlap)
    public = parse_public_pem(public_key.read_bytes())

    def change(runtime: Runtime, folder: Path, _: str, now: datetime) -> list[KeyRecord]:
        introduce = _introducer(runtime)
        return [adopt_key(folder, purpose, uri, public, now=now, overlap=during, introduce=introduce)]

    _print_keys(_change(f"keys adopt {purpose}", change), as_json=as_json)


def _parse_overlap(text: str) -> timedelta:
    return timedelta(0) if text in {"0", "0d", "none"} else parse_duration(text, "overlap")


@app.command("revoke")
def revoke(
    keyid: Annotated[str, typer.Argument(help="Id of the key, or its first characters (8 or more).")],
    reason: Annotated[str, typer.Option(help="Why; it is logged.")],
    last_good_size: Annotated[
        int,
        typer.Option(help="Size of the log up to which its signatures are good; what it signed later is void.", min=0),
    ],
    as_json: JsonOption = False,
) -> None:
    """Revoke a key that was lost or stolen; a successor is made where none is active. The service must be stopped."""
    from provenance.ledger.rotate import revoke_key

    def change(runtime: Runtime, folder: Path, passphrase: str, now: datetime) -> list[KeyRecord]:
        _check_size(runtime, last_good_size)
        introduce = _introducer(runtime)
        return revoke_key(
            folder, keyid, passphrase, now=now, reason=reason, last_good_size=last_good_size, introduce=introduce
        )

    made = _change(f"keys revoke {keyid}", change, reason)
    if not as_json:
        print_line(f"revoked {keyid}: its signatures count up to size {last_good_size:,}")
    _print_keys(made, as_json=as_json)


def _introducer(runtime: Runtime) -> Callable[[Any], object]:
    return lambda said: runtime.append("key", said)


def _check_size(runtime: Runtime, last_good_size: int) -> None:
    from provenance.errors import MalformedError
    from provenance.store.log import get_head
    from provenance.store.session import read_session

    with read_session(runtime.engine) as session:
        size = get_head(session).size
    if last_good_size > size:
        expected = f"at most {size}, the size of the log"
        raise MalformedError(
            f"--last-good-size: expected {expected}", FieldError("last_good_size", last_good_size, expected)
        )


def _change(
    act: str, change: Callable[[Runtime, Path, str, datetime], Sequence[KeyRecord]], reason: str | None = None
) -> list[dict[str, Any]]:
    """Do it while nobody else uses the data directory; opened again, the log also learns which keys ended."""
    if is_remote():
        expected = "no PROVENANCE_URL: keys are changed where they lie"
        raise SettingsError(f"{act}: expected {expected}", FieldError("PROVENANCE_URL", None, expected))
    from provenance.cli.local import hold_alone
    from provenance.ledger.ring import key_passphrase
    from provenance.runtime import open_runtime

    with hold_alone(act) as settings:
        folder = settings.data_dir / "keys"
        runtime = open_runtime(settings)
        try:
            made = change(runtime, folder, key_passphrase(settings), runtime.clock())
        finally:
            runtime.close()
        runtime = open_runtime(settings)
        try:
            runtime.append_access("terminal", act, ", ".join(item.keyid for item in made) or "no new key", reason)
        finally:
            runtime.close()
    return [item.to_public() for item in made]


def _print_keys(keys: Sequence[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        print_json(list(keys))
    else:
        print_table(COLUMNS, ([key.get(name) for name in COLUMNS] for key in keys), empty="No keys.")
