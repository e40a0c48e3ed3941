"""Masks over feature maps that a small network beside the maps makes."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class SpatialGate(nn.Module):
    """The spatial half of CBAM (Woo et al. 2018): (B, C, H, W) -> the same shape, each place times a number in (0, 1).

    The mean and the maximum over channels, two maps, go through one convolution (kernel: odd, 7 in the paper) and a sigmoid."""

    def __init__(self, kernel: int = 7) -> None:
        super().__init__()
        if kernel < 1 or kernel % 2 == 0:
            raise ValueError(f"SpatialGate: kernel is {kernel}; expected an odd number")
        self.convolution = nn.Conv2d(2, 1, kernel, padding=kernel // 2)

    def mask(self, maps: Tensor) -> Tensor:
        """(B, 1, H, W)."""
        seen = torch.cat([maps.mean(dim=1, keepdim=True), maps.amax(dim=1, keepdim=True)], dim=1)
        return torch.sigmoid(self.convolution(seen))

    def forward(self, maps: Tensor) -> Tensor:
        return maps * self.mask(maps)


class UNetMask(nn.Module):
    """A U-Net of two levels: (B, C, H, W) -> a mask of the same shape in (-1, 1), by a tanh.

    Maps are narrowed to width channels, halved twice and doubled twice, bilinearly to the size of the maps beside them, which are added.
    The last layer starts at zero, so that a mask is zero before anything is learned. more: channels of maps that are seen, too, and not
    masked: (B, C + more, H, W) -> (B, C, H, W)."""

    def __init__(self, channels: int, width: int, more: int = 0) -> None:
        super().__init__()
        self.narrow = _block(channels + more, width, 1)
        self.down = nn.ModuleList(_block(width, width, 3) for _ in range(2))
        self.up = nn.ModuleList(_block(width, width, 3) for _ in range(2))
        self.widen = nn.Conv2d(width, channels, 1)
        nn.init.zeros_(self.widen.weight)
        nn.init.zeros_(self.widen.bias)  # type: ignore[arg-type]

    def forward(self, maps: Tensor) -> Tensor:
        found = self.narrow(maps)
        beside = []
        for block in self.down:
            beside.append(found)
            found = block(functional.max_pool2d(found, 2, ceil_mode=True))
        for block, other in zip(self.up, reversed(beside), strict=True):
            found = block(functional.interpolate(found, size=other.shape[-2:], mode="bilinear", align_corners=False) + other)
        return torch.tanh(self.widen(found))


def _block(inputs: int, outputs: int, kernel: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
    )
