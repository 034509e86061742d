from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from provenance.training import losses  # noqa: E402  # after torch was found

pytestmark = pytest.mark.training


def _pair(tokens: int = 5, vocab: int = 7) -> tuple[list[list[float]], list[list[float]]]:
    generator = torch.Generator().manual_seed(1)
    student, teacher = torch.randn(2, tokens, vocab, generator=generator, dtype=torch.float64) * 2
    return student.tolist(), teacher.tolist()


def _softmax(row: list[float], temperature: float = 1.0) -> list[float]:
    scaled = [math.exp(value / temperature) for value in row]
    return [value / sum(scaled) for value in scaled]


def _plain_kl(first: list[float], second: list[float]) -> float:
    return sum(p * math.log(p / q) for p, q in zip(first, second, strict=True) if p > 0)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_divergence_is_the_plain_formula(temperature: float) -> None:
    student, teacher = _pair()
    plain = sum(
        _plain_kl(_softmax(t, temperature), _softmax(s, temperature)) for s, t in zip(student, teacher, strict=True)
    )
    got = losses.kl_divergence(torch.tensor(student), torch.tensor(teacher), temperature)
    assert float(got) == pytest.approx(plain / len(student) * temperature**2, rel=1e-4)


@pytest.mark.parametrize("beta", [0.1, 0.5, 0.9])
def test_jensen_shannon_is_the_plain_formula(beta: float) -> None:
    student, teacher = _pair()
    plain = 0.0
    for s_row, t_row in zip(student, teacher, strict=True):
        s, t = _softmax(s_row), _softmax(t_row)
        mixture = [beta * p + (1 - beta) * q for p, q in zip(t, s, strict=True)]
        plain += beta * _plain_kl(t, mixture) + (1 - beta) * _plain_kl(s, mixture)
    got = losses.jensen_shannon(torch.tensor(student), torch.tensor(teacher), beta)
    assert float(got) == pytest.approx(plain / len(student), rel=1e-4)
    assert float(losses.jensen_shannon(torch.tensor(student), torch.tensor(teacher))) <= math.log(2)


def test_equal_distributions_do_not_diverge_and_others_do() -> None:
    student, teacher = (torch.tensor(rows) for rows in _pair())
    for divergence in (losses.kl_divergence, losses.jensen_shannon):
        assert float(divergence(teacher, teacher + 3.0)) == pytest.approx(0, abs=1e-6)  # a constant changes no softmax
        assert float(divergence(student, teacher)) > 0.01


def test_all_tokens_in_the_top_is_the_whole_divergence_and_fewer_is_a_renormalised_one() -> None:
    student, teacher = (torch.tensor(rows) for rows in _pair())
    whole = losses.kl_divergence(student, teacher)
    assert float(losses.top_k_divergence(student, teacher, 7)) == pytest.approx(float(whole), rel=1e-5)
    two = 0.0
    for s_row, t_row in zip(student.tolist(), teacher.tolist(), strict=True):
        best = sorted(range(7), key=lambda place: -t_row[place])[:2]
        two += _plain_kl(_softmax([t_row[place] for place in best]), _softmax([s_row[place] for place in best]))
    assert float(losses.top_k_divergence(student, teacher, 2)) == pytest.approx(two / 5, rel=1e-4)


def test_cross_entropy_is_the_mean_negative_log_likelihood() -> None:
    student, _ = _pair()
    targets = [0, 6, 3, 3, 1]
    plain = -sum(math.log(_softmax(row)[target]) for row, target in zip(student, targets, strict=True)) / 5
    assert float(losses.cross_entropy(torch.tensor(student), torch.tensor(targets))) == pytest.approx(plain, rel=1e-5)


def test_agreement_counts_the_teachers_first_choice() -> None:
    teacher = torch.tensor([[9.0, 0.0, 0.0], [0.0, 9.0, 0.0], [0.0, 0.0, 9.0], [9.0, 0.0, 0.0]])
    student = torch.tensor([[3.0, 2.0, 1.0], [3.0, 2.0, 1.0], [3.0, 2.0, 1.0], [1.0, 2.0, 3.0]])
    assert float(losses.agreement(student, teacher)) == 0.25
    assert float(losses.agreement(student, teacher, k=2)) == 0.5
    assert float(losses.agreement(student, teacher, k=3)) == 1.0


def test_a_place_counts_when_the_token_after_it_is_labelled() -> None:
    values = torch.arange(8).reshape(2, 4, 1)
    labels = torch.tensor([[-100, -100, 5, 6], [-100, 7, -100, -100]])
    assert losses.select(values, labels).flatten().tolist() == [1, 2, 4]


def test_gradients_flow_to_the_student() -> None:
    student, teacher = (torch.tensor(rows) for rows in _pair())
    student.requires_grad_()
    losses.kl_divergence(student, teacher, 2.0).backward()
    assert float(student.grad.abs().sum()) > 0


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_reverse_divergence_is_the_plain_formula(temperature: float) -> None:
    student, teacher = _pair()
    plain = sum(
        _plain_kl(_softmax(s, temperature), _softmax(t, temperature)) for s, t in zip(student, teacher, strict=True)
    )
    got = losses.reverse_kl(torch.tensor(student), torch.tensor(teacher), temperature)
    assert float(got) == pytest.approx(plain / len(student) * temperature**2, rel=1e-4)


@pytest.mark.parametrize("temperature", [0.7, 1.0, 2.0])
@pytest.mark.parametrize(("kind", "beta"), [("forward-kl", 0.0), ("reverse-kl", 1.0), ("jsd", 0.1), ("jsd", 0.9)])
def test_divergences_are_those_of_trl_but_for_the_square_of_the_temperature(
    kind: Any, beta: float, temperature: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("trl")
    monkeypatch.setenv("TRL_EXPERIMENTAL_SILENCE", "1")
    from trl.experimental.gkd import GKDTrainer

    student, teacher = (torch.tensor(rows) for rows in _pair())
    labels = torch.tensor([1, -100, 2, -100, 3])  # trl masks places itself; here `select` does, so both see three
    theirs = GKDTrainer.generalized_jsd_loss(student[None], teacher[None], labels[None], beta, temperature)
    kept = labels != -100
    ours = losses.token_divergences(student[kept], teacher[kept], kind, beta=beta, temperature=temperature).mean()
    assert float(ours) == pytest.approx(float(theirs) * temperature**2, rel=1e-4)


NUMBERS = st.floats(-30, 30, allow_nan=False, width=32)
ROWS = st.integers(2, 6).flatmap(
    lambda vocab: st.lists(st.tuples(*[st.lists(NUMBERS, min_size=vocab, max_size=vocab)] * 2), min_size=1, max_size=4)
)
KINDS = st.sampled_from(["forward-kl", "reverse-kl", "jsd"])
settings_of_tensors = settings(max_examples=60, deadline=None)


def _tensors(rows: list[tuple[list[float], list[float]]]) -> tuple[Any, Any]:
    student, teacher = zip(*rows, strict=True)
    return torch.tensor(student, dtype=torch.float64), torch.tensor(teacher, dtype=torch.float64)


@settings_of_tensors
@given(rows=ROWS, kind=KINDS, beta=st.floats(0.01, 0.99), temperature=st.floats(0.2, 5))
def test_no_place_diverges_by_less_than_nothing_and_none_from_itself(
    rows: list[tuple[list[float], list[float]]], kind: Any, beta: float, temperature: float
) -> None:
    student, teacher = _tensors(rows)
    found = losses.token_divergences(student, teacher, kind, beta=beta, temperature=temperature)
    assert found.shape == (len(rows),)
    assert bool((found >= -1e-9).all())
    same = losses.token_divergences(teacher + 7, teacher, kind, beta=beta, temperature=temperature)
    assert float(same.abs().max()) < 1e-9


@settings_of_tensors
@given(rows=ROWS, kind=KINDS, shift=st.integers(1, 5))
def test_the_order_of_the_vocabulary_does_not_matter(
    rows: list[tuple[list[float], list[float]]], kind: Any, shift: int
) -> None:
    student, teacher = _tensors(rows)
    turned = losses.token_divergences(student.roll(shift, -1), teacher.roll(shift, -1), kind)
    assert torch.allclose(turned, losses.token_divergences(student, teacher, kind), atol=1e-9)


@settings_of_tensors
@given(rows=ROWS, beta=st.floats(0.01, 0.99))
def test_the_mixture_s_divergence_is_bounded_by_the_entropy_of_its_weight(
    rows: list[tuple[list[float], list[float]]], beta: float
) -> None:
    student, teacher = _tensors(rows)
    most = -beta * math.log(beta) - (1 - beta) * math.log1p(-beta)
    assert float(losses.token_divergences(student, teacher, "jsd", beta=beta).max()) <= most + 1e-9


@settings_of_tensors
@given(rows=ROWS, kind=KINDS, k=st.integers(1, 8))
def test_the_top_of_the_teacher_is_what_a_vocabulary_of_only_these_would_give(
    rows: list[tuple[list[float], list[float]]], kind: Any, k: int
) -> None:
    student, teacher = _tensors(rows)
    ours, theirs = losses.keep_top(student, teacher, k)
    assert ours.shape == theirs.shape == (len(rows), min(k, student.shape[-1]))
    assert bool((theirs.min(-1).values >= teacher.sort(-1, descending=True).values[:, ours.shape[-1] - 1]).all())
    if k >= student.shape[-1]:
        whole = losses.token_divergences(student, teacher, kind)
        assert torch.allclose(losses.token_divergences(ours, theirs, kind), whole, atol=1e-9)


def test_a_token_that_the_teacher_rules_out_counts_nothing_and_breaks_nothing() -> None:
    teacher = torch.tensor([[0.0, 1.0, float("-inf")]])
    student = torch.tensor([[0.0, 1.0, 2.0]], requires_grad=True)
    losses.kl_divergence(student, teacher).backward()
    assert student.grad is not None
    assert bool(torch.isfinite(student.grad).all())


@given(alpha=st.floats(0, 1), hard=st.floats(0, 50), soft=st.floats(0, 50))
def test_a_mixed_loss_lies_between_its_parts(alpha: float, hard: float, soft: float) -> None:
    mixed = float(losses.mix_losses(torch.tensor(hard), torch.tensor(soft), alpha))
    assert min(hard, soft) - 1e-3 <= mixed <= max(hard, soft) + 1e-3


def test_a_softer_distribution_keeps_the_size_of_the_gradient() -> None:
    student, teacher = (torch.tensor(rows) * 0.05 for rows in _pair())
    sizes = []
    for temperature in (4.0, 8.0):
        leaf = student.clone().requires_grad_()
        losses.kl_divergence(leaf, teacher, temperature).backward()
        sizes.append(float(leaf.grad.norm()))
    assert sizes[0] == pytest.approx(sizes[1], rel=0.05)
