"""The sign-once register: no second root for a size, whatever happened to the database or to the last write."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from provenance.errors import LedgerForkError, UnavailableError
from provenance.ledger import signonce
from provenance.ledger.signonce import SignOnce

ROOTS = [bytes([number]) * 32 for number in range(9)]


@pytest.fixture
def register(tmp_path: Path) -> SignOnce:
    return SignOnce(tmp_path / "signed")


def test_growing_sizes_are_permitted_and_remembered(register: SignOnce) -> None:
    assert register.last() is None
    for size in (0, 1, 5):
        register.permit(size, ROOTS[size])
    assert SignOnce(register.path).last() == (5, ROOTS[5])


def test_the_very_same_is_permitted_again(register: SignOnce) -> None:
    register.permit(5, ROOTS[5])
    before = register.path.read_bytes()
    register.permit(5, ROOTS[5])
    assert register.path.read_bytes() == before


@pytest.mark.parametrize(("size", "root"), [(5, ROOTS[6]), (4, ROOTS[4]), (0, ROOTS[0])])
def test_a_second_root_or_a_smaller_tree_is_a_fork(register: SignOnce, size: int, root: bytes) -> None:
    register.permit(5, ROOTS[5])
    before = register.path.read_bytes()
    for act in (register.permit, register.check):
        with pytest.raises(LedgerForkError, match="signed before"):
            act(size, root)
    assert register.path.read_bytes() == before


def test_a_second_root_is_not_recorded_and_a_smaller_size_is_passed_over(register: SignOnce) -> None:
    register.permit(5, ROOTS[5])
    with pytest.raises(LedgerForkError, match="signed before"):
        register.record(5, ROOTS[6])
    register.record(4, ROOTS[4])
    assert register.last() == (5, ROOTS[5])


def test_a_check_records_nothing(register: SignOnce) -> None:
    register.check(3, ROOTS[3])
    assert register.last() is None
    register.record(3, ROOTS[3])
    assert register.last() == (3, ROOTS[3])


@pytest.mark.parametrize("torn", [b"7", b"7 0707", b"7 " + b"07" * 32, b"\x00\x00"])
def test_a_torn_last_line_is_dropped(register: SignOnce, torn: bytes) -> None:
    register.permit(5, ROOTS[5])
    whole = register.path.read_bytes()
    register.path.write_bytes(whole + torn)
    assert register.last() == (5, ROOTS[5])
    register.permit(6, ROOTS[6])
    assert register.path.read_bytes() == whole + f"6 {ROOTS[6].hex()}\n".encode()


def test_a_register_with_nothing_but_a_torn_line_starts_anew(register: SignOnce) -> None:
    register.path.write_bytes(b"7 0707")
    register.permit(1, ROOTS[1])
    assert register.last() == (1, ROOTS[1])


@pytest.mark.parametrize("damaged", [b"nonsense\n", b"5 zz\n", b"5 0505\n", b"\n\n"])
def test_a_damaged_register_stops_the_log(register: SignOnce, damaged: bytes) -> None:
    register.path.write_bytes(damaged)
    with pytest.raises(LedgerForkError, match="damaged"):
        register.permit(6, ROOTS[6])


def test_it_compacts_itself_and_forgets_nothing(register: SignOnce, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signonce, "MAX_FILE_BYTES", 500)
    for size in range(40):
        register.permit(size, ROOTS[size % 9])
    assert register.path.stat().st_size < 600
    assert register.last() == (39, ROOTS[39 % 9])
    with pytest.raises(LedgerForkError):
        register.permit(38, ROOTS[38 % 9])


def test_a_register_that_cannot_be_written_permits_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UnavailableError):
        SignOnce(tmp_path / "file" / "signed").permit(1, ROOTS[1])


def test_nobody_else_may_read_what_lies_beside_the_keys(register: SignOnce, monkeypatch: pytest.MonkeyPatch) -> None:
    before = os.umask(0o022)
    try:
        register.permit(1, ROOTS[1])
        monkeypatch.setattr(signonce, "MAX_FILE_BYTES", 1)
        register.permit(2, ROOTS[2])  # compacted: another file
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o077 for path in register.path.parent.iterdir()} == {0}
