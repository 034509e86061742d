"""`provenance policy`: the rules on record, the cases that counsel wrote for them, and how another pack comes into force."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from provenance.cli.connect import local_settings, open_client
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


SourcesArgument = Annotated[Path, typer.Argument(help="A policies folder: rules/, and cases/ beside it.")]


@app.command("replay")
def replay(folder: SourcesArgument, as_json: JsonOption = False) -> None:
    """Ask every past decision again under the pack in FOLDER, and show what would flip. Nothing is stored."""
    sources = _read_sources(folder)
    del sources["cases"]
    with open_client() as client:
        said = client.post("/api/v1/policies/replay", sources)
    if as_json:
        print_json(said)
    else:
        print_replay(said)


@app.command("propose")
def propose(
    folder: SourcesArgument,
    author: Annotated[str | None, typer.Option(help="Who wrote it; by default whoever proposes it.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Propose the pack in FOLDER: checked, tried on its cases, replayed and logged. It is not in force yet."""
    sources = _read_sources(folder)
    with open_client() as client:
        said = client.post("/api/v1/policies", sources | ({"author": author} if author else {}))
    if as_json:
        print_json(said)
        return
    print_line(f"{said['id']} is proposed, entry {said['entry']}, author {said['author']}")
    _print_totals(said["replay"]["decisions"], said["replay"]["totals"])
    print_line("Another person approves it, for just this pack and just this replay:")
    print_line(
        f"  provenance policy approve {said['id']} --digest {said['digest']} --replay {said['replay']['digest']}"
    )


@app.command("approve")
def approve(
    identifier: Annotated[str, typer.Argument(help="Id of a proposal.")],
    digest: Annotated[str, typer.Option(help="The digest of the pack that you have read.")],
    replayed: Annotated[str, typer.Option("--replay", help="The digest of the replay that you have seen.")],
    as_json: JsonOption = False,
) -> None:
    """Put a proposed pack in force, as another person than its author."""
    with open_client() as client:
        asked = {"digest": digest, "replay_digest": replayed}
        said = client.post(f"/api/v1/policies/{identifier}/approve", asked)
    if as_json:
        print_json(said)
    else:
        print_line(f"{said['id']} is in force, entry {said['entry']}, approved by {said['approver']}")


@app.command("list")
def list_all(as_json: JsonOption = False) -> None:
    """List the packs that were in force or proposed, and say which one is in force."""
    with open_client() as client:
        said = client.get("/api/v1/policies")
    if as_json:
        print_json(said)
        return
    columns = ("id", "state", "author", "approver", "recorded_at", "entry")
    rows = ([item.get(name) for name in columns] for item in said["history"])
    print_table(columns, rows, empty="No policy is on record.")
    print_line(f"in force: {said['in_force']['id']}, digest {said['in_force']['digest']}")
    if said["shipped"]["differs"]:
        print_line(f"the shipped pack is another one: {said['shipped']['id']}")


def _read_sources(folder: Path) -> dict[str, Any]:
    local_settings()
    from provenance.policy.proposal import read_folder

    return read_folder(folder)


def print_replay(said: Mapping[str, Any]) -> None:
    """Totals and flips of past decisions that were asked again."""
    _print_totals(said["decisions"], said["totals"])
    columns = ("decision", "dataset", "student", "action", "teacher", "before", "after", "samples", "releases")
    rows = [[item[name] for name in columns] for item in said["flips"]]
    if rows:
        print_table(columns, rows, empty="")
    if said["flips_left_out"]:
        print_line(f"flips not shown: {said['flips_left_out']:,}; --json holds the first 1,000")
    for item in said["not_replayed"]:
        print_line(f"not asked again: {item['decision']}: {item['why']}")


def _print_totals(decisions: int, totals: Mapping[str, Mapping[str, int]]) -> None:
    print_line(f"{decisions:,} past decisions were asked again.")
    columns = ("before -> after", "classes", "samples", "tokens")
    rows = ([name, held["classes"], held["samples"], held["tokens"]] for name, held in totals.items())
    print_table(columns, rows, empty="No verdict flips.")
