"""Classification losses over attribute types whose labels may be unknown."""

from __future__ import annotations

import math
from collections.abc import Mapping, Set

import torch
from torch import Tensor
from torch.nn import functional


def known_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Softmax cross-entropy over the images whose class is known.

    logits: (B, C). labels: int8 (B, C), 1 for the class and 0 or -1 elsewhere; a row without a 1 is unknown. Returns the mean over known
    rows, in nats; 0 where there are none. Raises ValueError if the shapes differ."""
    _check(logits, labels)
    target, known = labels.max(dim=1).indices, (labels == 1).any(dim=1)
    losses = functional.cross_entropy(logits.float(), target, reduction="none")
    return _masked_mean(losses, known)


def known_binary_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Sigmoid cross-entropy over the entries whose label is known.

    logits: (B, C). labels: int8 (B, C) of 1, 0 and -1 (unknown). Returns the mean over known entries, in nats; 0 where there are none.
    Raises ValueError if the shapes differ."""
    _check(logits, labels)
    losses = functional.binary_cross_entropy_with_logits(logits.float(), labels.clamp_min(0).float(), reduction="none")
    return _masked_mean(losses, labels >= 0)


def focal_cross_entropy(logits: Tensor, labels: Tensor, gamma: float = 2.0) -> Tensor:
    """Softmax focal loss -(1 - p)^γ log p of the known class's probability p (Lin et al. 2017); cross-entropy at gamma = 0.

    logits: (B, C). labels: int8 (B, C), 1 for the class and 0 or -1 elsewhere; a row without a 1 is unknown. Returns the mean over known
    rows, in nats; 0 where there are none. Raises ValueError if the shapes differ."""
    _check(logits, labels)
    target, known = labels.max(dim=1).indices, (labels == 1).any(dim=1)
    log_p = functional.log_softmax(logits.float(), dim=1).gather(1, target[:, None]).squeeze(1)
    return _masked_mean(_focal(log_p, gamma), known)


def focal_binary_cross_entropy(logits: Tensor, labels: Tensor, gamma: float = 2.0, alpha: float | None = None) -> Tensor:
    """Sigmoid focal loss -α_t (1 - p_t)^γ log p_t, JD Eq. (4) and (5) with the minus that the print lacks.

    logits: (B, C). labels: int8 (B, C) of 1, 0 and -1 (unknown). alpha: weight of positives, 1 - alpha that of negatives; None weighs both
    with 1. Returns the mean over known entries, in nats; 0 where there are none. Raises ValueError if the shapes differ."""
    _check(logits, labels)
    signed = torch.where(labels == 1, logits.float(), -logits.float())  # p_t is the sigmoid of this
    losses = _focal(functional.logsigmoid(signed), gamma)
    if alpha is not None:
        losses = losses * torch.where(labels == 1, alpha, 1.0 - alpha)
    return _masked_mean(losses, labels >= 0)


def weighted_binary_cross_entropy(logits: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
    """WBCE, JD Eq. (2) with its misprint mended: w[-y log p - (1 - y) log(1 - p)], one weight a label for positives and negatives alike.

    logits: (B, C). labels: int8 (B, C) of 1, 0 and -1 (unknown). weights: (C,), >= 0. Returns the mean over known entries, in nats; 0 where
    there are none. Raises ValueError if the shapes differ."""
    _check(logits, labels)
    if weights.shape != logits.shape[1:]:
        raise ValueError(f"weights are {tuple(weights.shape)}; expected one for each of {logits.shape[1]} labels")
    losses = functional.binary_cross_entropy_with_logits(logits.float(), labels.clamp_min(0).float(), reduction="none")
    return _masked_mean(losses * weights, labels >= 0)


def count_weights(counts: Tensor, alpha: float = 1.5, normalize: bool = True) -> Tensor:
    """w = α^(-ln n) = n^(-ln α), JD Eq. (3): the rarer a label, the larger its weight.

    counts: (C,), positives of each label; below 1 counts as 1. normalize: scale to mean 1, so that the learning rate keeps its meaning.
    Returns float32 (C,)."""
    weights = counts.double().clamp_min(1.0).pow(-math.log(alpha))
    return (weights / weights.mean() if normalize else weights).float()


def soft_f_beta_loss(logits: Tensor, labels: Tensor, beta: float = 2.0) -> Tensor:
    """1 - mean over labels of F-beta with probabilities p as decisions: TP = Σ p y, FN = Σ (1 - p) y, FP = Σ p (1 - y) over the batch.

    logits: (B, C). labels: int8 (B, C) of 1, 0 and -1 (unknown, which takes no part). Labels without a positive in the batch have no F and
    are left out. Returns a value in [0, 1]; 0 where no label has a positive. Raises ValueError if the shapes differ."""
    _check(logits, labels)
    probabilities = logits.float().sigmoid() * (labels >= 0)
    positive = (labels == 1).float()
    num_positives, square = positive.sum(dim=0), beta * beta
    true_positives = (probabilities * positive).sum(dim=0)
    # TP + FN is the number of positives, TP + FP the sum of probabilities
    f = (1 + square) * true_positives / (square * num_positives + probabilities.sum(dim=0)).clamp_min(1e-6)
    return _masked_mean(1.0 - f, num_positives > 0)


def attribute_loss(logits: Mapping[str, Tensor], labels: Mapping[str, Tensor], exclusive: Set[str]) -> Tensor:
    """The mean over attribute types of the softmax cross-entropy (types in exclusive) or the sigmoid one (the others)."""
    losses = [
        (known_cross_entropy if name in exclusive else known_binary_cross_entropy)(values, labels[name]) for name, values in logits.items()
    ]
    return torch.stack(losses).mean()


def _focal(log_p: Tensor, gamma: float) -> Tensor:
    missing = -torch.expm1(log_p)  # 1 - p, exact near p = 1; above zero, where a root has a slope
    return -(missing.clamp_min(1e-12) ** gamma) * log_p


def _masked_mean(losses: Tensor, mask: Tensor) -> Tensor:
    return (losses * mask).sum() / mask.sum().clamp_min(1)


def _check(logits: Tensor, labels: Tensor) -> None:
    if logits.shape != labels.shape:
        raise ValueError(f"logits are {tuple(logits.shape)} and labels {tuple(labels.shape)}; expected the same (B, C)")
