"""A student that teaches: only its own weights, as they were registered, under the name that its samples will carry."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from provenance.capture.upstream import load_upstreams
from provenance.errors import DeniedError, DigestMismatchError, MalformedError, NotFoundError
from provenance.terms.yaml_file import parse_yaml
from provenance.training.as_teacher import find_student, make_upstream
from provenance.training.files import list_files

NOW = datetime(2026, 11, 24, 10, tzinfo=UTC)


@pytest.fixture
def model(tmp_path: Path) -> dict[str, Any]:
    folder = tmp_path / "run_1" / "out" / "model"
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"weights")
    said = {"id": "mdl_1", "provider": "Acme Labs", "name": "Tutor-1b", "run": "run_1", "recall": None}
    return {**said, "weights_digest": "sha256:" + "ab" * 32, "files": list_files(folder)}


def test_the_folder_is_found_where_the_run_left_it(tmp_path: Path, model: dict[str, Any]) -> None:
    assert find_student(tmp_path, model) == tmp_path / "run_1" / "out" / "model"


@pytest.mark.parametrize(
    ("change", "error"),
    [({"run": None}, MalformedError), ({"recall": "rcl_1"}, DeniedError), ({"run": "run_2"}, NotFoundError)],
)
def test_what_is_no_student_of_this_machine_does_not_teach(
    tmp_path: Path, model: dict[str, Any], change: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        find_student(tmp_path, {**model, **change})


@pytest.mark.parametrize("name", ["model.safetensors", "beside.py"])
def test_altered_weights_do_not_teach(tmp_path: Path, model: dict[str, Any], name: str) -> None:
    (tmp_path / "run_1" / "out" / "model" / name).write_bytes(b"other")
    with pytest.raises(DigestMismatchError):
        find_student(tmp_path, model)


def test_the_entry_is_one_that_the_gateway_reads(tmp_path: Path, model: dict[str, Any]) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text(yaml.safe_dump({"upstreams": [make_upstream(model, "http://127.0.0.1:8010/v1")]}))
    assert parse_yaml(path.read_bytes(), "gateway.yaml")
    [(name, upstream)] = load_upstreams(path, now=NOW).items()
    assert (name, upstream.upstream_model) == ("acme-labs/Tutor-1b", "Tutor-1b")
    assert (upstream.teacher.provider, upstream.teacher.revision) == ("acme-labs", "run_1")
