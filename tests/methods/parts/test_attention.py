"""Masks over maps: their range, the gate by hand, and that every place can be reached."""

import pytest
import torch

from methods.parts.attention import SpatialGate, UNetMask

MAPS = torch.randn(2, 6, 7, 5, generator=torch.Generator().manual_seed(0))


def test_the_gate_by_hand():
    """A one by one kernel of weights (2, -1) and no bias: sigmoid(2 mean - max), the same for all channels."""
    gate = SpatialGate(1)
    with torch.no_grad():
        gate.convolution.weight.copy_(torch.tensor([2.0, -1.0]).view(1, 2, 1, 1))
        gate.convolution.bias.zero_()
    mask = torch.sigmoid(2 * MAPS.mean(dim=1) - MAPS.amax(dim=1))[:, None]
    torch.testing.assert_close(gate(MAPS), MAPS * mask)


def test_the_gate_keeps_shapes_and_lies_between_none_and_all():
    gate = SpatialGate(7)
    mask = gate.mask(MAPS)
    assert mask.shape == (2, 1, 7, 5)
    assert bool(((mask > 0) & (mask < 1)).all())
    assert gate(MAPS).shape == MAPS.shape


def test_a_new_mask_is_zero_and_a_learned_one_lies_in_one():
    torch.manual_seed(0)
    mask = UNetMask(6, 4)
    assert not mask(MAPS).any()
    torch.nn.init.normal_(mask.widen.weight)
    found = mask(MAPS)
    assert found.shape == MAPS.shape
    assert bool((found.abs() < 1.0).all())
    assert bool(found.any())


def test_maps_that_are_seen_and_not_masked():
    torch.manual_seed(0)
    mask = UNetMask(6, 4, more=2).eval()
    torch.nn.init.normal_(mask.widen.weight)
    more = torch.randn(2, 2, 7, 5)
    found = mask(torch.cat([more, MAPS], dim=1))
    assert found.shape == MAPS.shape
    assert not torch.equal(found, mask(torch.cat([more + 1, MAPS], dim=1)))


@pytest.mark.parametrize("side", [1, 2, 3, 4, 28])
def test_maps_of_any_size(side):
    assert UNetMask(6, 4).eval()(torch.randn(1, 6, side, side)).shape == (1, 6, side, side)


def test_a_mask_sees_the_whole_map():
    """Two levels of 3 x 3 convolutions: a corner's mask depends on the other corner of an 8 x 8 map."""
    torch.manual_seed(0)
    mask = UNetMask(3, 4).eval()
    torch.nn.init.normal_(mask.widen.weight)
    maps = torch.randn(1, 3, 8, 8, requires_grad=True)
    mask(maps)[0, :, 0, 0].sum().backward()
    assert bool(maps.grad[0, :, 7, 7].any())


def test_an_even_kernel_is_refused():
    with pytest.raises(ValueError, match="kernel is 4; expected an odd number"):
        SpatialGate(4)
