"""Eq. (1) and (2) of MTSS against loops in float64, numbers worked out by hand, and the identity between them."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from methods.losses.label_embedding import cosine, label_embedding_focal_loss, label_embedding_loss


def pairs(count=64, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.rand(count, generator=generator) * 2 - 1 for _ in range(2)]


def slow_ranking(positive, negative):
    return sum(max(0.0, 1 - p + n) for p, n in zip(positive.tolist(), negative.tolist(), strict=True)) / len(positive)


def slow_focal(positive, negative, gamma, literal):
    total = 0.0
    for cos_positive, cos_negative in zip(positive.tolist(), negative.tolist(), strict=True):
        ranking = max(0.0, 1 - cos_positive + cos_negative)
        p = 0.5 * max(0.0, 1 + (cos_positive - cos_negative)) if literal else 1 - ranking / 2
        if gamma == 0 and not literal and p < 0.01:  # the tangent of -log p at .01
            total += -math.log(0.01) + (0.01 - p) / 0.01
        else:
            total -= (1 - p) ** gamma * math.log(max(p, 1e-6))
    return total / len(positive)


def test_ranking_loss_against_the_loop():
    positive, negative = pairs()
    torch.testing.assert_close(label_embedding_loss(positive, negative).item(), slow_ranking(positive, negative), rtol=1e-6, atol=0)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("literal", [False, True])
def test_focal_loss_against_the_loop(gamma, literal):
    positive, negative = pairs()
    if literal:  # it is infinite below -1, and above 1 there is no root of 1 - p
        kept = (positive - negative > -1) & ((positive - negative < 1) | torch.tensor(gamma != 0.5))
        positive, negative = positive[kept], negative[kept]
        assert len(positive) > 40
    found = label_embedding_focal_loss(positive, negative, gamma, literal=literal).item()
    torch.testing.assert_close(found, slow_focal(positive, negative, gamma, literal), rtol=1e-5, atol=1e-6)


def test_by_hand():
    positive, negative = torch.tensor([0.8, 0.1]), torch.tensor([0.2, 0.7])
    torch.testing.assert_close(label_embedding_loss(positive, negative).item(), (0.4 + 1.6) / 2)
    expected = -(0.2 * math.log(0.8) + 0.8 * math.log(0.2)) / 2  # p = .8 and .2
    torch.testing.assert_close(label_embedding_focal_loss(positive, negative).item(), expected)
    torch.testing.assert_close(label_embedding_focal_loss(positive, negative, 0.0).item(), -(math.log(0.8) + math.log(0.2)) / 2)


@given(st.floats(-0.5, 0.5), st.floats(-0.5, 0.5))
def test_both_readings_agree_where_the_cosines_differ_by_at_most_one(positive, negative):
    """p = 1 - l'/2 on |difference| <= 1."""
    first, second = torch.tensor([positive], dtype=torch.float64), torch.tensor([negative], dtype=torch.float64)
    printed = 0.5 * max(0.0, 1 + positive - negative)
    assert 1 - label_embedding_loss(first, second).item() / 2 == pytest.approx(printed, abs=1e-12)
    if printed > 1e-3 and printed < 1 - 1e-3:
        readings = [label_embedding_focal_loss(first, second, 1.0, literal=literal).item() for literal in (False, True)]
        assert readings[0] == pytest.approx(readings[1], rel=1e-9)


def test_where_the_readings_part():
    far = torch.tensor([0.9]), torch.tensor([-0.9])  # p is 1.4 in print
    assert label_embedding_focal_loss(*far).item() == 0
    assert label_embedding_focal_loss(*far, 0.0, literal=True).item() < 0
    assert label_embedding_focal_loss(*far, 0.5, literal=True).isnan()
    wrong = torch.tensor([-1.0]), torch.tensor([1.0])  # p is 0 in print
    assert label_embedding_focal_loss(*wrong, literal=True).isinf()


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 1.5, 2.0])
@pytest.mark.parametrize("margin", [-2.0, -1.5, -1.0, -0.3, 0.0, 0.7, 1.0, 2.0])
def test_gradients_are_finite_everywhere_and_push_the_right_way(gamma, margin):
    positive = torch.tensor([margin / 2], requires_grad=True)
    negative = torch.tensor([-margin / 2], requires_grad=True)
    label_embedding_focal_loss(positive, negative, gamma).backward()
    assert positive.grad.isfinite().all()
    torch.testing.assert_close(positive.grad, -negative.grad)
    if margin < 1:  # no dead zone: the worst pairs still move
        assert positive.grad.item() < 0
    if margin >= 1:
        assert positive.grad.item() == 0


def test_at_gamma_zero_the_loss_is_smooth_and_no_pair_outweighs_the_others():
    """-log p and its slope have no jump where the tangent begins, at p = .01, and from there down a pair pulls with 50."""
    values, slopes = [], []
    for margin in (-0.9799, -0.9801, -1.0, -1.5, -2.0):
        positive = torch.tensor([margin], dtype=torch.float64, requires_grad=True)
        loss = label_embedding_focal_loss(positive, torch.zeros(1, dtype=torch.float64), 0.0)
        loss.backward()
        values.append(loss.item())
        slopes.append(positive.grad.item())
    assert slopes == pytest.approx([-1 / 0.0201, -50, -50, -50, -50])
    assert values[1] - values[0] == pytest.approx(50 * 2e-4, rel=0.01)
    assert values[4] - values[2] == pytest.approx(50)


def test_order_in_the_batch_does_not_matter():
    positive, negative = pairs()
    order = torch.randperm(len(positive))
    for loss in (label_embedding_loss, label_embedding_focal_loss):
        torch.testing.assert_close(loss(positive[order], negative[order]), loss(positive, negative))


def test_cosine_normalises():
    first, second = torch.randn(5, 7), torch.randn(5, 7)
    expected = [sum((x * y).tolist()) / (x.norm() * y.norm()).item() for x, y in zip(first.double(), second.double(), strict=True)]
    torch.testing.assert_close(cosine(3 * first, second / 4).double(), torch.tensor(expected, dtype=torch.float64), rtol=1e-5, atol=1e-6)
    assert cosine(first.bfloat16(), second.bfloat16()).dtype == torch.float32


def test_errors():
    with pytest.raises(ValueError, match=r"positive is \(3,\) and negative is \(4,\); expected the same shape"):
        label_embedding_loss(torch.zeros(3), torch.zeros(4))
    with pytest.raises(ValueError, match=r"gamma is -1; expected >= 0"):
        label_embedding_focal_loss(torch.zeros(3), torch.zeros(3), -1)
