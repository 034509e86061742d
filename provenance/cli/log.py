"""`provenance log`: the transparency log of the local data directory, checked and exported without the service."""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path
from typing import Annotated, Any

import typer

from provenance.cli.compare import compare
from provenance.cli.files import write_bytes
from provenance.cli.local import read_database, read_keys
from provenance.cli.output import JsonOption, print_json, print_line, show_progress
from provenance.errors import FieldError, MalformedError, UnavailableError

app = typer.Typer(help="The log: check, prove, export.", no_args_is_help=True)
FAILED = 6
app.command("compare")(compare)


@app.command("verify")
def verify(as_json: JsonOption = False) -> None:
    """Check the whole log and its published files: entries, tiles, root, signatures, batches, words, texts.

    Works with the service stopped.
    """
    audit = _audit()
    if as_json:
        print_json(audit.to_json())
    else:
        print_line(
            f"{audit.entries:,} entries of a tree of {audit.size:,}: {audit.signatures:,} envelopes, {audit.batches:,} batches"
        )
        print_line(f"{audit.words:,} prompts and completions open their commitments, {audit.erased:,} were erased")
        for item in audit.findings:
            print_line(f"step {item.step}: {item.said}")
        if audit.failed > len(audit.findings):
            print_line(f"and {audit.failed - len(audit.findings):,} more")
        if not audit.ok:
            first = audit.first_bad_index
            print_line(f"first bad index: {'none: only the whole does not add up' if first is None else first}")
        print_line("the log verifies" if audit.ok else "VERIFICATION FAILED")
    if not audit.ok:
        raise typer.Exit(FAILED)


def _audit() -> Any:
    from provenance.cli.connect import local_settings
    from provenance.ledger.signonce import SignOnce

    settings = local_settings()
    records = read_keys(settings)
    register = settings.data_dir / "keys" / "signed"
    signed = SignOnce(register).last() if register.exists() else None  # before the snapshot: it may only be older
    with read_database() as (_, session), show_progress() as progress:
        from provenance.ledger.audit import audit_log
        from provenance.ledger.audit_beside import audit_beside
        from provenance.ledger.audit_files import audit_files
        from provenance.ledger.audit_published import audit_published, audit_register
        from provenance.ledger.note import parse_vkey
        from provenance.ledger.reading import count_workers
        from provenance.policy.beside import check_beside
        from provenance.store.log import get_head

        task = progress.add_task("entries", total=None)
        vkeys = [parse_vkey(item.vkey) for item in records if item.vkey and item.state != "revoked"]
        audit = audit_log(
            session,
            vkeys,
            signed=signed,
            workers=count_workers(get_head(session).size),
            progress=lambda done, size: progress.update(task, completed=done, total=size),
        )
        audit_register(session, audit, signed)
        audit_beside(session, audit, check_beside)
        audit_files(session, audit, settings.data_dir)
        audit_published(
            session, audit, settings.data_dir / "log", [parse_vkey(item.vkey) for item in records if item.vkey]
        )
        return audit


@app.command("proof")
def proof(
    indices: Annotated[str, typer.Argument(help="Index of the entry; or several, such as 0-4,7.")],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write the proof to this file.")] = None,
) -> None:
    """Print the inclusion proof of an entry (`.tlog-proof`), or one proof for a set of entries."""
    from provenance.ledger.multiproof import parse_ranges

    ranges = parse_ranges(indices)
    with read_database() as (settings, session):
        from provenance.ledger.prove import Prover
        from provenance.ledger.publish import read_checkpoint

        cosigned = read_checkpoint(settings.data_dir / "log") if settings.witness_policy else None
        prover = Prover(session, cosigned, newest=ranges[-1][-1])
        single = len(ranges) == 1 and ranges[0].start + 1 == ranges[0].stop
        text = prover.proof_text(ranges[0].start) if single else prover.multi_proof_text(ranges)
    if output is None:
        typer.echo(text, nl=False)
    else:
        write_bytes(output, text.encode())


@app.command("consistency")
def consistency(
    old_size: Annotated[int, typer.Argument(help="A tree size that somebody kept.", min=1)], as_json: JsonOption = False
) -> None:
    """Print the proof that a smaller tree is a prefix of this log."""
    with read_database() as (_, session):
        from provenance.ledger.prove import Prover

        prover = Prover(session)
        if old_size > prover.head.size:
            expected = f"1 to {prover.head.size}"
            raise MalformedError(
                f"old size: expected {expected}, got {old_size}", FieldError("old_size", old_size, expected)
            )
        hashes = [b64encode(value).decode() for value in prover.consistency(old_size)]
        answer = {
            "old_size": old_size,
            "new_size": prover.head.size,
            "proof": hashes,
            "checkpoint": prover.head.checkpoint,
        }
    if as_json:
        print_json(answer)
        return
    print_line(f"old {old_size}, new {answer['new_size']}")
    for value in hashes:
        print_line(value)


@app.command("export")
def export(
    folder: Annotated[Path, typer.Argument(help="Where to; made when missing.")], as_json: JsonOption = False
) -> None:
    """Write the log as static files (C2SP tlog-tiles): checkpoint, verifier keys, tiles, entry bundles."""
    with read_database() as (settings, session):
        from provenance.ledger.publish import export_log

        vkeys = [item.vkey for item in read_keys(settings) if item.vkey and item.state != "revoked"]
        try:
            folder.mkdir(parents=True, exist_ok=True)
            size = export_log(session, folder, vkeys, _cosigned(settings))
        except OSError as exc:
            raise MalformedError(
                f"{folder} cannot be written: {exc.strerror}", FieldError("folder", str(folder), "a writable folder")
            ) from exc
    if as_json:
        print_json({"folder": str(folder), "tree_size": size})
    else:
        print_line(f"{size:,} entries in {folder}")


@app.command("publish")
def publish(
    target: Annotated[
        str | None, typer.Argument(help="A path, file:///… or s3://bucket/prefix. [PROVENANCE_PUBLISH_URL]")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Publish the log to a folder or a bucket now; what a publication left unfinished is taken up."""
    from provenance.ledger.mirror import mirror_log
    from provenance.ledger.target import open_target
    from provenance.store.log import get_head
    from provenance.store.session import make_engine

    with read_database() as (settings, session):
        url = target or settings.publish_url
        if url is None:
            raise MalformedError("no target", FieldError("TARGET", None, "a path, file:///… or s3://bucket/prefix"))
        place, note = open_target(url), _cosigned(settings) or get_head(session).checkpoint
        vkeys = [item.vkey for item in read_keys(settings) if item.vkey and item.state != "revoked"]
    engine = make_engine(settings.resolved_database_url)
    try:
        with show_progress() as progress:
            progress.add_task("publishing", total=None)
            size = mirror_log(engine, place, note, vkeys)
    except OSError as exc:
        raise MalformedError(f"{url} cannot be written: {exc}", FieldError("TARGET", url, "a writable place")) from exc
    finally:
        engine.dispose()
    if as_json:
        print_json({"target": url, "tree_size": size})
    else:
        print_line(f"{size:,} entries at {url}")


def _cosigned(settings: Any) -> str | None:
    """The checkpoint that witnesses let go, where the log publishes by a policy.

    Raises:
        UnavailableError: they have let none go yet.
    """
    if settings.witness_policy is None:
        return None
    from provenance.ledger.publish import read_checkpoint
    from provenance.ledger.quorum import read_account

    note = read_checkpoint(settings.data_dir / "log")
    if note is None:
        hold = read_account(settings.data_dir / "log").hold or "the witnesses of the policy were not asked yet"
        raise UnavailableError(f"no checkpoint is published yet: {hold}")
    return note
