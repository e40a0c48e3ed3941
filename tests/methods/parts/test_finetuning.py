"""Backbones for fine-tuning: layer-wise learning rates against names read as in the published program, drop path, pooled patches."""

import re

import pytest
import torch
from torch import nn

from methods.parts.backbone import Backbone
from methods.parts.finetuning import layer_decay_groups, make_finetuned_backbone

SIDE = 32


@pytest.fixture(scope="module")
def images():
    return torch.randint(0, 256, (3, 3, SIDE, SIDE), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def expected_rate(name, num_blocks, decay):
    """Layer 0 is the embedding, block k is layer k + 1, all else the layer above: decay to the number of layers above."""
    if re.match(r"cls_token|pos_embed|patch_embed", name):
        layer = 0
    elif found := re.match(r"blocks\.(\d+)\.", name):
        layer = int(found[1]) + 1
    else:
        layer = num_blocks + 1
    return decay ** (num_blocks + 1 - layer)


@pytest.mark.parametrize(("name", "num_blocks"), [("small_vit", 4), ("test_vit", 6)])
def test_learning_rates_by_layer(name, num_blocks):
    backbone, heads = make_finetuned_backbone(name, image_size=SIDE), nn.Linear(8, 2)
    groups = layer_decay_groups(backbone, heads, learning_rate=0.5, weight_decay=0.05, layer_decay=0.65)
    found = {id(parameter): group for group in groups for parameter in group["params"]}
    assert sum(len(group["params"]) for group in groups) == len(found) == len([*backbone.parameters(), *heads.parameters()])
    for key, parameter in backbone.network.named_parameters():
        group = found[id(parameter)]
        assert group["lr"] == pytest.approx(0.5 * expected_rate(key, num_blocks, 0.65)), key
        plain = parameter.ndim <= 1 or key in ("cls_token", "pos_embed")
        assert group["weight_decay"] == (0.0 if plain else 0.05), key
    for parameter, decay in ((heads.weight, 0.05), (heads.bias, 0.0)):
        assert (found[id(parameter)]["lr"], found[id(parameter)]["weight_decay"]) == (0.5, decay)


def test_convolutions_have_layers_too():
    backbone, heads = make_finetuned_backbone("test_resnet", image_size=SIDE), nn.Linear(8, 2)
    even = layer_decay_groups(backbone, heads, learning_rate=0.5, weight_decay=0.05, layer_decay=1.0)
    assert {group["lr"] for group in even} == {0.5}
    falling = {group["lr"] for group in layer_decay_groups(backbone, heads, learning_rate=0.5, weight_decay=0.05, layer_decay=0.5)}
    assert max(falling) == 0.5
    assert len(falling) > 3


def test_a_network_answers_with_its_mean_patch(images):
    backbone = make_finetuned_backbone("test_vit", image_size=SIDE).eval()
    network = backbone.network
    tokens = network.forward_features((images.float() - backbone.mean) / backbone.std)  # not normalised: the norm comes after the mean
    patches = tokens[:, 1:].mean(dim=1)
    expected = (patches - patches.mean(dim=1, keepdim=True)) / (patches.var(dim=1, keepdim=True, correction=0) + 1e-6).sqrt()
    torch.testing.assert_close(backbone(images), expected, rtol=1e-4, atol=1e-4)
    assert network.global_pool == "avg"
    as_built = make_finetuned_backbone("test_vit", image_size=SIDE, pool_patches=False)
    assert as_built.network.global_pool == "token"


@pytest.mark.parametrize("name", ["small_vit", "test_vit", "test_resnet"])
def test_branches_are_dropped_the_more_often_the_deeper(name, images):
    from timm.layers.drop import DropPath

    backbone = make_finetuned_backbone(name, image_size=SIDE, drop_path=0.4)
    rates = [part.drop_prob for part in backbone.modules() if isinstance(part, DropPath)]
    assert rates == sorted(rates)
    assert rates[-1] == pytest.approx(0.4)
    for parameter in backbone.parameters():
        if parameter.ndim == 1:
            nn.init.ones_(parameter)  # a residual branch may start at zero
    backbone.train()
    torch.manual_seed(0)
    many = images.repeat(16, 1, 1, 1)
    assert not torch.equal(backbone(many), backbone(many))
    backbone.eval()
    assert torch.equal(backbone(images), backbone(images))
    assert list(backbone.state_dict()) == list(make_finetuned_backbone(name, image_size=SIDE).state_dict())


@pytest.mark.parametrize("shrink", [1, 2])
def test_the_small_transformer(images, shrink):
    backbone = make_finetuned_backbone("small_vit", image_size=SIDE, shrink=shrink)
    assert isinstance(backbone, Backbone)
    assert backbone(images).shape == (3, backbone.num_features)


def test_errors():
    with pytest.raises(ValueError, match="'small_vit' has no pretrained weights"):
        make_finetuned_backbone("small_vit", pretrained=True)
    with pytest.raises(ValueError, match="'densenet121' has no branches to drop; expected drop_path=0"):
        make_finetuned_backbone("densenet121", image_size=SIDE, drop_path=0.1)
    with pytest.raises(ValueError, match=r"layer_decay is 0\.0; expected more than 0 and at most 1"):
        layer_decay_groups(make_finetuned_backbone("small_vit", image_size=SIDE), nn.Linear(1, 1), learning_rate=1.0, weight_decay=0.0,
                           layer_decay=0.0)  # fmt: skip
