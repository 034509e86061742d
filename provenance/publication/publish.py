"""Publish a model: ask, write the papers, sign the folder, log it.

 1. Nothing that was taken back goes out, and nothing that policies or lineage hold back.
 2. The weights are those that were registered, byte for byte.
 3. Papers and evidence lie in `published/<id>`; the weights stay where the run left them. If we stop here, nothing is logged, and
    the next try writes the same papers again.
 4. The statement names every file. From then on the model, its lineage and its reports say that it was published.

The id follows from what is published: asked again for the same, the first answer is given, and nothing is signed twice.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from provenance.attestation.model_signature import SIGNATURE, format_model_signature
from provenance.canonical import canonical_bytes, sha256_digest
from provenance.errors import ConflictError, FieldError, NotFoundError
from provenance.ledger.append import format_time
from provenance.ledger.publish import write_file
from provenance.publication.card import format_card
from provenance.publication.describe import describe_model
from provenance.publication.judge import Judged, judge_publication, refuse_blocked, refuse_taken
from provenance.publication.papers import check_request, format_papers
from provenance.report.evidence import bundle_model
from provenance.runtime import Runtime
from provenance.store.models import get_model
from provenance.store.publications import find_publication
from provenance.store.session import read_session
from provenance.training.files import check_files
from provenance.training.launch import model_folder

CARD, EVIDENCE = "README.md", "evidence.zip"


def publish_model(
    runtime: Runtime,
    reference: str,
    *,
    actor: str,
    name: str | None = None,
    notices: Sequence[str] = (),
    texts: Mapping[str, str],
    once: tuple[str, Any] | None = None,
) -> dict[str, Any]:
    """Publish a model of this record; the answer is what the log says of it.

    Args:
        reference: id or `provider/name`.
        name: under which it goes out; its declared name where none is given.
        notices: shown with it, beside those that were declared.
        texts: licence texts to put in, by the id of their document.
    Raises:
        DeniedError: code `publication-not-allowed`, with the answer.
        MalformedError: the model was not trained here, or a field cannot be.
        DigestMismatchError: its files are not those that were registered.
    """
    with _alone(runtime), read_session(runtime.engine) as session:
        model = get_model(session, reference)
        check_request(model["name"] if name is None else name, notices, texts)
        judged = judge_publication(runtime, session, model, name=name, notices=notices)
        refuse_taken(session, model)
        refuse_blocked(judged, model)
        check_files(model_folder(runtime, model["run"]), model["files"])
        said = describe_model(session, model, judged)
        papers = {CARD: format_card(said).encode(), **format_papers(said, texts)}
        identifier = _name(model, papers)
        if (done := find_publication(session, identifier)) is not None and _is_whole(runtime, done):
            return done | {"replayed": True}
        if done is not None:
            raise ConflictError(
                f"publication {identifier} is on record, but its folder is not whole: restore it from a backup"
            )
        papers[EVIDENCE] = bundle_model(runtime, session, model, {"publishing.json": canonical_bytes(judged.answer)})
        files = _list_all(model, papers)
        signature = _write(runtime, identifier, files, papers, judged)
        predicate = _predicate(identifier, model, judged, files, signature) | {
            "actor": actor,
            "at": format_time(runtime.clock()),
        }
        subjects = [(file["path"], file["digest"]) for file in (*files, signature)]
        receipt = runtime.append("publication", predicate, subjects=subjects, content=dict(judged.answer), once=once)
        return predicate | {"entry": receipt.first_index, "replayed": False}


def find_file(runtime: Runtime, publication: Mapping[str, Any], path: str) -> Path:
    """Where one file of a publication lies: papers beside the statement, weights where the run left them.

    Raises:
        NotFoundError: it has no such file.
    """
    own = {file["path"] for file in publication["files"]} | {SIGNATURE}
    if path not in own:
        raise NotFoundError(
            f"publication {publication['id']} has no file {path!r}", FieldError("path", path, "a file of it")
        )
    paper = _folder(runtime, publication["id"]) / path
    found = paper if paper.is_file() else model_folder(runtime, publication["run"]) / path
    if not found.is_file():
        raise NotFoundError(f"{path} of publication {publication['id']} is no longer on this machine")
    return found


@contextmanager
def _alone(runtime: Runtime) -> Iterator[None]:
    """One publication at a time, in all processes: two of the same would sign over each other's folder."""
    with (runtime.folder("published") / ".lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _folder(runtime: Runtime, identifier: str) -> Path:
    return runtime.folder("published") / identifier


def _is_whole(runtime: Runtime, publication: Mapping[str, Any]) -> bool:
    try:
        paths = [
            find_file(runtime, publication, item["path"]) for item in (*publication["files"], publication["signature"])
        ]
    except NotFoundError:
        return False
    return len(paths) == len(publication["files"]) + 1


def _name(model: Mapping[str, Any], papers: Mapping[str, bytes]) -> str:
    content = {path: sha256_digest(data) for path, data in papers.items()}
    return f"pub_{sha256_digest(canonical_bytes([model['id'], model['weights_digest'], content]))[7:23]}"


def _list_all(model: Mapping[str, Any], papers: Mapping[str, bytes]) -> list[dict[str, Any]]:
    """Weights and papers, by path; one name for two of them is refused."""
    own = [
        {"path": path, "digest": sha256_digest(data), "size_bytes": len(data)} for path, data in sorted(papers.items())
    ]
    taken = sorted({item["path"] for item in model["files"]} & (papers.keys() | {SIGNATURE}))
    if taken:
        raise ConflictError(
            f"the model's own folder holds {', '.join(taken)}, which is the name of a paper that goes with it"
        )
    return sorted([*model["files"], *own], key=lambda item: str(item["path"]))


def _write(
    runtime: Runtime, identifier: str, files: Sequence[Mapping[str, Any]], papers: Mapping[str, bytes], judged: Judged
) -> dict[str, Any]:
    folder, signer = _folder(runtime, identifier), runtime.ring.signer("model")
    listed = {item["path"]: item["digest"] for item in files}
    data = format_model_signature(str(judged.facts["name"]), listed, signer)
    for path, content in {**papers, SIGNATURE: data}.items():
        write_file(folder / path, content)
    return {"path": SIGNATURE, "digest": sha256_digest(data), "keyid": signer.public_key.keyid}


def _predicate(
    identifier: str,
    model: Mapping[str, Any],
    judged: Judged,
    files: Sequence[Mapping[str, Any]],
    signature: Mapping[str, Any],
) -> dict[str, Any]:
    """What the log says; the whole answer lies beside it, under its digest, as its words do not fit into an entry."""
    answer = judged.answer
    return {
        "id": identifier,
        "model": model["id"],
        "run": model["run"],
        "name": judged.facts["name"],
        "weights_digest": model["weights_digest"],
        "verdict": answer["verdict"],
        "conditions": [
            {name: item[name] for name in ("type", "status", "document", "clause")}
            for item in answer["conditions"]
            if item["status"] != "not-triggered"
        ],
        "policy": answer["policy"],
        "terms_digest": answer["terms_digest"],
        "answer_digest": sha256_digest(canonical_bytes(dict(answer))),
        "files": [dict(item) for item in files],
        "signature": dict(signature),
    }
