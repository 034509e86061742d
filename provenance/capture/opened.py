"""A capture that was opened beforehand: what may be recorded under it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from provenance.capture.sample import Sample
from provenance.errors import ConflictError, FieldError, MalformedError


def require_open(capture: Mapping[str, Any]) -> None:
    """Refuse a capture that was closed, or that is a pipeline's stay, which the service opened by itself.

    Raises:
        ConflictError: says which.
    """
    if "teacher" not in capture:
        raise ConflictError(
            f"capture {capture['id']} is the service's own: it ends with the pipeline's stay",
            FieldError("capture", capture["id"], "a capture that POST /api/v1/captures opened"),
        )
    if capture.get("closed_at") is not None:
        raise ConflictError(
            f"capture {capture['id']} was closed at {capture['closed_at']}",
            FieldError("capture", capture["id"], "a capture that is open"),
        )


def check_belongs(samples: Sequence[Sample], capture: Mapping[str, Any]) -> None:
    """Refuse samples of another data set, teacher, route or role than the capture was opened for.

    Raises:
        ConflictError: see `require_open`.
        MalformedError: names the first sample that does not belong.
    """
    require_open(capture)
    teacher = capture["teacher"]
    expected = {
        "dataset": capture["dataset"],
        "teacher.provider": teacher["provider"],
        "teacher.model": teacher["model"],
        "teacher.route": capture["route"],
        "role": capture["role"],
    }
    for position, sample in enumerate(samples):
        said = {
            "dataset": sample.dataset,
            "teacher.provider": sample.teacher.provider,
            "teacher.model": sample.teacher.model,
            "teacher.route": sample.teacher.route,
            "role": sample.role,
        }
        for name, value in said.items():
            if value != expected[name]:
                wanted = f"{expected[name]}, for which capture {capture['id']} was opened"
                raise MalformedError(
                    f"samples[{position}].{name}: expected {wanted}",
                    FieldError(f"samples[{position}].{name}", value, wanted),
                )
