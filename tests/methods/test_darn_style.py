"""The tree: a branch a type, and types of which nothing is known."""

import pytest
import torch

from methods.darn_style import DARNStyle
from methods.losses.classification import attribute_loss

SMALL = {"backbone": "test_resnet", "pretrained": False, "image_size": 64, "shrink": 2, "hidden": 7}
IMAGES = torch.randint(0, 256, (4, 3, 64, 64), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


def labels(**known):
    sizes = {"color": 3, "type": 3, "marks": 2}
    found = {name: torch.full((4, size), -1, dtype=torch.int8) for name, size in sizes.items()}
    for name in known:
        found[name][:] = torch.eye(sizes[name], dtype=torch.int8)[torch.tensor([0, 1, 0, 1])]
    return found


def test_a_branch_has_two_layers(toy):
    network = DARNStyle(**SMALL).build(toy.schema)
    widths = [[(layer.in_features, layer.out_features) for layer in branch if hasattr(layer, "in_features")] for branch in network.branches]
    assert widths == [[(96, 7), (7, 3)], [(96, 7), (7, 3)], [(96, 7), (7, 2)]]


def test_a_type_reaches_its_own_branch_and_the_shared_network_alone(toy):
    torch.manual_seed(0)
    network = DARNStyle(**SMALL).build(toy.schema)
    attribute_loss(network(IMAGES), labels(type=True), frozenset({"color", "type"})).backward()
    reached = [any(bool(value.grad is not None and value.grad.any()) for value in branch.parameters()) for branch in network.branches]
    assert reached == [False, True, False]
    assert any(bool(value.grad.any()) for value in network.backbone.parameters())


def test_errors():
    with pytest.raises(ValueError, match="darn_style: hidden is 0; expected >= 1"):
        DARNStyle(hidden=0)
