"""The teacher whose own weights a white-box recipe uses: which one, where it lies, its digest, and the permission for that.

The permission stands beside the one to train on the release's text: action `distill`, asked of the licence of the copy.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlmodel import Session

from provenance.errors import DeniedError, FieldError, MalformedError, NotFoundError
from provenance.lineage.inherit import inherit_teacher
from provenance.policy.decide import decide_classes
from provenance.policy.inputs import DISTILL
from provenance.policy.lifts import Lifts
from provenance.runtime import Runtime
from provenance.store.log import get_head
from provenance.store.samples import ClassCount
from provenance.training.files import digest_files, list_files
from provenance.training.recipe import TeacherConfig

PERMITTING = frozenset({"allow", "allow-with-conditions"})


@dataclass(frozen=True)
class TeacherWeights:
    """A teacher's weights on this machine, and what the policies said of their use in training."""

    model: str
    folder: Path
    answer: Mapping[str, Any]

    def describe(self) -> dict[str, Any]:
        """What the run's statements say of it; its files are read for the digest."""
        documents = [document["id"] for document in self.answer["documents"]]
        permission = {"action": DISTILL, "verdict": self.answer["verdict"], "documents": documents}
        return {
            "model": self.model,
            "weights_digest": digest_files(list_files(self.folder)),
            "permission": permission | {"policy": self.answer["policy"]["digest"]},
        }


def choose_teacher(follow: TeacherConfig, held: Mapping[str, Path]) -> tuple[str, Path]:
    """The teacher that the settings name, else the only one of the release whose weights are here.

    Args:
        held: the folders by `provider/name`, of the release's teachers and of the one that is named.
    Raises:
        NotFoundError: its weights are not on this machine.
        MalformedError: there are several, and none is named.
    """
    found = {name: folder for name, folder in held.items() if folder.is_dir()}
    if follow.model is not None:
        found = {name: folder for name, folder in found.items() if name == follow.model}
    if not found:
        folders = ", ".join(str(folder) for folder in held.values()) or "no teacher is named"
        expected = f"a teacher whose weights are on this machine; looked in {folders}"
        raise NotFoundError(f"teacher.model: expected {expected}", FieldError("teacher.model", follow.model, expected))
    if len(found) > 1:
        expected = f"one of {', '.join(sorted(found))}: the weights of several are here"
        raise MalformedError(f"teacher.model: expected {expected}", FieldError("teacher.model", None, expected))
    return next(iter(found.items()))


def ask_for_weights(
    runtime: Runtime,
    session: Session,
    model: str,
    released: Sequence[ClassCount],
    student: Mapping[str, Any],
    *,
    held: Lifts,
) -> dict[str, Any]:
    """Ask whether the student may be trained with this teacher's own weights; the answer permits it.

    Raises:
        DeniedError: code `weights-not-allowed`, with the decision.
    """
    today = runtime.clock().date()
    copies, size = _copies(model, released, today), get_head(session).size
    answer = decide_classes(
        copies,
        student,
        DISTILL,
        at=today,
        agreements=held.agreements,
        exceptions=held.exceptions,
        inheritance={
            digest: inherit_teacher(session, facts, size, runtime.catalogue) for digest, facts, _, _ in copies
        },
        catalogue=runtime.catalogue,
        pack=runtime.pack,
    )
    if answer.verdict not in PERMITTING:
        raise DeniedError(
            f"the policies do not let {student['name']} be trained with the weights or logits of {model}: {answer.verdict}",
            answer.answer,
            code="weights-not-allowed",
        )
    return dict(answer.answer)


def _copies(
    model: str, released: Sequence[ClassCount], today: dt.date
) -> list[tuple[str, Mapping[str, Any], int, int]]:
    """The copies of the weights that the release tells of; else one of a day that is not known."""
    told = [item for item in released if item.teacher == model and item.facts["teacher"]["route"] == "weights"]
    if told:
        return [(item.digest, item.facts, item.samples, item.tokens) for item in told]
    provider, _, name = model.partition("/")
    teacher = {"provider": provider, "model": name, "route": "weights", "obtained_at": "unknown"}
    facts = {"teacher": teacher, "generated_at": f"{today.isoformat()}T00:00:00Z"}
    return [("weights", facts, 0, 0)]
