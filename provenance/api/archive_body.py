"""The body in which an archive's index comes: every field that is kept or shown, and no other."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from provenance.api.body import RequestBody
from provenance.terms.archive.fold import REASONS
from provenance.terms.archive.topics import TOPICS

Name = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Commit = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{40}(?:[0-9a-f]{24})?$")]
Time = Annotated[str, StringConstraints(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")]
Day = Annotated[str, StringConstraints(pattern=r"^\d{4}-\d\d-\d\d$")]
Digest = Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")]
Sentence = Annotated[str, StringConstraints(min_length=1, max_length=4000)]
Reason = Annotated[str, StringConstraints(pattern=rf"^(?:{'|'.join(REASONS)})$")]
Topic = Annotated[str, StringConstraints(pattern=rf"^(?:{'|'.join(TOPICS)})$")]
Count = Annotated[int, Field(ge=0)]


class Place(RequestBody):
    """Where something stands in the archive."""

    service: Name
    document: Name
    fetched_at: Time
    commit: Commit


class Version(Place):
    """A text whose words differ from those before it."""

    begins: Day
    digest: Digest
    size_bytes: Count
    stated_day: Day | None


class Folded(Place):
    """A text that was folded into the one before it."""

    reason: Reason


class Document(RequestBody):
    """The versions of one document, the oldest first."""

    service: Name
    document: Name
    versions: list[Version]


class ChangedPassage(RequestBody):
    """A sentence that changed, for a person to read."""

    id: Annotated[str, StringConstraints(pattern=r"^psg_[0-9a-f]{16}$")]
    topics: Annotated[list[Topic], Field(min_length=1)]
    old: Sentence | None
    new: Sentence | None
    changed_by: Literal["provider", "archive"]
    places: Annotated[list[Place], Field(min_length=1)]


class ArchiveIndex(RequestBody):
    """What an import found."""

    form: Literal["provenance-terms-archive/1"]
    rules: Annotated[int, Field(ge=1)]
    id: Annotated[str, StringConstraints(pattern=r"^arc_[0-9a-f]{16}$")]
    name: Name
    first_commit: Commit
    source_commit: Commit
    commits: Annotated[int, Field(ge=1)]
    other_files: Count
    documents: Annotated[list[Document], Field(min_length=1)]
    folded: list[Folded]
    passages: list[ChangedPassage]


class Review(RequestBody):
    """That a person looked at a passage, and what they made of it."""

    reason: Annotated[str, StringConstraints(min_length=1, max_length=2000, strip_whitespace=True)]
