"""FixMatch's loss against a slow loop, its mask by hand, and where gradients may go."""

import math

import pytest
import torch

from methods.losses.pseudo_label import binary_pseudo_label_loss, pseudo_label_loss


def logits(seed=0, shape=(9, 4), scale=3.0):
    return scale * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def softmax(row, temperature=1.0):
    powers = [math.exp(value / temperature) for value in row]
    return [power / sum(powers) for power in powers]


@pytest.mark.parametrize("threshold", [0.0, 0.6, 0.95])
def test_hard_labels_against_the_loop(threshold):
    weak, strong = logits(0), logits(1)
    total, kept = 0.0, 0
    for first, second in zip(weak.tolist(), strong.tolist(), strict=True):
        chance = softmax(first)
        if max(chance) >= threshold:
            kept += 1
            total -= math.log(softmax(second)[chance.index(max(chance))])
    assert threshold == 0.0 or 0 < kept < len(weak)
    assert pseudo_label_loss(weak, strong, threshold=threshold).item() == pytest.approx(total / len(weak), rel=1e-5)


def test_soft_labels_against_the_loop():
    weak, strong = logits(0), logits(1)
    total = 0.0
    for first, second in zip(weak.tolist(), strong.tolist(), strict=True):
        if max(softmax(first)) >= 0.6:
            total -= sum(p * math.log(q) for p, q in zip(softmax(first, 0.5), softmax(second), strict=True))
    found = pseudo_label_loss(weak, strong, threshold=0.6, temperature=0.5)
    assert found.item() == pytest.approx(total / len(weak), rel=1e-5)


@pytest.mark.parametrize("temperature", [None, 0.5])
def test_binary_choices_against_the_loop(temperature):
    weak, strong = logits(2), logits(3)
    total = 0.0
    for first, second in zip(weak.flatten().tolist(), strong.flatten().tolist(), strict=True):
        chance = 1 / (1 + math.exp(-first))
        target = float(chance >= 0.5) if temperature is None else 1 / (1 + math.exp(-first / temperature))
        if max(chance, 1 - chance) >= 0.9:
            answered = 1 / (1 + math.exp(-second))
            total -= target * math.log(answered) + (1 - target) * math.log(1 - answered)
    found = binary_pseudo_label_loss(weak, strong, threshold=0.9, temperature=temperature)
    assert total > 0
    assert found.item() == pytest.approx(total / weak.numel(), rel=1e-5)


def test_the_mask_by_hand():
    """Probabilities .9526 and .9002: at .95 the first image alone has a label, and the mean is still over both."""
    weak = torch.tensor([[3.0, 0.0], [2.2, 0.0]])
    strong = torch.zeros(2, 2)
    assert pseudo_label_loss(weak, strong, threshold=0.95).item() == pytest.approx(math.log(2) / 2)
    assert pseudo_label_loss(weak, strong, threshold=0.9).item() == pytest.approx(math.log(2))
    assert pseudo_label_loss(weak, strong, threshold=0.99).item() == 0.0


@pytest.mark.parametrize("loss", [pseudo_label_loss, binary_pseudo_label_loss])
def test_only_the_strong_side_learns(loss):
    weak, strong = logits(0).requires_grad_(), logits(1).requires_grad_()
    loss(weak, strong, threshold=0.5).backward()
    assert weak.grad is None
    assert bool(strong.grad.any())


@pytest.mark.parametrize("loss", [pseudo_label_loss, binary_pseudo_label_loss])
def test_the_order_of_images_does_not_matter(loss):
    order = torch.tensor([3, 1, 8, 0, 2, 7, 6, 5, 4])
    torch.testing.assert_close(loss(logits(0)[order], logits(1)[order], threshold=0.6), loss(logits(0), logits(1), threshold=0.6))


@pytest.mark.parametrize("loss", [pseudo_label_loss, binary_pseudo_label_loss])
def test_errors(loss):
    with pytest.raises(ValueError, match=r"weak is \(9, 4\) and strong is \(9, 3\)"):
        loss(logits(), logits()[:, :3])
    with pytest.raises(ValueError, match=r"threshold is 1\.5"):
        loss(logits(), logits(), threshold=1.5)
    with pytest.raises(ValueError, match=r"temperature is 0\.0"):
        loss(logits(), logits(), temperature=0.0)
