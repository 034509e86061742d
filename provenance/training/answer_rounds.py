"""The service's part in an on-policy run: record each round in the log, ask the gate about it, answer.

1. Read what the process left; what is no round of this run's release is answered with no.
2. Record: each text with its prompt, and the teacher's score of it, as a sample of role `reward` by the teacher whose weights
   were used. A round is recorded whatever the gate will say, and once: its digest is the request's key.
3. Ask again what was asked at launch, with today's policies: the release for training, the weights for `distill`; and that
   the release still stands.
4. Answer. A crash before this leaves a recorded round without an answer, which is then found recorded, and answered.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from provenance.canonical import sha256_digest
from provenance.capture.sample import Message, PromptOrigin, Sample, Teacher, Usage, check_sample
from provenance.errors import DeniedError, FieldError, MalformedError, NotFoundError
from provenance.ledger.append import Receipt, format_time
from provenance.runtime import Runtime
from provenance.store.log import load_contents
from provenance.store.releases import get_release
from provenance.store.session import read_session
from provenance.store.students import get_student
from provenance.training.files import write_atomically
from provenance.training.launch import ask_again, run_folder
from provenance.training.plan import Plan, parse_plan
from provenance.training.recipe import parse_config
from provenance.training.rounds import Answer, Round, Written, list_waiting, parse_round, write_answer

DATASET = "on-policy"
STANDING = frozenset({"allowed", "partial"})


def answer_rounds(runtime: Runtime, run_id: str, request: Mapping[str, Any]) -> int:
    """Answer every round that waits; how many these were. Safe to repeat, also by another service process."""
    folder = run_folder(runtime, run_id)
    waiting = list_waiting(folder / "out", folder / "answers")
    if not waiting:
        return 0
    plan = parse_plan((folder / "plan.json").read_bytes())
    for name, data in waiting:
        write_answer(folder / "answers", name, _answer(runtime, plan, request, data))
    return len(waiting)


def _answer(runtime: Runtime, plan: Plan, request: Mapping[str, Any], data: bytes) -> Answer:
    digest = sha256_digest(data)
    try:
        said = parse_round(data)
        receipt = record_round(runtime, plan, said, digest)
    except (MalformedError, NotFoundError) as exc:
        return Answer(digest, False, f"not recorded: {exc.detail}")
    held = {"first_index": receipt.first_index, "count": len(said.samples)}
    refusal = _refusal(runtime, plan, request)
    return Answer(digest, refusal is None, refusal or "recorded and permitted", **held)


def record_round(runtime: Runtime, plan: Plan, said: Round, digest: str) -> Receipt:
    """Append a round's samples; a round that stands in the log already is not appended again.

    Raises:
        MalformedError: a sample is not of the release, or no sample.
        NotFoundError: the words of a prompt were erased.
    """
    prompts = _prompts(runtime, plan, [item.entry_index for item in said.samples])
    now = runtime.clock()
    # The moment is part of what the key stands for: it must be the same when the round is found again after a crash.
    seen_at = _first_seen(plan, digest, format_time(now))
    samples = [
        check_sample(_sample(plan, said, (position, item), prompts[item.entry_index], seen_at), now=now)
        for position, item in enumerate(said.samples)
    ]
    return runtime.recorder.record(samples, source="api", idempotency_key=f"{plan.run_id}:{digest}")


def _first_seen(plan: Plan, digest: str, now: str) -> str:
    """When a round was first looked at, kept beside the run."""
    path = Path(plan.answers_dir or "").parent / "seen" / digest.removeprefix("sha256:")
    path.parent.mkdir(exist_ok=True)
    if not path.exists():
        write_atomically(path, now.encode())
    return path.read_text("utf-8")


def _prompts(runtime: Runtime, plan: Plan, indices: Sequence[int]) -> dict[int, list[Message]]:
    released = set(_released(plan))
    strange = sorted(set(indices) - released)
    if strange:
        expected = "a training sample of the release"
        raise MalformedError(
            f"round: entry {strange[0]} is not {expected}", FieldError("entry_index", strange[0], expected)
        )
    with read_session(runtime.engine) as session:
        words = load_contents(session, sorted(set(indices)))
    found = {}
    for index in indices:
        content = words.get(index)
        if content is None:
            raise NotFoundError(f"the words of entry {index} are not on record any more")
        found[index] = [Message(role=said["role"], content=said.get("content")) for said in content["prompt"]]
    return found


def _released(plan: Plan) -> list[int]:
    import pyarrow.parquet as pq

    shards = sorted((Path(plan.release_dir) / "data").glob("train-*.parquet"))
    return [index for shard in shards for index in pq.ParquetFile(shard).read(columns=["entry_index"])[0].to_pylist()]


def _sample(plan: Plan, said: Round, numbered: tuple[int, Written], prompt: list[Message], generated_at: str) -> Sample:
    position, item = numbered
    provider, _, model = (plan.teacher or "").partition("/")
    score = json.dumps({"nats": item.nats, "tokens": item.tokens}, sort_keys=True)
    return Sample(
        dataset=f"{DATASET}.{plan.run_id}",
        teacher=Teacher(provider=provider, model=model, route="weights", weights_digest=plan.teacher_digest),
        role="reward",
        generated_at=generated_at,
        prompt=[*prompt, Message(role="assistant", content=item.text)],
        completion=[Message(role="assistant", content=score)],
        parameters={
            "recipe": plan.recipe,
            "step": said.step,
            "student_temperature": said.temperature,
            "student_tokens_digest": item.ids_digest,
        },
        usage=Usage(input_tokens=item.tokens),
        prompt_origin=PromptOrigin(kind="mixed", ref=plan.run_id),
        parents=[str(item.entry_index)],
        external_id=f"{plan.run_id}/{said.step}/{position}",
    )


def _refusal(runtime: Runtime, plan: Plan, request: Mapping[str, Any]) -> str | None:
    """Why the round may not be trained on, or None."""
    with read_session(runtime.engine) as session:
        release = get_release(session, request["release"])
        student = get_student(session, request["student"]).predicate
        if release["state"] not in STANDING:
            return f"release {release['name']}@{release['version']} is {release['state']}"
        try:
            ask_again(runtime, session, release, student["facts"], parse_config(plan.config))
        except DeniedError as exc:
            return exc.detail
    return None
