"""`provenance witness`: run a witness for logs of others. It has its own directory and needs nothing of the service."""

from __future__ import annotations

import logging
import os
import secrets
from base64 import b64encode
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import platformdirs
import typer

from provenance.cli.output import JsonOption, print_json, print_line, print_table, say
from provenance.errors import NotFoundError, SettingsError, UnavailableError

if TYPE_CHECKING:
    from provenance.ledger.note import VerifierKey
    from provenance.ledger.witness.answer import Witness
    from provenance.ledger.witness.record import WitnessRecord

app = typer.Typer(help="A witness: cosign logs of others, if they only grow (C2SP tlog-witness).", no_args_is_help=True)
DataDir = Annotated[
    Path | None, typer.Option("--data-dir", help="The witness's own directory [the platform's, provenance-witness].")
]
LogKey = Annotated[str, typer.Argument(metavar="LOG_VKEY", help="A line of the log's /log/vkey.")]
RECORD, PROOFS = "witness.db", "equivocations"


@app.command("serve")
def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.")] = 8100,
    data_dir: DataDir = None,
    name: Annotated[
        str | None, typer.Option(help="Name in cosignatures, if keys are made now; a URL without a scheme.")
    ] = None,
    log: Annotated[list[str] | None, typer.Option(metavar="LOG_VKEY", help="Know this log; may be repeated.")] = None,
) -> None:
    """Answer logs until stopped; makes keys where there are none."""
    from provenance.cli.serve import listen

    try:
        from provenance.ledger.witness.serve import run_witness
    except ImportError as exc:
        raise UnavailableError(f"a witness needs {exc.name}: pip install 'provenance-ledger[witness]'") from exc

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    witness = open_local(_folder(data_dir), name)
    for vkey in map(_parse_key, log or []):
        witness.record.add_log(vkey)
    with listen(host, port) as listener:
        address, number = listener.getsockname()[:2]
        url = f"http://{f'[{address}]' if ':' in address else address}:{number}"
        run_witness(witness, listener, lambda: _announce(witness, url))


def _announce(witness: Witness, url: str) -> None:
    from provenance.ledger.note import format_vkey

    say(f"Witness {witness.keys.name} answers on {url}. Stop it with Ctrl-C. In a log's tlog-policy file it is:")
    say(f"witness NAME {format_vkey(witness.keys.vkeys[0])} {url}")
    say("Its ML-DSA-44 key, to be trusted as well or instead: provenance witness keys")
    if not witness.record.list_logs():
        say("It knows no log yet: provenance witness add LOG_VKEY")


@app.command("add")
def add(vkey: LogKey, data_dir: DataDir = None) -> None:
    """Know a log by one of its keys; a running witness knows it at once."""
    key = _parse_key(vkey)
    _open_record(_folder(data_dir)).add_log(key)
    print_line(f"known: {key.name}, key {key.key_id.hex()}")


@app.command("remove")
def remove(vkey: LogKey, data_dir: DataDir = None) -> None:
    """Know a log by this key no longer. What was cosigned for it stays on record."""
    key = _parse_key(vkey)
    if not _open_record(_folder(data_dir)).remove_log(key):
        raise NotFoundError(f"this witness does not know the key {key.key_id.hex()} of {key.name}")
    print_line(f"no longer known: {key.name}, key {key.key_id.hex()}")


@app.command("list")
def list_all(data_dir: DataDir = None, as_json: JsonOption = False) -> None:
    """List the known logs, what was cosigned for each, and proofs that one has two faces."""
    folder = _folder(data_dir)
    proofs = sorted(path.name for path in (folder / PROOFS).glob("*.json"))
    rows = []
    for vkey, seen in _open_record(folder).list_logs():
        mark = sha256(vkey.name.encode()).hexdigest()[:16]
        root = b64encode(seen.root).decode() if seen else None
        forks = [str(folder / PROOFS / name) for name in proofs if name.startswith(mark)]
        rows.append(
            {"origin": vkey.name, "keyid": vkey.key_id.hex(), "tree_size": seen.size if seen else None, "root": root,
             "cosigned_at": seen.signed_at if seen else None, "equivocations": forks}
        )  # fmt: skip
    if as_json:
        print_json(rows)
        return
    print_table(
        ("log", "key", "cosigned size", "equivocations"),
        ([row["origin"], row["keyid"], row["tree_size"], row["equivocations"] or "none"] for row in rows),
        empty="This witness knows no log.",
    )


@app.command("keys")
def keys(data_dir: DataDir = None, as_json: JsonOption = False) -> None:
    """Print the witness's verifier keys, one a line."""
    from provenance.ledger.note import format_vkey

    found = [format_vkey(vkey) for vkey in open_local(_folder(data_dir), None, make=False).keys.vkeys]
    if as_json:
        print_json(found)
    for vkey in found if not as_json else []:
        print_line(vkey)


def open_local(folder: Path, name: str | None, *, make: bool = True) -> Witness:
    """The witness of a folder, with new keys where it has none.

    Raises:
        SettingsError: it has keys, under another name.
    """
    from provenance.ledger.witness.answer import Witness
    from provenance.ledger.witness.keys import create_witness, has_witness, open_witness

    place = folder / "keys"
    if has_witness(place) or not make:
        opened = open_witness(place, _passphrase(place))
    else:
        opened = create_witness(place, name or f"witness.local/{secrets.token_hex(4)}", _passphrase(place, make=True))
    if name not in (None, opened.name):
        raise SettingsError(f"--name: the witness in {folder} is {opened.name}; with another name it is another one")
    return Witness(opened, _open_record(folder), folder / PROOFS, _posix_now)


def _posix_now() -> int:
    from datetime import UTC, datetime

    return int(datetime.now(UTC).timestamp())


def _folder(data_dir: Path | None) -> Path:
    return data_dir or platformdirs.user_data_path("provenance-witness")


def _open_record(folder: Path) -> WitnessRecord:
    from provenance.ledger.witness.record import WitnessRecord

    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as exc:
        raise SettingsError(f"--data-dir: {folder} cannot be made: {exc.strerror}") from exc
    return WitnessRecord(folder / RECORD)


def _passphrase(place: Path, *, make: bool = False) -> bytes:
    """`PROVENANCE_KEY_PASSPHRASE`, or a random one beside the keys."""
    given, path = os.environ.get("PROVENANCE_KEY_PASSPHRASE"), place / "passphrase"
    if given:
        return given.encode()
    try:
        if make and not path.exists():
            place.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.touch(mode=0o600)
            path.write_text(secrets.token_urlsafe(32))
        return path.read_text().strip().encode()
    except FileNotFoundError as exc:
        raise NotFoundError(f"there is no witness in {place.parent}; `provenance witness serve` makes one") from exc
    except OSError as exc:
        raise SettingsError(f"the passphrase in {path} cannot be read or made: {exc.strerror}") from exc


def _parse_key(text: str) -> VerifierKey:
    from provenance.ledger.note import parse_vkey

    return parse_vkey(text)
