"""Published test vectors of other projects, run where the folder lies beside this one; each names its origin there."""

from __future__ import annotations

import base64
import json
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from provenance.attestation.envelope import pae
from provenance.attestation.signature import PrivateKeySigner, PublicKey
from provenance.attestation.statement import parse_in_toto
from provenance.canonical import canonical_bytes, parse_json
from provenance.errors import InclusionError, MalformedError, ProvenanceError, SignatureError, StatementError
from provenance.ledger.checkpoint import parse_checkpoint
from provenance.ledger.merkle import MemoryTree, RightEdge, leaf_hash, verify_inclusion
from provenance.ledger.note import (
    ED25519,
    ED25519_COSIGNATURE,
    Ed25519NoteSigner,
    VerifierKey,
    format_note,
    format_vkey,
    open_note,
    parse_note,
    parse_vkey,
    sign_note,
)
from provenance.ledger.policy import parse_policy
from provenance.ledger.proof import parse_proof
from provenance.ledger.tiles import Tile, format_tile_path, list_tiles, parse_tile_path, tile_width
from provenance.ledger.witness.request import parse_request

VECTORS = Path(__file__).parents[2] / ".." / "shared" / "vectors"
ABSENT = "the published vectors lie beside the project, not in it"
pytestmark = pytest.mark.skipif(not VECTORS.is_dir(), reason=ABSENT)


def read(name: str) -> Any:
    path = VECTORS / name
    return json.loads(path.read_text()) if path.is_file() else {}


def unbase64(text: str | None) -> bytes:
    return base64.b64decode(text or "")


INCLUSION = sorted((VECTORS / "transparency-dev-merkle" / "inclusion").rglob("*.json"))
NOTE_CASES = read("signed-note/golang-mod-note.json").get("openCases", [])
WYCHEPROOF = [
    (group["publicKeyDer"], test)
    for group in read("wycheproof/ed25519_test.json").get("testGroups", [])
    for test in group["tests"]
]


@pytest.mark.parametrize("path", INCLUSION, ids=lambda path: "/".join(path.parts[-2:]))
def test_inclusion_of_transparency_dev_merkle(path: Path) -> None:
    case = json.loads(path.read_text())
    proof = [unbase64(item) for item in case["proof"] or []]
    arguments = unbase64(case["leafHash"]), case["leafIdx"], case["treeSize"], proof, unbase64(case["root"])
    if case["wantErr"]:
        with pytest.raises(InclusionError):
            verify_inclusion(*arguments)
    else:
        verify_inclusion(*arguments)


def test_the_known_answers_of_rfc_6962() -> None:
    answers = read("rfc6962-roots/kat.json")
    leaves = [leaf_hash(bytes.fromhex(item)) for item in answers["leafInputsHex"]]
    tree, edge = MemoryTree(leaves), RightEdge()
    for level, row in enumerate(answers["nodeHashesHex"]):
        assert [tree.read(level, index).hex() for index in range(len(row))] == row
    for leaf, root in zip(leaves, answers["rootHashesHexFromSize1"], strict=True):
        edge.extend([leaf])
        assert edge.root().hex() == root


def test_tile_paths_of_tessera() -> None:
    cases = read("tlog-tiles-paths/paths.json")["cases"]
    for case in cases["TestTilePath"]:
        tile = Tile(case["level"], case["index"], case.get("p") or 256)
        assert format_tile_path(tile) == case["wantPath"]
        assert parse_tile_path(case["wantPath"]) == tile
    for case in cases["TestEntriesPath"]:
        assert format_tile_path(Tile(None, case["N"], case.get("p") or 256)) == case["wantPath"]
    for case in cases["TestEntriesPathForLogIndex"]:
        index = case["seq"] // 256
        assert format_tile_path(Tile(None, index, tile_width(0, index, case["logSize"]))) == case["wantPath"]


def test_the_tiles_that_the_specification_counts() -> None:
    stated = read("c2sp-spec-examples/tlog-tiles.json")
    for case in stated["tilePaths"]:
        assert format_tile_path(Tile(0, case["n"])) == f"tile/0/{case['path']}"
    for size, counts in ((70_000, stated["treeSize70000"]), (256, stated["treeSize256"])):
        tiles = list(list_tiles(size))
        for level, number in counts["full"].items():
            assert sum(item.level == int(level) and item.width == 256 for item in tiles) == number
        for level, width in counts["partialWidth"].items():
            assert [item.width for item in tiles if item.level == int(level) and item.width < 256] == [width]


def test_the_note_of_the_specification() -> None:
    case = read("signed-note/c2sp-example.json")
    vkey = parse_vkey(case["vkey"])
    assert format_vkey(vkey) == case["vkey"]
    note, signed_by = open_note(case["note"], [vkey])
    assert signed_by == (vkey,)
    assert format_note(note) == case["note"]


def test_the_deterministic_signature_of_golang_mod() -> None:
    case = read("signed-note/golang-mod-note.json")
    _, _, name, _, seed = case["privateTestKey"].split("+", 4)
    signer = Ed25519NoteSigner(name, Ed25519PrivateKey.from_private_bytes(base64.b64decode(seed)[1:]))
    assert sign_note(case["deterministicSign"]["text"], [signer]) == case["deterministicSign"]["want"]
    for text in case["badVkeys"]:
        with pytest.raises(MalformedError):
            parse_vkey(text)


@pytest.mark.parametrize("case", NOTE_CASES, ids=lambda case: case["name"])
def test_the_notes_of_golang_mod(case: dict[str, Any]) -> None:
    note: str | bytes = case["note"] if "note" in case else case["text"] + "\n" + case["line"] * 101
    if case.get("noteLatin1"):
        note = case["note"].encode("latin-1")
    vkeys = [parse_vkey(text) for text in case["vkeys"]]
    if case["result"] == "ok":
        opened, signed_by = open_note(note, vkeys)
        assert [vkey.name for vkey in signed_by] == case["verified"]
        assert {item.name for item in opened.signatures} == {*case["verified"], *case["unverified"]}
    else:
        with pytest.raises(ProvenanceError):
            open_note(note, vkeys)


def test_the_checkpoints_of_the_specification_parse() -> None:
    for name in ("tlog-checkpoint", "tlog-cosignature"):
        for block in read(f"c2sp-spec-examples/{name}.json")["blocks"]:
            checkpoint = parse_checkpoint(parse_note(block).text)
            assert (checkpoint.origin, checkpoint.size) == ("example.com/behind-the-sofa", 20852163)


def fresh_vkey(name: str, kind: int) -> str:
    public = Ed25519PrivateKey.generate().public_key().public_bytes_raw()
    return format_vkey(VerifierKey(name, kind, public))


def fill_policy(block: str) -> str:
    """The page writes `<vkey>` where a key stands, `<name>` and `[<url>]` where one may."""
    lines = []
    for number, line in enumerate(block.splitlines()):
        kind = ED25519 if line.startswith("log") else ED25519_COSIGNATURE
        lines.append(line.replace("<vkey>", fresh_vkey(f"key{number}.example", kind)).replace("<name>", f"w{number}"))
    return "\n".join(lines)


def test_the_policies_of_the_specification_parse() -> None:
    whole, log_line, witness_line = read("c2sp-spec-examples/tlog-policy.json")["blocks"]
    text = fill_policy(whole)
    policy = parse_policy(text)
    assert (policy.quorum, len(policy.logs), len(policy.witnesses)) == ("X-and-Y", 1, 6)
    assert policy.groups["X-witnesses"] == (2, ("X1", "X2", "X3"))
    assert [policy.groups[name][0] for name in ("Y-witnesses", "X-and-Y")] == [1, 2]
    met = {policy.witnesses[name] for name in ("X1", "X3", "Y2")}
    assert policy.is_met(met)
    assert not policy.is_met(met - {policy.witnesses["Y2"]})
    assert not policy.is_met({policy.witnesses[name] for name in ("X1", "Y1", "Y2", "Y3")})
    for url in ("", " https://witness.example/"):
        lines = fill_policy(log_line.replace(" [<url>]", url) + witness_line.replace(" [<url>]", url))
        assert list(parse_policy(f"{lines}\nquorum none\n").urls.values()) == ([url.strip()] if url else [])


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("X-witnesses 2", "X-witnesses 4"), ("X-witnesses 2", "X-witnesses 0"), ("any Y1", "some Y1"), (" X3\n", " X9\n"),
        ("quorum X-and-Y", ""), ("quorum X-and-Y", "quorum nobody"), ("witness X2", "witness X1"), ("group Y-", "groups Y-"),
        ("quorum X-and-Y", "quorum X-and-Y\nquorum Y-witnesses"), ("witness X1 ", "witness none "), ("log ", "witness "),
    ],
)  # fmt: skip
def test_the_policy_of_the_specification_bent_is_refused(old: str, new: str) -> None:
    text = fill_policy(read("c2sp-spec-examples/tlog-policy.json")["blocks"][0])
    assert old in text
    with pytest.raises(MalformedError):
        parse_policy(text.replace(old, new, 1))


def test_the_witness_request_of_the_specification_is_another_one_than_we_answer() -> None:
    """The page's one example asks for a subtree's cosignature. Our witness answers `add-checkpoint` alone: it must refuse.

    What the two requests share is read: size lines, hashes, an empty line, the log's note.
    """
    (block,) = read("c2sp-spec-examples/tlog-witness.json")["blocks"]
    with pytest.raises(MalformedError):
        parse_request(block.encode())
    head, note = block.split("\n\n", 1)
    elided = base64.b64encode(b"1234" + bytes(64)).decode()
    lines = [line.rsplit(" ", 1)[0] + f" {elided}" if line.startswith("— ") else line for line in note.split("\n")]
    hashes = head.split("\n")[1:]
    request = "\n".join(["old 8", *hashes, "", *lines])
    parsed = parse_request(request.encode())
    assert (parsed.old_size, parsed.checkpoint.size, len(parsed.proof)) == (8, 14, len(hashes))
    for bent in (
        request.replace("old 8", "old 08"),
        request.replace("old 8", "old -8"),
        request.replace("=\n", "\n", 1),
    ):
        with pytest.raises(MalformedError):
            parse_request(bent.encode())


def test_the_proof_of_the_specification_parses_once_its_elided_lines_are_filled() -> None:
    """The page elides signatures, and its `extra` and last hashes are no base64 that prints back: those lines are ours."""
    (block,) = read("c2sp-spec-examples/tlog-proof.json")["blocks"]
    lines = []
    for line in block.split("\n"):
        if line.startswith("— "):
            lines.append(f"{line.split()[0]} {line.split()[1]} {base64.b64encode(b'12345').decode()}")
        elif not line.startswith("extra "):
            lines.append(line)
    proof = parse_proof("\n".join(lines))
    assert (proof.index, len(proof.path), proof.extra) == (73894, 5, None)


def test_the_output_of_rfc_8785() -> None:
    """Input and output as files of text; `tests/test_canonical.py` holds the bytes against those that stand there in hex."""
    folder = VECTORS / "jcs-rfc8785" / "testdata"
    names = sorted(path.name for path in (folder / "input").iterdir())
    assert len(names) == 6
    for name in names:
        written, expected = ((folder / half / name).read_bytes() for half in ("input", "output"))
        assert canonical_bytes(parse_json(written)) == expected.rstrip(b"\n")


def test_the_dsse_vector() -> None:
    case = read("dsse/protocol-vector.json")
    message = pae(case["payloadType"], case["payloadUtf8"].encode())
    assert message == case["pae"].encode()
    x, y, d = (int(case["key"][name]) for name in "xyd")
    private = ec.derive_private_key(d, ec.SECP256R1())
    assert private.public_key().public_numbers() == ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1())
    raw = unbase64(case["envelope"]["signatures"][0]["sig"])
    r, s = int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big")
    key = PrivateKeySigner(private).public_key
    key.verify(encode_dss_signature(r, s), message)
    signature = private.sign(message, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))
    assert decode_dss_signature(signature) == (r, s)
    with pytest.raises(SignatureError):
        key.verify(encode_dss_signature(r, s), message + b" ")


@pytest.mark.parametrize("name", ["reference", "slsa_predicate_v1_0", "svr", "test-result"])
def test_the_statements_of_in_toto_parse(name: str) -> None:
    value = read(f"in-toto-examples/{name}.json")
    examples = value["examples"] if isinstance(value, dict) and "examples" in value else [value]
    parsed = 0
    for example in examples:
        if isinstance(example, dict) and example.get("_type") == "https://in-toto.io/Statement/v1":
            assert parse_in_toto(json.dumps(example).encode()).subjects
            parsed += 1
        else:
            with pytest.raises(StatementError):
                parse_in_toto(json.dumps(example).encode())
    assert parsed or name == "slsa_predicate_v1_0", "only the SLSA file is a predicate without a statement"


@pytest.mark.parametrize(("spki", "test"), WYCHEPROOF, ids=lambda item: str(item["tcId"]) if "tcId" in item else "")
def test_ed25519_of_wycheproof(spki: str, test: dict[str, Any]) -> None:
    key = PublicKey(bytes.fromhex(spki))
    signature, message = bytes.fromhex(test["sig"]), bytes.fromhex(test["msg"])
    if test["result"] == "valid":
        key.verify(signature, message)
    else:
        with pytest.raises(SignatureError):
            key.verify(signature, message)


READ_BY = {
    "transparency-dev-merkle/inclusion/*.json": "test_inclusion_of_transparency_dev_merkle",
    "rfc6962-roots/kat.json": "test_the_known_answers_of_rfc_6962",
    "tlog-tiles-paths/paths.json": "test_tile_paths_of_tessera",
    "c2sp-spec-examples/tlog-tiles.json": "test_the_tiles_that_the_specification_counts",
    "c2sp-spec-examples/tlog-checkpoint.json": "test_the_checkpoints_of_the_specification_parse",
    "c2sp-spec-examples/tlog-cosignature.json": "test_the_checkpoints_of_the_specification_parse",
    "c2sp-spec-examples/tlog-policy.json": "test_the_policies_of_the_specification_parse",
    "c2sp-spec-examples/tlog-witness.json": "test_the_witness_request_of_the_specification_is_another_one_than_we_answer",
    "c2sp-spec-examples/tlog-proof.json": "test_the_proof_of_the_specification_parses_once_its_elided_lines_are_filled",
    "signed-note/c2sp-example.json": "test_the_note_of_the_specification",
    "signed-note/golang-mod-note.json": "test_the_notes_of_golang_mod",
    "dsse/protocol-vector.json": "test_the_dsse_vector",
    "in-toto-examples/*.json": "test_the_statements_of_in_toto_parse",
    "jcs-rfc8785/testdata/*/*": "test_the_output_of_rfc_8785",  # and tests/test_canonical.py
    "wycheproof/ed25519_test.json": "test_ed25519_of_wycheproof",
}


def test_every_file_of_vectors_has_its_test() -> None:
    """File -> the test that reads it. A file that nobody reads fails here."""
    for name in filter(lambda name: name.startswith("test_"), READ_BY.values()):
        assert callable(globals()[name])
    files = [path.relative_to(VECTORS).as_posix() for path in VECTORS.rglob("*") if path.is_file()]
    told = ("ORIGIN.txt", "README.md")  # where they come from
    read_by_nobody = [
        name for name in files if not name.endswith(told) and not any(fnmatch(name, item) for item in READ_BY)
    ]
    assert files
    assert read_by_nobody == []
