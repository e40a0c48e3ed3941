"""What fine-tuning of image networks as in Masked Autoencoders (He et al., CVPR 2022) adds to a backbone: drop path, pooled patches, and
learning rates that fall from layer to layer."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import nn

from methods.parts.backbone import Backbone

SMALL_VIT = "small_vit"  # for images of some 32 pixels and no pretrained weights: 4 blocks of 64 channels behind three convolutions
_SMALL: dict[str, Any] = {"embed_dim": 64, "depth": 4, "num_heads": 2, "mlp_ratio": 2.0}
_DROP_PATH = ("drop_path", "drop_path1", "drop_path2")  # how timm's blocks call it


def make_finetuned_backbone(
    name: str,
    *,
    pretrained: bool = False,
    weights_file: str = "",
    image_size: int = 224,
    shrink: int = 1,
    drop_path: float = 0.0,
    pool_patches: bool = True,
) -> Backbone:
    """A Backbone by timm's name or "small_vit", with drop path; pool_patches: a transformer answers with the normalised mean of its patch
    tokens. Arguments and errors as Backbone's; ValueError also where drop_path > 0 and the network has no place for it, or where weights
    are asked of the small one."""
    if name == SMALL_VIT:
        if pretrained or weights_file:
            raise ValueError(f"backbone {name!r} has no pretrained weights; train it from scratch with pretrained=false")
        found = Backbone("test_vit", image_size=32, shrink=shrink)  # for its normalisation; the network is replaced
        found.network = _small_vit(image_size // shrink).to(memory_format=torch.channels_last)
        found.num_features = found.network.num_features
    else:
        found = Backbone(name, pretrained=pretrained, weights_file=weights_file, image_size=image_size, shrink=shrink)
    if pool_patches:
        _pool_patches_(found.network)
    if drop_path:
        _set_drop_path_(name, found.network, drop_path)
    return found


def layer_decay_groups(
    backbone: Backbone, rest: nn.Module, *, learning_rate: float, weight_decay: float, layer_decay: float
) -> list[dict[str, Any]]:
    """Parameter groups whose learning rate is learning_rate * layer_decay ^ (layers above), 1 for rest, such as heads, and for what
    follows the last block.

    layer_decay: in (0, 1]. Biases, norms and what the network itself exempts (position embeddings) have no weight decay. Layers are those
    that timm's group_matcher names: the embedding, then a block each. Raises ValueError for another layer_decay."""
    if not 0.0 < layer_decay <= 1.0:
        raise ValueError(f"layer_decay is {layer_decay}; expected more than 0 and at most 1")
    from timm.optim._param_groups import param_groups_layer_decay

    network: Any = backbone.network
    exempt = network.no_weight_decay() if hasattr(network, "no_weight_decay") else ()
    groups = param_groups_layer_decay(network, weight_decay, no_weight_decay_list=exempt, layer_decay=layer_decay)
    found = [
        {"params": group["params"], "lr": learning_rate * group["lr_scale"], "weight_decay": group["weight_decay"]} for group in groups
    ]
    for decayed in (True, False):
        own = [each for each in rest.parameters() if each.requires_grad and (each.ndim > 1) == decayed]
        if own:
            found.append({"params": own, "lr": learning_rate, "weight_decay": weight_decay if decayed else 0.0})
    return found


def _small_vit(image_size: int) -> Any:
    """Convolutions in place of a patch projection let a transformer learn from few images (Xiao et al., NeurIPS 2021)."""
    from timm.layers.hybrid_embed import HybridEmbed
    from timm.models.vision_transformer import VisionTransformer
    from timm.models.vision_transformer_hybrid import ConvStem

    stem = ConvStem(channels=(32, 64, 64), stride=(2, 2, 2), kernel_size=3)
    embed = partial(HybridEmbed, backbone=stem, proj=False)
    return VisionTransformer(img_size=image_size, patch_size=1, embed_layer=embed, num_classes=0, **_SMALL)


def _pool_patches_(network: Any) -> None:
    """The mean of the patch tokens, then a norm of its own, in place of the class token; nothing for other networks."""
    from timm.models.vision_transformer import VisionTransformer

    if not isinstance(network, VisionTransformer) or network.global_pool == "map":
        return
    if isinstance(network.fc_norm, nn.Identity):
        network.fc_norm, network.norm = network.norm, nn.Identity()
        for parameter, value in zip(network.fc_norm.parameters(), (1.0, 0.0), strict=False):
            nn.init.constant_(parameter, value)  # a new one: the weights' own norm was made for the class token
    network.global_pool = "avg"


def _set_drop_path_(name: str, network: nn.Module, rate: float) -> None:
    """A block's whole branch is left out for some images, the more often the deeper it lies, up to rate (Huang et al., ECCV 2016)."""
    if not 0.0 < rate < 1.0:
        raise ValueError(f"drop_path is {rate}; expected at least 0 and less than 1")
    from timm.layers.drop import DropPath

    blocks = [part for part in network.modules() if any(hasattr(part, place) for place in _DROP_PATH)]
    if not blocks:
        raise ValueError(f"backbone {name!r} has no branches to drop; expected drop_path=0 with it")
    for block, each in zip(blocks, torch.linspace(0.0, rate, len(blocks)).tolist(), strict=True):
        for place in _DROP_PATH:
            if hasattr(block, place):
                setattr(block, place, DropPath(each) if each else nn.Identity())
