"""Cross-entropy to labels of which each counts as much as it is trusted (A. Iscen et al., CVPR 2019)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional


def weighted_loss(
    logits: Mapping[str, Tensor], targets: Mapping[str, tuple[Tensor, Tensor]], exclusive: Mapping[str, bool], divisor: int
) -> Tensor:
    """Cross-entropy to targets, each weighted, summed and divided by divisor, Iscen et al. Eq. (8); the mean over types.

    targets: type -> (int64 (B,), float (B,)) where one class holds, ((B, C) probabilities, (B, C) weights) otherwise, whose mean over
    classes counts. targets may be fewer than logits' rows: those are the first ones. exclusive: type -> whether one class holds."""
    terms = []
    for name, values in logits.items():
        target, weights = targets[name]
        if exclusive[name]:
            losses = functional.cross_entropy(values.float(), target.clamp_min(0), reduction="none") * weights
        else:
            losses = (functional.binary_cross_entropy_with_logits(values.float(), target, reduction="none") * weights).mean(dim=1)
        terms.append(losses.sum() / divisor)
    return torch.stack(terms).mean()
