"""Cutout (DeVries and Taylor 2017), a whole batch at once, each image by its own draw."""

from __future__ import annotations

import torch
from torch import Tensor


def cutout(images: Tensor, side: float = 0.5, fill: float = 127.0) -> Tensor:
    """Covers a square of each image: (B, 3, H, W) -> the same type and shape, drawn from torch's global generator.

    side: of the square, as a part of the shorter side, in [0, 1]; its centre is anywhere, so that it may reach over an edge. fill: its
    value. Raises ValueError for another side."""
    if not 0.0 <= side <= 1.0:
        raise ValueError(f"cutout: side is {side}; expected a value in [0, 1]")
    num_images, _, height, width = images.shape
    half = 0.5 * side * min(height, width)
    if half < 0.5:
        return images
    centers = torch.rand(2, num_images, 1, device=images.device)
    covered = [
        ((torch.arange(length, device=images.device) + 0.5) - length * center).abs() <= half
        for length, center in zip((height, width), centers, strict=True)
    ]
    square = covered[0][:, None, :, None] & covered[1][:, None, None, :]  # (B, 1, H, W)
    return images.masked_fill(square, fill)
