"""Classification losses over attribute types whose labels may be unknown."""

from __future__ import annotations

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


def attribute_loss(logits: Mapping[str, Tensor], labels: Mapping[str, Tensor], exclusive: Set[str]) -> Tensor:
    """The mean over attribute types of the softmax cross-entropy (types in exclusive) or the sigmoid one (the others)."""
    losses = [
        (known_cross_entropy if name in exclusive else known_binary_cross_entropy)(values, labels[name]) for name, values in logits.items()
    ]
    return torch.stack(losses).mean()


def _masked_mean(losses: Tensor, mask: Tensor) -> Tensor:
    return (losses * mask).sum() / mask.sum().clamp_min(1)


def _check(logits: Tensor, labels: Tensor) -> None:
    if logits.shape != labels.shape:
        raise ValueError(f"logits are {tuple(logits.shape)} and labels {tuple(labels.shape)}; expected the same (B, C)")
