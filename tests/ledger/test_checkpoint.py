"""Checkpoints: their text, both signatures of the log, cosignatures of witnesses."""

from __future__ import annotations

import struct
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey, MLDSA44PublicKey
from hypothesis import given
from hypothesis import strategies as st

from provenance.errors import CheckpointError, SignatureError
from provenance.ledger.checkpoint import (
    Checkpoint,
    Ed25519Cosigner,
    MLDSA44Signer,
    format_checkpoint,
    ml_dsa_44_message,
    open_checkpoint,
    open_signed_checkpoint,
    parse_checkpoint,
    sign_checkpoint,
    verify_cosignature,
)
from provenance.ledger.note import Ed25519NoteSigner, format_note, parse_note, sign_note

ORIGIN = "example.com/log"
CHECKPOINT = Checkpoint(ORIGIN, 7, bytes(range(32)))
TEXT = format_checkpoint(CHECKPOINT)
LOG = Ed25519NoteSigner(ORIGIN, Ed25519PrivateKey.from_private_bytes(b"l" * 32))
LOG_PQ = MLDSA44Signer(ORIGIN, MLDSA44PrivateKey.from_seed_bytes(b"m" * 32))
WITNESS = Ed25519Cosigner("witness.example/w1", Ed25519PrivateKey.from_private_bytes(b"w" * 32), 1_700_000_000)
NOTE = sign_checkpoint(CHECKPOINT, [LOG, LOG_PQ, WITNESS])
ALL = (LOG.vkey, LOG_PQ.vkey, WITNESS.vkey)

origins = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=30)


@given(origins, st.integers(0, 2**63 - 1), st.binary(min_size=32, max_size=32))
def test_a_checkpoint_parses_back(origin: str, size: int, root: bytes) -> None:
    checkpoint = Checkpoint(origin, size, root)
    assert parse_checkpoint(format_checkpoint(checkpoint)) == checkpoint


def test_both_lines_of_the_log_and_the_witness_verify() -> None:
    opened = open_signed_checkpoint(NOTE, ALL)
    assert opened.checkpoint == CHECKPOINT
    assert opened.signed_by == ALL
    for vkey in (LOG.vkey, LOG_PQ.vkey):
        assert open_checkpoint(NOTE, [vkey]) == CHECKPOINT


def test_a_witness_alone_is_not_enough() -> None:
    with pytest.raises(SignatureError):
        open_checkpoint(NOTE, [WITNESS.vkey])


def test_the_log_signs_ml_dsa_over_the_cosigned_message() -> None:
    """c2sp.org/tlog-cosignature: label, name, timestamp, origin, start, end, hash; type byte 0x06."""
    name = ORIGIN.encode()
    message = b"subtree/v1\n\x00" + bytes([len(name)]) + name + struct.pack(">Q", 0)
    message += bytes([len(name)]) + name + struct.pack(">QQ", 0, 7) + bytes(range(32))
    assert ml_dsa_44_message(ORIGIN, CHECKPOINT, 0) == message
    line = parse_note(NOTE).signatures[1]
    assert line.signature[:8] == bytes(8)
    assert len(line.signature) == 8 + 2420
    MLDSA44PublicKey.from_public_bytes(LOG_PQ.vkey.public_key).verify(line.signature[8:], message)


def test_an_ed25519_cosignature_names_its_time() -> None:
    line = parse_note(NOTE).signatures[2]
    assert verify_cosignature(WITNESS.vkey, TEXT, line.signature) == 1_700_000_000
    message = b"cosignature/v1\ntime 1700000000\n" + TEXT.encode()
    WITNESS.private.public_key().verify(line.signature[8:], message)


@pytest.mark.parametrize("position", [0, 1, 2])
@pytest.mark.parametrize("bit", [0, 70, 500])
def test_a_flipped_bit_in_any_line_fails(position: int, bit: int) -> None:
    note = parse_note(NOTE)
    lines = list(note.signatures)
    raw = bytearray(lines[position].signature)
    raw[bit // 8] ^= 1 << bit % 8
    lines[position] = replace(lines[position], signature=bytes(raw))
    with pytest.raises(SignatureError):
        open_checkpoint(format_note(replace(note, signatures=tuple(lines))), ALL)


def test_lines_of_one_checkpoint_do_not_sign_another() -> None:
    note = parse_note(NOTE)
    other = format_checkpoint(replace(CHECKPOINT, size=8))
    for vkey in ALL:
        with pytest.raises(SignatureError):
            open_checkpoint(format_note(replace(note, text=other)), [vkey])


def test_a_cosignature_of_another_length_or_time_is_refused() -> None:
    line = parse_note(NOTE).signatures[2].signature
    for bent in (line[:-1], line[8:], b"\xff" + line[1:], line + b"\x00"):
        with pytest.raises(SignatureError):
            verify_cosignature(WITNESS.vkey, TEXT, bent)
    with pytest.raises(SignatureError):
        verify_cosignature(LOG.vkey, TEXT, line)


@pytest.mark.parametrize(
    "bent",
    [
        "",
        "a\n1\n",
        TEXT[:-1],
        TEXT + "\n",
        TEXT.replace("7\n", "07\n"),
        TEXT.replace("7\n", "+7\n"),
        TEXT.replace("7\n", "٧\n"),
        TEXT.replace("7\n", "9223372036854775808\n"),
        TEXT.replace("AAEC", "AAE"),
        f"{ORIGIN}\n7\nAAAA\n",
        "\n7\n" + TEXT.split("\n")[2] + "\n",
    ],
)
def test_another_text_is_no_checkpoint(bent: str) -> None:
    with pytest.raises(CheckpointError):
        parse_checkpoint(bent)


def test_extension_lines_are_read_and_never_signed() -> None:
    extended = replace(CHECKPOINT, extensions=("more",))
    assert parse_checkpoint(TEXT + "more\n") == extended
    assert open_checkpoint(sign_note(TEXT + "more\n", [LOG]), [LOG.vkey]) == extended
    with pytest.raises(CheckpointError):
        sign_checkpoint(extended, [LOG])


def test_a_name_beyond_255_bytes_cannot_be_cosigned() -> None:
    with pytest.raises(CheckpointError):
        ml_dsa_44_message("n" * 256, CHECKPOINT, 0)
