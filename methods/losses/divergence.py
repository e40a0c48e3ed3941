"""Distances between two answers to the same images: UDA's divergence (Xie et al. 2020) and Mean Teacher's square (Tarvainen and Valpola
2017)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from methods.losses.consistency import is_confident


def divergence_loss(weak: Tensor, strong: Tensor, *, threshold: float = 0.8, temperature: float = 0.4) -> Tensor:
    """I(max p_weak > threshold) * KL(softmax(z_weak / temperature) || softmax(z_strong)), UDA with sharpening and masking.

    weak, strong: logits (B, C) of two views of the same images; weak is detached. threshold: in [0, 1), on the probability before it is
    sharpened. temperature: > 0, of the weak side alone. Returns the mean over all B, in nats, those below the threshold counting 0: the
    cross-entropy of losses.consistency less the weak side's entropy. Raises ValueError if the shapes differ or a number is out of range."""
    _check(weak, strong, threshold, temperature)
    target = (weak.detach().float() / temperature).log_softmax(dim=1)
    losses = functional.kl_div(strong.float().log_softmax(dim=1), target, reduction="none", log_target=True).sum(dim=1)
    return (losses * is_confident(weak, threshold)).mean()


def binary_divergence_loss(weak: Tensor, strong: Tensor, *, threshold: float = 0.8, temperature: float = 0.4) -> Tensor:
    """The same for classes that do not exclude each other, each a choice between yes and no with a threshold of its own.

    weak, strong: logits (B, C). Returns the mean over all B * C entries. Raises ValueError as divergence_loss does."""
    _check(weak, strong, threshold, temperature)
    sharp, answered = weak.detach().float() / temperature, strong.float()
    losses = torch.zeros_like(answered)
    for sign in (1.0, -1.0):  # yes and no
        target = functional.logsigmoid(sign * sharp)
        losses = losses + target.exp() * (target - functional.logsigmoid(sign * answered))
    chance = weak.detach().float().sigmoid()
    return (losses * (torch.maximum(chance, 1.0 - chance) > threshold)).mean()


def square_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean Teacher's J: the squared difference of the softmaxes.

    student, teacher: logits (B, C); the teacher's are detached. Returns the mean over B and C. Raises ValueError if the shapes differ."""
    _same(student, teacher)
    return functional.mse_loss(student.float().softmax(dim=1), teacher.detach().float().softmax(dim=1))


def binary_square_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """The same for classes that do not exclude each other: the squared difference of the sigmoids."""
    _same(student, teacher)
    return functional.mse_loss(student.float().sigmoid(), teacher.detach().float().sigmoid())


def _check(weak: Tensor, strong: Tensor, threshold: float, temperature: float) -> None:
    _same(weak, strong)
    if not 0.0 <= threshold < 1.0 or temperature <= 0.0:
        raise ValueError(f"threshold is {threshold} and temperature is {temperature}; expected [0, 1) and > 0")


def _same(first: Tensor, second: Tensor) -> None:
    if first.shape != second.shape:
        raise ValueError(f"logits are {tuple(first.shape)} and {tuple(second.shape)}; expected the same (B, C)")
