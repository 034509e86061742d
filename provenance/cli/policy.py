"""`provenance policy`: the rules on record and the cases that counsel wrote for them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from provenance.cli.connect import local_settings
from provenance.cli.output import JsonOption, print_json, print_line, print_table

app = typer.Typer(help="Policies: rules, terms and cases.", no_args_is_help=True)
FAILED = 6
FolderArgument = Annotated[
    Path | None, typer.Argument(help="A policies folder (rules/, terms/, cases/); the shipped one without it.")
]


@app.command("check")
def check(folder: FolderArgument = None, as_json: JsonOption = False) -> None:
    """Load rules and terms strictly, and list the days on which the catalogue leaves open which document binds."""
    local_settings()
    from provenance.policy.cases import check_cases, load_cases
    from provenance.policy.pack import load_pack
    from provenance.policy.words import check_pack
    from provenance.terms.catalogue import load_catalogue
    from provenance.terms.check import check_catalogue, check_days, check_order

    pack = load_pack(folder / "rules" if folder else None)
    catalogue = load_catalogue(folder / "terms" if folder else None)
    check_pack(pack, catalogue)
    check_days(catalogue, today=datetime.now(UTC).date())
    check_order(catalogue)
    check_cases(load_cases(folder / "cases" if folder else None), pack)
    open_days = check_catalogue(catalogue)
    if as_json:
        print_json(
            {
                "ok": True,
                "policy_digest": pack.digest,
                "packs": dict(pack.packs),
                "rules": len(pack.rules),
                "catalogue_digest": catalogue.digest,
                "documents": len(catalogue.documents),
                "open": [vars(item) for item in open_days],
            }
        )
        return
    print_line(f"{len(pack.rules)} rules in {len(pack.packs)} packs, digest {pack.digest}")
    print_line(f"{len(catalogue.documents)} documents, digest {catalogue.digest}")
    for item in open_days:
        print_line(f"{item.kind}: {item.series}: {item.text}")


@app.command("test")
def run_all(folder: FolderArgument = None, as_json: JsonOption = False) -> None:
    """Run the cases: facts in, verdict and clauses out, as counsel expects them."""
    local_settings()
    from provenance.policy.cases import rules_without_cases, run_cases
    from provenance.policy.pack import load_pack
    from provenance.policy.words import check_pack
    from provenance.terms.catalogue import load_catalogue

    pack = load_pack(folder / "rules" if folder else None)
    catalogue = load_catalogue(folder / "terms" if folder else None)
    check_pack(pack, catalogue)
    results = run_cases(folder / "cases" if folder else None, catalogue, pack)
    failed = [item for item in results if not item.passed]
    untried = rules_without_cases(results, pack)
    if as_json:
        shown = [{"case": item.case.name, "passed": item.passed, "problems": list(item.problems)} for item in results]
        print_json(
            {
                "ok": not failed and not untried,
                "passed": len(results) - len(failed),
                "failed": len(failed),
                "cases": shown,
                "rules_without_cases": untried,
            }
        )
    else:
        if failed:
            print_table(("case", "problems"), ([item.case.name, "; ".join(item.problems)] for item in failed), empty="")
        told = f": {', '.join(untried)}" if untried else ""
        print_line(
            f"{len(results) - len(failed)} of {len(results)} cases pass; {len(untried)} rules have no case{told}"
        )
    if failed or untried:
        raise typer.Exit(FAILED)
