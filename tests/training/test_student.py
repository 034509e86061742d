from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

from provenance.errors import MalformedError
from provenance.training.files import digest_files, list_files
from provenance.training.student import TOKEN_MAP, build_scratch, build_student, spread_layers
from tests.training.conftest import TEXTS

pytestmark = pytest.mark.training


@pytest.mark.parametrize(
    ("total", "count", "expected"),
    [(30, 6, (0, 6, 12, 17, 23, 29)), (4, 4, (0, 1, 2, 3)), (30, 2, (0, 29)), (5, 1, (0,))],
)
def test_layers_are_spread_over_the_depth(total: int, count: int, expected: tuple[int, ...]) -> None:
    assert spread_layers(total, count) == expected


@pytest.mark.parametrize("count", [0, 5])
def test_more_layers_than_there_are_is_an_error(count: int) -> None:
    with pytest.raises(MalformedError, match="expected 1 to 4"):
        spread_layers(4, count)


def test_a_cut_reads_training_text_in_the_same_pieces_as_its_teacher(tiny_teacher: Path, tmp_path: Path) -> None:
    from tokenizers import Tokenizer

    build_student(tiny_teacher, TEXTS[:3], tmp_path, layers=2, common_tokens=0)
    whole, cut = (Tokenizer.from_file(str(folder / "tokenizer.json")) for folder in (tiny_teacher, tmp_path))
    back = json.loads((tmp_path / TOKEN_MAP).read_text())
    assert cut.get_vocab_size() < whole.get_vocab_size()
    for text in TEXTS[:3]:
        assert [back[token] for token in cut.encode(text).ids] == whole.encode(text).ids
    for text in (*TEXTS, "Ünïcödé 漢字 🙂 \x00"):  # unseen text falls into smaller pieces and nothing is lost
        assert cut.decode(cut.encode(text).ids) == text


def test_a_cut_carries_the_teachers_weights(tiny_teacher: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    facts = build_student(tiny_teacher, TEXTS[:2], tmp_path, layers=[1, 3], common_tokens=280)
    teacher, cut = load_file(tiny_teacher / "model.safetensors"), load_file(tmp_path / "model.safetensors")
    kept = json.loads((tmp_path / TOKEN_MAP).read_text())
    assert cut["model.embed_tokens.weight"].equal(teacher["model.embed_tokens.weight"][kept])
    for new, old in enumerate((1, 3)):
        for part in ("self_attn.q_proj", "mlp.down_proj", "input_layernorm"):
            assert cut[f"model.layers.{new}.{part}.weight"].equal(teacher[f"model.layers.{old}.{part}.weight"])
    assert facts.layers == (1, 3)
    assert facts.tokens == len(kept)
    assert facts.parameters == sum(tensor.numel() for tensor in cut.values())


def test_a_cut_of_everything_predicts_what_its_teacher_predicts(tiny_teacher: Path, tmp_path: Path) -> None:
    import torch

    from provenance.training.generate import load_model

    build_student(tiny_teacher, TEXTS, tmp_path, layers=4, common_tokens=10_000)
    teacher, reader = load_model(tiny_teacher)
    student, _ = load_model(tmp_path)
    ids = reader(TEXTS[0], return_tensors="pt")["input_ids"].to(teacher.device)
    with torch.inference_mode():
        torch.testing.assert_close(student(ids).logits, teacher(ids).logits)


def test_building_twice_gives_the_same_bytes(tiny_teacher: Path, tmp_path: Path) -> None:
    digests = set()
    for name in ("one", "two"):
        build_student(tiny_teacher, TEXTS, tmp_path / name, layers=2)
        build_scratch(TEXTS, tmp_path / f"{name}-scratch", seed=5, tokens=300, hidden=64, layers=1)
        digests.add(tuple(digest_files(list_files(tmp_path / folder)) for folder in (name, f"{name}-scratch")))
    assert len(digests) == 1
    build_scratch(TEXTS, tmp_path / "other", seed=6, tokens=300, hidden=64, layers=1)
    assert digest_files(list_files(tmp_path / "other")) not in digests.pop()


@pytest.mark.parametrize("layers", [[], [3, 1], [0, 4], [-1, 0], [1, 1]])
def test_layers_that_the_teacher_has_not_are_refused(tiny_teacher: Path, tmp_path: Path, layers: list[int]) -> None:
    with pytest.raises(MalformedError, match="layers"):
        build_student(tiny_teacher, TEXTS, tmp_path, layers=layers)


def test_a_folder_without_a_bpe_tokenizer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MalformedError, match="tokenizer"):
        build_student(tmp_path, TEXTS, tmp_path / "out")
    (tmp_path / "tokenizer.json").write_text('{"model": {"type": "Unigram"}}')
    with pytest.raises(MalformedError, match="Unigram"):
        build_student(tmp_path, TEXTS, tmp_path / "out")
