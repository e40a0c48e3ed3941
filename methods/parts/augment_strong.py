"""The strong views of SimCLR (Chen et al. 2020), a whole batch at once, each image by its own draws, on the device that holds it.

Cropping, resizing, mirroring and blurring are products with one small matrix an image and axis; all colour changes together are one
3 x 3 matrix and an offset. So values are clamped once, at the end, colours change in one fixed order (brightness, contrast, saturation,
hue), and hue turns in YIQ, which keeps the lightness; the common library clamps after each change and shuffles them. All of it is
float32 under autocast, too: in bfloat16 a product would place pixels of a large image off by most of a pixel."""

from __future__ import annotations

import math

import torch
from torch import Tensor

_LUMA = (0.299, 0.587, 0.114)
_TO_YIQ = (_LUMA, (0.5959, -0.2746, -0.3213), (0.2115, -0.5227, 0.3112))


def strong_augment(
    images: Tensor,
    *,
    scale: tuple[float, float] = (0.08, 1.0),
    jitter: float = 1.0,
    jitter_probability: float = 0.8,
    gray: float = 0.2,
    blur: float = 0.5,
    flip: float = 0.5,
) -> Tensor:
    """Random resized crop, mirror, colour jitter, grey and blur: uint8 or float (B, 3, H, W) in [0, 255] -> float32 of that shape.

    scale: the crop's share of the area, as a range. jitter: strength s of SimCLR: brightness, contrast and saturation change by up to
    0.8 s, hue by up to 0.2 s turns. The others are probabilities. Draws from torch's global generator. Raises ValueError outside [0, 1]."""
    with torch.autocast(images.device.type, enabled=False):
        values = _cropped(images, scale, flip)  # (B, W, H, 3)
        values = _recolored(values, jitter, jitter_probability, gray)
        if blur > 0.0:
            _check(blur=blur)
            values = _blurred(values, blur)
    return values.clamp_(0.0, 255.0).permute(0, 3, 2, 1).contiguous(memory_format=torch.channels_last)


def crop_augment(images: Tensor, *, scale: tuple[float, float] = (0.08, 1.0), flip: float = 0.5) -> Tensor:
    """Random resized crop and mirror alone, as float32: what weak and strong views have in common in Sec. 4.1.2 of the Naver report."""
    with torch.autocast(images.device.type, enabled=False):
        values = _cropped(images, scale, flip)
    return values.permute(0, 3, 2, 1).contiguous(memory_format=torch.channels_last)


def _cropped(images: Tensor, scale: tuple[float, float], flip: float) -> Tensor:
    """float32 (B, W, H, 3): an area of scale, an aspect between 3/4 and 4/3 on a log scale, cut to the image, at any place."""
    _check(flip=flip, least_scale=scale[0], largest_scale=scale[1])
    if not 0.0 < scale[0] <= scale[1]:
        raise ValueError(f"scale is {scale}; expected two ascending numbers above 0")
    num, _, height, width = images.shape
    draws = torch.rand(5, num, device=images.device)
    area = scale[0] + (scale[1] - scale[0]) * draws[0]
    aspect = torch.exp((2.0 * draws[1] - 1.0) * math.log(4.0 / 3.0))
    wide, high = (area * aspect).sqrt().clamp_max(1.0), (area / aspect).sqrt().clamp_max(1.0)
    down = _resampling(draws[2] * (1.0 - high), high, height)  # (B, H, H)
    across = _resampling(draws[3] * (1.0 - wide), wide, width)
    across = torch.where((draws[4] < flip)[:, None, None], across.flip(1), across)
    pixels = images.permute(0, 2, 3, 1).float().contiguous()  # (B, H, W, 3)
    pixels = torch.bmm(down, pixels.flatten(2)).view(num, height, width, 3)
    pixels = pixels.transpose(1, 2).contiguous()  # (B, W, H, 3)
    return torch.bmm(across, pixels.flatten(2)).view(num, width, height, 3)


def _resampling(start: Tensor, length: Tensor, side: int) -> Tensor:
    """(B, side, side): row i holds the weights of the pixels that make up pixel i of the part [start, start + length) of each image,
    linear between their centres."""
    place = torch.arange(side, device=start.device, dtype=torch.float32)
    centers = (start[:, None] + length[:, None] * (place + 0.5) / side) * side - 0.5
    centers = centers.clamp(0.0, side - 1.0)
    return (1.0 - (centers[:, :, None] - place).abs()).clamp_min(0.0)


def _recolored(values: Tensor, strength: float, probability: float, gray: float) -> Tensor:
    """values (B, W, H, 3) after jitter and grey."""
    _check(jitter=strength, jitter_probability=probability, gray=gray)
    if (strength == 0.0 or probability == 0.0) and gray == 0.0:
        return values
    num, device = len(values), values.device
    draws = 2.0 * torch.rand(4, num, device=device) - 1.0
    chosen, grayed = torch.rand(2, num, 1, device=device)
    amounts = strength * torch.tensor((0.8, 0.8, 0.8, 0.2), device=device)[:, None] * draws * (chosen[:, 0] < probability)
    brightness, contrast, saturation = (1.0 + amounts[:3])[..., None, None]
    luma = torch.tensor(_LUMA, device=device)
    to_gray = luma.expand(3, 3)
    identity = torch.eye(3, device=device)
    matrix = _hue(amounts[3]) @ (saturation * identity + (1.0 - saturation) * to_gray)
    matrix = torch.where((grayed < gray)[:, :, None], to_gray @ matrix, matrix)
    mean = brightness[:, 0] * (values.flatten(1, 2).mean(dim=1) @ luma)[:, None]  # of the lightness, (B, 1)
    offset = ((1.0 - contrast[:, 0]) * mean).expand(num, 3)
    turned = matrix.transpose(1, 2)
    return torch.baddbmm((offset[:, None] @ turned), values.flatten(1, 2), contrast * brightness * turned).view_as(values)


def _hue(turns: Tensor) -> Tensor:
    """(B, 3, 3): turns the colour plane of YIQ."""
    to_yiq = torch.tensor(_TO_YIQ, device=turns.device)
    cosine, sine = (2.0 * math.pi * turns).cos(), (2.0 * math.pi * turns).sin()
    zero, one = torch.zeros_like(turns), torch.ones_like(turns)
    rows = [torch.stack(row, dim=1) for row in ((one, zero, zero), (zero, cosine, -sine), (zero, sine, cosine))]
    turned: Tensor = torch.linalg.inv(to_yiq) @ torch.stack(rows, dim=1) @ to_yiq
    return turned


def _blurred(values: Tensor, probability: float) -> Tensor:
    """A Gaussian of 0.1 to 2 pixels for a 224-pixel side, as far in proportion for others; edges repeat their mean weight."""
    num, width, height, _ = values.shape
    draws = torch.rand(2, num, device=values.device)
    sigma = torch.where(draws[0] < probability, 0.1 + 1.9 * draws[1], 1e-3) * max(width, height) / 224.0
    values = torch.bmm(_gaussian(sigma, width), values.flatten(2)).view_as(values)
    turned = values.transpose(1, 2).contiguous()
    return torch.bmm(_gaussian(sigma, height), turned.flatten(2)).view_as(turned).transpose(1, 2)


def _gaussian(sigma: Tensor, side: int) -> Tensor:
    place = torch.arange(side, device=sigma.device, dtype=torch.float32)
    weights = torch.exp(-0.5 * ((place[:, None] - place) / sigma[:, None, None]).square())
    return weights / weights.sum(dim=2, keepdim=True)


def _check(**values: float) -> None:
    for name, value in values.items():
        if not 0.0 <= value <= 1.0:
            raise ValueError(f"{name} is {value}; expected a value in [0, 1]")
