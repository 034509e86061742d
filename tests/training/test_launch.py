from __future__ import annotations

import importlib.util
from typing import Any

import pytest

from provenance.attestation.model_signature import open_model_signature
from provenance.canonical import sha256_digest
from provenance.errors import DeniedError, DigestMismatchError, MalformedError, NotFoundError, UnavailableError
from provenance.policy.decide import decide_classes
from provenance.runtime import Runtime
from provenance.training import launch
from provenance.training.launch import (
    check_launch,
    finish_run,
    local_model_folder,
    model_folder,
    plan_run,
    run_folder,
    start_phase,
)
from provenance.training.plan import parse_plan
from tests.finished import METRICS, SCRATCH, ask, finish, write_model
from tests.service import LocalService

pytest.importorskip("trl")


def phases(opened: LocalService, run_id: str) -> list[str]:
    return [item["phase"] for item in opened.get(f"/api/v1/runs/{run_id}")["entries"]]


def test_a_plan_says_everything_the_process_needs_and_is_logged_by_its_digest(service: LocalService) -> None:
    path = plan_run(service.runtime, "run_plan", ask())
    plan = parse_plan(path.read_bytes())
    release = service.get("/api/v1/releases/tutor@1")
    assert (plan.run_id, plan.seed, plan.release_digest) == ("run_plan", 7, release["manifest_digest"])
    assert plan.output_dir == str((run_folder(service.runtime, "run_plan") / "out").resolve())
    said = service.get("/api/v1/runs/run_plan")["plan"]
    assert said["plan_digest"] == sha256_digest(path.read_bytes())
    assert said["teachers"] == ["huggingface-smollm/smollm2-135m-instruct", "meta/llama-3.1-8b-instruct"]
    assert (said["code_digest"], said["environment_digest"]) == (plan.code_digest, plan.environment_digest)


def test_each_phase_is_logged_once_however_often_it_is_repeated(service: LocalService) -> None:
    runtime: Runtime = service.runtime
    made = write_model(model_folder(runtime, "run_once")) | {"secret": "never logged"}
    outcome = {"state": "finished", "result": made, "detail": None}
    for _ in range(2):
        plan_run(runtime, "run_once", ask())
        start_phase(runtime, "run_once", ask())
    models = {finish_run(runtime, "run_once", ask(), outcome) for _ in range(2)}
    assert models == {"mdl_once"}
    assert phases(service, "run_once") == ["plan", "start", "end"]
    model = service.get("/api/v1/models/mdl_once")
    assert (model["weights_digest"], model["license"], model["run"]) == (
        made["weights_digest"],
        "Apache-2.0",
        "run_once",
    )
    assert [item["type"] for item in model["conditions"]] == ["name-prefix"]
    end = service.get("/api/v1/runs/run_once")["statement"]
    assert (end["steps"], end["metrics"], end["model"]) == (2, METRICS, "mdl_once")
    assert "secret" not in end


def test_a_model_without_its_end_is_not_registered_twice(
    service: LocalService, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = write_model(model_folder(service.runtime, "run_torn"))
    outcome = {"state": "finished", "result": made, "detail": None}
    plan_run(service.runtime, "run_torn", ask())
    start_phase(service.runtime, "run_torn", ask())
    monkeypatch.setattr(launch, "log_phase", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        finish_run(service.runtime, "run_torn", ask(), outcome)
    monkeypatch.undo()
    size = service.log_size()
    finish_run(service.runtime, "run_torn", ask(), outcome)
    assert service.log_size() == size + 1
    said, path = (
        service.get("/api/v1/models/mdl_torn")["signature"],
        run_folder(service.runtime, "run_torn") / "out/model.sig",
    )
    assert sha256_digest(path.read_bytes()) == said["digest"]  # the second try did not sign over what is registered
    assert phases(service, "run_torn") == ["plan", "start", "end"]


def test_a_model_is_signed_by_the_key_for_models_and_registered_with_its_signature(service: LocalService) -> None:
    assert finish(service.runtime, "run_signed") == "mdl_signed"
    model, ring = service.get("/api/v1/models/mdl_signed"), service.runtime.ring
    (keyid,) = ring.public_keys_of("model")
    assert model["signature"]["keyid"] == keyid
    data = (run_folder(service.runtime, "run_signed") / "out" / "model.sig").read_bytes()
    signed = open_model_signature(data, ring.public_keys[keyid])
    assert (signed.name, signed.files) == ("acme-tutor", {item["path"]: item["digest"] for item in model["files"]})
    assert model["signature"]["digest"] == sha256_digest(data)


def test_a_registration_says_which_conditions_stand_against_publishing(service: LocalService) -> None:
    assert finish(service.runtime, "run_conditions") == "mdl_conditions"
    said = service.get("/api/v1/models/mdl_conditions")["publishing"]
    unmet = {"type": "name-prefix", "status": "unmet", "document": "meta-llama-3.1", "clause": "1.b.i"}
    assert said == {"verdict": "deny", "blocking": [unmet], "policy": service.runtime.pack.digest}


@pytest.mark.parametrize("change", ["altered", "added", "removed", "linked"])
def test_a_folder_that_is_not_what_the_run_reported_is_not_signed_and_the_run_has_failed(
    service: LocalService, change: str
) -> None:
    runtime, run_id = service.runtime, f"run_{change}"
    folder = model_folder(runtime, run_id)
    made = write_model(folder)
    if change == "altered":
        (folder / "config.json").write_text("{}")
    elif change == "added":
        (folder / "more.json").write_text("{}")
    elif change == "removed":
        (folder / "config.json").unlink()
    else:
        (folder / "link.json").symlink_to(folder / "config.json")
    plan_run(runtime, run_id, ask())
    start_phase(runtime, run_id, ask())
    assert finish_run(runtime, run_id, ask(), {"state": "finished", "result": made, "detail": None}) is None
    assert not (folder.parent / "model.sig").exists()
    run = service.get(f"/api/v1/runs/{run_id}")
    assert (run["state"], run["model"], run["error"]["state"]) == ("failed", None, "failed")
    assert ("link" if change == "linked" else "is not what the run reported") in run["error"]["detail"]
    assert service.client.get(f"/api/v1/models/mdl_{change}").status_code == 404


@pytest.mark.parametrize(("state", "phase"), [("failed", "fail"), ("lost", "fail"), ("cancelled", "cancel")])
def test_a_run_that_did_not_finish_says_why_and_has_no_model(service: LocalService, state: str, phase: str) -> None:
    run_id = f"run_{state}"
    plan_run(service.runtime, run_id, ask())
    start_phase(service.runtime, run_id, ask())
    outcome = {"state": state, "result": {}, "detail": "out of memory"}
    assert finish_run(service.runtime, run_id, ask(), outcome) is None
    run = service.get(f"/api/v1/runs/{run_id}")
    assert (run["entries"][-1]["phase"], run["model"]) == (phase, None)
    assert run["error"] == {"state": state, "detail": "out of memory"}


def test_what_may_not_be_trained_is_refused_before_anything_is_made(service: LocalService) -> None:
    size = service.log_size()
    bad: list[tuple[type[Exception], dict[str, Any]]] = [
        (DeniedError, {"release": "closed@1"}),
        (NotFoundError, {"release": "none@1"}),
        (NotFoundError, {"student": "none"}),
        (NotFoundError, {"config": {}}),  # the base model's weights are not on this machine
        (MalformedError, {"recipe": "alchemy"}),
        (MalformedError, {"config": {"max_steps": 0}}),
        (MalformedError, {"recipe": "kd"}),  # a student from scratch has another vocabulary than any teacher
        (NotFoundError, {"recipe": "kd", "config": {"student": "cut"}}),  # no teacher's weights are on this machine
    ]
    for kind, change in bad:
        with pytest.raises(kind):
            check_launch(service.runtime, ask(**change))
        with pytest.raises(kind):
            plan_run(service.runtime, "run_refused", ask(**change))
    assert service.log_size() == size
    assert not run_folder(service.runtime, "run_refused").exists()


@pytest.mark.parametrize("name", ["manifest.json", "data/test-00000.parquet"])
def test_a_release_whose_files_were_altered_is_refused(service: LocalService, name: str) -> None:
    path = service.data_dir / "releases" / "tutor" / "1" / name
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    try:
        with pytest.raises(DigestMismatchError, match=name):
            check_launch(service.runtime, ask())
    finally:
        path.write_bytes(data)


def test_a_release_that_today_s_policies_would_not_permit_is_not_trained_on(
    service: LocalService, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = decide_classes

    def stricter(classes: Any, student: Any, action: str, **more: Any) -> Any:
        return real(
            classes, {**student, "name": "renamed", "use": "unknown", "competes_with": "unknown"}, "serve", **more
        )

    monkeypatch.setattr("provenance.policy.gate.decide_classes", stricter)
    with pytest.raises(DeniedError) as caught:
        check_launch(service.runtime, ask())
    assert caught.value.code == "release-not-allowed"
    assert caught.value.decision is not None
    assert caught.value.decision["verdict"] in {"deny", "review"}


def test_without_the_training_packages_a_launch_says_what_to_install(
    service: LocalService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(UnavailableError, match="pip install"):
        check_launch(service.runtime, ask())


def test_a_tracker_that_cannot_be_written_for_is_an_error_at_once(
    service: LocalService, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    installed = {"wandb": True, "mlflow": False}
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: find("json") if installed.get(name, True) else None)
    check_launch(service.runtime, ask(config=SCRATCH | {"report_to": ["wandb"]}))
    for changes in ({}, {"backend": "ray", "config": SCRATCH | {"report_to": ["wandb"]}}):
        with pytest.raises(MalformedError) as caught:
            check_launch(service.runtime, ask(config=SCRATCH | {"report_to": ["wandb", "mlflow"]}) | changes)
        assert caught.value.errors[0].field == "report_to"


def test_a_model_of_this_machine_lies_under_its_own_name(service: LocalService) -> None:
    folder = local_model_folder(service.runtime, "huggingface-smollm/SmolLM2-135M")
    assert folder == service.data_dir / "models" / "smollm2-135m" / "model"
