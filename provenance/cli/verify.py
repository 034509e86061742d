"""`provenance verify`: check an evidence bundle offline."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from provenance.cli.output import JsonOption


def verify(
    bundle: Annotated[Path, typer.Argument(help="The evidence bundle.")],
    policy: Annotated[
        Path | None, typer.Option(help="Verifier keys that you trust, one a line, or a tlog-policy file.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Check an evidence bundle: needs neither the service, nor its database, nor a network."""
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
