"""Networks that are not trained any further: their features, computed once for each image, and their batch norms."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

_BATCH = 256


@torch.no_grad()
def features_of(backbone: nn.Module, examples: Any, device: torch.device) -> Tensor:
    """float32 (N, D) on the CPU, of the examples in their order; the backbone is put on the device and into eval mode."""
    backbone.to(device).eval()
    index = np.arange(len(examples))
    parts = [index[start : start + _BATCH] for start in range(0, len(index), _BATCH)]
    images = (torch.from_numpy(examples.images(part)).permute(0, 3, 1, 2) for part in parts)  # (b, H, W, 3) -> (b, 3, H, W)
    return torch.cat([backbone(batch.to(device)).float().cpu() for batch in images])


def with_backbone_in_eval(loss: Callable[[nn.Module, Any], Tensor]) -> Callable[[nn.Module, Any], Tensor]:
    """The loss of a phase that trains the head alone: module.backbone is in eval mode at each step, so that its batch norms keep the
    statistics that came with its weights. Gradients are the caller's to switch off."""

    def held(module: nn.Module, batch: Any) -> Tensor:
        module.backbone.eval()  # type: ignore[operator]
        return loss(module, batch)

    return held


def as_examples(features: Tensor, examples: Any) -> Any:
    """The examples with their features (N, D) for pixels: images of one pixel and D channels, so that whatever trains or scores on
    examples does so on features. Labels and keys are kept."""
    pixels = features.numpy()[:, None, None, :]
    return dataclasses.replace(examples, pixels=pixels, rows=np.arange(len(features)))


def flat(images: Tensor) -> Tensor:
    """What as_examples stored: (B, D, 1, 1) -> (B, D)."""
    return images.flatten(1)


class Standardize(nn.Module):
    """Features (B, D) to mean 0 and variance 1 over the images that it was fitted on."""

    mean: Tensor
    scale: Tensor

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(num_features))
        self.register_buffer("scale", torch.ones(num_features))

    def fit(self, features: Tensor) -> None:
        """Takes mean and deviation of features (N, D); a feature that never changes is only centred."""
        self.mean.copy_(features.mean(dim=0))
        deviation = features.std(dim=0, correction=0)
        self.scale.copy_(torch.where(deviation > 1e-6, deviation, 1.0))

    def forward(self, features: Tensor) -> Tensor:
        return (features - self.mean) / self.scale
