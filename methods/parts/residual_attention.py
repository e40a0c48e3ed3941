"""Residual Attention Network (Wang et al., CVPR 2017), with pre-activation units, for images of any size.

A module's mask branch looks at the image coarsely, up-samples what it saw to weights in (0, 1), and multiplies the trunk's features by
1 + mask. RAN-56 has one module at each of three resolutions, RAN-92 has 1, 2 and 3."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

NETWORKS = {"ran56": (1, 1, 1), "ran92": (1, 2, 3)}  # attention modules at strides 4, 8 and 16
_MEAN, _STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)  # of ImageNet, in pixel values


class AttentionMaps(NamedTuple):
    """What one module did, each (B, C, H, W). before: the trunk's features. mask: in (0, 1). after: (1 + mask) * before."""

    before: Tensor
    mask: Tensor
    after: Tensor


class ResidualUnit(nn.Module):
    """A pre-activation bottleneck (He et al., ECCV 2016): norm and ReLU, then 1x1, 3x3 and 1x1 convolutions, beside a shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        middle = outputs // 4
        self.norm = nn.BatchNorm2d(inputs)
        self.branch = nn.Sequential(
            nn.Conv2d(inputs, middle, 1, bias=False),
            *_norm_relu(middle),
            nn.Conv2d(middle, middle, 3, stride, 1, bias=False),
            *_norm_relu(middle),
            nn.Conv2d(middle, outputs, 1, bias=False),
        )
        changes = inputs != outputs or stride > 1
        self.shortcut = nn.Conv2d(inputs, outputs, 1, stride, bias=False) if changes else None

    def forward(self, features: Tensor) -> Tensor:
        active = functional.relu(self.norm(features))
        beside: Tensor = features if self.shortcut is None else self.shortcut(active)
        out: Tensor = beside + self.branch(active)
        return out


class AttentionModule(nn.Module):
    """One unit, trunk and mask branch, one unit: (B, C, H, W) -> the same shape, with p = 1, t = 2, r = 1.

    num_pools: how often the mask branch halves the resolution, >= 1."""

    def __init__(self, channels: int, num_pools: int) -> None:
        super().__init__()
        self.first = ResidualUnit(channels, channels)
        self.trunk = _units(channels, 2)
        self.down = nn.ModuleList(_units(channels, 1) for _ in range(num_pools - 1))
        self.bottom = _units(channels, 2)
        self.skips = nn.ModuleList(_units(channels, 1) for _ in range(num_pools - 1))
        self.up = nn.ModuleList(_units(channels, 1) for _ in range(num_pools - 1))
        convolutions = [nn.Conv2d(channels, channels, 1, bias=False) for _ in range(2)]
        self.head = nn.Sequential(*(layer for convolution in convolutions for layer in (*_norm_relu(channels), convolution)))
        self.last = ResidualUnit(channels, channels)

    def forward(self, features: Tensor) -> Tensor:
        out: Tensor = self.last(self.attend(features).after)
        return out

    def attend(self, features: Tensor) -> AttentionMaps:
        """The module up to its last unit."""
        features = self.first(features)
        before = self.trunk(features)
        mask = torch.sigmoid(self.head(self._mask(features)))
        return AttentionMaps(before, mask, (1.0 + mask) * before)

    def _mask(self, features: Tensor) -> Tensor:
        """The hourglass, at the resolution of features."""
        size, coarse, kept = features.shape[-2:], _halved(features), []
        for down, skip in zip(self.down, self.skips, strict=True):
            coarse = down(coarse)
            kept.append(skip(coarse))
            coarse = _halved(coarse)
        coarse = self.bottom(coarse)
        for beside, up in zip(reversed(kept), self.up, strict=True):
            coarse = up(_resized(coarse, beside.shape[-2:]) + beside)
        return _resized(coarse, size)


class ResidualAttentionNetwork(nn.Module):
    """Images (B, 3, H, W), normalised -> pooled features (B, 32 * width), or class logits where num_classes > 0.

    modules: attention modules at strides 4, 8 and 16. width: channels of the stem; 64 is the paper's. num_last: units at the end.
    stem_stride: of the first convolution and of the pool behind it; (1, 2) keeps small images larger."""

    def __init__(
        self,
        modules: Sequence[int] = NETWORKS["ran56"],
        *,
        width: int = 64,
        num_last: int = 3,
        num_classes: int = 0,
        stem_stride: tuple[int, int] = (2, 2),
    ) -> None:
        super().__init__()
        if len(modules) != 3 or width < 1 or num_last < 1:
            raise ValueError(f"modules is {tuple(modules)}, width {width} and num_last {num_last}; expected three counts, and both >= 1")
        self.stem = nn.Sequential(
            nn.Conv2d(3, width, 7, stem_stride[0], 3, bias=False), *_norm_relu(width), nn.MaxPool2d(3, stem_stride[1], 1)
        )
        layers: list[nn.Module] = []
        channels = width
        for stage, (count, num_pools) in enumerate(zip(modules, (3, 2, 1), strict=True)):
            outputs = 4 * width * 2**stage
            layers.append(ResidualUnit(channels, outputs, 1 if stage == 0 else 2))
            layers += [AttentionModule(outputs, num_pools) for _ in range(count)]
            channels = outputs
        self.num_features = 2 * channels
        layers.append(ResidualUnit(channels, self.num_features, 2))
        layers += [ResidualUnit(self.num_features, self.num_features) for _ in range(num_last - 1)]
        self.layers = nn.Sequential(*layers)
        self.norm = nn.BatchNorm2d(self.num_features)
        self.classifier = nn.Linear(self.num_features, num_classes) if num_classes else nn.Identity()

    def forward(self, images: Tensor) -> Tensor:
        features = functional.relu(self.norm(self.layers(self.stem(images))))
        out: Tensor = self.classifier(features.mean(dim=(2, 3)))
        return out

    def attention_maps(self, images: Tensor) -> list[AttentionMaps]:
        """What each module does to the images, first module first; call it in eval mode and without gradients."""
        features, found = self.stem(images), []
        for layer in self.layers:
            if isinstance(layer, AttentionModule):
                found.append(layer.attend(features))
                features = layer.last(found[-1].after)
            else:
                features = layer(features)
        return found


class AttentionBackbone(nn.Module):
    """A Residual Attention Network that takes pixels, as parts.backbone.Backbone does: uint8 or float (B, 3, H, W) in [0, 255] -> pooled
    features (B, num_features).

    name: of NETWORKS. shrink: squares of so many pixels a side are averaged into one first. Raises ValueError for another name."""

    mean: Tensor
    std: Tensor

    def __init__(self, name: str, *, width: int = 64, num_last: int = 3, shrink: int = 1, stem_stride: tuple[int, int] = (2, 2)) -> None:
        super().__init__()
        if name not in NETWORKS:
            raise ValueError(f"no Residual Attention Network {name!r}; there are {', '.join(NETWORKS)}")
        self.shrink = shrink
        network = ResidualAttentionNetwork(NETWORKS[name], width=width, num_last=num_last, stem_stride=stem_stride)
        self.network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # as batches are
        self.num_features = network.num_features
        for key, values in (("mean", _MEAN), ("std", _STD)):
            self.register_buffer(key, torch.tensor(values).view(1, 3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        features: Tensor = self.network(self._prepared(images))
        return features

    @torch.no_grad()
    def attention_maps(self, images: Tensor) -> list[AttentionMaps]:
        """Figure 2 of the Naver report: features before each attention layer, its mask, and features after it."""
        maps: list[AttentionMaps] = self.network.attention_maps(self._prepared(images))
        return maps

    def _prepared(self, images: Tensor) -> Tensor:
        images = images.float()
        if self.shrink > 1:
            images = functional.avg_pool2d(images, self.shrink)
        return (images - self.mean) / self.std


def _units(channels: int, count: int) -> nn.Sequential:
    return nn.Sequential(*(ResidualUnit(channels, channels) for _ in range(count)))


def _norm_relu(channels: int) -> tuple[nn.Module, nn.Module]:
    return nn.BatchNorm2d(channels), nn.ReLU(inplace=True)


def _halved(features: Tensor) -> Tensor:
    return functional.max_pool2d(features, 3, 2, 1)


def _resized(features: Tensor, size: torch.Size) -> Tensor:
    return functional.interpolate(features, size=size, mode="bilinear", align_corners=True)
