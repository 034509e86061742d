"""Pages of training runs: the list, and one run, live while it goes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import APIRouter, Response

from provenance.api.pages import Asked, PageDep, add_page
from provenance.api.views.common import Link
from provenance.api.views.runs import Cost, LossPoint, RunPage, RunRow, RunsPage
from provenance.errors import NotFoundError
from provenance.prices import describe_cost
from provenance.store.models import get_model
from provenance.store.pages import name_students
from provenance.store.releases import get_release
from provenance.store.runs import get_run, list_phases, list_runs
from provenance.training.checkpoint import find_checkpoint
from provenance.training.comparisons import fill_comparisons
from provenance.training.compute import describe_method
from provenance.training.launch import run_folder
from provenance.training.resume import ENDED_EARLY
from provenance.training.supervise import read_events

router = APIRouter()
SHOWN_LOSSES = 600
RELEASED = ("allow-with-conditions", "allow")  # the stricter first


@add_page(router, "/runs", "json", "csv")
def index_runs(asked: PageDep) -> Response:
    """Which runs there are, newest first."""
    return asked.answer(RunsPage(fill_rows(asked, list_runs(asked.session))))


@add_page(router, "/runs/{identifier}", "json", "csv")
def show_run(identifier: str, asked: PageDep) -> Response:
    """One run: was it permitted, how goes it, what did it cost, what can the student do."""
    return asked.answer(fill_run(asked, get_run(asked.session, identifier)))


def fill_rows(asked: Asked, runs: Sequence[Mapping[str, Any]]) -> list[RunRow]:
    """The rows of a list of runs."""
    students = name_students(asked.session)
    return [_fill_row(asked, run, students) for run in runs]


def _fill_row(asked: Asked, run: Mapping[str, Any], students: Mapping[str, str]) -> RunRow:
    said, now = run["statement"] or {}, _last_step(asked, run) if run["state"] == "running" else {}
    phases = {row.predicate["phase"]: row.predicate for row in list_phases(asked.session, run["id"])}
    step = said.get("steps") or now.get("step") or 0
    return RunRow(
        id=run["id"],
        state=run["state"],
        student=students.get(run["student"], run["student"]),
        release=name_release(asked, run["release"]),
        recipe=run["recipe"],
        step=step,
        total_steps=now.get("total") or (step if run["state"] == "done" else None),
        started_at=phases["start"]["at"] if "start" in phases else None,
    )


def _last_step(asked: Asked, run: Mapping[str, Any]) -> Mapping[str, Any]:
    events = read_events(run_folder(asked.runtime, run["id"]) / "out")
    return next((event for event in reversed(events) if event["event"] == "step"), {})


def name_release(asked: Asked, identifier: str) -> str:
    """`name@version` of a release."""
    try:
        release = get_release(asked.session, identifier)
    except NotFoundError:
        return identifier
    return f"{release['name']}@{release['version']}"


def fill_run(asked: Asked, run: Mapping[str, Any]) -> RunPage:
    """The page of a run, out of its statements and of the events that its process writes."""
    phases = {row.predicate["phase"]: row.predicate for row in list_phases(asked.session, run["id"])}
    plan, said = phases.get("plan", {}), run["statement"] or {}
    events = read_events(run_folder(asked.runtime, run["id"]) / "out")
    steps = list({event["step"]: event for event in events if event["event"] == "step"}.values())
    last = steps[-1] if steps else {}
    every = -(-len(steps) // SHOWN_LOSSES) or 1
    student = name_students(asked.session).get(run["student"], run["student"])
    return RunPage(
        id=run["id"],
        state=run["state"],
        student=student,
        recipe=run["recipe"],
        **_fill_permission(asked, run),
        base_model=plan.get("base_model"),
        started_at=phases.get("start", {}).get("at"),
        finished_at=said.get("at") if said.get("phase") in {"end", "fail", "cancel"} else None,
        step=last.get("step") or said.get("steps") or 0,
        total_steps=last.get("total") or said.get("steps"),
        loss=last.get("loss"),
        tokens_per_second=last.get("tokens_per_second"),
        eta_seconds=last.get("eta_seconds"),
        losses=[LossPoint(event["step"], event["loss"]) for event in thin(steps, every)],
        loss_every=every,
        events_url=f"/api/v1/runs/{run['id']}/events",
        cost=_fill_cost(said, events),
        comparisons=fill_comparisons(said.get("metrics") or {}, _find_model(asked, run["model"])),
        limits=list(said.get("limits") or ()),
        tokens=said.get("tokens"),
        seed=plan.get("seed"),
        config=plan.get("config") or {},
        code_digest=plan.get("code_digest"),
        environment_digest=plan.get("environment_digest"),
        sample_ids_digest=said.get("sample_ids_digest"),
        entries=[
            Link(f"{item['phase']}, entry {item['index']}", f"/log/entries/{item['index']}") for item in run["entries"]
        ],
        model_id=run["model"],
        error=run["error"] and run["error"].get("detail"),
        waits_for=run["progress"].get("waits_for") if run["state"] in {"queued", "running"} else None,
        place=_name_place(plan, said),
        teacher=(plan.get("teacher_weights") or {}).get("model"),
        teacher_digest=(plan.get("teacher_weights") or {}).get("weights_digest"),
        attempt=run["attempt"],
        resume_step=_find_resume_step(asked, run),
    )


def _find_resume_step(asked: Asked, run: Mapping[str, Any]) -> int | None:
    if run["state"] not in ENDED_EARLY:
        return None
    checkpoint = find_checkpoint(run_folder(asked.runtime, run["id"]) / "out", delete_torn=False)
    return checkpoint.step if checkpoint else None


def _name_place(plan: Mapping[str, Any], said: Mapping[str, Any]) -> str | None:
    place = said.get("backend") if isinstance(said.get("backend"), Mapping) else {}
    if not place or place.get("name") != "ray":
        return plan.get("backend")
    trust = "" if place.get("authenticated") else ", a cluster without authentication"
    return f"Ray {place.get('ray_version')} as {place.get('submission_id')}{trust}"


def thin(steps: Sequence[Mapping[str, Any]], every: int) -> list[Mapping[str, Any]]:
    """Every `every`-th step and the last one, in order."""
    kept = list(steps[::every])
    return kept if not steps or kept[-1] is steps[-1] else [*kept, steps[-1]]


def _fill_permission(asked: Asked, run: Mapping[str, Any]) -> dict[str, Any]:
    """What the gate said of the samples that the release let through, not of those that it held back."""
    try:
        release = get_release(asked.session, run["release"])
    except NotFoundError:
        return {"release": run["release"], "decision_id": None, "verdict": None, "unmet_conditions": 0, "samples": None}
    decision = release["decision"] or {"id": None, "classes": []}
    verdicts = {verdict for _, verdict, _, _ in decision["classes"]}
    return {
        "release": f"{release['name']}@{release['version']}",
        "decision_id": decision["id"],
        "verdict": next((verdict for verdict in RELEASED if verdict in verdicts), "deny"),
        "unmet_conditions": sum(condition["status"] == "unmet" for condition in release["conditions"]),
        "samples": release["splits"].get("train"),
    }


def _fill_cost(said: Mapping[str, Any], events: Sequence[Mapping[str, Any]]) -> Cost:
    started = next((event for event in events if event["event"] == "started"), {})
    flops, energy = said.get("flops") or {}, said.get("energy_kwh") or {}
    method = energy.get("method")
    return Cost(
        device=said.get("device") or started.get("device"),
        isolation=said.get("isolation"),
        seconds=said.get("wall_seconds"),
        flops=flops.get("value"),
        flops_method="estimated: 6 x parameters x tokens" if flops.get("method") == "6ND" else describe_method(flops),
        energy_kwh=energy.get("value"),
        energy_method=f"{method}: {energy['note']}" if method and energy.get("note") else method,
        peak_memory_bytes=said.get("peak_memory_bytes"),
        money=describe_cost(said.get("cost")),
    )


def _find_model(asked: Asked, identifier: str | None) -> Mapping[str, Any] | None:
    try:
        return get_model(asked.session, identifier) if identifier else None
    except NotFoundError:
        return None
