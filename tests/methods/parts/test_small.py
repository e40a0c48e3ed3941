"""Small networks by name, and where large ones come from."""

import pytest
import torch
from torch import nn

from methods.parts.small import SMALL, make_backbone


def kinds(backbone):
    return [type(part).__name__ for part in backbone.network.modules()]


@pytest.mark.parametrize("name", SMALL)
def test_features_of_small_pictures(name):
    backbone = make_backbone(name, image_size=64, shrink=2).eval()
    images = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    assert backbone(images).shape == (2, backbone.num_features)
    assert sum(value.numel() for value in backbone.parameters()) < 500_000
    assert any(isinstance(part, nn.BatchNorm2d) for part in backbone.modules())


def test_they_are_what_their_names_say():
    found = {name: make_backbone(name) for name in SMALL}
    assert {name: "SEModule" in kinds(network) for name, network in found.items()} == {name: "small_se" in name for name in SMALL}
    groups = {name: max(part.groups for part in network.modules() if isinstance(part, nn.Conv2d)) for name, network in found.items()}
    assert (groups["small_resnext8"], groups["small_resnext16"], groups["small_seresnext"], groups["small_seresnet"]) == (8, 16, 8, 1)
    assert all(("DenseLayer" in kinds(network)) == ("densenet" in name) for name, network in found.items())
    sizes = [sum(value.numel() for value in network.parameters()) for network in found.values()]
    assert len(set(sizes)) == len(sizes)


def test_other_names_are_timms():
    assert "SEModule" not in kinds(make_backbone("test_resnet"))
    with pytest.raises(ValueError, match="no backbone 'small_x' in timm"):
        make_backbone("small_x")


@pytest.mark.parametrize("options", [{"pretrained": True}, {"weights_file": "weights.safetensors"}])
def test_small_ones_have_no_weights(options):
    with pytest.raises(ValueError, match="backbone 'small_seresnet' has no pretrained weights"):
        make_backbone("small_seresnet", **options)
