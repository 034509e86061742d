"""The vectors that the Python code passes, through `verify.js` in a real browser: served, and from a page on disk.

Of the published ones it runs those of formats that it reads: RFC 6962 trees, RFC 8785, signed notes, tlog-proof, DSSE,
Ed25519. It reads no tiles, policies or witness requests. ML-DSA-44 lines it does not verify, and says so.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from tests.browser.verify_page import open_verify_page, save_verify_page, serve_verify_page
from tests.evidence_factory import encode, make_log

pytestmark = pytest.mark.browser

VECTORS = Path(__file__).parents[2] / ".." / "shared" / "vectors"
OWN: dict[str, Any] = json.loads((Path(__file__).parents[1] / "vectors" / "own.json").read_text(encoding="utf-8"))
published = pytest.mark.skipif(not VECTORS.is_dir(), reason="the published vectors lie beside the project, not in it")
Run = Callable[..., list[Any]]


@pytest.fixture(scope="module", params=["served", "from disk"])
def run(request: pytest.FixtureRequest, chromium_path: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    if request.param == "served":
        yield from serve_verify_page(chromium_path)
    else:
        yield from open_verify_page(chromium_path, save_verify_page(tmp_path_factory.mktemp("saved")))


def read(name: str) -> Any:
    return json.loads((VECTORS / name).read_text(encoding="utf-8"))


def accepted(answers: list[Any]) -> list[bool]:
    return ["error" not in answer for answer in answers]


@published
def test_inclusion_of_transparency_dev_merkle(run: Run) -> None:
    stored = [json.loads(path.read_text()) for path in sorted((VECTORS / "transparency-dev-merkle").rglob("*.json"))]
    cases = [
        {
            "index": case["leafIdx"],
            "size": case["treeSize"],
            "leaf": case["leafHash"] or "",
            "path": [item or "" for item in case["proof"] or []],
            "root": case["root"] or "",
        }
        for case in stored
    ]
    assert len(cases) == 98
    assert accepted(run("inclusion", cases)) == [not case["wantErr"] for case in stored]


@published
def test_the_leaves_of_rfc_6962(run: Run) -> None:
    answers = read("rfc6962-roots/kat.json")
    made = run("leaf", [{"entry": encode(bytes.fromhex(item))} for item in answers["leafInputsHex"]])
    assert [item["value"] for item in made] == answers["nodeHashesHex"][0]


@published
def test_the_test_data_of_rfc_8785(run: Run) -> None:
    folder = VECTORS / "jcs-rfc8785" / "testdata"
    names = sorted(path.name for path in (folder / "input").iterdir())
    made = run("canonical", [{"text": (folder / "input" / name).read_text(encoding="utf-8")} for name in names])
    expected = [(folder / "output" / name).read_text(encoding="utf-8").rstrip("\n") for name in names]
    assert [item["value"] for item in made] == expected


@published
def test_the_notes_of_golang_mod_and_of_the_specification(run: Run) -> None:
    stored = read("signed-note/golang-mod-note.json")
    cases, good = [], []
    for case in stored["openCases"]:
        if case.get("noteLatin1"):
            continue  # no UTF-8: a string of JavaScript cannot hold it
        text = case["note"] if "note" in case else case["text"] + "\n" + case["line"] * 101
        cases.append({"text": text, "vkeys": case["vkeys"]})
        good.append(case["verified"] if case["result"] == "ok" else None)
    answers = run("signedNote", cases)
    assert [item["value"]["signedBy"] if "value" in item else None for item in answers] == good
    assert accepted(run("vkey", [{"text": text} for text in stored["badVkeys"]])) == [False] * len(stored["badVkeys"])
    example = read("signed-note/c2sp-example.json")
    assert accepted(run("signedNote", [{"text": example["note"], "vkeys": [example["vkey"]]}])) == [True]


@published
def test_the_checkpoints_and_the_proof_of_the_specification(run: Run) -> None:
    blocks = [
        block
        for name in ("tlog-checkpoint", "tlog-cosignature")
        for block in read(f"c2sp-spec-examples/{name}.json")["blocks"]
    ]
    assert [item["value"] for item in run("note", [{"text": block} for block in blocks])] == [20852163] * len(blocks)
    (block,) = read("c2sp-spec-examples/tlog-proof.json")["blocks"]
    elided = encode(b"12345")  # the page elides signatures, and its `extra` is no base64 that prints back
    lines = [
        f"{' '.join(line.split()[:2])} {elided}" if line.startswith("\u2014 ") else line
        for line in block.split("\n")
        if not line.startswith("extra ")
    ]
    answers = run("proof", [{"text": "\n".join(lines)}, {"text": block}])
    assert accepted(answers) == [True, False]
    assert answers[0]["value"] == 73894


@published
def test_the_dsse_vector(run: Run) -> None:
    case = read("dsse/protocol-vector.json")
    payload = case["payloadUtf8"].encode()
    (made,) = run("pae", [{"type": case["payloadType"], "payload": encode(payload)}])
    assert base64.b64decode(made["value"]) == case["pae"].encode()
    key = ec.EllipticCurvePublicNumbers(int(case["key"]["x"]), int(case["key"]["y"]), ec.SECP256R1()).public_key()
    spki = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    raw = base64.b64decode(case["envelope"]["signatures"][0]["sig"])
    der = encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
    true = {"spki": encode(spki), "signature": encode(der), "message": made["value"]}
    bent = true | {"message": encode(case["pae"].encode() + b" ")}
    assert [item["value"] for item in run("p256", [true, bent])] == [True, False]


@published
def test_ed25519_of_wycheproof(run: Run) -> None:
    cases, expected = [], []
    for group in read("wycheproof/ed25519_test.json")["testGroups"]:
        spki = encode(bytes.fromhex(group["publicKeyDer"]))
        for test in group["tests"]:
            parts = {"signature": test["sig"], "message": test["msg"]}
            cases.append({"spki": spki} | {name: encode(bytes.fromhex(value)) for name, value in parts.items()})
            expected.append(test["result"] == "valid")
    assert len(cases) > 100
    assert [item.get("value", False) for item in run("ed25519", cases)] == expected


# --- our own, wherever the published ones are absent


def bend(text: str, at: int) -> str:
    """One bit of a signature line's last base64 group flipped."""
    lines = text.split("\n")
    places = [number for number, line in enumerate(lines) if line.startswith("\u2014 ")]
    head, _, encoded = lines[places[at]].rpartition(" ")
    raw = bytearray(base64.b64decode(encoded))
    raw[-1] ^= 1
    lines[places[at]] = f"{head} {encode(bytes(raw))}"
    return "\n".join(lines)


def test_our_own_checkpoint_and_its_ml_dsa_lines(run: Run) -> None:
    """A browser checks the log's Ed25519 line. Cosignatures and ML-DSA-44 lines count as not checked, never as good."""
    note, vkeys = OWN["checkpoint"], list(OWN["vkeys"].values())
    texts = [note, *(bend(note, at) for at in range(4)), note.replace("\n300\n", "\n301\n")]
    answers = run("signedNote", [{"text": text, "vkeys": vkeys} for text in texts])
    assert accepted(answers) == [True, False, True, True, True, False], (
        "only the Ed25519 line of the log is checked here"
    )
    assert answers[0]["value"] == {
        "signedBy": ["log.example/own"],
        "unchecked": ["log.example/own", "witness.example/own", "witness.example/own"],
    }
    alone = run("signedNote", [{"text": note, "vkeys": [OWN["vkeys"]["log_pq"]]}])
    assert accepted(alone) == [False], "an ML-DSA-44 line alone is no signature that a browser has seen"


def test_our_own_proof_canonical_json_and_consistency(run: Run) -> None:
    proof, said = OWN["proof"], OWN["consistency"]
    bent = [proof.replace("index 17", "index 017"), proof.replace("@v1", "@v2"), proof.replace("\n\n", "\nAAAA\n\n", 1)]
    assert accepted(run("proof", [{"text": text} for text in [proof, *bent]])) == [True, False, False, False]
    made = run("canonical", [{"text": written} for written, _ in OWN["canonical"]])
    assert [item["value"] for item in made] == [expected for _, expected in OWN["canonical"]]
    root = OWN["checkpoint"].split("\n")[2]
    case = {"old": said["old_size"], "size": 300, "path": said["path"], "oldRoot": said["old_root"], "root": root}
    wrong = [case | {"old": 199}, case | {"path": said["path"][:-1]}, case | {"root": said["old_root"]}]
    assert accepted(run("consistency", [case, *wrong])) == [True, False, False, False]


def test_our_own_envelope(run: Run) -> None:
    key = {"keyid": OWN["keyid"], "algorithm": "ed25519", "public_key": OWN["spki"]}
    texts = [
        OWN["envelope"],
        OWN["envelope"].replace('"sig":"', '"sig":"A'),
        OWN["envelope"].replace("in-toto", "in_toto"),
    ]
    answers = run("envelope", [{"data": encode(text.encode()), "keys": [key]} for text in texts])
    assert accepted(answers) == [True, False, False]
    assert answers[0]["value"] == [OWN["keyid"]]


def test_true_evidence_passes_and_bent_fails(run: Run) -> None:
    log = make_log()
    true = log.evidence(1)
    forged = true | {"proof": true["proof"].replace("\n12\n", "\n13\n")}
    answers = run("evidence", [{"evidence": item, "pinnedVkeys": log.vkeys()[:1]} for item in (true, forged)])
    assert [item["value"]["all"] for item in answers] == [True, False]
    assert "ML-DSA-44 line is for the command to check" in answers[0]["value"]["notes"]["checkpoint"]
