"""Consistency under augmentation (UDA, Xie et al. 2019): a strong view is to be answered as the weak view of the same image was."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def consistency_loss(weak: Tensor, strong: Tensor, *, threshold: float = 0.8, temperature: float = 0.4) -> Tensor:
    """Eq. (1) of the Naver report: I(max p_weak > threshold) * CE(p_weak sharpened || p_strong).

    weak, strong: logits (B, C) of two views of the same images; weak is detached. threshold: in [0, 1), on the probability before it is
    sharpened. temperature: > 0, of the weak side alone; 1 leaves it as it is. Returns the mean over all B, in nats, those below the
    threshold counting 0. Raises ValueError if the shapes differ or a number is out of range."""
    _check(weak, strong, threshold, temperature)
    target = (weak.detach().float() / temperature).softmax(dim=1)
    losses = -(target * strong.float().log_softmax(dim=1)).sum(dim=1)
    return (losses * is_confident(weak, threshold)).mean()


def binary_consistency_loss(weak: Tensor, strong: Tensor, *, threshold: float = 0.8, temperature: float = 0.4) -> Tensor:
    """The same for classes that do not exclude each other, each a choice between yes and no with a threshold of its own.

    weak, strong: logits (B, C). Returns the mean over all B * C entries. Raises ValueError as consistency_loss does."""
    _check(weak, strong, threshold, temperature)
    target = (weak.detach().float() / temperature).sigmoid()
    losses = functional.binary_cross_entropy_with_logits(strong.float(), target, reduction="none")
    chance = weak.detach().float().sigmoid()
    return (losses * (torch.maximum(chance, 1.0 - chance) > threshold)).mean()


def is_confident(weak: Tensor, threshold: float) -> Tensor:
    """bool (B,): whether the largest probability of logits (B, C) exceeds the threshold."""
    return weak.detach().float().softmax(dim=1).amax(dim=1) > threshold


def _check(weak: Tensor, strong: Tensor, threshold: float, temperature: float) -> None:
    if weak.shape != strong.shape:
        raise ValueError(f"weak is {tuple(weak.shape)} and strong is {tuple(strong.shape)}; expected the same (B, C)")
    if not 0.0 <= threshold < 1.0 or temperature <= 0.0:
        raise ValueError(f"threshold is {threshold} and temperature is {temperature}; expected [0, 1) and > 0")
