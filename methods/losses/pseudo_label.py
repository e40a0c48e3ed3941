"""FixMatch's unsupervised loss (Sohn et al., NeurIPS 2020): a strong view is to be answered by the class that the weak one is sure of."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def pseudo_label_loss(weak: Tensor, strong: Tensor, *, threshold: float = 0.95, temperature: float | None = None) -> Tensor:
    """Eq. (4): I(max p_weak >= threshold) * CE(argmax p_weak, p_strong).

    weak, strong: logits (B, C) of two views of the same images; weak is detached. threshold: in [0, 1]. temperature: None for the hard
    label; a number > 0 takes the weak view's probabilities, sharpened by it, in the label's place. Returns the mean over all B, in nats,
    those below the threshold counting 0. Raises ValueError if the shapes differ or a number is out of range."""
    _check(weak, strong, threshold, temperature)
    chance = weak.detach().float().softmax(dim=1)
    confidence, label = chance.max(dim=1)
    if temperature is None:
        losses = functional.cross_entropy(strong.float(), label, reduction="none")
    else:
        target = (weak.detach().float() / temperature).softmax(dim=1)
        losses = -(target * strong.float().log_softmax(dim=1)).sum(dim=1)
    return (losses * (confidence >= threshold)).mean()


def binary_pseudo_label_loss(weak: Tensor, strong: Tensor, *, threshold: float = 0.95, temperature: float | None = None) -> Tensor:
    """The same for classes that do not exclude each other, each a choice between yes and no, sure where the likelier of the two reaches
    the threshold.

    weak, strong: logits (B, C). Returns the mean over all B * C entries. Raises ValueError as pseudo_label_loss does."""
    _check(weak, strong, threshold, temperature)
    chance = weak.detach().float().sigmoid()
    target = (chance >= 0.5).float() if temperature is None else (weak.detach().float() / temperature).sigmoid()
    losses = functional.binary_cross_entropy_with_logits(strong.float(), target, reduction="none")
    return (losses * (torch.maximum(chance, 1.0 - chance) >= threshold)).mean()


def _check(weak: Tensor, strong: Tensor, threshold: float, temperature: float | None) -> None:
    if weak.shape != strong.shape:
        raise ValueError(f"weak is {tuple(weak.shape)} and strong is {tuple(strong.shape)}; expected the same (B, C)")
    if not 0.0 <= threshold <= 1.0 or (temperature is not None and temperature <= 0.0):
        raise ValueError(f"threshold is {threshold} and temperature is {temperature}; expected [0, 1] and > 0")
