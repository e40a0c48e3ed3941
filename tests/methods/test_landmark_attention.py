"""Attention without landmarks: where it starts, and its loss by hand."""

import math

import pytest
import torch

from bench.protocol import Batch
from methods.landmark_attention import LandmarkAttention

SMALL = {"backbone": "test_resnet", "pretrained": False, "image_size": 64, "shrink": 2, "stage": 3, "width": 8, "augment": False}
IMAGES = torch.randint(0, 256, (4, 3, 64, 64), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


def test_it_starts_as_the_plain_network_and_a_mask_changes_it(toy):
    torch.manual_seed(0)
    network = LandmarkAttention(**SMALL).build(toy.schema).eval()
    with torch.no_grad():
        plain = network.heads(network.backbone(IMAGES))
        torch.testing.assert_close(network(IMAGES)["color"], plain["color"])
        network.mask.widen.bias.fill_(-100.0)  # a tanh of -1: (1 + A) is nothing
        blind = network(IMAGES)["color"]
    torch.testing.assert_close(blind, blind[:1].expand(4, -1))


def test_the_loss_of_logits_of_zero(toy):
    """log 3 for each exclusive type, and 20 (1 - q) q 2 log 2 for the marks, with q = 2/6 of the known ones positive."""
    method = LandmarkAttention(**SMALL)
    network = method.build(toy.schema)
    torch.nn.init.zeros_(network.heads.linear.weight)
    torch.nn.init.zeros_(network.heads.linear.bias)
    labels = {"color": torch.eye(3, dtype=torch.int8)[[0, 1, 2, 0]], "type": torch.eye(3, dtype=torch.int8)[[0, 0, 0, 1]]}
    labels["marks"] = torch.tensor([[1, 0], [0, 0], [1, -1], [0, -1]], dtype=torch.int8)
    expected = 2 * math.log(3) + 20 * 2 * (2 / 3) * (1 / 3) * math.log(2)
    batch = Batch(IMAGES, labels, torch.arange(4))
    assert method.batch_loss(network, batch, toy.schema, 2 / 6).item() == pytest.approx(expected, rel=1e-4)


def test_the_sources_backbone_is_cut_after_conv4(toy):
    method = LandmarkAttention(pretrained=False, image_size=64)
    assert method.build(toy.schema).backbone.num_channels == 512
    assert (method.backbone, method.stage, method.attribute_weight) == ("vgg16", 4, 20.0)


def test_errors():
    with pytest.raises(ValueError, match="landmark_attention: width is 0; expected >= 1"):
        LandmarkAttention(width=0)
