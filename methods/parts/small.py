"""Small relatives of large networks, for images of some 32 pixels and processors without a GPU."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from methods.parts.backbone import Backbone

# name -> network of timm, and what it is built with
SMALL: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "small_seresnet": ("test_resnet", {"attention": "se"}),
    "small_seresnext": ("test_resnet", {"block": "bottleneck", "attention": "se", "cardinality": 8, "base_width": 8}),
    "small_resnext8": ("test_resnet", {"block": "bottleneck", "cardinality": 8, "base_width": 8}),
    "small_resnext16": ("test_resnet", {"block": "bottleneck", "cardinality": 16, "base_width": 8}),
    "small_densenet": ("densenet121", {"growth_rate": 12, "block_config": (2, 3, 4, 3), "bn_size": 2}),
    "small_densenet_wide": ("densenet161", {"growth_rate": 18, "block_config": (2, 3, 4, 3), "bn_size": 2}),
}


def make_backbone(name: str, *, pretrained: bool = False, weights_file: str = "", image_size: int = 224, shrink: int = 1) -> Backbone:
    """A Backbone by timm's name or by one of SMALL, which have no pretrained weights; arguments and errors as Backbone's. Raises
    ValueError where weights are asked of a small one."""
    if name not in SMALL:
        return Backbone(name, pretrained=pretrained, weights_file=weights_file, image_size=image_size, shrink=shrink)
    if pretrained or weights_file:
        raise ValueError(f"backbone {name!r} has no pretrained weights; train it from scratch with pretrained=false")
    parent, changes = SMALL[name]
    found = Backbone(parent, image_size=image_size, shrink=shrink)
    found.network = _create(parent, dict(changes)).to(memory_format=torch.channels_last)
    found.num_features = found.network.num_features
    return found


def _create(parent: str, changes: dict[str, Any]) -> Any:
    import timm  # seconds to import, and only where a network is built
    from timm.models.resnet import BasicBlock, Bottleneck

    if "block" in changes:
        changes["block"] = {"basic": BasicBlock, "bottleneck": Bottleneck}[changes["block"]]
    if "attention" in changes:
        changes["block_args"] = {"attn_layer": changes.pop("attention")}
    return timm.create_model(parent, num_classes=0, **changes)
