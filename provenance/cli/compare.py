"""`provenance log compare`: can two checkpoints both be; and if not, the file that proves it to anybody."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from provenance.cli.files import read_bytes, write_bytes
from provenance.cli.output import JsonOption, print_json, print_line, say
from provenance.errors import ConsistencyError, FieldError, MalformedError, VerificationError

if TYPE_CHECKING:
    from provenance.ledger.equivocation import Conviction
    from provenance.ledger.merkle import Hash, ReadHash
    from provenance.ledger.note import VerifierKey

FAILED = 6


def compare(
    one: Annotated[Path, typer.Argument(help="A signed checkpoint.")],
    other: Annotated[Path, typer.Argument(help="Another one of the same log, of any size.")],
    policy: Annotated[Path, typer.Option(help="The log's verifier keys, one a line, or a tlog-policy file.")],
    tiles: Annotated[
        Path | None, typer.Option(help="Published files of the log that signed the greater one (`log export`).")
    ] = None,
    proof: Annotated[
        Path | None, typer.Option(help="Or a consistency proof: what `log consistency --json` prints.")
    ] = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Where the proof of equivocation goes, if it comes to that.")
    ] = Path("equivocation.json"),
    as_json: JsonOption = False,
) -> None:
    """Say whether two checkpoints can both be. Of one size they need nothing else; of two sizes, tiles or a proof.

    Ends with 0 if they are consistent, with 6 if they are not (then `-o` proves it) or if nothing here decides it.
    """
    from provenance.ledger.equivocation import accuse, format_equivocation, judge

    vkeys = read_log_keys(policy)
    notes = _read_text(one), _read_text(other)
    read = _read_tiles(tiles, notes) if tiles else None
    accusation = accuse(*notes, vkeys, read=read, proof=_read_proof(proof) if proof else ())
    try:
        conviction = judge(accusation, vkeys)
    except ConsistencyError as exc:
        raise VerificationError(f"undecided: {exc.detail}. Give the files of the greater tree with --tiles") from exc
    if conviction is not None:
        write_bytes(output, format_equivocation(accusation))
        show_conviction(conviction, as_json=as_json)
        say(f"The proof is in {output}; `provenance verify {output}` convicts with it, offline.")
        raise typer.Exit(FAILED)
    if as_json:
        print_json({"consistent": True})
    else:
        print_line("consistent: the smaller tree is a prefix of the greater one")


def read_log_keys(policy: Path) -> list[VerifierKey]:
    """The keys of the logs that a policy file names."""
    from provenance.ledger.policy import parse_policy

    return parse_policy(_read_text(policy)).logs


def show_conviction(conviction: Conviction, *, as_json: bool) -> None:
    """Print what was proved."""
    from provenance.ledger.equivocation import format_conviction

    if as_json:
        print_json(conviction.to_json())
    else:
        sys.stdout.write(format_conviction(conviction))


def _read_text(path: Path) -> str:
    try:
        return read_bytes(path).decode()
    except UnicodeDecodeError as exc:
        raise MalformedError(f"{path} is not UTF-8", FieldError("file", str(path), "UTF-8 text")) from exc


def _read_tiles(folder: Path, notes: tuple[str, str]) -> ReadHash:
    from provenance.ledger.checkpoint import parse_checkpoint
    from provenance.ledger.note import parse_note
    from provenance.ledger.tiles import TileHashes

    size = max(parse_checkpoint(parse_note(note).text).size for note in notes)
    return TileHashes(size, partial(_load_tile, folder)).read


def _load_tile(folder: Path, level: int, index: int, width: int) -> bytes:
    """A tile as far as it is asked for; a log that has grown since has only the wider one (C2SP tlog-tiles)."""
    from provenance.ledger.merkle import HASH_BYTES
    from provenance.ledger.tiles import TILE_WIDTH, Tile, format_tile_path

    wider = (folder / format_tile_path(Tile(level, index, each)) for each in range(width, TILE_WIDTH + 1))
    path = next((item for item in wider if item.is_file()), folder / format_tile_path(Tile(level, index, width)))
    return read_bytes(path)[: width * HASH_BYTES]


def _read_proof(path: Path) -> list[Hash]:
    from provenance.canonical import parse_base64, parse_json

    value: Any = parse_json(read_bytes(path))
    if not isinstance(value, dict) or not isinstance(value.get("proof"), list):
        raise MalformedError(
            f"{path} holds no proof", FieldError("proof", None, "the JSON of `log consistency --json`")
        )
    return [parse_base64(str(item), "proof") for item in value["proof"]]
