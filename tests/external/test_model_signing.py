"""OpenSSF's own command verifies the folder of a finished model, and nothing that was changed in it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from base64 import b64decode
from pathlib import Path

import pytest

from provenance.attestation.model_signature import SIGNATURE
from provenance.publication.publish import find_file, publish_model
from provenance.training.launch import model_folder
from tests.finished import finish
from tests.service import LocalService

pytestmark = pytest.mark.external


@pytest.fixture(scope="module")
def signed(service: LocalService, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `model`, its signature and the public key, as a stranger would have them."""
    assert finish(service.runtime, "run_external") == "mdl_external"
    folder = tmp_path_factory.mktemp("stranger")
    shutil.copytree(model_folder(service.runtime, "run_external"), folder / "model")
    shutil.copy(model_folder(service.runtime, "run_external").parent / SIGNATURE, folder / SIGNATURE)
    (folder / "model.pem").write_text(service.runtime.ring.signer("model").public_key.pem)
    (folder / "other.pem").write_text(service.runtime.ring.signer("release").public_key.pem)
    return folder


def verify(folder: Path, signature: Path, key: Path) -> tuple[int, str]:
    command = [sys.executable, "-m", "model_signing", "verify", "key", str(folder)]
    done = subprocess.run(
        [*command, "--signature", str(signature), "--public_key", str(key)], capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr


def test_the_stock_verifier_accepts_the_folder(signed: Path) -> None:
    assert verify(signed / "model", signed / SIGNATURE, signed / "model.pem") == (0, "Verification succeeded\n")


@pytest.mark.parametrize("change", ["changed", "added", "removed", "other key", "other signature"])
def test_the_stock_verifier_refuses_whatever_was_changed(signed: Path, tmp_path: Path, change: str) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(signed, folder)
    weights, key = folder / "model" / "model.safetensors", folder / "model.pem"
    if change == "changed":
        data = weights.read_bytes()
        weights.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    elif change == "added":
        (folder / "model" / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    elif change == "removed":
        (folder / "model" / "tokenizer.json").unlink()
    elif change == "other key":
        key = folder / "other.pem"
    else:
        text = (folder / SIGNATURE).read_text()
        body = json.loads(text)
        body["dsseEnvelope"]["payload"] = body["dsseEnvelope"]["payload"][::-1]
        (folder / SIGNATURE).write_text(json.dumps(body))
    code, said = verify(folder / "model", folder / SIGNATURE, key)
    assert (code, "Verification failed" in said) == (1, True), said


def test_a_folder_that_others_signed_has_the_digest_that_we_compute(signed: Path, tmp_path: Path) -> None:
    """The same files have one root, whoever signs: model-signing's own signer signs the very statement's subject."""
    private = tmp_path / "private.pem"
    subprocess.run(["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", str(private)], check=True)
    theirs = tmp_path / "theirs.sig"
    command = [sys.executable, "-m", "model_signing", "sign", "key", str(signed / "model")]
    subprocess.run([*command, "--signature", str(theirs), "--private_key", str(private)], check=True)

    def read(path: Path) -> dict[str, object]:
        statement = json.loads(b64decode(json.loads(path.read_text())["dsseEnvelope"]["payload"]))
        return {"digest": statement["subject"][0]["digest"], "resources": statement["predicate"]["resources"]}

    assert read(theirs) == read(signed / SIGNATURE)


def test_the_stock_verifier_accepts_a_published_folder_with_its_papers_and_refuses_another_card(
    service: LocalService, signed: Path, tmp_path: Path
) -> None:
    said = publish_model(service.runtime, "mdl_external", actor="ann", name="Llama-external", texts={})
    folder = tmp_path / "published"
    for item in (*said["files"], said["signature"]):
        target = folder / item["path"]
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(find_file(service.runtime, said, item["path"]), target)
    assert {"README.md", "LICENSE", "NOTICE", "evidence.zip", SIGNATURE} <= {path.name for path in folder.iterdir()}
    assert verify(folder, folder / SIGNATURE, signed / "model.pem") == (0, "Verification succeeded\n")
    (folder / "README.md").write_text((folder / "README.md").read_text().replace("name-prefix", "nothing"))
    code, text = verify(folder, folder / SIGNATURE, signed / "model.pem")
    assert (code, "Hash mismatch" in text, "README.md" in text) == (1, True, True), text
