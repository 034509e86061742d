"""`provenance verify`: check an evidence bundle, or a proof of equivocation, offline."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from provenance.cli.output import JsonOption


def verify(
    bundle: Annotated[Path, typer.Argument(help="The evidence bundle, or a proof of equivocation.")],
    policy: Annotated[
        Path | None, typer.Option(help="Verifier keys that you trust, one a line, or a tlog-policy file.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Check an evidence bundle: needs neither the service, nor its database, nor a network.

    A proof of equivocation is read too: 6 if it convicts the log, 3 if it proves nothing, never 0.
    `python -m provenance.verify` is the same program.
    """
    from provenance.verify import run

    if code := run(bundle, policy, as_json=as_json):
        raise typer.Exit(code)
