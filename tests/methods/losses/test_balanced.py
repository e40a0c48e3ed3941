"""The balanced cross-entropy against a slow loop, and what balance means."""

import math

import numpy as np
import pytest
import torch

from methods.losses.balanced import balanced_binary_cross_entropy, positive_share


def case(seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.choice(np.array([1, 0, 0, 0, -1], dtype=np.int8), size=(12, 5))
    return torch.from_numpy(rng.normal(size=(12, 5)) * 2), torch.from_numpy(labels)


def test_against_the_loop():
    logits, labels = case()
    share, total, known = 0.2, 0.0, 0
    for value, label in zip(logits.flatten().tolist(), labels.flatten().tolist(), strict=True):
        p = 1 / (1 + math.exp(-value))
        known += label >= 0
        total -= (1 - share) * math.log(p) * (label == 1) + share * math.log(1 - p) * (label == 0)
    assert balanced_binary_cross_entropy(logits, labels, share).item() == pytest.approx(total / known, rel=1e-5)


def test_positives_and_negatives_weigh_the_same_in_all():
    """At logits of zero each kind gives half of the loss."""
    _, labels = case()
    share = positive_share([labels.numpy()])
    whole = balanced_binary_cross_entropy(torch.zeros(labels.shape), labels, share)
    logits = torch.zeros(labels.shape).masked_fill(labels == 1, 100.0)  # positives are right: theirs is gone
    torch.testing.assert_close(balanced_binary_cross_entropy(logits, labels, share), whole / 2)


def test_unknown_labels_take_no_part():
    logits, labels = case()
    changed = torch.where(labels < 0, 50.0, logits)
    torch.testing.assert_close(balanced_binary_cross_entropy(changed, labels, 0.3), balanced_binary_cross_entropy(logits, labels, 0.3))
    assert balanced_binary_cross_entropy(logits, torch.full_like(labels, -1), 0.3).item() == 0.0


def test_the_share_of_positives():
    assert positive_share([np.array([[1, 0], [0, -1]], np.int8), np.array([[0]], np.int8)]) == pytest.approx(1 / 4)
    assert positive_share([]) == 0.5


def test_errors():
    logits, labels = case()
    with pytest.raises(ValueError, match="expected the same"):
        balanced_binary_cross_entropy(logits[:, :2], labels, 0.5)
    with pytest.raises(ValueError, match=r"share is 1\.1"):
        balanced_binary_cross_entropy(logits, labels, 1.1)
