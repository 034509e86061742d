"""Losses and measures between a student's and a teacher's next-token distributions: small pure functions.

- Logits are natural-log scores over one shared vocabulary; `select` removes the positions that do not count.
- Divergences are means over tokens, in nats. A temperature above 1 softens both distributions; the factor temperature
  squared keeps the size of the gradients (Hinton et al. 2015, section 2).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import Tensor

Divergence = Literal["forward-kl", "reverse-kl", "jsd"]


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


def token_divergences(
    student_logits: Tensor,
    teacher_logits: Tensor,
    kind: Divergence = "forward-kl",
    *,
    beta: float = 0.5,
    temperature: float = 1.0,
) -> Tensor:
    """The divergence at each place; the other functions here are means of it.

    Args:
        student_logits: [tokens, vocab], float.
        teacher_logits: [tokens, vocab], float.
        kind: `forward-kl` is KL(teacher || student), `reverse-kl` is KL(student || teacher), `jsd` is `jensen_shannon`.
        beta: weight of the teacher in the mixture of `jsd`, strictly between 0 and 1; the others do not read it.
        temperature: above 0, no unit.
    Returns:
        [tokens], nats, times temperature squared; none is below 0 but for rounding.
    Source: Hinton et al. 2015, section 2 (temperature and its square); Agarwal et al., GKD, 2024, section 2 and equation 1.
    """
    student = (student_logits / temperature).log_softmax(-1)
    teacher = (teacher_logits / temperature).log_softmax(-1)
    if kind == "forward-kl":
        found = _kl(teacher, student)
    elif kind == "reverse-kl":
        found = _kl(student, teacher)
    else:
        # In logarithms: a probability that underflows to 0 must not become the logarithm of 0.
        mixture = (teacher + math.log(beta)).logaddexp(student + math.log1p(-beta))
        found = beta * _kl(teacher, mixture) + (1 - beta) * _kl(student, mixture)
    return found * temperature**2


def _kl(first: Tensor, second: Tensor) -> Tensor:
    """KL(first || second) of log-probabilities [tokens, vocab], in nats for each place; 0 log 0 is 0 (a masked token)."""
    share = first.exp()
    return (share * (first - second).masked_fill(share == 0, 0.0)).sum(-1)


def keep_top(student_logits: Tensor, teacher_logits: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Both logits at the teacher's `k` likeliest tokens; a softmax over them renormalises both distributions.

    Args:
        student_logits: [tokens, vocab], float.
        teacher_logits: [tokens, vocab], float.
        k: from 1; more than vocab keeps all.
    Returns:
        student's and teacher's logits, each [tokens, min(k, vocab)], likeliest for the teacher first.
    Source: what remains of a teacher of whom only the top logits were kept.
    """
    kept, places = teacher_logits.topk(min(k, teacher_logits.shape[-1]), dim=-1)
    return student_logits.gather(-1, places), kept


def kl_divergence(student_logits: Tensor, teacher_logits: Tensor, temperature: float = 1.0) -> Tensor:
    """Forward Kullback-Leibler divergence KL(teacher || student): the student covers all that the teacher might say.

    Args:
        student_logits: [tokens, vocab], float.
        teacher_logits: [tokens, vocab], float.
        temperature: above 0, no unit.
    Returns:
        scalar, nats per token, times temperature squared.
    Source: Hinton et al., "Distilling the Knowledge in a Neural Network", 2015, section 2.
    """
    return token_divergences(student_logits, teacher_logits, "forward-kl", temperature=temperature).mean()


def reverse_kl(student_logits: Tensor, teacher_logits: Tensor, temperature: float = 1.0) -> Tensor:
    """Reverse Kullback-Leibler divergence KL(student || teacher): the student says only what the teacher might say.

    Args:
        student_logits: [tokens, vocab], float.
        teacher_logits: [tokens, vocab], float.
        temperature: above 0, no unit.
    Returns:
        scalar, nats per token, times temperature squared.
    Source: Agarwal et al., "On-Policy Distillation of Language Models" (GKD), 2024, section 2.
    """
    return token_divergences(student_logits, teacher_logits, "reverse-kl", temperature=temperature).mean()


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
    Source: Agarwal et al., "On-Policy Distillation of Language Models" (GKD), 2024, equation 1.
    """
    return token_divergences(student_logits, teacher_logits, "jsd", beta=beta, temperature=temperature).mean()


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
    return kl_divergence(*keep_top(student_logits, teacher_logits, k), temperature)


def mix_losses(hard: Tensor, soft: Tensor, alpha: float) -> Tensor:
    """`alpha` of the cross-entropy with the released text, the rest of the divergence from the teacher.

    Args:
        hard: any shape, nats: cross-entropy with the targets.
        soft: the same shape, nats: divergence from the teacher, with its temperature squared.
        alpha: from 0 (the teacher's distribution alone) to 1 (the text alone).
    Returns:
        the same shape, nats.
    Source: Hinton et al. 2015, section 2: a weighted average of two objective functions.
    """
    return alpha * hard + (1 - alpha) * soft


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
