"""Signed notes: what is written parses back, what is bent is refused, unknown keys never count."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from provenance.errors import CheckpointError, MalformedError, SignatureError
from provenance.ledger.note import (
    Ed25519NoteSigner,
    VerifierKey,
    check_key_name,
    format_note,
    format_vkey,
    open_note,
    parse_note,
    parse_vkey,
    sign_note,
)

ALICE = Ed25519NoteSigner("alice.example/log", Ed25519PrivateKey.from_private_bytes(b"a" * 32))
BOB = Ed25519NoteSigner("bob.example", Ed25519PrivateKey.from_private_bytes(b"b" * 32))
TEXT = "Ognuno sta solo\n\ned è subito sera.\n"
NOTE = sign_note(TEXT, [ALICE, BOB])


def test_a_note_opens_under_each_of_its_keys() -> None:
    for signers in ([ALICE], [BOB], [ALICE, BOB]):
        note, signed_by = open_note(NOTE.encode(), [item.vkey for item in signers])
        assert note.text == TEXT
        assert list(signed_by) == [item.vkey for item in signers]
    assert format_note(parse_note(NOTE)) == NOTE


def test_a_note_by_unknown_keys_is_refused() -> None:
    same_name = Ed25519NoteSigner(ALICE.name, BOB.private).vkey
    for vkeys in ([], [same_name]):
        with pytest.raises(SignatureError):
            open_note(NOTE, vkeys)


def test_one_bad_line_by_a_known_key_refuses_the_note() -> None:
    other = sign_note("other\n", [BOB])
    lines = NOTE.splitlines(keepends=True)
    mixed = "".join([*lines[:-1], other.splitlines(keepends=True)[-1]])
    with pytest.raises(SignatureError):
        open_note(mixed, [ALICE.vkey, BOB.vkey])
    assert open_note(mixed, [ALICE.vkey])[1] == (ALICE.vkey,)


def open_by_both(data: bytes) -> None:
    """A line whose name or id was changed is by nobody that we know: it is ignored, so both are asked for."""
    if len(open_note(data, [ALICE.vkey, BOB.vkey])[1]) < 2:
        raise SignatureError("one line is by nobody known")


@given(st.integers(0, len(NOTE.encode()) - 1), st.integers(1, 255))
def test_one_changed_byte_refuses_the_note(at: int, mask: int) -> None:
    raw = bytearray(NOTE.encode())
    raw[at] ^= mask
    with pytest.raises((CheckpointError, SignatureError)):
        open_by_both(bytes(raw))


@pytest.mark.parametrize(
    "bent",
    [
        "",
        TEXT,
        TEXT + "\n",
        NOTE[:-1],
        NOTE + "more\n",
        NOTE + "\n",
        NOTE.replace("— alice", "- alice"),
        NOTE.replace("alice.example/log ", "alice example/log "),
        NOTE.replace("alice.example/log ", "ali+ce "),
        NOTE.replace("alice.example/log ", " "),
        NOTE.replace("\n", "\r\n"),
        "\x00" + NOTE,
        TEXT + "\n— alice.example/log AAAA\n",
        TEXT + "\n" + "— alice.example/log AAAAAAA=\n" * 101,
    ],
)
def test_another_form_is_refused(bent: str) -> None:
    with pytest.raises(CheckpointError):
        parse_note(bent)


def test_bytes_that_are_not_utf8_are_refused() -> None:
    with pytest.raises(CheckpointError):
        parse_note(b"\xff" + NOTE.encode())
    with pytest.raises(CheckpointError):
        parse_note("\ud800" + NOTE)


def test_a_text_that_no_note_can_hold_is_not_signed() -> None:
    for text in ("", "no newline", "tab\t\n"):
        with pytest.raises(CheckpointError):
            sign_note(text, [ALICE])
    with pytest.raises(CheckpointError):
        sign_note(TEXT, [])


@given(st.binary(min_size=32, max_size=32))
def test_a_verifier_key_parses_back(public: bytes) -> None:
    vkey = VerifierKey("example.com/log", 1, public)
    assert parse_vkey(format_vkey(vkey)) == vkey


@pytest.mark.parametrize(
    "bent",
    [
        "",
        "name",
        "name+00000000",
        format_vkey(ALICE.vkey).replace("alice", "alicia"),
        format_vkey(ALICE.vkey) + "AAAA",
        format_vkey(VerifierKey("n", 0x02, b"x" * 32)),
        format_vkey(VerifierKey("n", 0x01, b"x" * 31)),
        format_vkey(VerifierKey("n", 0x06, b"x" * 32)),
        format_vkey(VerifierKey("a b", 0x01, b"x" * 32)),
        format_vkey(ALICE.vkey).upper(),
    ],
)
def test_another_verifier_key_is_refused(bent: str) -> None:
    with pytest.raises(MalformedError):
        parse_vkey(bent)


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\nb", "a\u2003b", "a\x7f"])
def test_a_name_that_no_note_can_carry_is_refused(name: str) -> None:
    with pytest.raises(MalformedError):
        check_key_name(name)
