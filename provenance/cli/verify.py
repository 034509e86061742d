"""`provenance verify`: check an evidence bundle offline."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from provenance.cli.compare import read_log_keys, show_conviction
from provenance.cli.files import read_bytes
from provenance.cli.output import JsonOption
from provenance.errors import FieldError, MalformedError, VerificationError


def verify(
    bundle: Annotated[Path, typer.Argument(help="The evidence bundle.")],
    policy: Annotated[
        Path | None, typer.Option(help="Verifier keys that you trust, one a line, or a tlog-policy file.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Check an evidence bundle: needs neither the service, nor its database, nor a network.

    A proof of equivocation is read too: 6 if it convicts the log, 3 if it proves nothing, never 0.
    """
    if _convicts(bundle, policy, as_json=as_json):
        raise typer.Exit(6)
    from provenance.attestation.verification import format_verification
    from provenance.cli.output import print_json
    from provenance.verify import verify as verify_bundle

    outcome = verify_bundle(bundle, policy=policy)
    if as_json:
        print_json(outcome.to_json())
    else:
        sys.stdout.write(format_verification(outcome, colour=sys.stdout.isatty()))
    if not outcome.ok:
        raise typer.Exit(6)


def _convicts(path: Path, policy: Path | None, *, as_json: bool) -> bool:
    """Whether the file is a proof of equivocation, and holds.

    Raises:
        MalformedError: it is one, and proves nothing.
    """
    from provenance.ledger.equivocation import convict, is_equivocation, parse_equivocation

    try:
        with path.open("rb") as file:
            if not is_equivocation(file.read(300)):
                return False
    except OSError:
        return False  # whoever reads it as a bundle says what is wrong
    try:
        conviction = convict(parse_equivocation(read_bytes(path)), read_log_keys(policy) if policy else None)
    except VerificationError as exc:
        expected = "two checkpoints that one key of the log signed, and that cannot both be"
        raise MalformedError(
            f"it proves no equivocation: {exc.detail}", FieldError("file", str(path), expected)
        ) from exc
    show_conviction(conviction, as_json=as_json)
    return True
