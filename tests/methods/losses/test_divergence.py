"""UDA's divergence and Mean Teacher's square against slow loops."""

import math

import pytest
import torch

from methods.losses.consistency import consistency_loss
from methods.losses.divergence import binary_divergence_loss, binary_square_loss, divergence_loss, square_loss


def logits(seed=0, shape=(9, 4), scale=3.0):
    return scale * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def softmax(row, temperature=1.0):
    powers = [math.exp(value / temperature) for value in row]
    return [power / sum(powers) for power in powers]


def sigmoid(value):
    return 1 / (1 + math.exp(-value))


@pytest.mark.parametrize("threshold", [0.0, 0.8])
def test_the_divergence_against_the_loop(threshold):
    weak, strong = logits(0), logits(1)
    total, kept = 0.0, 0
    for first, second in zip(weak.tolist(), strong.tolist(), strict=True):
        if max(softmax(first)) > threshold:
            kept += 1
            total += sum(p * math.log(p / q) for p, q in zip(softmax(first, 0.4), softmax(second), strict=True))
    assert threshold == 0.0 or 0 < kept < len(weak)
    assert divergence_loss(weak, strong, threshold=threshold).item() == pytest.approx(total / len(weak), rel=1e-5)


def test_the_binary_divergence_against_the_loop():
    weak, strong = logits(2), logits(3)
    total = 0.0
    for first, second in zip(weak.flatten().tolist(), strong.flatten().tolist(), strict=True):
        if max(sigmoid(first), sigmoid(-first)) > 0.9:
            p, q = sigmoid(first / 0.4), sigmoid(second)
            total += p * math.log(p / q) + (1 - p) * math.log((1 - p) / (1 - q))
    found = binary_divergence_loss(weak, strong, threshold=0.9)
    assert total > 0
    assert found.item() == pytest.approx(total / weak.numel(), rel=1e-5)


def test_the_mask_looks_at_probabilities_before_they_are_sharpened():
    """Softmax gives .731, sharpened by .4 it would be .924."""
    weak, strong = torch.tensor([[1.0, 0.0]]), torch.zeros(1, 2)
    assert divergence_loss(weak, strong, threshold=0.8).item() == 0.0
    assert divergence_loss(weak, strong, threshold=0.7).item() > 0.0


def test_it_is_the_cross_entropy_less_what_no_answer_can_change():
    weak, strong = logits(0), logits(1).requires_grad_()
    other = strong.detach().clone().requires_grad_()
    divergence_loss(weak, strong, threshold=0.5).backward()
    consistency_loss(weak, other, threshold=0.5).backward()
    torch.testing.assert_close(strong.grad, other.grad)


@pytest.mark.parametrize("loss", [divergence_loss, binary_divergence_loss])
def test_it_is_zero_where_the_strong_answer_is_the_sharpened_weak_one(loss):
    weak = logits()
    assert loss(weak, weak / 0.4, threshold=0.0).item() == pytest.approx(0.0, abs=1e-6)
    assert loss(weak, logits(1), threshold=0.0).item() > 0.01


def test_the_squares_against_the_loop():
    first, second = logits(0), logits(1)
    total = sum(
        (p - q) ** 2
        for one, two in zip(first.tolist(), second.tolist(), strict=True)
        for p, q in zip(softmax(one), softmax(two), strict=True)
    )
    assert square_loss(first, second).item() == pytest.approx(total / first.numel(), rel=1e-5)
    pairs = zip(first.flatten().tolist(), second.flatten().tolist(), strict=True)
    binary = sum((sigmoid(one) - sigmoid(two)) ** 2 for one, two in pairs)
    assert binary_square_loss(first, second).item() == pytest.approx(binary / first.numel(), rel=1e-5)


@pytest.mark.parametrize(
    ("loss", "learner"), [(divergence_loss, 1), (binary_divergence_loss, 1), (square_loss, 0), (binary_square_loss, 0)]
)
def test_one_side_learns(loss, learner):
    sides = [logits(0).requires_grad_(), logits(1).requires_grad_()]
    loss(*sides).backward()
    assert bool(sides[learner].grad.any())
    assert sides[1 - learner].grad is None


@pytest.mark.parametrize("loss", [divergence_loss, binary_divergence_loss, square_loss, binary_square_loss])
def test_shapes_must_agree(loss):
    with pytest.raises(ValueError, match=r"\(9, 4\) and \(9, 3\); expected the same"):
        loss(logits(), logits()[:, :3])


@pytest.mark.parametrize("loss", [divergence_loss, binary_divergence_loss])
def test_errors(loss):
    with pytest.raises(ValueError, match=r"threshold is 1\.0"):
        loss(logits(), logits(), threshold=1.0)
    with pytest.raises(ValueError, match=r"temperature is 0\.0"):
        loss(logits(), logits(), temperature=0.0)
