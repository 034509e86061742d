"""Keys in a PKCS#11 device: SoftHSM makes and holds them, the log's statements are signed there."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from cryptography.hazmat.primitives import serialization

from tests.cli.inprocess import run_command, run_json
from tests.service import make_sample

pytestmark = [pytest.mark.pkcs11, pytest.mark.external, pytest.mark.slow]
PIN, LABEL = "4711", "provenance test"
URI = "hsm:2?label=provenance+test"
LIBRARIES = tuple(
    Path(folder) / "libsofthsm2.so"
    for folder in (
        "/usr/lib/softhsm", "/usr/lib/x86_64-linux-gnu/softhsm", "/usr/lib/aarch64-linux-gnu/softhsm", "/usr/lib64/softhsm",
        "/usr/local/lib/softhsm", "/opt/homebrew/lib/softhsm",
    )
)  # fmt: skip


@pytest.fixture(scope="module")
def device(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment of a fresh token that holds one P-256 key with the id 2, and another with the id 3."""
    library = next((path for path in LIBRARIES if path.exists()), None)
    if library is None:
        pytest.skip("the library of SoftHSM is not where it is looked for")
    folder = tmp_path_factory.mktemp("token")
    (folder / "tokens").mkdir()
    configuration = folder / "softhsm2.conf"
    configuration.write_text(f"directories.tokendir = {folder / 'tokens'}\nobjectstore.backend = file\n")
    environment = {"SOFTHSM2_CONF": str(configuration), "PYKCS11LIB": str(library), "PROVENANCE_KEY_PIN": PIN}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():  # the library reads them once, when it is loaded
            patch.setenv(name, value)
        command = ["softhsm2-util", "--init-token", "--free", "--label", LABEL, "--so-pin", "0815", "--pin", PIN]
        subprocess.run(command, check=True, capture_output=True, timeout=60)
        for identifier in (2, 3):
            (folder / f"{identifier}.pem").write_bytes(_make_key(str(library), identifier))
        yield environment | {"folder": str(folder)}


def _make_key(library: str, identifier: int) -> bytes:
    """Make a key in the device; the answer is its public half as PEM."""
    import pkcs11
    from pkcs11.util.ec import encode_ec_public_key, encode_named_curve_parameters

    token = pkcs11.lib(library).get_token(token_label=LABEL)
    with token.open(rw=True, user_pin=PIN) as session:
        curve = {pkcs11.Attribute.EC_PARAMS: encode_named_curve_parameters("secp256r1")}
        domain = session.create_domain_parameters(pkcs11.KeyType.EC, curve, local=True)
        public, _ = domain.generate_keypair(store=True, id=bytes([identifier]), label=f"key {identifier}")
        key = serialization.load_der_public_key(encode_ec_public_key(public))
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    assert run_json("log", "verify", data_dir=_capture(tmp_path / "data", 0, {}))["ok"]
    return tmp_path / "data"


def _capture(data: Path, number: int, environment: dict[str, str]) -> Path:
    lines = data.parent / f"{number}.jsonl"
    lines.write_bytes(orjson.dumps(make_sample(number, dataset="math")) + b"\n")
    run_json("capture", str(lines), data_dir=data, **environment)
    return data


def _environment(device: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in device.items() if name != "folder"}


def _adopt(purpose: str, uri: str, number: int, data: Path, device: dict[str, str], **other: str) -> Any:
    options = ["--uri", uri, "--public-key", f"{device['folder']}/{number}.pem", "--overlap", "0", "--json"]
    return run_command("keys", "adopt", purpose, *options, data_dir=data, **_environment(device) | other)


def _active(data: Path, purpose: str) -> dict[str, Any]:
    keys = run_json("keys", "list", data_dir=data)
    return next(key for key in keys if (key["purpose"], key["state"]) == (purpose, "active"))


def test_batches_and_governance_are_signed_in_the_device_and_the_log_verifies(
    data: Path, device: dict[str, str]
) -> None:
    for purpose, number in (("collector", 2), ("authority", 3)):
        done = _adopt(purpose, f"hsm:{number}?label=provenance+test", number, data, device)
        assert done.returncode == 0, done.stderr
        assert _active(data, purpose)["algorithm"] == "ecdsa-p256-sha256"
    _capture(data, 1, _environment(device))
    outcome = run_json("log", "verify", data_dir=data)  # without the device: public halves are enough
    assert (outcome["ok"], outcome["findings"]) == (True, [])
    lines = data.parent / "2.jsonl"
    lines.write_bytes(orjson.dumps(make_sample(2, dataset="math")) + b"\n")
    lost = run_command("capture", str(lines), data_dir=data)
    assert lost.returncode != 0
    assert "PROVENANCE_KEY_PIN" in lost.stderr
    assert run_json("log", "verify", data_dir=data)["ok"]


@pytest.mark.parametrize(
    "case",
    [
        (URI, 3, PIN, 6, "is not the one of this public half"),
        (URI, 2, "0000", 7, "cannot be used"),
        ("hsm:9?label=provenance+test", 2, PIN, 7, "cannot be used"),
        ("hsm:2?label=nobody", 2, PIN, 7, "nobody"),
        ("nowhere:2", 2, PIN, 7, "nowhere:2"),
        ("file:stolen.pem", 2, PIN, 3, "lies elsewhere"),
    ],
    ids=lambda case: f"{case[0]} {case[4]}",
)
def test_a_key_that_does_not_sign_takes_nothing_over(
    data: Path, device: dict[str, str], case: tuple[str, int, str, int, str]
) -> None:
    uri, number, pin, code, said = case
    before = (data / "keys" / "keys.json").read_bytes()
    done = _adopt("collector", uri, number, data, device, PROVENANCE_KEY_PIN=pin)
    assert (done.returncode, "Traceback" in done.stderr) == (code, False), done.stderr
    assert said in done.stderr + done.stdout
    assert (data / "keys" / "keys.json").read_bytes() == before


def test_a_key_serves_one_purpose_and_never_the_log(data: Path, device: dict[str, str]) -> None:
    assert _adopt("collector", URI, 2, data, device).returncode == 0
    again = _adopt("release", URI, 2, data, device)
    assert (again.returncode, "is on record" in again.stderr + again.stdout) == (3, True)
    log = _adopt("log", "hsm:3?label=provenance+test", 3, data, device)
    assert (log.returncode, "keys of the log are files" in log.stderr + log.stdout) == (3, True)
