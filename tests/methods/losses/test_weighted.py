"""The weighted cross-entropy of pseudo-labels."""

import torch
from torch.nn import functional

from methods.losses.weighted import weighted_loss


def test_weighted_loss_by_hand():
    logits = {"class": torch.randn(4, 4), "marks": torch.randn(4, 2)}
    classes, weights = torch.tensor([1, -1, 3, 0]), torch.tensor([0.5, 0.0, 2.0, 0.7])
    chances, certainty = torch.rand(4, 2), torch.rand(4, 2)
    log_p = logits["class"].log_softmax(dim=1)
    first = -(0.5 * log_p[0, 1] + 2.0 * log_p[2, 3] + 0.7 * log_p[3, 0]) / 5
    second = functional.binary_cross_entropy_with_logits(logits["marks"], chances, weight=certainty, reduction="sum") / 2 / 5
    targets = {"class": (classes, weights), "marks": (chances, certainty)}
    found = weighted_loss(logits, targets, {"class": True, "marks": False}, 5)
    torch.testing.assert_close(found, (first + second) / 2)
