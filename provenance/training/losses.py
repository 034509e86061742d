"""Losses and measures between a student's and a teacher's next-token distributions: small pure functions.

- Logits are natural-log scores over one shared vocabulary; `select` removes the positions that do not count.
- Divergences are means over tokens, in nats. A temperature above 1 softens both distributions; the factor temperature
  squared keeps the size of the gradients (Hinton et al. 2015, section 2).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def select(values: Tensor, labels: Tensor, ignored: int = -100) -> Tensor:
    """Keep the positions that predict a labelled token.

    Args:
        values: [batch, tokens, ...], for example logits.
        labels: [batch, tokens], int64; `ignored` marks prompt and padding.
    Returns:
        [n, ...]: the value at place t is kept if the label at t + 1 counts.
    Source: causal language modelling; place t predicts token t + 1.
    """
    return values[:, :-1][labels[:, 1:] != ignored]


def kl_divergence(student_logits: Tensor, teacher_logits: Tensor, temperature: float = 1.0) -> Tensor:
    """Forward Kullback-Leibler divergence KL(teacher || student).

    Args:
        student_logits: [tokens, vocab], float.
        teacher_logits: [tokens, vocab], float.
        temperature: above 0, no unit.
    Returns:
        scalar, nats per token, times temperature squared.
    Source: Hinton et al., "Distilling the Knowledge in a Neural Network", 2015, section 2.
    """
    student = (student_logits / temperature).log_softmax(-1)
    teacher = (teacher_logits / temperature).log_softmax(-1)
    return (teacher.exp() * (teacher - student)).sum(-1).mean() * temperature**2


def jensen_shannon(
    student_logits: Tensor, teacher_logits: Tensor, beta: float = 0.5, temperature: float = 1.0
) -> Tensor:
    """Generalised Jensen-Shannon divergence: beta KL(teacher || m) + (1 - beta) KL(student || m).

    The mixture m is beta teacher + (1 - beta) student.

    Args:
        student_logits: [tokens, vocab], float.
        teacher_logits: [tokens, vocab], float.
        beta: weight of the teacher in the mixture, strictly between 0 and 1.
        temperature: above 0, no unit.
    Returns:
        scalar, nats per token, times temperature squared; at most ln 2 at beta 0.5 and temperature 1.
    Source: Agarwal et al., "On-Policy Distillation of Language Models" (GKD), 2023, equation 1.
    """
    import torch

    student = (student_logits / temperature).log_softmax(-1)
    teacher = (teacher_logits / temperature).log_softmax(-1)
    mixture = torch.logaddexp(teacher + torch.tensor(beta).log(), student + torch.tensor(1 - beta).log())
    from_teacher = (teacher.exp() * (teacher - mixture)).sum(-1)
    from_student = (student.exp() * (student - mixture)).sum(-1)
    return (beta * from_teacher + (1 - beta) * from_student).mean() * temperature**2


def top_k_divergence(student_logits: Tensor, teacher_logits: Tensor, k: int, temperature: float = 1.0) -> Tensor:
    """KL(teacher || student) over the teacher's `k` likeliest tokens, both distributions renormalised on them.

    Args:
        student_logits: [tokens, vocab], float.
        teacher_logits: [tokens, vocab], float.
        k: from 1 to vocab; vocab gives `kl_divergence`.
        temperature: above 0, no unit.
    Returns:
        scalar, nats per token, times temperature squared.
    Source: the plain divergence, restricted: what remains when only the top logits of a teacher were stored.
    """
    kept, places = teacher_logits.topk(k, dim=-1)
    return kl_divergence(student_logits.gather(-1, places), kept, temperature)


def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean negative log-likelihood of the targets.

    Args:
        logits: [tokens, vocab], float.
        targets: [tokens], int64.
    Returns:
        scalar, nats per token; its exponential is the perplexity.
    Source: definition.
    """
    return -logits.log_softmax(-1).gather(-1, targets[:, None]).squeeze(-1).mean()


def agreement(student_logits: Tensor, teacher_logits: Tensor, k: int = 1) -> Tensor:
    """How often the teacher's likeliest token is among the student's `k` likeliest.

    Args:
        student_logits: [tokens, vocab], float.
        teacher_logits: [tokens, vocab], float.
        k: at least 1.
    Returns:
        scalar float, a share from 0 to 1.
    Source: definition.
    """
    best = teacher_logits.argmax(-1, keepdim=True)
    return (student_logits.topk(k, dim=-1).indices == best).any(-1).float().mean()
