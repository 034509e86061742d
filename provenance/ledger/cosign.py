"""The log asks witnesses to cosign its checkpoint: all at once, each in its own time, none of them trusted.

- A witness tells by 409 what it holds; the proof from there is made and sent. Two such turns are enough for an honest one.
- Lines by keys that the policy does not give to this witness are ignored; one by such a key must verify, over this very
  text, with a time that is neither in the future nor older than the bound.
- Who is slow, down, or answers without end costs its own thread for a bounded time, and nobody else's.

Source: c2sp.org/tlog-witness, "add-checkpoint".
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import httpx

from provenance.errors import CheckpointError, MalformedError, SignatureError
from provenance.ledger.checkpoint import parse_checkpoint, parse_decimal, verify_cosignature
from provenance.ledger.merkle import Hash
from provenance.ledger.note import NoteSignature, VerifierKey, parse_note
from provenance.ledger.witness.request import PATH, format_request

MAX_ANSWER_BYTES = 64 * 1024
MAX_TURNS = 3  # ask, be told the size, ask again; once more, as somebody else may have moved it in between
READ_SECONDS = 5.0
FUTURE_SECONDS = 60  # by which a witness's clock may be ahead of ours
AGREES, UNREACHABLE, REFUSES, DISAGREES, INVALID = "agrees", "unreachable", "refuses", "disagrees", "invalid"

Prove = Callable[[int, int], Sequence[Hash]]


class WitnessError(Exception):
    """What a witness did instead of cosigning; `state` is one of the words above."""

    def __init__(self, state: str, said: str, size: int | None = None) -> None:
        super().__init__(said)
        self.state, self.said, self.size = state, said, size


@dataclass(frozen=True)
class Question:
    """What is asked of the witness at `url`: `vkeys` are its keys by the policy, `known` the size it was last seen to hold."""

    url: str
    vkeys: tuple[VerifierKey, ...]
    known: int


@dataclass(frozen=True)
class Reply:
    """How it went: cosignature lines, or `state` and `problem`; `size` is what the witness holds, if it said so."""

    url: str
    state: str
    problem: str | None = None
    size: int | None = None
    lines: tuple[NoteSignature, ...] = ()


Clients = dict[str, httpx.Client]


def ask_all(
    clients: Clients,
    questions: Sequence[Question],
    note: str,
    prove: Prove,
    *,
    now: Callable[[], int],
    max_age: int,
    seconds: float,
) -> Iterator[Reply]:
    """Ask all witnesses at once; replies come as they arrive, and one for each question after `seconds` at the latest.

    Args:
        clients: connections to witnesses by URL; kept by the caller, so that they stay open between checkpoints.
        questions: whom to ask, each URL once.
        note: the signed checkpoint.
        prove: makes the consistency proof between two sizes; called from several threads.
        now: POSIX time.
        max_age: of a cosignature, in seconds.
        seconds: how long is waited for the slowest.
    """
    replies: queue.Queue[Reply] = queue.Queue()

    def act(question: Question, client: httpx.Client) -> None:
        replies.put(_ask_safely(client, question, note, prove, now=now, max_age=max_age))

    for question in questions:
        client = clients.get(question.url) or httpx.Client(timeout=READ_SECONDS, follow_redirects=False)
        clients[question.url] = client
        threading.Thread(target=act, args=(question, client), name=f"ask {question.url}", daemon=True).start()
    waiting, end = {question.url for question in questions}, time.monotonic() + seconds
    while waiting and (left := end - time.monotonic()) > 0:
        try:
            reply = replies.get(timeout=left)
        except queue.Empty:
            break
        waiting.discard(reply.url)
        yield reply
    for url in sorted(waiting):
        clients.pop(url).close()  # who goes on answering into it gets an error, and its thread ends
        yield Reply(url, UNREACHABLE, f"no whole answer within {seconds:g} seconds")


def _ask_safely(
    client: httpx.Client, question: Question, note: str, prove: Prove, *, now: Callable[[], int], max_age: int
) -> Reply:
    try:
        return ask(client, question, note, prove, now=now, max_age=max_age)
    except WitnessError as exc:
        return Reply(question.url, exc.state, exc.said, exc.size)
    except httpx.TimeoutException:
        return Reply(question.url, UNREACHABLE, f"no answer within {READ_SECONDS:g} seconds")
    except httpx.ConnectError as exc:
        return Reply(question.url, UNREACHABLE, f"cannot be reached: {exc}")
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as exc:
        return Reply(question.url, UNREACHABLE, f"it broke off: {type(exc).__name__}: {exc}")
    except Exception as exc:  # noqa: BLE001 - no witness may stop the publisher, whatever it sent
        return Reply(question.url, UNREACHABLE, f"asking it failed: {exc!r}")


def ask(
    client: httpx.Client, question: Question, note: str, prove: Prove, *, now: Callable[[], int], max_age: int
) -> Reply:
    """Ask one witness.

    Raises:
        WitnessError: it does not cosign, or what it answered is no valid cosignature.
        httpx.HTTPError: it cannot be reached, or does not speak HTTP.
    """
    text = parse_note(note).text
    size = parse_checkpoint(text).size
    old = min(question.known, size)
    for _ in range(MAX_TURNS):
        body = format_request(old, prove(old, size) if 0 < old < size else (), note)
        status, answer = _post(client, question.url, body)
        if status == 200:
            lines = check_cosignatures(answer, text, question.vkeys, now=now(), max_age=max_age)
            return Reply(question.url, AGREES, size=size, lines=lines)
        if status != 409:
            raise WitnessError(DISAGREES if status == 422 else REFUSES, f"answered {status}: {_shorten(answer)}")
        old = _parse_size(answer)
        if old > size:
            said = f"it cosigned {old} entries of this log, which has {size}: an old copy of the log, or another one"
            raise WitnessError(DISAGREES, said, old)
    raise WitnessError(REFUSES, f"it named another size {MAX_TURNS} times, {old} at last", old)


def check_cosignatures(
    answer: str, text: str, vkeys: Sequence[VerifierKey], *, now: int, max_age: int
) -> tuple[NoteSignature, ...]:
    """The lines of `answer` by `vkeys`, each verified over the checkpoint `text`.

    Raises:
        WitnessError: it holds none, or one does not verify, or states a time outside of the bounds.
    """
    known = {(vkey.name, vkey.key_id): vkey for vkey in vkeys}
    try:
        lines = [line for line in parse_note(f"{text}\n{answer}").signatures if (line.name, line.key_id) in known]
        stated = [verify_cosignature(known[line.name, line.key_id], text, line.signature) for line in lines]
    except (CheckpointError, SignatureError) as exc:
        raise WitnessError(INVALID, exc.detail) from exc
    if not lines:
        raise WitnessError(INVALID, "no line is by a key that the policy gives to this witness")
    for timestamp in stated:
        if timestamp > now + FUTURE_SECONDS:
            raise WitnessError(INVALID, f"its cosignature is {timestamp - now} seconds in the future")
        if timestamp < now - max_age:
            raise WitnessError(
                INVALID, f"its cosignature is {now - timestamp} seconds old; at most {max_age} are allowed"
            )
    return tuple(lines)


def _post(client: httpx.Client, url: str, body: bytes) -> tuple[int, str]:
    headers = {"Content-Type": "text/plain; charset=utf-8", "Accept-Encoding": "identity"}
    with client.stream("POST", url.rstrip("/") + PATH, content=body, headers=headers) as response:
        answer = b""
        for part in response.iter_raw():
            answer += part
            if len(answer) > MAX_ANSWER_BYTES:
                raise WitnessError(INVALID, f"its answer has more than {MAX_ANSWER_BYTES} bytes")
        if response.status_code >= 500:
            raise WitnessError(
                UNREACHABLE, f"answered {response.status_code}: {_shorten(answer.decode(errors='replace'))}"
            )
    try:
        return response.status_code, answer.decode()
    except UnicodeDecodeError as exc:
        raise WitnessError(INVALID, f"answered {response.status_code}, in bytes that are not UTF-8") from exc


def _parse_size(answer: str) -> int:
    try:
        return parse_decimal(answer.removesuffix("\n"), "size")
    except MalformedError as exc:
        raise WitnessError(INVALID, f"answered 409 without the size that it holds: {_shorten(answer)}") from exc


def _shorten(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 120 else line[:120] + "…"
