"""The gated network: its loss by hand, and that the gate decides."""

import math

import pytest
import torch

from bench.protocol import Batch
from methods.vsam import VSAM

SMALL = {"backbone": "test_resnet", "pretrained": False, "image_size": 64, "shrink": 2, "stage": 3, "kernel": 3, "augment": False}
IMAGES = torch.randint(0, 256, (4, 3, 64, 64), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


def test_the_focal_loss_of_logits_of_zero(toy):
    """(1 - 1/3)^2 log 3 twice and (1/2)^2 log 2, over three types."""
    method = VSAM(**SMALL)
    network = method.build(toy.schema)
    torch.nn.init.zeros_(network.heads.linear.weight)
    torch.nn.init.zeros_(network.heads.linear.bias)
    labels = {"color": torch.eye(3, dtype=torch.int8)[[0, 1, 2, 0]], "type": torch.eye(3, dtype=torch.int8)[[0, 0, 0, 1]]}
    labels["marks"] = torch.tensor([[1, 0], [0, 0], [1, -1], [-1, -1]], dtype=torch.int8)
    expected = (2 * 4 / 9 * math.log(3) + math.log(2) / 4) / 3
    assert method.batch_loss(network, Batch(IMAGES, labels, torch.arange(4)), toy.schema).item() == pytest.approx(expected, rel=1e-4)


def test_a_gate_of_one_is_the_plain_network_and_a_closed_one_sees_nothing(toy):
    torch.manual_seed(0)
    network = VSAM(**SMALL).build(toy.schema).eval()
    torch.nn.init.zeros_(network.gate.convolution.weight)
    with torch.no_grad():
        network.gate.convolution.bias.fill_(100.0)
        plain = network.heads(network.backbone(IMAGES))
        torch.testing.assert_close(network(IMAGES)["color"], plain["color"])
        network.gate.convolution.bias.fill_(-100.0)
        blind = network(IMAGES)["color"]
    torch.testing.assert_close(blind, blind[:1].expand(4, -1))
    assert not torch.allclose(plain["color"], blind)


def test_errors():
    with pytest.raises(ValueError, match="vsam: gamma is -1"):
        VSAM(gamma=-1.0)
