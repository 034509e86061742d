from __future__ import annotations

import math

import pytest

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
