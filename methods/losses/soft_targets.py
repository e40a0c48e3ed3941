"""Cross-entropy to shares of classes, such as mixtures of labels make."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["label_shares", "soft_cross_entropy"]


def label_shares(labels: Tensor) -> Tensor:
    """int8 (B, C) of 1, 0 and -1 -> float32 (B, C): the positives' equal shares of one; a row without a positive is all zeros."""
    positive = (labels == 1).float()
    return positive / positive.sum(dim=1, keepdim=True).clamp_min(1.0)


def soft_cross_entropy(logits: Tensor, targets: Tensor, *, smoothing: float = 0.0, divisor: float | None = None) -> Tensor:
    """-Σ_c t_c log softmax(logits)_c, over rows.

    logits, targets: (B, C), targets >= 0 with rows that sum to at most 1; what a row lacks of 1 makes it count less, zeros not at all.
    smoothing: the part of each row's sum that is spread over all classes, in [0, 1). divisor: what the sum over B is divided by, None for
    the sum of all targets, at least 1. In nats. Raises ValueError if the shapes differ or smoothing is out of range."""
    if logits.shape != targets.shape:
        raise ValueError(f"logits are {tuple(logits.shape)} and targets {tuple(targets.shape)}; expected the same (B, C)")
    if not 0.0 <= smoothing < 1.0:
        raise ValueError(f"smoothing is {smoothing}; expected at least 0 and less than 1")
    sums = targets.sum(dim=1, keepdim=True)
    smoothed = (1.0 - smoothing) * targets + smoothing * sums / targets.shape[1]
    total = -(smoothed * logits.float().log_softmax(dim=1)).sum()
    return total / (torch.clamp_min(sums.sum(), 1.0) if divisor is None else divisor)
