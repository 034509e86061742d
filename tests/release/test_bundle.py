"""Evidence bundles: one spelling, every byte counts, nothing leaves its folder."""

from __future__ import annotations

import io
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provenance.errors import BundleError, NotFoundError
from provenance.release.bundle import BundleContents, format_bundle, parse_bundle, read_bundle, write_bundle
from tests.evidence_factory import make_log, new_signer

LOG = make_log()
CONTENTS = LOG.contents()
DATA = format_bundle(CONTENTS, LOG.signers["release"])


def repack(*, names: dict[str, str] | None = None, **options: object) -> bytes:
    """The same files in another ZIP."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(DATA)) as old, zipfile.ZipFile(buffer, "w", **options) as new:  # type: ignore[call-overload]  # ZipFile's options
        for item in old.infolist():
            new.writestr((names or {}).get(item.filename, item.filename), old.read(item))
    return buffer.getvalue()


def test_a_bundle_reads_back(tmp_path: Path) -> None:
    path = tmp_path / "bundle.zip"
    write_bundle(path, CONTENTS, LOG.signers["release"])
    assert read_bundle(path).contents == CONTENTS
    assert read_bundle(path).contents.openings[3].prompt == CONTENTS.openings[3].prompt
    assert list(tmp_path.iterdir()) == [path]


def test_the_same_contents_have_the_same_bytes() -> None:
    signer = LOG.signers["collector"]  # Ed25519 is deterministic, ECDSA is not
    backwards = replace(CONTENTS, entries=dict(reversed(list(CONTENTS.entries.items()))))
    assert format_bundle(CONTENTS, signer) == format_bundle(backwards, signer)


def test_any_unpacker_can_open_it() -> None:
    with zipfile.ZipFile(io.BytesIO(DATA)) as archive:
        assert archive.testzip() is None
        assert archive.read("files/report.html") == CONTENTS.files["report.html"]
        assert archive.namelist() == sorted(archive.namelist())


@given(st.integers(0, len(DATA) - 1), st.integers(1, 255))
def test_any_changed_byte_fails(at: int, mask: int) -> None:
    raw = bytearray(DATA)
    raw[at] ^= mask
    with pytest.raises(BundleError):
        parse_bundle(bytes(raw))


@given(st.integers(0, len(DATA) - 1))
def test_a_bundle_that_is_cut_fails(at: int) -> None:
    with pytest.raises(BundleError):
        parse_bundle(DATA[:at])


@pytest.mark.parametrize("data", [b"", b"PK", DATA + b"\n", b"\n" + DATA, DATA + DATA, b"PK\x05\x06" + bytes(18)])
def test_bytes_around_it_fail(data: bytes) -> None:
    with pytest.raises(BundleError):
        parse_bundle(data)


def test_another_spelling_of_the_same_files_fails() -> None:
    assert repack() != DATA
    for data in (repack(), repack(compression=zipfile.ZIP_DEFLATED), repack(compression=zipfile.ZIP_BZIP2)):
        with pytest.raises(BundleError):
            parse_bundle(data)


def test_a_bomb_is_not_inflated() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("manifest.json", b"\x00" * (1 << 26))
    with pytest.raises(BundleError, match="compressed"):
        parse_bundle(buffer.getvalue())


@pytest.mark.parametrize("name", ["../x", "/etc/x", "a/../b", "a\\b", "", "a//b", "C:x", ".hidden", "a/", "a\nb", "é"])
def test_a_name_that_leaves_its_folder_is_refused(name: str) -> None:
    with pytest.raises(BundleError):
        format_bundle(replace(CONTENTS, files={name: b"x"}), LOG.signers["release"])
    with pytest.raises(BundleError):
        parse_bundle(repack(names={"files/report.html": f"files/{name}"}))


@pytest.mark.parametrize(
    "change",
    [
        {"log_size": "9"},
        {"log_size": True},
        {"entries": {-1: b""}},
        {"batches": {3: replace(CONTENTS.batches[3], position=-1)}},
        {"openings": {3: replace(CONTENTS.openings[3], prompt_salt=b"short")}},
    ],
)
def test_malformed_contents_are_refused(change: dict[str, object]) -> None:
    contents: BundleContents = replace(CONTENTS, **change)  # type: ignore[arg-type]  # wrong on purpose
    with pytest.raises(BundleError):
        parse_bundle(format_bundle(contents, new_signer()))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="nothing"):
        read_bundle(tmp_path / "nothing.zip")
    with pytest.raises(BundleError):
        read_bundle(tmp_path)
