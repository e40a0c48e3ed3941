"""Weak augmentation of a whole batch at once, each image by its own draw, on the device that holds it."""

from __future__ import annotations

import torch
from torch import Tensor


def weak_augment(images: Tensor, *, flip: float = 0.5, shift: float = 0.125) -> Tensor:
    """Mirrors and shifts images: uint8 or float (B, 3, H, W) -> the same type and shape, drawn from torch's global generator.

    flip: probability of a left-right mirror. shift: the largest shift as a part of the side, in [0, 0.5]; what comes in at an edge is
    the reflection of what is there. Raises ValueError for other values."""
    if not (0.0 <= flip <= 1.0 and 0.0 <= shift <= 0.5):
        raise ValueError(f"weak_augment: flip is {flip} and shift is {shift}; expected values in [0, 1] and [0, 0.5]")
    num_images, channels, height, width = images.shape
    rows = _shifted(num_images, height, shift, images.device)
    columns = _shifted(num_images, width, shift, images.device)
    mirrored = torch.rand(num_images, 1, device=images.device) < flip
    columns = torch.where(mirrored, width - 1 - columns, columns)
    image_index = torch.arange(num_images, device=images.device)[:, None, None]
    pixel_index = (image_index * height + rows[:, :, None]) * width + columns[:, None, :]  # (B, H, W)
    pixels = images.permute(0, 2, 3, 1).reshape(-1, channels)  # a view where the batch is channels last, as batches are
    return pixels.index_select(0, pixel_index.flatten()).view(num_images, height, width, channels).permute(0, 3, 1, 2)


def _shifted(num_images: int, side: int, shift: float, device: torch.device) -> Tensor:
    """Positions (B, side) that read each image moved by up to shift * side pixels, reflected at the edges."""
    most = min(int(shift * side), side - 1)
    offsets = torch.randint(-most, most + 1, (num_images, 1), device=device)
    positions = (torch.arange(side, device=device) + offsets).abs()
    return torch.where(positions > side - 1, 2 * (side - 1) - positions, positions)
