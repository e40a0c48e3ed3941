"""Residual Attention Networks: the published sizes, any resolution, and what the masks do."""

import pytest
import torch
from torch import nn

from methods.parts.residual_attention import NETWORKS, AttentionBackbone, AttentionModule, ResidualAttentionNetwork, ResidualUnit


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize(("name", "expected"), [("ran56", 31_810_728), ("ran92", 52_466_344)])
def test_the_published_numbers_of_parameters(name, expected):
    with torch.device("meta"):
        assert count(ResidualAttentionNetwork(NETWORKS[name], num_classes=1000)) == expected


@pytest.mark.parametrize(("name", "depth"), [("ran56", 56), ("ran92", 92)])
def test_the_depth_in_the_name_is_that_of_the_trunk(name, depth):
    """Three convolutions a unit of the trunk, the stem and the classifier."""
    with torch.device("meta"):
        network = ResidualAttentionNetwork(NETWORKS[name])
    own = sum(isinstance(layer, ResidualUnit) for layer in network.layers)
    modules = [layer for layer in network.layers if isinstance(layer, AttentionModule)]
    assert 3 * (own + sum(2 + len(module.trunk) for module in modules)) + 2 == depth


@pytest.mark.parametrize("size", [(16, 16), (33, 47), (64, 64), (70, 30)])
def test_any_size_of_image(size):
    network = ResidualAttentionNetwork(width=4).eval()
    with torch.inference_mode():
        out = network(torch.randn(2, 3, *size))
    assert out.shape == (2, network.num_features) == (2, 128)
    assert bool(out.isfinite().all())


def test_strides_are_4_8_and_16_on_the_papers_image():
    network = ResidualAttentionNetwork(width=4).eval()
    with torch.inference_mode():
        maps = network.attention_maps(torch.randn(1, 3, 224, 224))
    assert [tuple(part.before.shape[1:]) for part in maps] == [(16, 56, 56), (32, 28, 28), (64, 14, 14)]


def test_the_mask_branch_pools_three_times_at_first_and_once_at_last():
    with torch.device("meta"):
        layers = [layer for layer in ResidualAttentionNetwork(NETWORKS["ran92"]).layers if isinstance(layer, AttentionModule)]
    assert [len(layer.skips) + 1 for layer in layers] == [3, 2, 2, 1, 1, 1]


@pytest.fixture(scope="module")
def backbone():
    torch.manual_seed(0)
    return AttentionBackbone("ran92", width=4, shrink=2, stem_stride=(1, 2)).eval()


def test_attention_maps_belong_together_and_to_the_answer(backbone):
    images = torch.randint(256, (2, 3, 64, 64), dtype=torch.uint8)
    maps = backbone.attention_maps(images)
    assert len(maps) == 6
    for before, mask, after in maps:
        assert 0.0 < float(mask.min()) <= float(mask.max()) < 1.0
        torch.testing.assert_close(after, (1 + mask) * before)
    last = backbone.network.layers[-4]  # the module before the three units at the end
    assert isinstance(last, AttentionModule)
    features = nn.functional.relu(backbone.network.norm(backbone.network.layers[-3:](last.last(maps[-1].after))))
    torch.testing.assert_close(features.mean(dim=(2, 3)), backbone(images))


def test_a_mask_of_zero_leaves_the_trunk_alone():
    torch.manual_seed(0)
    module = AttentionModule(8, 2).eval()
    module.head = nn.Threshold(torch.inf, -100.0)  # sigmoid of -100
    before, mask, after = module.attend(torch.randn(1, 8, 8, 8))
    assert float(mask.detach().max()) < 1e-30
    assert torch.equal(after, before)


def test_gradients_reach_every_parameter(backbone):
    network = AttentionBackbone("ran56", width=4).train()
    network(torch.rand(4, 3, 64, 64) * 255).square().sum().backward()
    assert [name for name, value in network.named_parameters() if value.grad is None or not value.grad.any()] == []


def test_pixels_are_normalised_and_shrunk(backbone):
    images = torch.randint(256, (2, 3, 64, 64), dtype=torch.uint8)
    torch.testing.assert_close(backbone(images), backbone(images.float()))
    assert backbone.num_features == 128
    coarse = nn.functional.avg_pool2d(images.float(), 2)
    backbone.shrink = 1
    alone = backbone(coarse)
    backbone.shrink = 2
    torch.testing.assert_close(backbone(images), alone)


def test_wrong_names_and_numbers():
    with pytest.raises(ValueError, match="no Residual Attention Network 'ran101'; there are ran56, ran92"):
        AttentionBackbone("ran101")
    with pytest.raises(ValueError, match=r"modules is \(1, 1\), width 64 and num_last 3; expected three counts"):
        ResidualAttentionNetwork((1, 1))
