"""`provenance train`: train a student on a release that it is allowed to learn from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from provenance.canonical import parse_json
from provenance.cli.connect import open_client
from provenance.cli.files import read_settings
from provenance.cli.output import JsonOption, print_fields, print_json, print_line
from provenance.cli.release import error_of_job, wait_for
from provenance.errors import FieldError, MalformedError


def train(
    release: Annotated[str, typer.Option(help="NAME@VERSION or id.")],
    student: Annotated[str, typer.Option(help="Name or id of the student that the release was made for.")],
    recipe: Annotated[str, typer.Option(help="sft, kd or on-policy.")] = "sft",
    config: Annotated[Path | None, typer.Option(help="YAML or JSON: settings of the recipe.")] = None,
    setting: Annotated[
        list[str] | None,
        typer.Option("--set", help="NAME=VALUE, for example teacher.temperature=2.0; may be repeated."),
    ] = None,
    backend: Annotated[str, typer.Option(help="local: the service's machine; ray: its Ray cluster.")] = "local",
    gpus: Annotated[int, typer.Option(help="GPUs to use; 0 takes all of the machine, none of a cluster.", min=0)] = 0,
    processes: Annotated[int, typer.Option(help="Processes of a run without GPUs.", min=1)] = 1,
    allow_unauthenticated_cluster: Annotated[
        bool, typer.Option("--allow-unauthenticated-cluster", help="Use a Ray cluster that asks nobody for a token.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Seed of everything random.", min=0)] = 0,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until it has ended.")] = True,
    as_json: JsonOption = False,
) -> None:
    """Launch a training run and watch it. Exits 5, with the decision, where the release does not allow it."""
    body: dict[str, Any] = {
        "release": release, "student": student, "recipe": recipe, "config": _settings(config, setting or []),
        "backend": backend, "gpus": gpus, "processes": processes, "seed": seed,
        "allow_unauthenticated_cluster": allow_unauthenticated_cluster,
    }  # fmt: skip
    with open_client() as client:
        made = client.post("/api/v1/runs", body)
        run = wait_for(client, made["status_url"], "run") if wait else client.get(made["status_url"])
    if as_json:
        print_json(run)
    else:
        print_run(run)
    if wait and run["state"] != "done":
        raise error_of_job("run", run)


def _settings(path: Path | None, named: Sequence[str]) -> dict[str, Any]:
    """The file's settings, and over them those of the command line; the service checks every one before anything starts."""
    settings = read_settings(path) if path else {}
    for item in named:
        name, separator, text = item.partition("=")
        if not separator or not name:
            raise MalformedError(f"--set: expected NAME=VALUE, got {item!r}", FieldError("--set", item, "NAME=VALUE"))
        *outer, last = name.split(".")
        place = settings
        for part in outer:
            if not isinstance(place.setdefault(part, {}), dict):
                raise MalformedError(f"--set: {part} is one value", FieldError(f"--set {name}", item, "a group"))
            place = place[part]
        place[last] = _value(text)
    return settings


def _value(text: str) -> Any:
    """JSON where it is JSON (numbers, true, null, lists), else the text itself."""
    try:
        return parse_json(text.encode())
    except MalformedError:
        return text


def print_run(run: Mapping[str, Any]) -> None:
    """A run for people."""
    print_fields(
        {name: run.get(name) for name in ("id", "state", "release", "student", "recipe", "model", "created_at")}
    )
    if (run.get("progress") or {}).get("waits_for") and run["state"] in {"queued", "running"}:
        print_line(f"waits for: {run['progress']['waits_for']}")
    said = run.get("statement") or {}
    for name, value in (said.get("metrics") or {}).items():
        print_line(f"{name}: {value}")
    for name in ("steps", "tokens", "flops", "energy_kwh", "teacher_weights", "on_policy"):
        if said.get(name) is not None:
            print_line(f"{name}: {said[name]}")
    if run.get("error"):
        error = run["error"]
        print_line(f"error: {error.get('detail', error) if isinstance(error, Mapping) else error}")
