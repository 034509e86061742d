from __future__ import annotations

import os
from pathlib import Path

import pytest

from provenance.errors import MalformedError, NotFoundError
from provenance.terms.archive.history import MAX_TEXT_BYTES, Fetched, open_history
from tests.archive_repository import UPGRADE, ArchiveRepository, make_terms


@pytest.fixture
def archive(tmp_path: Path) -> ArchiveRepository:
    repository = ArchiveRepository(tmp_path / "archive")
    repository.record(make_terms(), subject="First record of")
    repository.record(make_terms(head="Effective: 1 January 2026"), subject=UPGRADE)
    return repository


def _read(path: Path) -> list[Fetched]:
    with open_history(path) as history:
        return list(history.iterate())


def test_bundle_bare_repository_and_checkout_tell_the_same(archive: ArchiveRepository, tmp_path: Path) -> None:
    archive.git("clone", "--quiet", "--bare", ".", str(tmp_path / "bare.git"))
    found = _read(archive.bundle())
    assert [(item.service, item.document, item.fetched_at, item.is_upgrade) for item in found] == [
        ("ChatGPT", "Terms of Service", "2026-01-03T12:00:00Z", False),
        ("ChatGPT", "Terms of Service", "2026-01-04T12:00:00Z", True),
    ]
    assert found[0].text == make_terms().encode()
    assert found == _read(archive.folder) == _read(tmp_path / "bare.git")


def test_loose_and_packed_references_are_followed(archive: ArchiveRepository) -> None:
    found = _read(archive.folder)
    archive.git("pack-refs", "--all")
    archive.git("gc", "--quiet")
    assert _read(archive.folder) == found
    archive.git("checkout", "--quiet", "--detach")
    assert _read(archive.folder) == found


def test_what_the_given_repository_configures_never_runs(archive: ArchiveRepository, tmp_path: Path) -> None:
    found = _read(archive.folder)
    trap, program = tmp_path / "sprung", tmp_path / "trap.sh"
    program.write_text(f"#!/bin/sh\ntouch {trap}\n")
    program.chmod(0o755)
    for name in ("core.fsmonitor", "core.pager", "core.sshCommand", "diff.external", "uploadpack.packObjectsHook"):
        archive.git("config", name, str(program))
    for hook in ("post-index-change", "reference-transaction", "post-checkout"):
        (archive.folder / ".git" / "hooks" / hook).parent.mkdir(exist_ok=True)
        (archive.folder / ".git" / "hooks" / hook).symlink_to(program)
    (archive.folder / ".git" / "info" / "grafts").write_text(f"{found[0].commit}\n")
    assert _read(archive.folder) == found
    assert not trap.exists()


def test_a_damaged_bundle_is_refused_wherever_it_is_cut(archive: ArchiveRepository, tmp_path: Path) -> None:
    whole = archive.bundle().read_bytes()
    bad = tmp_path / "bad.bundle"
    for length in {0, 5, 17, 40, 80, len(whole) // 3, len(whole) // 2, len(whole) - 21, len(whole) - 1}:
        bad.write_bytes(whole[:length])
        with pytest.raises(MalformedError, match=r"bad\.bundle"):
            _read(bad)
    for at in range(len(whole) // 2, len(whole), max(1, len(whole) // 20)):
        bad.write_bytes(whole[:at] + bytes([whole[at] ^ 0x41]) + whole[at + 1 :])
        with pytest.raises(MalformedError):
            _read(bad)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"PK\x03\x04 a zip", "no git bundle"),
        (b"# v2 git bundle\nnonsense\n\nPACK", "no commit"),
        (b"# v2 git bundle\n-" + b"a" * 40 + b" before\n", "part of a history"),
        (b"# v3 git bundle\n@filter=blob:none\n", "not understood"),
        (b"# v2 git bundle\n" + b"a" * 40 + b" refs/heads/main\n\nPACK", "git refuses"),
        (b"# v2 git bundle\n" + b"a" * 40 + b" refs/heads/main", "does not end"),
        (b"# v2 git bundle\n" + b"a" * 40 + b" refs/heads/x\n" + b"b" * 40 + b" refs/heads/y\n\nPACK", "2 references"),
    ],
)  # fmt: skip
def test_what_is_no_bundle_is_said(data: bytes, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.bundle"
    path.write_bytes(data)
    with pytest.raises(MalformedError, match=reason) as caught:
        _read(path)
    assert caught.value.exit_code == 3
    assert caught.value.errors[0].field == "path"


def test_what_is_not_there_or_no_repository_is_said(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no file or folder"):
        _read(tmp_path / "nowhere")
    with pytest.raises(MalformedError, match="no git repository"):
        _read(tmp_path)
    empty = tmp_path / "empty"
    empty.mkdir()
    ArchiveRepository(empty / "archive").git("checkout", "--quiet", "--orphan", "other")
    with pytest.raises(MalformedError, match="does not lead to a commit"):
        _read(empty / "archive")
    with pytest.raises(MalformedError, match=r"without a SERVICE/DOCUMENT\.md"):
        _read(ArchiveRepository(tmp_path / "plain").folder)


def test_a_shallow_clone_is_refused(archive: ArchiveRepository, tmp_path: Path) -> None:
    archive.git("clone", "--quiet", "--depth=1", f"file://{archive.folder}", str(tmp_path / "shallow"))
    with pytest.raises(MalformedError, match="shallow"):
        _read(tmp_path / "shallow")


def test_a_missing_object_is_refused(archive: ArchiveRepository) -> None:
    blob = archive.git("rev-parse", "HEAD~1:ChatGPT/Terms of Service.md")
    (archive.folder / ".git" / "objects" / blob[:2] / blob[2:]).unlink()
    with pytest.raises(MalformedError, match="git refuses"):
        _read(archive.folder)


@pytest.mark.parametrize(("mode", "what"), [("120000", "symbolic link"), ("160000", "another repository")])
def test_links_and_submodules_are_refused(archive: ArchiveRepository, mode: str, what: str) -> None:
    target = archive.add_blob(b"/etc/passwd") if mode == "120000" else "a" * 40
    archive.add_entry(mode, target, "ChatGPT/Privacy Policy.md")
    with pytest.raises(MalformedError, match=what):
        _read(archive.bundle())


@pytest.mark.parametrize(
    ("text", "reason"), [(b"caf\xe9 " * 20, "not UTF-8"), (b"a\0b", "null"), (b"x" * (MAX_TEXT_BYTES + 1), "too large")]
)
def test_a_text_that_is_none_is_refused(archive: ArchiveRepository, text: bytes, reason: str) -> None:
    archive.record(text)
    with pytest.raises(MalformedError, match=reason):
        _read(archive.bundle())


@pytest.mark.parametrize("name", [b"Chat\x1b[31mGPT/Terms.md", b"Chat\xffGPT/Terms.md", b"Chat\nGPT/Terms.md"])
def test_a_name_that_plays_tricks_is_refused(archive: ArchiveRepository, name: bytes) -> None:
    folder, _, file = name.partition(b"/")
    place = archive.folder / os.fsdecode(folder)
    place.mkdir()
    (place / os.fsdecode(file)).write_bytes(make_terms().encode())
    archive.git("add", "--all")
    archive.commit("Record")
    with pytest.raises(MalformedError, match="name"):
        _read(archive.bundle())


def test_a_path_that_leads_out_is_refused(archive: ArchiveRepository) -> None:
    blob = archive.add_blob(b"x")
    inner = archive.git("mktree", text=f"100644 blob {blob}\tTerms.md\n".encode())
    tree = archive.git(
        "hash-object", "-t", "tree", "-w", "--literally", "--stdin", text=b"40000 ..\0" + bytes.fromhex(inner)
    )
    commit = archive.git("commit-tree", tree, "-p", "HEAD", "-m", "Record")
    archive.git("update-ref", "refs/heads/main", commit)
    with pytest.raises(MalformedError, match="git refuses"):
        _read(archive.bundle())
