"""Weak augmentation of a whole batch at once, each image by its own draw, on the device that holds it."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Moves(NamedTuple):
    """What becomes of each image of a batch, (B, 1) each: whether it is mirrored, and the pixels it is then shifted up and left by."""

    mirrored: Tensor
    up: Tensor
    left: Tensor


def weak_augment(images: Tensor, *, flip: float = 0.5, shift: float = 0.125) -> Tensor:
    """Mirrors and shifts images: uint8 or float (B, 3, H, W) -> the same type and shape, drawn from torch's global generator.

    flip: probability of a left-right mirror. shift: the largest shift as a part of the side, in [0, 0.5]; what comes in at an edge is
    the reflection of what is there. Raises ValueError for other values."""
    return move_images(images, draw_moves(images, flip=flip, shift=shift))


def draw_moves(images: Tensor, *, flip: float = 0.5, shift: float = 0.125) -> Moves:
    """The moves of weak_augment, for images whose landmarks move, too."""
    if not (0.0 <= flip <= 1.0 and 0.0 <= shift <= 0.5):
        raise ValueError(f"weak_augment: flip is {flip} and shift is {shift}; expected values in [0, 1] and [0, 0.5]")
    num_images, _, height, width = images.shape
    up, left = (_offsets(num_images, side, shift, images.device) for side in (height, width))
    return Moves(torch.rand(num_images, 1, device=images.device) < flip, up, left)


def move_images(images: Tensor, moves: Moves) -> Tensor:
    """(B, 3, H, W), moved."""
    num_images, channels, height, width = images.shape
    rows, columns = _shifted(moves.up, height), _shifted(moves.left, width)
    columns = torch.where(moves.mirrored, width - 1 - columns, columns)
    image_index = torch.arange(num_images, device=images.device)[:, None, None]
    pixel_index = (image_index * height + rows[:, :, None]) * width + columns[:, None, :]  # (B, H, W)
    pixels = images.permute(0, 2, 3, 1).reshape(-1, channels)  # a view where the batch is channels last, as batches are
    return pixels.index_select(0, pixel_index.flatten()).view(num_images, height, width, channels).permute(0, 3, 1, 2)


def move_landmarks(landmarks: Tensor, moves: Moves, height: int, width: int) -> Tensor:
    """Landmarks of bench.protocol.Batch, (B, L, 3), of images of that height and width, moved with them. In a mirror left and right change
    places; what is moved out is not visible."""
    pairs = landmarks.unflatten(1, (-1, 2))  # (B, L/2, left and right, 3)
    swapped = torch.where(moves.mirrored[:, :, None, None], pairs.flip(2), pairs).flatten(1, 2)
    visible, x, y = swapped.unbind(2)
    x = torch.where(moves.mirrored, 1 - x, x) - moves.left / width
    y = y - moves.up / height
    visible = visible * ((x > 0) & (x < 1) & (y > 0) & (y < 1))
    return torch.stack([visible, x * visible, y * visible], dim=2)


def _offsets(num_images: int, side: int, shift: float, device: torch.device) -> Tensor:
    most = min(int(shift * side), side - 1)
    return torch.randint(-most, most + 1, (num_images, 1), device=device)


def _shifted(offsets: Tensor, side: int) -> Tensor:
    """Positions (B, side) that read each image moved by its offset (B, 1), reflected at the edges."""
    positions = (torch.arange(side, device=offsets.device) + offsets).abs()
    return torch.where(positions > side - 1, 2 * (side - 1) - positions, positions)
