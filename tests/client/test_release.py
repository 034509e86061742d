from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import provenance
from provenance.attestation.envelope import sign_envelope
from provenance.attestation.signature import PrivateKeySigner
from provenance.attestation.statement import Statement, Subject, format_statement
from provenance.canonical import canonical_bytes, format_base64, parse_json, sha256_digest
from provenance.client.client import Client
from provenance.client.release import load_release, verify_release
from provenance.errors import (
    DeniedError,
    DigestMismatchError,
    InclusionError,
    ManifestError,
    NotFoundError,
    ProvenanceError,
    SignatureError,
)
from tests.client.processes import ServiceProcess, run_json

pytestmark = pytest.mark.slow

STUDENT: dict[str, Any] = {
    "name": "acme-1b", "developer": {"name": "acme", "country": "US", "ultimate_parent_country": "US"},
    "base_model": "none", "base_license": "unknown", "release_license": "Apache-2.0", "use": "internal",
    "distribution": "none", "purpose": "reasoning", "competes_with": [], "territories": ["US"],
    "monthly_active_users": 0, "annual_revenue_usd": 0, "notices": [], "training": {"location": "US", "hardware": "cpu"},
}  # fmt: skip
SMOLLM = {"provider": "huggingface-smollm", "model": "SmolLM2-135M-Instruct", "route": "weights", "revision": "main"}
Folder = tuple[Path, list[dict[str, Any]]]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    """A running service with release math@1, for the student acme-1b."""
    folder = tmp_path_factory.mktemp("service")
    running = ServiceProcess(folder / "data")
    running.start()
    settings = {"PROVENANCE_URL": running.url, "PROVENANCE_TOKEN": running.make_token()}
    rows = [
        {"teacher": SMOLLM, "generated_at": "2026-11-20T10:00:00Z", "prompt": f"{n}+{n}?", "completion": f"{2 * n}."}
        for n in range(40)
    ]
    (folder / "samples.json").write_bytes(orjson.dumps(rows))
    (folder / "student.json").write_bytes(orjson.dumps(STUDENT))
    run_json("capture", str(folder / "samples.json"), "--dataset", "math", data_dir=running.data_dir, **settings)
    student = str(folder / "student.json")
    made = run_json(
        "release", "create", "math", "--student", student, "--name", "math", data_dir=running.data_dir, **settings
    )
    assert made["counts"]["released"] == 40
    yield running
    running.kill()


@pytest.fixture(scope="module")
def pulled(service: ServiceProcess, tmp_path_factory: pytest.TempPathFactory) -> Folder:
    folder = tmp_path_factory.mktemp("pulled") / "math"
    settings = {"PROVENANCE_URL": service.url, "PROVENANCE_TOKEN": service.make_token("viewer", "puller")}
    run_json("release", "pull", "math@1", str(folder), data_dir=service.data_dir, **settings)
    return folder, run_json("keys", "list", data_dir=service.data_dir)


@pytest.fixture
def release(pulled: Folder, tmp_path: Path) -> Folder:
    """A copy that a test may alter, and the keys to check it with."""
    return Path(shutil.copytree(pulled[0], tmp_path / "copy")), pulled[1]


def test_another_process_loads_a_verified_dataset(service: ServiceProcess, tmp_path: Path) -> None:
    with Client(service.url) as client:
        train = load_release("math@1", student="acme-1b", client=client, cache_dir=tmp_path)
        test = load_release("math@1", split="test", client=client, cache_dir=tmp_path)
    assert len(train) + len(test) == 40
    assert train[0]["prompt"] == [{"role": "user", "content": train[0]["prompt"][0]["content"]}]
    assert set(train["teacher"]) == {"huggingface-smollm/SmolLM2-135M-Instruct"}


def test_the_public_names_are_the_same_things() -> None:
    assert provenance.load_release is load_release
    assert provenance.Client is Client


def test_a_file_in_the_cache_is_checked_each_time(service: ServiceProcess, tmp_path: Path) -> None:
    with Client(service.url) as client:
        load_release("math@1", client=client, cache_dir=tmp_path)
        (shard,) = tmp_path.rglob("train-*.parquet")
        shard.write_bytes(shard.read_bytes()[:-1] + b"\x00")
        load_release("math@1", client=client, cache_dir=tmp_path)  # the altered copy was fetched again


def test_a_release_for_another_student_is_refused(service: ServiceProcess, release: Folder) -> None:
    with Client(service.url) as client, pytest.raises(DeniedError, match="not for other-7b"):
        load_release("math@1", student="other-7b", client=client)
    with pytest.raises(DeniedError, match="not for other-7b"):
        load_release(release[0], keys=release[1], student="other-7b")


def test_a_release_or_split_that_is_not_there_is_not_found(service: ServiceProcess, release: Folder) -> None:
    with Client(service.url) as client, pytest.raises(NotFoundError):
        load_release("math@7", client=client)
    with pytest.raises(NotFoundError, match="test, train"):
        load_release(release[0], keys=release[1], split="validation")


def test_a_folder_needs_no_service_where_keys_are_given(release: Folder) -> None:
    assert len(load_release(release[0], keys=release[1], student="acme-1b")) > 0


def test_a_folder_is_not_believed_without_a_release_key(release: Folder) -> None:
    keys = [key for key in release[1] if key["purpose"] != "release"]
    with pytest.raises(SignatureError, match="no release key"):
        verify_release(release[0], keys=keys)
    revoked = [key | {"state": "revoked"} for key in release[1]]
    with pytest.raises(SignatureError, match="no release key"):
        verify_release(release[0], keys=revoked)


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def change_manifest(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    manifest = parse_json((folder / "manifest.json").read_bytes())
    change(manifest)
    (folder / "manifest.json").write_bytes(canonical_bytes(manifest))


@pytest.mark.parametrize(
    "name", ["data/train-00000.parquet", "data/test-00000.parquet", "attestation.json", "manifest.json"]
)
def test_one_altered_bit_is_refused(release: Folder, name: str) -> None:
    flip(release[0] / name)
    with pytest.raises(ProvenanceError) as caught:
        verify_release(release[0], keys=release[1])
    assert caught.value.exit_code in {3, 6}
    if name.startswith("data/"):
        assert f"{name} was altered" in caught.value.detail


def test_a_missing_file_is_refused(release: Folder) -> None:
    (release[0] / "data/train-00000.parquet").unlink()
    with pytest.raises(DigestMismatchError, match=r"train-00000\.parquet was altered"):
        verify_release(release[0], keys=release[1])


def test_a_changed_manifest_is_not_the_one_that_was_signed(release: Folder) -> None:
    change_manifest(release[0], lambda manifest: manifest["counts"].update(released=41))
    with pytest.raises(DigestMismatchError, match=r"manifest\.json"):
        verify_release(release[0], keys=release[1])


@pytest.mark.parametrize("path", ["../escape.parquet", "/etc/passwd", "data/../../x.parquet", "data/x"])
def test_a_manifest_cannot_name_files_elsewhere(release: Folder, path: str) -> None:
    change_manifest(release[0], lambda manifest: manifest["files"][0].update(path=path))
    with pytest.raises(ManifestError, match="a file that no release has"):
        verify_release(release[0], keys=release[1])


# --- Whoever holds the release key still cannot change what was logged ------------------------------------------


def resign(folder: Path, change: Callable[[list[dict[str, Any]]], Any]) -> list[dict[str, Any]]:
    """Alter the rows of the train split and sign the result with a key of the attacker's own; that key."""
    from cryptography.hazmat.primitives.asymmetric import ec

    path = folder / "data/train-00000.parquet"
    table = pq.ParquetFile(path).read(use_threads=False)
    rows = table.to_pylist()
    change(rows)
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), path)
    data = path.read_bytes()

    def update(manifest: dict[str, Any]) -> None:
        item = next(item for item in manifest["files"] if item["path"] == "data/train-00000.parquet")
        item.update(digest=sha256_digest(data), size_bytes=len(data), rows=len(rows))

    change_manifest(folder, update)
    manifest = (folder / "manifest.json").read_bytes()
    files = {"manifest.json": sha256_digest(manifest)}
    files |= {item["path"]: item["digest"] for item in parse_json(manifest)["files"]}
    subjects = tuple(Subject(name, {"sha256": digest[7:]}) for name, digest in files.items())
    signer = PrivateKeySigner(ec.generate_private_key(ec.SECP256R1()))
    envelope = sign_envelope(format_statement(Statement(subjects, "release", {"any": "thing"})), [signer])
    (folder / "attestation.json").write_bytes(envelope)
    return [{"purpose": "release", "state": "active", "public_key": format_base64(signer.public_key.spki)}]


def words(rows: list[dict[str, Any]]) -> None:
    rows[0]["completion"][0]["content"] = "poison"


def salt(rows: list[dict[str, Any]]) -> None:
    rows[0]["prompt_salt"] = bytes(32)


def teacher(rows: list[dict[str, Any]]) -> None:
    rows[0]["teacher"] = "nobody/model"


def entry(rows: list[dict[str, Any]]) -> None:
    rows[0]["entry"] = rows[0]["entry"].replace(b'"role":"generator"', b'"role":"judge"')


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (words, "completion was altered"),
        (salt, "prompt was altered"),
        (teacher, "the column teacher"),
        (entry, "the entries hash to"),
        (lambda rows: rows.pop(), "the entries hash to"),
        (lambda rows: rows.append(rows[0]), "stands twice"),
        (lambda rows: rows[0].update(entry=b"{}"), "not the entry of a sample"),
    ],
)
def test_rows_that_were_altered_are_refused_whoever_signs_them(release: Folder, change: Any, said: str) -> None:
    keys = resign(release[0], change)
    with pytest.raises(DigestMismatchError, match=said):
        verify_release(release[0], keys=keys)


def test_a_proof_that_is_missing_or_about_other_entries_fails(release: Folder) -> None:
    folder, keys = release
    verify_release(folder, keys=keys)
    path = folder / "log-proof.txt"
    text = path.read_text()
    said = text.splitlines()[1]
    first, last = said.removeprefix("indices ").split("-")
    for bent, error in (
        (text.replace(said, f"indices {first}-{int(last) - 1}"), InclusionError),  # one row too many
        (text.replace(said, f"indices {first}-{int(last) + 1}"), InclusionError),  # one too few
        (text.replace(said, f"indices {int(first) + 1}-{int(last) + 1}"), InclusionError),  # others
        ("nothing", ManifestError),
    ):
        path.write_text(bent)
        with pytest.raises(error):
            verify_release(folder, keys=keys)
    path.unlink()
    with pytest.raises(NotFoundError):
        verify_release(folder, keys=keys)


def test_the_log_must_be_one_that_is_trusted(release: Folder) -> None:
    folder, keys = release
    with pytest.raises(SignatureError, match="no log key"):
        verify_release(folder, keys=[key for key in keys if key["purpose"] != "log"])
