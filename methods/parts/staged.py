"""A network in two halves, with the feature maps between them at hand: for methods that attend to places."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from methods.parts.backbone import Backbone


class StagedBackbone(nn.Module):
    """A Backbone cut after a stage: lower(images) gives maps (B, num_channels, H, W), upper(maps) pooled features (B, num_features).

    backbone: a ResNet or a VGG of timm's. stage: the stage's number as papers count convolutions, conv2 to conv5; of a ResNet conv4 is
    layer3, of a VGG what comes before the fourth pool. Raises ValueError for another network or stage."""

    def __init__(self, backbone: Backbone, stage: int) -> None:
        super().__init__()
        if not 2 <= stage <= 5:
            raise ValueError(f"stage is {stage}; expected 2 to 5")
        self.backbone, self.stage = backbone, stage
        self.num_features = backbone.num_features
        network = backbone.network
        if hasattr(network, "layer4"):
            self.kind = "resnet"
        elif isinstance(getattr(network, "features", None), nn.Sequential) and hasattr(network, "pre_logits"):
            self.kind = "vgg"
            pools = [index for index, layer in enumerate(network.features) if isinstance(layer, nn.MaxPool2d)]
            self.cut = pools[stage - 1]
        else:
            raise ValueError(f"backbone {type(network).__name__} cannot be cut into stages; expected a ResNet or a VGG of timm's")
        self.num_channels = self._channels()

    def forward(self, images: Tensor) -> Tensor:
        return self.upper(self.lower(images))

    def lower(self, images: Tensor) -> Tensor:
        """uint8 or float (B, 3, H, W) in [0, 255] -> maps."""
        images = images.float()
        if self.backbone.shrink > 1:
            images = functional.avg_pool2d(images, self.backbone.shrink)
        maps: Tensor = (images - self.backbone.mean) / self.backbone.std
        for layer in self._layers()[0]:
            maps = layer(maps)
        return maps

    def upper(self, maps: Tensor) -> Tensor:
        """Maps -> pooled features."""
        for layer in self._layers()[1]:
            maps = layer(maps)
        network = self.backbone.network
        features: Tensor = network.global_pool(maps) if self.kind == "resnet" else network.head(network.pre_logits(maps), pre_logits=True)
        return features

    def _layers(self) -> tuple[list[Any], list[Any]]:
        network = self.backbone.network
        if self.kind == "vgg":
            layers = list(network.features)
            return layers[: self.cut], layers[self.cut :]
        blocks = [network.layer1, network.layer2, network.layer3, network.layer4]
        return [network.conv1, network.bn1, network.act1, network.maxpool, *blocks[: self.stage - 1]], blocks[self.stage - 1 :]

    @torch.no_grad()
    def _channels(self) -> int:
        training = self.training
        self.eval()
        side = 64 * self.backbone.shrink
        channels = int(self.lower(torch.zeros(1, 3, side, side)).shape[1])
        self.train(training)
        return channels
