from __future__ import annotations

import json
from pathlib import Path

import pytest

from provenance.errors import DigestMismatchError, ManifestError
from provenance.training.files import digest_file
from provenance.training.released import read_rows, verify_release


def test_an_unchanged_release_is_read_in_order(release: tuple[Path, str]) -> None:
    folder, digest = release
    verify_release(folder, digest)
    assert [row["entry_index"] for row in read_rows(folder, "train")] == list(range(24))
    assert read_rows(folder, "test")[0]["completion"][0]["role"] == "assistant"


def test_one_changed_byte_of_a_shard_is_refused(release: tuple[Path, str]) -> None:
    folder, digest = release
    shard = folder / "data" / "train-00000-of-00001.parquet"
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 1
    shard.write_bytes(data)
    with pytest.raises(DigestMismatchError, match="train-00000"):
        verify_release(folder, digest)


def test_a_missing_an_added_and_an_exchanged_file_are_refused(release: tuple[Path, str]) -> None:
    folder, digest = release
    extra = folder / "data" / "train-00001-of-00001.parquet"
    extra.write_bytes((folder / "data" / "train-00000-of-00001.parquet").read_bytes())
    with pytest.raises(DigestMismatchError, match="not in the manifest"):
        verify_release(folder, digest)
    extra.rename(folder / "data" / "test-00000-of-00001.parquet")
    with pytest.raises(DigestMismatchError, match="test-00000"):
        verify_release(folder, digest)
    (folder / "data" / "test-00000-of-00001.parquet").unlink()
    with pytest.raises(DigestMismatchError, match="missing"):
        verify_release(folder, digest)


def test_a_manifest_made_anew_for_altered_data_is_refused(release: tuple[Path, str]) -> None:
    folder, digest = release
    manifest = json.loads((folder / "manifest.json").read_bytes())
    manifest["files"] = manifest["files"][:1]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(DigestMismatchError, match=r"manifest\.json"):
        verify_release(folder, digest)


@pytest.mark.parametrize("body", ["[]", "{}", '{"files": [{"path": "../x"}]}', '{"files": [{"path": "/etc/passwd"}]}'])
def test_a_manifest_that_reaches_outside_is_none(release: tuple[Path, str], body: str) -> None:
    path = release[0] / "manifest.json"
    path.write_text(body)
    with pytest.raises(ManifestError):
        verify_release(release[0], digest_file(path))
