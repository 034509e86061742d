"""`aics-tlog` reads our published log, and we read one that it wrote. It needs Python 3.12, so it runs in an environment of its own.

The interpreter is the one that `AICS_TLOG_PYTHON` names, else the first of `python3.12` and newer on the path that has it:
`python3.12 -m venv DIR && DIR/bin/pip install aics-tlog`, then `AICS_TLOG_PYTHON=DIR/bin/python make test`.
"""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from provenance.errors import SignatureError
from provenance.ledger.checkpoint import open_signed_checkpoint, parse_checkpoint
from provenance.ledger.merkle import inclusion_proof, leaf_hash, verify_inclusion
from provenance.ledger.note import parse_note, parse_vkey
from provenance.ledger.tiles import Tile, TileHashes, format_tile_path, parse_entry_bundle
from tests.cli.inprocess import run_json
from tests.service import ServiceProcess, make_samples

NAMES = ("python3.12", "python3.13", "python3.14", "python3", "python")


@functools.cache
def find_python() -> str | None:
    """An interpreter that has `aics_tlog`."""
    named = os.environ.get("AICS_TLOG_PYTHON")
    for candidate in (named,) if named else filter(None, map(shutil.which, NAMES)):
        probe = subprocess.run([candidate, "-c", "import aics_tlog"], capture_output=True, check=False, env={})
        if probe.returncode == 0:
            return candidate
    return None


pytestmark = [
    pytest.mark.external,
    pytest.mark.skipif(find_python() is None, reason="no Python 3.12 with aics-tlog; AICS_TLOG_PYTHON names one"),
]

READ = """
import json, sys
import aics_tlog as t
where, vkey, *indices = sys.argv[1:]
reader = t.HttpTileReader(where) if where.startswith("http") else t.FileSystemTileReader(where)
key = t.parse_vkey(vkey)
found = t.verify_checkpoint(t.parse_note(sys.stdin.read()), key, expected_origin=key.name)
answer = {"ok": found.ok, "error": found.error}
if found.ok:
    answer |= {"size": found.size, "root": found.root.hex()}
    try:
        t.audit_tiles(reader, found.size, found.root)
        answer["entries"] = [t.read_entry(reader, int(index), found.size).hex() for index in indices]
        answer["proof"] = [item.hex() for item in t.inclusion_proof_from_tiles(reader, int(indices[0]), found.size)]
    except (t.TileVerificationError, t.TileMissingError) as exc:
        answer |= {"ok": False, "error": str(exc)}
print(json.dumps(answer))
"""

WRITE = """
import json, sys
import aics_tlog as t
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
folder, name = sys.argv[1:]
writer = t.IncrementalTileWriter(t.DirectoryTileStore(folder, fsync=False))
writer.append([b"entry %d" % number for number in range(600)])
log, witness = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
note = t.sign_checkpoint(t.Checkpoint(name, 600, writer.root()), log, name)
_, line = t.sign_cosignature(witness, "witness.example/w", 1764000000, name, 600, writer.root())
note = t.Note(note.text, (*note.signatures, line))
keys = [t.vkey_from_ed25519(name, log.public_key()), t.vkey_from_ed25519("witness.example/w", witness.public_key(), 4)]
print(json.dumps({"note": note.serialise(), "vkeys": [t.format_vkey(key) for key in keys]}))
"""


def run_aics(code: str, *arguments: str, stdin: str = "") -> Any:
    python = find_python()
    assert python is not None
    done = subprocess.run(
        [python, "-c", code, *arguments], input=stdin, capture_output=True, text=True, check=False, env={}
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def published(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    """A service process; its log has full and partial tiles of two levels."""
    data_dir = tmp_path_factory.mktemp("aics") / "data"
    shutil.copytree(world, data_dir)
    running = ServiceProcess(data_dir)
    try:
        running.start()
        running.capture(make_samples(apache=200, openai=0, llama=0, dataset="external"))
        yield running
    finally:
        running.close()


@pytest.fixture(scope="module")
def exported(published: ServiceProcess, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exported") / "log"
    run_json("log", "export", str(folder), data_dir=published.data_dir)
    return folder


def ed25519_vkey(text: str) -> str:
    return text.split(maxsplit=1)[0]


def test_it_audits_the_directory_that_we_export(published: ServiceProcess, exported: Path) -> None:
    note, vkey = (exported / "checkpoint").read_text(), ed25519_vkey((exported / "vkey").read_text())
    checkpoint = parse_checkpoint(parse_note(note).text)
    assert checkpoint.size > 256
    last = checkpoint.size - 1
    answer = run_aics(READ, str(exported), vkey, "0", "255", "256", str(last), stdin=note)
    assert (answer["ok"], answer["size"], answer["root"]) == (True, checkpoint.size, checkpoint.root.hex()), answer
    for index, text in zip((0, 255, 256, last), answer["entries"], strict=True):
        assert bytes.fromhex(text) == b64decode(published.get(f"/api/v1/log/entries/{index}")["bytes"])
    ours = published.get("/api/v1/log/entries/0")["proof"].split("\n\n")[0].split("\n")[2:]
    assert [bytes.fromhex(item) for item in answer["proof"]] == [b64decode(item) for item in ours]


def test_it_audits_what_the_service_serves(published: ServiceProcess) -> None:
    note, vkey = published.client.get("/log/checkpoint").text, ed25519_vkey(published.client.get("/log/vkey").text)
    answer = run_aics(READ, str(published.client.base_url.join("/log")), vkey, "7", stdin=note)
    assert answer["ok"] is True, answer


@pytest.mark.parametrize("name", ["tile/0/000", "tile/entries/000"])
def test_it_finds_one_flipped_bit_in_a_tile(exported: Path, tmp_path: Path, name: str) -> None:
    folder = Path(shutil.copytree(exported, tmp_path / "log"))
    data = bytearray((folder / name).read_bytes())
    data[len(data) // 2] ^= 1
    (folder / name).write_bytes(data)
    note, vkey = (folder / "checkpoint").read_text(), ed25519_vkey((folder / "vkey").read_text())
    assert run_aics(READ, str(folder), vkey, "0", stdin=note)["ok"] is False


def test_it_refuses_our_checkpoint_under_another_key(exported: Path) -> None:
    note, vkey = (exported / "checkpoint").read_text(), ed25519_vkey((exported / "vkey").read_text())
    bent = note.replace(f"\n{parse_checkpoint(parse_note(note).text).size}\n", "\n9\n")
    assert run_aics(READ, str(exported), vkey, stdin=bent)["ok"] is False


def test_we_read_a_log_that_it_wrote(tmp_path: Path) -> None:
    folder = tmp_path / "theirs"
    written = run_aics(WRITE, str(folder), "log.example/aics")
    vkeys = [parse_vkey(text) for text in written["vkeys"]]
    opened = open_signed_checkpoint(written["note"], vkeys)
    assert set(opened.signed_by) == set(vkeys)
    with pytest.raises(SignatureError):
        open_signed_checkpoint(written["note"].replace("\n600\n", "\n599\n"), vkeys)
    size, root = opened.checkpoint.size, opened.checkpoint.root

    def load(level: int, index: int, width: int) -> bytes:
        return (folder / format_tile_path(Tile(level, index, width))).read_bytes()

    read = TileHashes(size, load).read
    for number in range(3):
        width = min(256, size - 256 * number)
        bundle = (folder / format_tile_path(Tile(None, number, width))).read_bytes()
        for at, entry in enumerate(parse_entry_bundle(bundle, width), 256 * number):
            assert entry == b"entry %d" % at
            if at % 50 in (0, 49):
                verify_inclusion(leaf_hash(entry), at, size, inclusion_proof(at, size, read), root)
