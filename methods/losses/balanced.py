"""Sigmoid cross-entropy that weighs positives and negatives by how many there are, as Liu and Lu (ECCVW 2018) do."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional


def positive_share(labels: Iterable[Any]) -> float:
    """The share of positives among known labels of several types, each an int8 array (N, C); 0.5 where nothing is known."""
    positives, known = 0, 0
    for values in labels:
        positives += int((values == 1).sum())
        known += int((values >= 0).sum())
    return positives / known if known else 0.5


def balanced_binary_cross_entropy(logits: Tensor, labels: Tensor, share: float) -> Tensor:
    """-[(1 - q) y log p + q (1 - y) log(1 - p)] with q = share, of positives: either kind counts as much in all as the other.

    logits: (B, C). labels: int8 (B, C) of 1, 0 and -1 (unknown). share: in [0, 1]. Returns the mean over known entries, in nats; 0 where
    there are none. Raises ValueError if the shapes differ or the share is out of range."""
    if logits.shape != labels.shape:
        raise ValueError(f"logits are {tuple(logits.shape)} and labels {tuple(labels.shape)}; expected the same (B, C)")
    if not 0.0 <= share <= 1.0:
        raise ValueError(f"share is {share}; expected a value in [0, 1]")
    losses = functional.binary_cross_entropy_with_logits(logits.float(), labels.clamp_min(0).float(), reduction="none")
    weights = torch.where(labels == 1, 1.0 - share, share) * (labels >= 0)
    return (losses * weights).sum() / (labels >= 0).sum().clamp_min(1)
