"""Cross-entropy to shares of classes: a slow float64 loop, hand-computed cases, what rows of zeros do, and errors."""

import math

import pytest
import torch

from methods.losses.soft_targets import label_shares, soft_cross_entropy


def slow(logits, targets, smoothing, divisor):
    """The definition, an image and a class at a time."""
    total = mass = 0.0
    for row, target in zip(logits.double().tolist(), targets.double().tolist(), strict=True):
        norm = math.log(sum(math.exp(value) for value in row))
        weight = sum(target)
        for value, share in zip(row, target, strict=True):
            total -= ((1 - smoothing) * share + smoothing * weight / len(row)) * (value - norm)
        mass += weight
    return total / (max(1.0, mass) if divisor is None else divisor)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("divisor", [None, 7.0])
def test_against_a_loop(smoothing, divisor):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(6, 5, generator=generator)
    targets = torch.rand(6, 5, generator=generator)
    targets = targets / targets.sum(dim=1, keepdim=True) * torch.tensor([1.0, 1, 0.3, 0, 1, 0.6])[:, None]
    found = soft_cross_entropy(logits, targets, smoothing=smoothing, divisor=divisor)
    assert found.item() == pytest.approx(slow(logits, targets, smoothing, divisor), rel=1e-5)


def test_one_hot_rows_are_the_ordinary_loss():
    logits, classes = torch.randn(8, 4), torch.arange(8) % 4
    expected = torch.nn.functional.cross_entropy(logits, classes, label_smoothing=0.1)
    torch.testing.assert_close(soft_cross_entropy(logits, torch.eye(4)[classes], smoothing=0.1), expected)


def test_targets_that_sum_to_less_than_one_are_divided_by_one():
    logits = torch.randn(2, 3)
    for mass, divisor in ((0.2, 1.0), (1.2, 1.2)):
        targets = torch.tensor([[mass, 0, 0], [0, 0, 0]])
        found = soft_cross_entropy(logits, targets)
        torch.testing.assert_close(found, -mass * logits[0].log_softmax(dim=0)[0] / divisor)


def test_a_row_of_zeros_teaches_nothing():
    logits = torch.randn(3, 4, requires_grad=True)
    targets = torch.eye(4)[:3] * torch.tensor([1.0, 0.0, 1.0])[:, None]
    soft_cross_entropy(logits, targets, smoothing=0.1).backward()
    assert not logits.grad[1].any()
    torch.testing.assert_close(soft_cross_entropy(logits, targets), soft_cross_entropy(logits[[0, 2]], targets[[0, 2]]))
    assert soft_cross_entropy(logits, torch.zeros(3, 4)).item() == 0.0


def test_shares_of_positives():
    labels = torch.tensor([[1, 0, 1], [0, 1, -1], [-1, -1, -1], [0, 0, 0]], dtype=torch.int8)
    expected = torch.tensor([[0.5, 0, 0.5], [0, 1, 0], [0, 0, 0], [0, 0, 0]])
    torch.testing.assert_close(label_shares(labels), expected)


def test_errors():
    with pytest.raises(ValueError, match=r"logits are \(2, 3\) and targets \(2, 4\)"):
        soft_cross_entropy(torch.zeros(2, 3), torch.zeros(2, 4))
    with pytest.raises(ValueError, match=r"smoothing is 1\.0; expected at least 0 and less than 1"):
        soft_cross_entropy(torch.zeros(2, 3), torch.zeros(2, 3), smoothing=1.0)
