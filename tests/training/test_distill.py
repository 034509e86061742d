"""The training process itself, small: run to the end, killed and resumed, cancelled, out of time, on altered data."""

from __future__ import annotations

import importlib.util
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("trl")

from provenance.errors import UnavailableError
from provenance.training import local
from provenance.training.checkpoint import find_checkpoint, seal_checkpoint
from provenance.training.files import check_files, digest_files, find_pickles, list_files
from tests.training.processes import events, finish, kill_at_step, run, wait
from tests.training.scalars import read_scalars

pytestmark = pytest.mark.training


def test_a_run_ends_with_a_model_and_a_true_result_and_a_killed_one_ends_in_the_same_model(
    make_plan: Callable[..., Path], tmp_path: Path
) -> None:
    plan, output = make_plan("whole"), tmp_path / "whole"
    status = run(plan, output)
    assert status.state == "finished", (output / local.LOG).read_text()[-3000:]
    result = status.result
    assert result is not None
    _check_result(result, output)

    killed = tmp_path / "killed"
    again = make_plan("killed")
    kill_at_step(again, killed, 3)
    resumed = run(again, killed)
    assert resumed.state == "finished", (killed / local.LOG).read_text()[-3000:]
    assert resumed.result is not None
    assert [event["step"] for event in events(killed) if event["event"] == "resumed"] != []
    for fact in ("weights_digest", "sample_ids_digest", "tokens", "steps"):
        assert resumed.result[fact] == result[fact], fact


def _check_result(result: Any, output: Path) -> None:
    assert result["steps"] == 8
    assert result["loss"]["last"] < result["loss"]["first"]
    assert (
        result["metrics"]["student_after"]["bits_per_character"]
        < (result["metrics"]["student_before"]["bits_per_character"])
    )
    assert result["metrics"]["against_teacher"]["tokens"] > 0
    assert result["consumed"] == {"samples": 32, "distinct": 24, "released": 24, "equals_release": True}
    assert result["flops"] == {"method": "6ND", "value": 6 * result["parameters"] * result["tokens"]}
    assert result["energy_kwh"]["method"] in {"measured", "estimated"}
    assert result["limits"]
    assert result["generations"][0].keys() == {"prompt", "teacher", "student"}
    model = output / "model"
    check_files(model, result["model_files"])
    assert result["weights_digest"] == digest_files(list_files(model))
    assert find_pickles(output) == []
    assert all(path.stat().st_mode & 0o777 == 0o644 for path in model.rglob("*") if path.is_file())
    steps = [event for event in events(output) if event["event"] == "step"]
    assert [event["step"] for event in steps] == list(range(1, 9))
    assert steps[-1]["tokens_per_second"] > 0
    scalars = read_scalars(output / "tensorboard")
    for name in ("loss", "lr", "tokens_per_second", "eta_seconds"):
        told = [value for _, value in scalars[f"train/{name}"]]
        assert told == pytest.approx([event[name] for event in steps], rel=1e-5)
    assert events(output)[-1]["event"] == "finished"


def test_an_altered_shard_is_refused_before_training(
    make_plan: Callable[..., Path], release: tuple[Path, str], tmp_path: Path
) -> None:
    plan, output = make_plan(), tmp_path / "run"
    shard = release[0] / "data" / "train-00000-of-00001.parquet"
    data = bytearray(shard.read_bytes())
    data[100] ^= 1
    shard.write_bytes(data)
    status = run(plan, output)
    assert status.state == "failed"
    assert status.result is not None
    assert status.result["code"] == "digest-mismatch"
    assert "train-00000" in status.result["detail"]
    assert [event["event"] for event in events(output)] == ["failed"]


def test_other_code_than_the_plan_names_is_refused(make_plan: Callable[..., Path], tmp_path: Path) -> None:
    status = run(make_plan(code_digest="sha256:" + "0" * 64), tmp_path / "run")
    assert status.state == "failed"
    assert "code_digest" in (status.detail or "")


def test_a_cancelled_run_keeps_its_checkpoint_and_can_go_on(make_plan: Callable[..., Path], tmp_path: Path) -> None:
    plan, output = make_plan(config={"max_steps": 6, "sample_generations": 0}, teacher_dir=None), tmp_path / "run"
    (output / local.CANCEL).touch()
    status = run(plan, output)
    assert status.state == "cancelled"
    assert status.result is not None
    assert status.result["steps"] == 1
    assert not (output / "model").exists()
    for name in (local.CANCEL, local.RESULT):
        (output / name).unlink(missing_ok=True)
    status = run(plan, output)
    assert status.state == "finished"
    assert status.result is not None
    assert status.result["consumed"]["samples"] == 24


def test_the_deadline_does_not_count_what_was_trained_before_the_attempt(
    make_plan: Callable[..., Path], tmp_path: Path
) -> None:
    config = {"max_steps": 6, "sample_generations": 0}
    plan, output = make_plan(config=config, teacher_dir=None, deadline_seconds=600.0), tmp_path / "run"
    (output / local.CANCEL).touch()
    assert run(plan, output).state == "cancelled"
    (output / local.CANCEL).unlink()
    checkpoint = find_checkpoint(output)
    assert checkpoint is not None
    seal_checkpoint(checkpoint.folder, {**checkpoint.notes, "seconds": 5000.0})
    status = run(plan, output)
    assert (status.result or {})["code"] == "run-deadline"
    status = wait(local.start_process(plan, seconds_before=5000.0), output)
    assert status.state == "finished", status
    assert status.result is not None
    assert status.result["train_seconds"] > 5000  # the whole run is still told of
    assert "earlier processes" in status.result["energy_kwh"]["note"]


def test_a_run_that_was_killed_after_its_last_step_is_evaluated_when_it_goes_on(
    make_plan: Callable[..., Path], tmp_path: Path
) -> None:
    config = {"max_steps": 4, "save_steps": 2, "sample_generations": 0}
    whole = finish(make_plan("whole", config), tmp_path / "whole")
    plan, output = make_plan(config=config), tmp_path / "run"
    handle = local.start_process(plan)
    wait(handle, output, lambda: any(event["step"] == 4 for event in events(output, "checkpoint")))
    local.kill(handle)
    assert local.poll(handle, output).state in {"running", "lost"}
    status = run(plan, output)
    assert (status.state, [event["step"] for event in events(output, "resumed")]) == ("finished", [4])
    assert status.result is not None
    for fact in ("sample_ids_digest", "weights_digest", "steps", "total_steps", "loss"):  # no step more, none less
        assert status.result[fact] == whole[fact], fact


def test_a_run_past_its_deadline_fails_and_says_so(make_plan: Callable[..., Path], tmp_path: Path) -> None:
    plan = make_plan(config={"student": "scratch", "layers": 1}, base_model_dir=None, deadline_seconds=0.01)
    status = run(plan, tmp_path / "run")
    assert status.state == "failed"
    assert status.result is not None
    assert status.result["code"] == "run-deadline"


def test_adapters_on_a_whole_base_are_merged_into_its_weights(
    make_plan: Callable[..., Path], tiny_teacher: Path, tmp_path: Path
) -> None:
    config = {"student": "base", "lora": {"rank": 2}, "max_steps": 2, "sample_generations": 0}
    output = tmp_path / "run"
    status = run(make_plan(config=config, teacher_dir=None), output)
    assert status.state == "finished", (output / local.LOG).read_text()[-3000:]
    from safetensors.torch import load_file

    before, after = (load_file(folder / "model.safetensors") for folder in (tiny_teacher, output / "model"))
    assert before.keys() == after.keys()
    assert not before["model.layers.0.mlp.up_proj.weight"].equal(after["model.layers.0.mlp.up_proj.weight"])
    assert before["model.embed_tokens.weight"].equal(after["model.embed_tokens.weight"])


def test_a_process_killed_from_outside_is_lost_and_a_reused_number_is_not_ours(
    make_plan: Callable[..., Path], tmp_path: Path
) -> None:
    plan, output = make_plan(), tmp_path / "run"
    handle = local.start_process(plan)
    assert local.reattach(handle.pid, handle.start_time) is not None
    assert local.reattach(handle.pid, "1") is None
    os.killpg(handle.pid, signal.SIGKILL)
    status = wait(handle, output)
    assert status.state == "lost"
    assert local.reattach(handle.pid, handle.start_time) is None


def test_no_secret_of_the_service_reaches_the_process(
    make_plan: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from provenance.training.plan import parse_plan

    monkeypatch.setenv("PROVENANCE_TOKEN", "secret")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    environment = local.build_environment(parse_plan(make_plan().read_bytes()))
    assert "secret" not in environment.values()
    assert environment["OMP_NUM_THREADS"] == "1"


def test_without_torch_the_error_says_what_to_install(
    make_plan: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "torch" else object())
    with pytest.raises(UnavailableError, match=r"pip install 'provenance-ledger\[train\]'"):
        local.start_process(make_plan())


@pytest.mark.slow
def test_two_processes_consume_every_sample_once_and_write_one_result(
    make_plan: Callable[..., Path], tmp_path: Path
) -> None:
    output = tmp_path / "run"
    status = run(make_plan(config={"max_steps": 6, "batch_size": 2}, processes=2), output)
    assert status.state == "finished", (output / local.LOG).read_text()[-3000:]
    assert status.result is not None
    assert status.result["processes"] == 2
    assert status.result["consumed"] == {"samples": 24, "distinct": 24, "released": 24, "equals_release": True}
    assert [event["event"] for event in events(output)].count("started") == 1


@pytest.mark.parametrize(("tracker", "left"), [("wandb", "wandb/offline-run-*/run-*.wandb"), ("mlflow", "mlflow.db")])
def test_a_tracker_is_written_for_inside_the_sandbox_and_offline(
    make_plan: Callable[..., Path], tmp_path: Path, tracker: str, left: str
) -> None:
    pytest.importorskip(tracker, reason=f"pip install {tracker}")
    config = {"report_to": [tracker], "max_steps": 4, "sample_generations": 0}
    output = tmp_path / "run"
    finish(make_plan(config=config, teacher_dir=None), output)
    (path,) = output.glob(left)
    assert b"train/loss" in path.read_bytes() or b"loss" in path.read_bytes()
