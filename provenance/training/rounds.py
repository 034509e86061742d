"""Rounds of an on-policy run: what the student wrote leaves its sandbox as a file, and comes back judged. No torch here.

The process has no network, and must not be trusted to have recorded what it trains on. So it writes each round into its
output folder and waits; the service, which watches the run, records the round in the log, asks the gate, and puts the
answer into a folder that the process can read and not write. Until then nothing of the round is trained on.

- A round is known by its digest: written again after a kill it is the same, and its answer is there already.
- Order: `submit_round` (process) -> `list_waiting` -> `parse_round` -> `write_answer` (service) -> the answer (process).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import msgspec

from provenance.canonical import canonical_bytes, parse_json, sha256_digest
from provenance.errors import FieldError, MalformedError
from provenance.training.files import write_atomically

ROUNDS = "rounds"
MAX_ROUND_BYTES = 64 * 1024 * 1024
MAX_ROUND_SAMPLES = 10_000  # what one append of the log takes well
MAX_TEXT = 4 * 1024 * 1024
POLL_SECONDS = 0.05

Count = Annotated[int, msgspec.Meta(ge=0, le=1_000_000_000)]


class Written(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the student wrote to the prompt of one released sample, and what the teacher said of it.

    `nats` is the teacher's negative log-likelihood of the text, summed over its `tokens`; `ids_digest` names the tokens.
    """

    entry_index: Count
    text: Annotated[str, msgspec.Meta(max_length=MAX_TEXT)]
    tokens: Count
    nats: Annotated[float, msgspec.Meta(ge=0, le=1e12)]
    ids_digest: Annotated[str, msgspec.Meta(pattern=r"^sha256:[0-9a-f]{64}$")]


class Round(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One round; `step` is how many steps the weights that wrote it had been trained."""

    step: Count
    temperature: Annotated[float, msgspec.Meta(ge=0, le=10)]
    samples: Annotated[list[Written], msgspec.Meta(min_length=1, max_length=MAX_ROUND_SAMPLES)]


class Answer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What became of a round: the entries that hold it, and whether it may be trained on."""

    digest: str
    allowed: bool
    detail: str
    first_index: int | None = None
    count: int = 0


class RoundStopError(Exception):
    """No answer that permits: `reason` is cancelled, deadline, unanswered or refused."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(reason, detail)  # both, as it travels from the first process to the others
        self.reason, self.detail = reason, detail

    def __str__(self) -> str:
        return self.detail


def format_round(said: Round) -> bytes:
    """The round's canonical bytes; their digest is its name."""
    return canonical_bytes(msgspec.to_builtins(said))


def parse_round(data: bytes) -> Round:
    """Read a round as the process left it, trusting nothing.

    Raises:
        MalformedError: it is no round; the message says where.
    """
    body = parse_json(data)
    try:
        return msgspec.convert(body, Round)
    except msgspec.ValidationError as exc:
        raise MalformedError(f"round: {exc}", FieldError("round", str(exc)[:200], "a round of samples")) from exc


def submit_round(
    output: Path,
    answers: Path,
    said: Round,
    *,
    stop: Callable[[], str | None],
    patience_seconds: float,
) -> Answer:
    """Hand a round out and wait until it is answered; the answer permits it.

    Args:
        stop: asked while waiting; a reason ends the wait.
    Raises:
        RoundStopError: the run was cancelled or out of time, nobody answered, or the answer was no.
    """
    data, path = format_round(said), output / ROUNDS / f"{said.step:08}.json"
    digest = sha256_digest(data)
    path.parent.mkdir(exist_ok=True)
    write_atomically(path, data)
    end = time.monotonic() + patience_seconds
    while (answer := find_answer(answers, path.name, digest)) is None:
        reason = stop() or ("unanswered" if time.monotonic() > end else None)
        if reason is not None:
            told = (
                f"the round at step {said.step} was not recorded: {reason} after {patience_seconds:g} seconds at most"
            )
            raise RoundStopError(reason, told)
        time.sleep(POLL_SECONDS)
    path.unlink(missing_ok=True)
    if not answer.allowed:
        raise RoundStopError("refused", f"the round at step {said.step} may not be trained on: {answer.detail}")
    return answer


def find_answer(answers: Path, name: str, digest: str) -> Answer | None:
    """The answer to exactly these bytes, or None."""
    try:
        answer = msgspec.json.decode((answers / name).read_bytes(), type=Answer)
    except FileNotFoundError:
        return None
    return answer if answer.digest == digest else None


def list_waiting(output: Path, answers: Path) -> list[tuple[str, bytes]]:
    """Rounds without an answer, by the names of their files; one that is a link or too large is answered as no round."""
    waiting = []
    for path in sorted((output / ROUNDS).glob("[0-9]*.json")):
        data = read_untrusted(path)
        if data is not None and find_answer(answers, path.name, sha256_digest(data)) is None:
            waiting.append((path.name, data))
    return waiting


def read_untrusted(path: Path) -> bytes | None:
    """The bytes of a file that the process made: never through a link, never more than a round may have."""
    try:
        if path.is_symlink() or not path.is_file() or path.stat().st_size > MAX_ROUND_BYTES:
            return b""
        return path.read_bytes()
    except FileNotFoundError:
        return None


def write_answer(answers: Path, name: str, answer: Answer) -> None:
    """Answer a round, by a rename."""
    answers.mkdir(parents=True, exist_ok=True)
    body: dict[str, Any] = msgspec.to_builtins(answer)
    write_atomically(answers / name, canonical_bytes(body))
