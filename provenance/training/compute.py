"""Training compute by the rules of thumb: 6ND for training on D tokens, 2ND for a forward pass over them.

The teacher's part stands apart from the student's own, as the EU's guidelines on general-purpose models count it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

WHITE_BOX_METHOD = "6ND + 2ND of forward passes"
PARTS = {
    "student_training": "the student's training",
    "student_writing": "its own writing",
    "teacher_forward": "the teacher's forward passes",
}


def count_training(parameters: int, tokens: int) -> dict[str, Any]:
    """FLOP of training alone."""
    return {"method": "6ND", "value": 6 * parameters * tokens}


def count_white_box(student: int, teacher: int, *, trained: int, written: int, seen: int) -> dict[str, Any]:
    """FLOP of training beside a teacher.

    Args:
        student: its parameters, tied ones counted once; so for `teacher`.
        trained: tokens that the student was trained on.
        written: tokens that it wrote.
        seen: tokens that the teacher read, to score and to be followed.
    """
    parts = {
        "student_training": 6 * student * trained,
        "student_writing": 2 * student * written,
        "teacher_forward": 2 * teacher * seen,
    }
    return {"method": WHITE_BOX_METHOD, "value": sum(parts.values()), **parts}


def describe_method(flops: Mapping[str, Any]) -> str | None:
    """How the number came about, with its parts where there are several."""
    parts = [f"{words} {flops[name]:.3g}" for name, words in PARTS.items() if flops.get(name)]
    return f"{flops['method']}: {', '.join(parts)}" if parts else flops.get("method")
