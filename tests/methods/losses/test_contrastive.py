"""NT-Xent against a slow loop, by hand, and what must leave it unchanged."""

import math

import pytest
import torch

from methods.losses import contrastive
from methods.losses.contrastive import nt_xent


def views(num, dim=6, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(num, dim, generator=generator, dtype=dtype).requires_grad_() for _ in range(2)]


def loop(first, second, temperature, log_of_mean=False):
    """The report's formula, one anchor at a time."""
    rows = [*first, *second]
    rows = [row / row.norm() for row in rows]
    ratios = []
    for i, row in enumerate(rows):
        partner = rows[(i + len(first)) % len(rows)]
        others = sum(torch.exp(row @ other / temperature) for k, other in enumerate(rows) if k != i)
        ratios.append(torch.exp(row @ partner / temperature) / others)
    ratios = torch.stack(ratios)
    return -ratios.mean().log() if log_of_mean else -ratios.log().mean()


@pytest.fixture(params=[2, 3, 64], ids="tile{}".format, autouse=True)
def tile(request, monkeypatch):
    """Tiles that do and do not divide the batch, and one larger than it."""
    monkeypatch.setitem(contrastive._TILE, "cpu", request.param)


@pytest.mark.parametrize("log_of_mean", [False, True])
@pytest.mark.parametrize("temperature", [0.03, 0.1, 0.5, 2.0])
@pytest.mark.parametrize("num", [1, 2, 7])
def test_value_and_gradient_against_the_loop(num, temperature, log_of_mean):
    ours, theirs = views(num), views(num)
    found, expected = nt_xent(*ours, temperature, log_of_mean=log_of_mean), loop(*theirs, temperature, log_of_mean)
    torch.testing.assert_close(found, expected)
    (3.0 * found).backward()
    (3.0 * expected).backward()
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one.grad, other.grad)


def test_by_hand():
    """Partners alike, all others at right angles: each ratio is e^2 / (e^2 + 2)."""
    first = torch.eye(2)
    expected = -math.log(math.exp(2) / (math.exp(2) + 2))
    assert nt_xent(first, 5 * first, 0.5).item() == pytest.approx(expected, abs=1e-6)


def test_one_image_has_no_negatives():
    assert nt_xent(torch.randn(1, 3), torch.randn(1, 3)).item() == pytest.approx(0.0, abs=1e-6)


def test_order_and_length_do_not_matter():
    first, second = views(7)
    order = torch.randperm(7, generator=torch.Generator().manual_seed(1))
    expected = nt_xent(first, second)
    torch.testing.assert_close(nt_xent(first[order], second[order]), expected)
    torch.testing.assert_close(nt_xent(second, first), expected)
    torch.testing.assert_close(nt_xent(4 * first, second / 3), expected)
    some = torch.arange(7) % 2 == 0  # which view comes first, image by image: stacked or interleaved is one to it
    swapped = torch.where(some[:, None], second, first), torch.where(some[:, None], first, second)
    torch.testing.assert_close(nt_xent(*swapped), expected)


def test_opposite_vectors_at_the_least_temperature_stay_finite():
    first = torch.tensor([[1.0, 0.0], [-1.0, 0.0]], requires_grad=True)
    loss = nt_xent(first, -first, contrastive.LEAST_TEMPERATURE)
    loss.backward()
    assert math.isfinite(loss.item())
    assert bool(first.grad.isfinite().all())


def test_half_precision_is_summed_in_float32():
    first, second = (view.detach().bfloat16() for view in views(16, dim=32))
    with torch.autocast("cpu", torch.bfloat16):
        found = nt_xent(first, second)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), nt_xent(first.double(), second.double()), rtol=1e-5, atol=1e-5)


def test_gradients_pass_the_numerical_check():
    assert torch.autograd.gradcheck(lambda a, b: nt_xent(a, b, 0.3), views(4, dim=3))


@pytest.mark.parametrize(
    ("shapes", "temperature", "message"),
    [
        (((3, 2), (4, 2)), 0.5, r"first is \(3, 2\) and second is \(4, 2\); expected the same \(N, D\)"),
        (((3,), (3,)), 0.5, "expected the same"),
        (((0, 2), (0, 2)), 0.5, "with N >= 1"),
        (((3, 2), (3, 2)), 0.01, "temperature is 0.01; expected >= 0.025"),
    ],
)
def test_errors(shapes, temperature, message):
    with pytest.raises(ValueError, match=message):
        nt_xent(torch.zeros(shapes[0]), torch.zeros(shapes[1]), temperature)
