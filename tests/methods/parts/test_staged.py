"""A network in two halves is the network."""

import pytest
import torch

from methods.parts.backbone import Backbone
from methods.parts.staged import StagedBackbone

IMAGES = torch.randint(0, 256, (2, 3, 64, 64), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


@pytest.mark.parametrize("stage", [2, 3, 4, 5])
def test_both_halves_of_a_resnet_are_the_network(stage):
    torch.manual_seed(0)
    whole = Backbone("test_resnet", image_size=64, shrink=2).eval()
    halves = StagedBackbone(whole, stage).eval()
    with torch.no_grad():
        torch.testing.assert_close(halves(IMAGES), whole(IMAGES))
        assert halves.lower(IMAGES).shape[1] == halves.num_channels
    assert halves.num_features == whole.num_features


def test_maps_get_smaller_stage_by_stage():
    sides = [StagedBackbone(Backbone("test_resnet", image_size=64), stage).eval().lower(IMAGES).shape[-1] for stage in (2, 3, 4, 5)]
    assert sides == [16, 8, 4, 2]


def test_a_vgg_is_cut_before_a_pool():
    torch.manual_seed(0)
    whole = Backbone("vgg11", image_size=64).eval()
    halves = StagedBackbone(whole, 4).eval()
    assert halves.num_channels == 512
    with torch.no_grad():
        assert halves.lower(IMAGES[:1]).shape == (1, 512, 8, 8)  # after three pools, conv4's
        big = torch.nn.functional.interpolate(IMAGES[:1].float(), size=(224, 224))
        torch.testing.assert_close(halves(big), whole(big), rtol=1e-4, atol=1e-4)


def test_errors():
    with pytest.raises(ValueError, match="stage is 6; expected 2 to 5"):
        StagedBackbone(Backbone("test_resnet", image_size=64), 6)
    with pytest.raises(ValueError, match="cannot be cut into stages; expected a ResNet or a VGG"):
        StagedBackbone(Backbone("test_efficientnet", image_size=64), 3)
