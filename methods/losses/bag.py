"""A softmax over a vocabulary with drawn words, for images with bags of words (after Corbiere et al., ICCVW 2017)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def bag_loss(logits: Tensor, labels: Tensor, num_negatives: int, *, unknown_negative: bool = True) -> Tensor:
    """Cross-entropy of one word of each image's bag against words from outside it, all drawn uniformly from torch's global generator.

    logits: (B, V). labels: int8 (B, V) of 1 (in the bag), 0 and -1 (unknown, which lies outside with unknown_negative and is never drawn
    without). num_negatives: words drawn without repetition, >= 1, or all there are. Returns the mean over images with a bag, in nats; 0
    where there are none. Raises ValueError if the shapes differ or num_negatives < 1."""
    if logits.shape != labels.shape:
        raise ValueError(f"logits are {tuple(logits.shape)} and labels {tuple(labels.shape)}; expected the same (B, V)")
    if num_negatives < 1:
        raise ValueError(f"bag_loss: num_negatives is {num_negatives}; expected >= 1")
    inside = labels == 1
    outside = ~inside if unknown_negative else labels == 0
    draws = torch.rand(logits.shape, device=logits.device)
    word = draws.masked_fill(~inside, -1.0).argmax(dim=1, keepdim=True)
    others = draws.masked_fill(~outside, -1.0).topk(min(num_negatives, logits.shape[1]), dim=1)
    against = logits.float().gather(1, others.indices).masked_fill(others.values < 0.0, -torch.inf)
    chosen = torch.cat([logits.float().gather(1, word), against], dim=1)
    losses = functional.cross_entropy(chosen, torch.zeros(len(chosen), dtype=torch.int64, device=logits.device), reduction="none")
    known = inside.any(dim=1)
    return torch.where(known, losses, 0.0).sum() / known.sum().clamp_min(1)
