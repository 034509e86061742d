"""Small archives in Open Terms Archive form, made by git for a test."""

from __future__ import annotations

import os
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

FIRST_DAY = datetime(2026, 1, 1, 12, tzinfo=UTC)
RECORD, UPGRADE = "Record new changes of", "Apply technical or declaration upgrade on"
CLAUSES = (
    "You may use the services for your own purposes and those of your customers, as long as you keep to these terms.",
    "You own all Output, and we assign to you all right, title and interest in it.",
    "We may suspend the services where this is needed to protect them, after we have told you in good time.",
    "You may not use Output to develop models that compete with us.",
)


def make_terms(*clauses: str, head: str = "Effective: January 1, 2026") -> str:
    """Terms of a few clauses, long enough to be terms."""
    return "\n\n".join(("Terms of Service\n================", head, *(clauses or CLAUSES))) + "\n"


class ArchiveRepository:
    """A git repository that grows by one commit a day."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        self._days = 0
        self.git("init", "--quiet", "--initial-branch=main")
        self.write("README.md", "An archive.\n", "Initial commit")

    def git(self, *arguments: str, text: bytes | None = None) -> str:
        """One git command; what it prints."""
        at = (FIRST_DAY + timedelta(days=self._days)).isoformat()
        environment = {
            "PATH": os.environ["PATH"], "HOME": str(self.folder), "GIT_CONFIG_NOSYSTEM": "1", "GIT_AUTHOR_DATE": at,
            "GIT_COMMITTER_DATE": at, "GIT_AUTHOR_NAME": "bot", "GIT_AUTHOR_EMAIL": "bot@example.org",
            "GIT_COMMITTER_NAME": "bot", "GIT_COMMITTER_EMAIL": "bot@example.org",
        }  # fmt: skip
        done = subprocess.run(
            ["git", *arguments], cwd=self.folder, env=environment, input=text, capture_output=True, check=True
        )
        return done.stdout.decode(errors="replace").strip()

    def record(self, text: str | bytes, *, name: str = "ChatGPT/Terms of Service", subject: str = RECORD) -> str:
        """Commit a text of a document; the commit's id."""
        return self.write(f"{name}.md", text, f"{subject} {name.replace('/', ' ')}")

    def write(self, path: str, text: str | bytes, subject: str) -> str:
        """Commit a file."""
        file = self.folder / path
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        self.git("add", "--all")
        return self.commit(subject)

    def commit(self, subject: str) -> str:
        """Commit what is staged."""
        self._days += 1
        self.git("commit", "--quiet", "--allow-empty", "--message", subject)
        return self.git("rev-parse", "HEAD")

    def add_entry(self, mode: str, blob: str, path: str) -> str:
        """Commit an entry of any mode, as no checkout would make it."""
        self.git("update-index", "--add", "--cacheinfo", f"{mode},{blob},{path}")
        return self.commit("Record new changes")

    def add_blob(self, data: bytes) -> str:
        """The id of a blob."""
        return self.git("hash-object", "-w", "--stdin", text=data)

    def bundle(self, name: str = "archive.bundle") -> Path:
        """The history as a bundle."""
        path = self.folder.parent / name
        self.git("bundle", "create", "--quiet", str(path), "main")
        return path
