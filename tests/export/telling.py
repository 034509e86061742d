"""What the tests of exports share: a story of three generations, hostile names, and the scope around a thing."""

from __future__ import annotations

from typing import Any

from provenance.export.gather import gather
from provenance.export.scope import Scope
from provenance.store.session import read_session
from provenance.terms.catalogue import Catalogue
from tests.lineage.story import Story
from tests.store.statements import AT, say

HOSTILE = (
    'a"b\\c', "x:y/z@1", "<script>&amp;", "日本語 модель", "\u202eflip\u202c", "bell\x07tab\tline\nend", "{}[]|^`%2F%",
    "prov:type", "_:b1", "'-.~.", "…" * 40,
)  # fmt: skip


def tell_generations(story: Story, *, suffix: str = "") -> list[str]:
    """Three models, each trained on outputs of the one before; their ids."""
    story.sample(f"one{suffix}", "mistral/mistral-7b", samples=3)
    story.sample(f"one{suffix}", "openai/gpt-4o", samples=1, route="api", account={"holder": "Acme", "plan": "api"})
    first = story.release(f"one{suffix}", student=student(story))
    models = [story.train("acme/a", first, base="mistral/mistral-7b", student=student(story))]
    story.sample(f"two{suffix}", "acme/a", samples=1)
    models.append(story.train("acme/b", story.release(f"two{suffix}"), student=student(story)))
    story.sample(f"three{suffix}", "acme/b", samples=2)
    models.append(story.train("acme/c", story.release(f"three{suffix}"), student=student(story)))
    return models


def student(story: Story) -> str:
    """A student of Acme's; a new one each time."""
    return story.student("tutor", developer={"name": "Acme"})


def withdraw(story: Story, release: str, *, actor: str = "ann") -> None:
    """Take a release back."""
    say(story.log, "withdrawal", id=release, release="r@1", reason="it copied a book", actor=actor, at=AT)


def scope_of(story: Story, root: str, catalogue: Catalogue, direction: Any = "ancestors", **more: Any) -> Scope:
    """The scope around a root, in a session of its own."""
    with read_session(story.log.engine) as session:
        return gather(session, root, direction, catalogue, **more)
