"""Pages about the log: its checkpoint and keys, and one entry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from provenance.api.views.common import Page, Proof, Time


@dataclass(frozen=True)
class Key:
    """A key of the record; `vkey` is a note verifier key, else `public_key` is base64 DER. `state`: active, retired, revoked."""

    purpose: str
    name: str
    algorithm: str
    keyid: str
    vkey: str | None
    public_key: str | None
    state: str
    valid_from: Time
    valid_to: Time | None
    entry_index: int | None


@dataclass(frozen=True)
class GrowthRow:
    """The log after one append: its size, how many entries that added, and its root, computed from the tiles."""

    size: int
    entries: int
    root: str


@dataclass(frozen=True)
class KindCount:
    """How many entries of one kind the log holds."""

    kind: str
    entries: int


@dataclass(frozen=True)
class WitnessRow:
    """A witness of the policy: `size` and `cosigned_at` of its newest good cosignature, `problem` of its last answer."""

    label: str
    name: str
    keyid: str
    url: str | None
    state: str
    problem: str | None
    size: int | None
    cosigned_at: Time | None
    asked_at: Time | None


@dataclass(frozen=True)
class LogPage(Page):
    """`/log`: is it complete and unaltered, and how to check that.

    `consistent` is this server's own check at `checked_at`, `problem` what it found; `growth_left_out` counts older appends.
    With witnesses, `hold` says why publication is held, and `published_note` is the newest that they let go.
    `mirror` says how far publication to another place is, where one is configured.
    """

    template: ClassVar[str] = "log/show.html"
    section: ClassVar[str] = "Log"
    rows_field: ClassVar[str | None] = "growth"

    origin: str
    size: int
    root: str
    checkpoint_note: str
    checkpoint_at: Time
    consistent: bool
    problem: str | None
    checked_at: Time
    keys: Sequence[Key]
    growth: Sequence[GrowthRow]
    growth_left_out: int
    kinds: Sequence[KindCount]
    witnesses: Sequence[WitnessRow] = ()
    published_note: str | None = None
    published_size: int | None = None
    hold: str | None = None
    held_since: Time | None = None
    mirror: str | None = None
    mirror_works: bool = True


@dataclass(frozen=True)
class Signature:
    """A signature of an envelope; `name` is the key's name where the record knows it."""

    keyid: str
    name: str | None


@dataclass(frozen=True)
class EntryPage(Page):
    """`/log/entries/{index}`: one entry, parsed for reading. `page_url` leads to the page of what it records, if it has one."""

    template: ClassVar[str] = "log/entry.html"
    section: ClassVar[str] = "Log"
    twins: ClassVar[tuple[str, ...]] = ("json",)

    index: int
    kind: str
    size_bytes: int
    subjects: Mapping[str, str]
    predicate: Mapping[str, Any]
    signatures: Sequence[Signature]
    proof: Proof
    page_url: str | None
