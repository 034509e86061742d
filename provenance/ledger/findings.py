"""The outcome of an audit of the log: what was checked, and what failed where."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

MAX_FINDINGS = 100


@dataclass(frozen=True)
class Finding:
    """Something that does not check. `exact` says that it is this entry, not only one from here on."""

    step: int
    index: int | None
    said: str
    exact: bool = True


@dataclass
class Audit:
    """The outcome: what was checked, and the first `MAX_FINDINGS` things that failed."""

    size: int = 0
    entries: int = 0
    signatures: int = 0
    batches: int = 0
    words: int = 0
    erased: int = 0
    findings: list[Finding] = field(default_factory=list)
    failed: int = 0
    _first: dict[bool, int] = field(default_factory=dict)  # exact or not -> least index, also of findings not kept

    @property
    def ok(self) -> bool:
        """Nothing failed."""
        return self.failed == 0

    @property
    def first_bad_index(self) -> int | None:
        """The first entry that does not check; None where all do, or where only the whole does not add up."""
        return self._first.get(True, self._first.get(False))

    def add(self, step: int, index: int | None, said: str, *, exact: bool = True) -> None:
        """Note a failure."""
        self.take(Finding(step, index, said, exact))

    def take(self, finding: Finding) -> None:
        """Note a failure that somebody else has found."""
        self.failed += 1
        if finding.index is not None:
            self._first[finding.exact] = min(finding.index, self._first.get(finding.exact, finding.index))
        if len(self.findings) < MAX_FINDINGS:
            self.findings.append(finding)

    def to_json(self) -> dict[str, Any]:
        """The outcome as `log verify --json` prints it."""
        counts = {name: getattr(self, name) for name in ("entries", "signatures", "batches", "words", "erased")}
        return {
            "ok": self.ok,
            "tree_size": self.size,
            "first_bad_index": self.first_bad_index,
            "checked": counts,
            "failed": self.failed,
            "findings": [vars(item) for item in self.findings],
        }
