"""Label-embedding ranking losses of MTSS, Eq. (1) and (2): an image lies closer to the vector of its class than another image does."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

_EPSILON = 1e-6
_LINEAR = 0.01  # at gamma 0 -log p goes on as its tangent below this p


def cosine(first: Tensor, second: Tensor) -> Tensor:
    """Cosines of rows (..., D) in float32, the product of L2-normalised vectors; what MTSS writes as ||.||2 . ||.||2."""
    return (functional.normalize(first.float(), dim=-1) * functional.normalize(second.float(), dim=-1)).sum(dim=-1)


def label_embedding_loss(positive: Tensor, negative: Tensor) -> Tensor:
    """Label-embedding ranking loss, Eq. (1) of MTSS: max(0, 1 - positive + negative).

    positive, negative: (B,) cosine to the anchor's label embedding, in [-1, 1]. Returns the mean over B, in [0, 3].
    Raises ValueError if the shapes differ."""
    return torch.relu(1.0 - _margin(positive, negative)).mean()


def label_embedding_focal_loss(positive: Tensor, negative: Tensor, gamma: float = 1.0, *, literal: bool = False) -> Tensor:
    """Label-embedding focal ranking loss, Eq. (2) of MTSS: -(1 - p)^gamma log p.

    positive, negative: (B,) cosine to the anchor's label embedding, in [-1, 1]. gamma: >= 0. Returns the mean over B, in nats.
    p = 1 - l'/2 with l' of Eq. (1), which is the printed p wherever the cosines differ by at most 1. The printed p, which literal=True
    keeps, reaches 1.5: there the loss rises again at gamma 1, is negative at 0 and 2, and NaN at fractions; at p = 0 it is infinite.
    Below p = 0 the log stays at that of 1e-6 while (1 - p)^gamma grows on; at gamma 0, where it does not, a tangent follows -log p from
    p = .01 down.
    Raises ValueError if the shapes differ or gamma < 0."""
    if gamma < 0:
        raise ValueError(f"label_embedding_focal_loss: gamma is {gamma}; expected >= 0")
    margin = _margin(positive, negative)
    if literal:
        p = 0.5 * torch.relu(1.0 + margin)
        return (-((1.0 - p) ** gamma) * torch.log(p)).mean()
    half = 0.5 * torch.relu(1.0 - margin)  # 1 - p; above 1 where p < 0, so that the worst pairs still have a gradient
    if gamma == 0:  # the factor is 1 and has no gradient of its own: a bare clamp would leave the worst pairs without any
        p = 1.0 - half
        return (torch.relu(_LINEAR - p) / _LINEAR - torch.log(p.clamp_min(_LINEAR))).mean()
    log_p = torch.log((1.0 - half).clamp_min(_EPSILON))
    return (-(half.clamp_min(_EPSILON) ** gamma) * log_p).mean()  # a fractional power has no finite slope at 0


def _margin(positive: Tensor, negative: Tensor) -> Tensor:
    """The difference of the cosines, in [-2, 2]."""
    if positive.shape != negative.shape:
        raise ValueError(f"positive is {tuple(positive.shape)} and negative is {tuple(negative.shape)}; expected the same shape")
    return positive - negative
