"""White-box training: against a teacher's own distribution, with its vocabulary and its digest checked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("trl")

import torch

from provenance.errors import DigestMismatchError, MalformedError
from provenance.training.files import digest_files, list_files
from provenance.training.vocabulary import check_tokens
from provenance.training.white_box import Guide, open_guide
from tests.training.processes import events, finish, kill_at_step, run

pytestmark = pytest.mark.training
Make = Callable[..., Path]


def test_a_student_follows_its_teacher_and_a_killed_run_ends_in_the_same_model(make_kd: Make, tmp_path: Path) -> None:
    config: dict[str, Any] = {"teacher": {"top_k": 200, "alpha": 0.1}}
    config |= {"gradient_accumulation": 2, "learning_rate": 5e-4}
    whole = finish(make_kd("whole", config), tmp_path / "whole")
    steps = events(tmp_path / "whole", "step")
    first, last = ([step["divergence"] for step in part] for part in (steps[:3], steps[-3:]))
    assert sum(last) < sum(first)
    assert whole["loss"]["last"] < whole["loss"]["first"]
    assert whole["consumed"] == {"samples": 64, "distinct": 24, "released": 24, "equals_release": True}
    teacher = whole["teacher_weights"]
    assert (teacher["model"], teacher["tokens"]) == ("local/tiny", whole["tokens"])
    flops = whole["flops"]
    assert flops["teacher_forward"] == 2 * teacher["parameters"] * whole["tokens"]
    assert flops["student_training"] == 6 * whole["parameters"] * whole["tokens"]
    assert flops["value"] == flops["teacher_forward"] + flops["student_training"]

    kill_at_step(make_kd("killed", config), tmp_path / "killed", 3)
    resumed = finish(tmp_path / "killed.plan.json", tmp_path / "killed")
    for fact in ("weights_digest", "sample_ids_digest", "tokens", "steps", "flops"):
        assert resumed[fact] == whole[fact], fact


def test_packing_spends_no_padding_and_changes_nothing_else(make_kd: Make, tmp_path: Path) -> None:
    settings = {"max_steps": 3, "sample_generations": 0, "student": "base", "lora": {"rank": 2}}
    plain, packed = (
        finish(make_kd(name, settings | {"packing": name == "packed"}), tmp_path / name) for name in ("plain", "packed")
    )
    assert packed["sample_ids_digest"] == plain["sample_ids_digest"]
    losses = [[step["loss"] for step in events(tmp_path / name, "step")] for name in ("plain", "packed")]
    assert losses[0] == pytest.approx(losses[1], rel=1e-3, abs=1e-4)
    assert losses[0][0] != losses[0][-1]


def test_another_teacher_than_the_plan_names_is_refused(make_kd: Make, tmp_path: Path) -> None:
    status = run(make_kd(teacher_digest="sha256:" + "0" * 64), tmp_path / "run")
    assert status.state == "failed"
    assert "teacher_digest" in (status.detail or "")
    assert status.result is not None
    assert status.result["code"] == "digest-mismatch"
    assert not events(tmp_path / "run", "step")


def test_a_teacher_with_another_vocabulary_is_refused(tiny_teacher: Path, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    from provenance.training.student import build_scratch

    build_scratch(["other words make other tokens"], tmp_path / "other", seed=1, tokens=300, hidden=64, layers=1)
    ours = AutoTokenizer.from_pretrained(tiny_teacher)
    digest = digest_files(list_files(tmp_path / "other"))
    with pytest.raises(MalformedError, match="the same tokens under the same numbers") as caught:
        open_guide(tmp_path / "other", digest, ours, tmp_path / "none.json", "cpu")
    assert caught.value.errors[0].field == "teacher.model"
    with pytest.raises(DigestMismatchError):
        open_guide(tiny_teacher, digest, ours, tmp_path / "none.json", "cpu")


def test_tokens_must_be_the_same_under_the_same_or_the_mapped_number() -> None:
    theirs = {"a": 0, "b": 1, "c": 2}
    check_tokens(theirs, theirs, None)
    check_tokens({"a": 0, "c": 1}, theirs, [0, 2])
    for ours, mapped in [
        ({"a": 0, "b": 1}, None),
        ({"a": 0, "c": 1, "b": 2}, None),
        ({"a": 0, "c": 1}, [0, 1]),
        ({"a": 0, "d": 1}, [0, 2]),
        ({"a": 0, "c": 1}, [0]),
    ]:
        with pytest.raises(MalformedError, match="tokens"):
            check_tokens(ours, theirs, mapped)


def test_a_mapped_guide_answers_in_the_students_numbers(tiny_teacher: Path) -> None:
    from provenance.training.generate import load_model

    model, _ = load_model(tiny_teacher)
    ids = torch.tensor([[5, 9, 12]])
    whole = Guide(model, None).logits({"input_ids": ids})
    mapped = torch.tensor([12, 9, 5])
    cut = Guide(model, mapped).logits({"input_ids": torch.tensor([[2, 1, 0]])})
    assert torch.equal(cut, whole[..., mapped])


@pytest.mark.slow
def test_two_processes_follow_one_teacher_as_one_does(make_kd: Make, tmp_path: Path) -> None:
    config = {"max_steps": 3, "sample_generations": 0}
    one = finish(make_kd("one", config | {"batch_size": 4}), tmp_path / "one")
    two = finish(make_kd("two", config | {"batch_size": 2}, processes=2), tmp_path / "two")
    assert two["processes"] == 2
    assert two["consumed"] == one["consumed"]
    losses = [[step["loss"] for step in events(tmp_path / name, "step")] for name in ("one", "two")]
    assert losses[0][0] == pytest.approx(losses[1][0], rel=0.3)


@pytest.mark.gpu
def test_on_gpus_the_teacher_runs_beside_the_student_in_bf16(make_kd: Make, tmp_path: Path) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    count = torch.cuda.device_count()
    config = {"teacher": {"top_k": 50}, "packing": True, "batch_size": 2}
    result = finish(make_kd(device="cuda", processes=count, config=config), tmp_path / "run")
    assert (result["dtype"], result["processes"]) == ("bfloat16", count)
    assert torch.cuda.get_device_name(0) in result["device"]
    assert result["gpu_peak_bytes"] > 0
    assert result["teacher_weights"]["tokens"] == result["tokens"]
    assert all(step["divergence"] > 0 for step in events(tmp_path / "run", "step"))
