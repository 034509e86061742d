"""The keys of a witness: two, encrypted, made once."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from provenance.errors import ConflictError, MalformedError, NotFoundError, ProvenanceError, SettingsError
from provenance.ledger.note import ED25519_COSIGNATURE, ML_DSA_44_COSIGNATURE
from provenance.ledger.witness.keys import INDEX, create_witness, has_witness, open_witness

NAME = "witness.example/keys"
WORD = b"only for tests"


def test_they_are_made_once_and_opened_with_the_passphrase_alone(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    assert not has_witness(folder)
    with pytest.raises(NotFoundError):
        open_witness(folder, WORD)
    made = create_witness(folder, NAME, WORD)
    assert [key.signature_type for key in made.vkeys] == [ED25519_COSIGNATURE, ML_DSA_44_COSIGNATURE]
    assert {key.name for key in made.vkeys} == {NAME}
    assert open_witness(folder, WORD).vkeys == made.vkeys
    assert folder.stat().st_mode & 0o777 == 0o700
    with pytest.raises(SettingsError):
        open_witness(folder, b"another")
    with pytest.raises(ConflictError):
        create_witness(folder, NAME, WORD)
    assert open_witness(folder, WORD).vkeys == made.vkeys


@pytest.mark.parametrize("name", ["", "two words", "a+b", "x" * 256])
def test_a_name_that_no_cosignature_can_carry_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(MalformedError):
        create_witness(tmp_path, name, WORD)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "change",
    [
        lambda index: {**index, "format": "provenance-witness/2"},
        lambda index: {**index, "name": "witness.example/renamed"},
        lambda index: {**index, "keys": index["keys"][::-1]},
        lambda index: {**index, "keys": index["keys"][:1]},
        lambda index: {**index, "keys": ["file:none.pem", index["keys"][1]]},
        lambda index: [index],
        lambda _: {},
    ],
)
def test_an_index_that_was_changed_opens_nothing(tmp_path: Path, change: Callable[[Any], Any]) -> None:
    create_witness(tmp_path, NAME, WORD)
    path = tmp_path / INDEX
    path.write_text(json.dumps(change(json.loads(path.read_text()))))
    with pytest.raises(ProvenanceError):
        open_witness(tmp_path, WORD)
