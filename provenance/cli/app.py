"""`provenance`: the entry point, its nouns, and how an error leaves.

Modules of commands are small; what is heavy (database, FastAPI, torch) is imported inside a command, so that help is quick.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from provenance import __version__
from provenance.cli import (
    agreement,
    capture,
    db,
    decide,
    erase,
    exception,
    importing,
    keys,
    lineage,
    log,
    model,
    policy,
    recall,
    release,
    report,
    run,
    serve,
    student,
    terms,
    token,
    train,
    verify,
    witness,
)
from provenance.cli.output import print_error
from provenance.errors import ProvenanceError

app = typer.Typer(
    name="provenance",
    help="Signed provenance, licence policy and audit reports for model distillation.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
COMMANDS = (
    serve.serve, serve.demo, serve.doctor, serve.openapi, capture.capture, decide.decide, train.train, verify.verify,
)  # fmt: skip
NOUNS = {
    "db": db.app, "token": token.app, "import": importing.app, "terms": terms.app, "policy": policy.app,
    "agreement": agreement.app, "exception": exception.app,
    "student": student.app, "release": release.app, "run": run.app, "model": model.app, "lineage": lineage.app,
    "report": report.app, "log": log.app, "keys": keys.app, "witness": witness.app, "erase": erase.app,
    "recall": recall.app,
}  # fmt: skip
for _command in COMMANDS:
    app.command()(_command)
for _name, _noun in NOUNS.items():
    app.add_typer(_noun, name=_name)


@app.callback()
def show_version(
    version: Annotated[bool, typer.Option("--version", help="Print the version and end.", is_eager=True)] = False,
) -> None:
    """Signed provenance, licence policy and audit reports for model distillation."""
    if version:
        sys.stdout.write(f"provenance {__version__}\n")
        raise typer.Exit


def main() -> None:
    """Run a command; an error of ours leaves with its exit code (`README`, Commands end with)."""
    try:
        app()
    except ProvenanceError as exc:
        print_error(exc, as_json="--json" in sys.argv[1:])
        sys.exit(exc.exit_code)


if __name__ == "__main__":
    main()
