"""On-policy training in its own process; here the answers come from the test, in `test_answer_rounds` from a service."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("trl")

from provenance.canonical import sha256_digest
from provenance.training import local
from provenance.training.rounds import Answer, Round, list_waiting, parse_round, write_answer
from tests.training.processes import events, finish, kill_at_step, run, wait

pytestmark = pytest.mark.training
Make = Callable[..., Path]
CONFIG: dict[str, Any] = {
    "max_steps": 4,
    "save_steps": 2,
    "sample_generations": 0,
    "learning_rate": 1e-3,
    "teacher": {"divergence": "reverse-kl"},
    "on_policy": {"share": 0.6, "max_new_tokens": 6, "round_steps": 2},
}


@pytest.fixture
def make_own(make_kd: Make, tmp_path: Path) -> Make:
    """A plan of recipe `on-policy`; the answers to run `name` lie in `<name>.answers`."""

    def make(name: str = "run", config: dict[str, Any] | None = None, **changes: Any) -> Path:
        fields = {"recipe": "on-policy", "answers_dir": str(tmp_path / f"{name}.answers")}
        return make_kd(name, CONFIG | (config or {}), **(fields | changes))

    return make


@contextmanager
def answering(output: Path, *, allowed: bool = True) -> Iterator[list[Round]]:
    """Answer every round of a run while the block lasts; gives the rounds that were handed out."""
    answers, over = output.with_name(f"{output.name}.answers"), threading.Event()
    rounds: list[Round] = []

    def answer() -> None:
        while not over.wait(0.02):
            for name, data in list_waiting(output, answers):
                rounds.append(parse_round(data))
                write_answer(answers, name, Answer(sha256_digest(data), allowed, "by the test"))

    thread = threading.Thread(target=answer)
    thread.start()
    try:
        yield rounds
    finally:
        over.set()
        thread.join()


def test_a_student_trains_on_its_own_words_and_a_killed_run_writes_the_same_again(
    make_own: Make, tmp_path: Path
) -> None:
    with answering(tmp_path / "whole") as rounds:
        whole = finish(make_own("whole"), tmp_path / "whole")
    assert [said.step for said in rounds] == [0, 2]
    samples = [item for said in rounds for item in said.samples]
    assert 4 <= len(samples) < 16  # a share of 0.6 of four steps of four, by this seed
    assert all(1 <= item.tokens <= 6 and item.nats > 0 for item in samples)
    own = whole["on_policy"]
    assert (own["rounds"], own["samples"]) == (2, len(samples))
    assert own["written_tokens"] == sum(item.tokens for item in samples)
    teacher, flops = whole["teacher_weights"], whole["flops"]
    assert whole["tokens"] < teacher["tokens"] <= 2 * whole["tokens"]  # scored first, then followed
    assert flops["student_writing"] == 2 * whole["parameters"] * own["written_tokens"]
    assert flops["teacher_forward"] == 2 * teacher["parameters"] * teacher["tokens"]
    assert [event["step"] for event in events(tmp_path / "whole", "round")] == [0, 2]

    with answering(tmp_path / "killed") as again:
        kill_at_step(make_own("killed"), tmp_path / "killed", 3)
        resumed = finish(tmp_path / "killed.plan.json", tmp_path / "killed")
    assert again == rounds  # the second round was written twice, and was answered already
    for fact in ("weights_digest", "sample_ids_digest", "tokens", "flops", "on_policy"):
        assert resumed[fact] == whole[fact], fact


def test_nothing_trains_on_a_round_that_nobody_recorded_and_the_run_can_go_on(make_own: Make, tmp_path: Path) -> None:
    own = {"on_policy": {"max_new_tokens": 4, "patience_seconds": 1.0}}
    plan, output = make_own(config=own | {"max_steps": 2}), tmp_path / "run"
    status = run(plan, output)
    assert status.state == "lost"
    assert status.result is not None
    assert (status.result["code"], status.result["steps"]) == ("run-unanswered", 0)
    assert not events(output, "step")
    assert not (output / "model").exists()
    with answering(output):
        assert finish(plan, output)["steps"] == 2


def test_a_refused_round_ends_the_run(make_own: Make, tmp_path: Path) -> None:
    with answering(tmp_path / "run", allowed=False) as rounds:
        status = run(make_own(), tmp_path / "run")
    assert (status.state, len(rounds)) == ("failed", 1)
    assert status.result is not None
    assert (status.result["code"], status.result["steps"]) == ("run-refused", 0)
    assert "by the test" in (status.detail or "")


def test_a_cancel_reaches_a_run_that_waits(make_own: Make, tmp_path: Path) -> None:
    output = tmp_path / "run"
    handle = local.start_process(make_own())
    while not list_waiting(output, tmp_path / "run.answers"):
        assert local.poll(handle, output).state == "running", (output / local.LOG).read_text()[-2000:]
        time.sleep(0.05)
    (output / local.CANCEL).touch()
    assert wait(handle, output).state == "cancelled"


@pytest.mark.slow
def test_two_processes_hand_out_one_round_and_both_obey(make_own: Make, tmp_path: Path) -> None:
    config = {"batch_size": 2, "on_policy": {"max_new_tokens": 4}, "max_steps": 2}
    with answering(tmp_path / "run") as rounds:
        result = finish(make_own(config=config, processes=2), tmp_path / "run")
    assert result["processes"] == 2
    assert [len(said.samples) for said in rounds] == [4, 4]
    consumed = {item.entry_index for said in rounds for item in said.samples}
    assert (result["consumed"]["distinct"], result["on_policy"]["samples"]) == (len(consumed), 8)


@pytest.mark.slow
def test_two_processes_both_stop_at_a_refused_round(make_own: Make, tmp_path: Path) -> None:
    config = {"batch_size": 2, "on_policy": {"max_new_tokens": 4}, "max_steps": 2}
    with answering(tmp_path / "no", allowed=False):
        status = run(make_own("no", config=config, processes=2), tmp_path / "no")
    assert (status.state, status.result and status.result["code"]) == ("failed", "run-refused")
