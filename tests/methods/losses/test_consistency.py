"""Consistency against a slow loop, by hand, and where gradients may go."""

import math

import pytest
import torch

from methods.losses.consistency import binary_consistency_loss, consistency_loss, is_confident


def logits(seed=0, shape=(9, 4), scale=3.0):
    return scale * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def softmax(row, temperature=1.0):
    powers = [math.exp(value / temperature) for value in row]
    return [power / sum(powers) for power in powers]


@pytest.mark.parametrize("temperature", [0.4, 1.0])
@pytest.mark.parametrize("threshold", [0.0, 0.6, 0.9])
def test_against_the_loop(threshold, temperature):
    weak, strong = logits(0), logits(1)
    total, kept = 0.0, 0
    for first, second in zip(weak.tolist(), strong.tolist(), strict=True):
        if max(softmax(first)) > threshold:
            kept += 1
            total -= sum(p * math.log(q) for p, q in zip(softmax(first, temperature), softmax(second), strict=True))
    assert threshold == 0.0 or 0 < kept < len(weak)
    found = consistency_loss(weak, strong, threshold=threshold, temperature=temperature)
    assert found.item() == pytest.approx(total / len(weak), rel=1e-5)
    assert is_confident(weak, threshold).sum().item() == kept


def test_the_mask_looks_at_probabilities_before_they_are_sharpened():
    """Softmax gives .622, sharpened by .4 it would be .777."""
    weak = torch.tensor([[0.5, 0.0]])
    assert consistency_loss(weak, weak, threshold=0.7, temperature=0.4).item() == 0.0
    assert consistency_loss(weak, weak, threshold=0.6, temperature=0.4).item() > 0.0


@pytest.mark.parametrize("loss", [consistency_loss, binary_consistency_loss])
def test_only_the_strong_side_learns(loss):
    weak, strong = logits(0).requires_grad_(), logits(1).requires_grad_()
    loss(weak, strong, threshold=0.5).backward()
    assert weak.grad is None
    assert bool(strong.grad.any())


def test_the_least_value_is_the_entropy_of_the_target():
    weak = logits()
    target = (weak / 0.4).softmax(dim=1)
    entropy = -(target * target.log()).sum(dim=1).mean()
    torch.testing.assert_close(consistency_loss(weak, weak / 0.4, threshold=0.0).double(), entropy, rtol=1e-5, atol=1e-6)
    assert consistency_loss(weak, logits(1), threshold=0.0) > entropy


@pytest.mark.parametrize("loss", [consistency_loss, binary_consistency_loss])
def test_the_order_of_images_and_classes_does_not_matter(loss):
    weak, strong = logits(0), logits(1)
    images, classes = torch.randperm(9), torch.randperm(4)
    torch.testing.assert_close(loss(weak[images][:, classes], strong[images][:, classes]), loss(weak, strong))


def test_two_classes_and_one_yes_or_no_are_the_same():
    """A softmax over (z, 0) is a sigmoid of z."""
    weak, strong = logits(0, (9, 1)), logits(1, (9, 1))
    pairs = [torch.cat([values, torch.zeros_like(values)], dim=1) for values in (weak, strong)]
    for threshold in (0.5, 0.9):
        torch.testing.assert_close(
            binary_consistency_loss(weak, strong, threshold=threshold), consistency_loss(*pairs, threshold=threshold)
        )


@pytest.mark.parametrize("loss", [consistency_loss, binary_consistency_loss])
def test_errors(loss):
    with pytest.raises(ValueError, match=r"weak is \(9, 4\) and strong is \(9, 3\)"):
        loss(logits(), logits()[:, :3])
    with pytest.raises(ValueError, match=r"threshold is 1\.0"):
        loss(logits(), logits(), threshold=1.0)
    with pytest.raises(ValueError, match=r"temperature is 0\.0"):
        loss(logits(), logits(), temperature=0.0)
