"""White-box runs at a real service: the gate, the plan, rounds that are recorded and judged, and what the statements say."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("trl")

from provenance.canonical import sha256_digest
from provenance.errors import DeniedError, MalformedError, NotFoundError
from provenance.training import answer_rounds as module
from provenance.training.answer_rounds import answer_rounds
from provenance.training.files import digest_files, list_files
from provenance.training.launch import check_launch, local_model_folder, plan_run, run_folder
from provenance.training.plan import parse_plan
from provenance.training.released import read_rows
from provenance.training.rounds import ROUNDS, Answer, Round, Written, find_answer, format_round
from tests.service import LocalService

TEACHER, LLAMA = "huggingface-smollm/smollm2-135m-instruct", "meta/llama-3.1-8b-instruct"
IDS = "sha256:" + "1" * 64
CONFIG: dict[str, Any] = {"layers": 2, "common_tokens": 300, "max_steps": 2, "sample_generations": 0, "test_samples": 2}


@pytest.fixture(scope="module", autouse=True)
def weights(service: LocalService, tiny_teacher: Path) -> Path:
    """The teacher, which is the student's base too, lies on the service's machine."""
    folder = local_model_folder(service.runtime, TEACHER)
    shutil.copytree(tiny_teacher, folder)
    return folder


def ask(recipe: str = "kd", **changes: Any) -> dict[str, Any]:
    return {"release": "tutor@1", "student": "acme-tutor", "recipe": recipe, "config": CONFIG, "seed": 7} | changes


def hand_out(service: LocalService, run_id: str, *texts: str, entries: list[int] | None = None, step: int = 0) -> Path:
    """A round as the process leaves it; the answer is its file."""
    folder = run_folder(service.runtime, run_id) / "out" / ROUNDS
    folder.mkdir(parents=True, exist_ok=True)
    found = entries or [int(row["entry_index"]) for row in released(service, run_id)[: len(texts)]]
    samples = [Written(entry, text, 3, 4.5, IDS) for entry, text in zip(found, texts, strict=True)]
    path = folder / f"{step:08}.json"
    path.write_bytes(format_round(Round(step, 1.0, samples)))
    return path


def released(service: LocalService, run_id: str) -> list[dict[str, Any]]:
    plan = parse_plan((run_folder(service.runtime, run_id) / "plan.json").read_bytes())
    return read_rows(Path(plan.release_dir), "train")


def answer_to(service: LocalService, run_id: str, path: Path) -> Answer:
    found = find_answer(run_folder(service.runtime, run_id) / "answers", path.name, sha256_digest(path.read_bytes()))
    assert found is not None
    return found


def test_a_plan_names_the_teacher_its_digest_and_the_permission(service: LocalService, weights: Path) -> None:
    plan = parse_plan(plan_run(service.runtime, "run_kd_plan", ask()).read_bytes())
    digest = digest_files(list_files(weights))
    assert (plan.teacher, plan.teacher_dir, plan.teacher_digest) == (TEACHER, str(weights.resolve()), digest)
    assert plan.config["teacher"]["alpha"] == 0.5
    said = service.get("/api/v1/runs/run_kd_plan")["plan"]["teacher_weights"]
    assert (said["model"], said["weights_digest"]) == (TEACHER, digest)
    permission = said["permission"]
    assert (permission["action"], permission["verdict"], permission["documents"]) == (
        "distill",
        "allow",
        ["smollm-apache"],
    )


def test_what_is_not_permitted_or_not_here_is_refused_before_anything_is_made(
    service: LocalService, tiny_teacher: Path
) -> None:
    size = service.log_size()
    named = ask(config=CONFIG | {"teacher": {"model": LLAMA}})
    with pytest.raises(NotFoundError, match=r"teacher\.model"):
        check_launch(service.runtime, named)
    folder = local_model_folder(service.runtime, LLAMA)
    shutil.copytree(tiny_teacher, folder)
    try:
        with pytest.raises(DeniedError) as caught:
            plan_run(service.runtime, "run_no", named)
        assert caught.value.code == "weights-not-allowed"
        assert caught.value.decision is not None
        assert "weights.no-explicit-permission" in {reason["rule"] for reason in caught.value.decision["reasons"]}
        with pytest.raises(MalformedError, match="the weights of several are here"):
            check_launch(service.runtime, ask())
        answer = service.client.post("/api/v1/runs", json=named)
        assert (answer.status_code, answer.json()["code"]) == (409, "weights-not-allowed")
    finally:
        shutil.rmtree(folder.parent)
    for bad in (ask(config=CONFIG | {"student": "scratch"}), ask(config=CONFIG | {"teacher": {"alpha": 2}})):
        with pytest.raises(MalformedError):
            check_launch(service.runtime, bad)
    with pytest.raises(MalformedError, match="backend"):
        check_launch(service.runtime, ask("on-policy", backend="ray"))
    assert service.log_size() == size
    assert not run_folder(service.runtime, "run_no").exists()


def test_a_teacher_with_other_tokens_than_the_base_is_refused_at_launch(service: LocalService, weights: Path) -> None:
    path = weights / "tokenizer.json"
    kept = path.read_bytes()
    other = local_model_folder(service.runtime, "acme/other")
    shutil.copytree(weights, other)
    document = json.loads(kept)
    first, second = list(document["model"]["vocab"])[300:302]
    vocabulary = document["model"]["vocab"]
    vocabulary[first], vocabulary[second] = vocabulary[second], vocabulary[first]
    (other / "tokenizer.json").write_text(json.dumps(document))
    changed = {"base_model": "acme/other", "name": "other-tokens"}
    student = service.declare(**changed)
    service.release(student, "other")
    with pytest.raises(MalformedError, match="tokens differ") as caught:
        check_launch(service.runtime, ask(release="other@1", student="other-tokens"))
    assert caught.value.errors[0].field == "teacher.model"


def test_a_round_is_recorded_once_and_permitted(service: LocalService) -> None:
    run_id = "run_round"
    plan_run(service.runtime, run_id, ask("on-policy"))
    path = hand_out(service, run_id, "a heron stands", "a heron flies")
    assert answer_rounds(service.runtime, run_id, ask("on-policy")) == 1
    answer = answer_to(service, run_id, path)
    assert (answer.allowed, answer.count) == (True, 2)
    size = service.log_size()
    assert answer.first_index is not None
    sample = service.get(f"/api/v1/samples/{answer.first_index}")
    said = sample["statement"]["predicate"] if "predicate" in sample["statement"] else sample["statement"]
    row = released(service, run_id)[0]
    assert (said["role"], said["dataset"], said["parents"]) == (
        "reward",
        f"on-policy.{run_id}",
        [str(row["entry_index"])],
    )
    assert said["teacher"]["weights_digest"].startswith("sha256:")
    assert sample["content"]["prompt"][-1] == {"role": "assistant", "content": "a heron stands"}
    assert sample["content"]["prompt"][:-1] == row["prompt"]
    assert json.loads(sample["content"]["completion"][0]["content"]) == {"nats": 4.5, "tokens": 3}

    assert answer_rounds(service.runtime, run_id, ask("on-policy")) == 0
    (
        run_folder(service.runtime, run_id) / "answers" / path.name
    ).unlink()  # a crash after the append, before the answer
    assert answer_rounds(service.runtime, run_id, ask("on-policy")) == 1
    assert answer_to(service, run_id, path) == answer
    assert service.log_size() == size


def test_a_round_that_today_s_policies_do_not_permit_is_recorded_and_refused(
    service: LocalService, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = "run_denied"
    plan_run(service.runtime, run_id, ask("on-policy"))
    path = hand_out(service, run_id, "a heron waits")

    def stricter(*_: Any) -> Any:
        raise DeniedError("an agreement was revoked")

    monkeypatch.setattr(module, "ask_again", stricter)
    assert answer_rounds(service.runtime, run_id, ask("on-policy")) == 1
    answer = answer_to(service, run_id, path)
    assert (answer.allowed, answer.count, answer.detail) == (False, 1, "an agreement was revoked")
    assert answer.first_index is not None


@pytest.mark.parametrize("data", [b"", b"{}", b'{"step": 0, "temperature": 1.0, "samples": []}'])
def test_what_is_no_round_is_answered_with_no(service: LocalService, data: bytes) -> None:
    run_id = f"run_bad_{len(data)}"
    plan_run(service.runtime, run_id, ask("on-policy"))
    path = hand_out(service, run_id, "a heron")
    path.write_bytes(data)
    size = service.log_size()
    answer_rounds(service.runtime, run_id, ask("on-policy"))
    answer = answer_to(service, run_id, path)
    assert (answer.allowed, answer.first_index) == (False, None)
    assert service.log_size() == size


def test_a_prompt_of_another_release_is_answered_with_no(service: LocalService) -> None:
    run_id = "run_foreign"
    plan_run(service.runtime, run_id, ask("on-policy"))
    held = {int(row["entry_index"]) for row in released(service, run_id)}
    foreign = next(index for index in range(10_000) if index not in held)
    path = hand_out(service, run_id, "a heron", entries=[foreign])
    answer_rounds(service.runtime, run_id, ask("on-policy"))
    answer = answer_to(service, run_id, path)
    assert not answer.allowed
    assert f"entry {foreign}" in answer.detail


@pytest.mark.training
@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["kd", "on-policy"])
def test_a_white_box_run_ends_in_a_model_and_true_statements(service: LocalService, recipe: str) -> None:
    own = {"on_policy": {"max_new_tokens": 4}} if recipe == "on-policy" else {}
    run = service.wait(service.post("/api/v1/runs", ask(recipe, config=CONFIG | own))["status_url"])
    assert run["state"] == "done", run["error"]
    assert [entry["phase"] for entry in run["entries"]] == ["plan", "start", "end"]
    end, plan = run["statement"], run["plan"]
    assert end["teacher_weights"]["weights_digest"] == plan["teacher_weights"]["weights_digest"]
    assert end["flops"]["teacher_forward"] > 0
    assert end["consumed"]["samples"] == 8
    assert service.get(f"/api/v1/models/{run['model']}")["parents"]
    if recipe == "kd":
        return
    assert end["on_policy"]["samples"] == 8
    recorded = [
        item for item in service.get("/api/v1/datasets")["datasets"] if item["name"] == f"on-policy.{run['id']}"
    ]
    assert [item["samples"] for item in recorded] == [8]
