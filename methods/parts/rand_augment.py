"""RandAugment (Cubuk et al., NeurIPS 2020) and random erasing (Zhong et al., AAAI 2020), a whole batch at once on its device, each image
by its own draws.

The changes and their strengths are those of timm's "rand-m9-mstd0.5-inc1": fifteen, each stronger with the magnitude, which is drawn
anew for each. Draws come from torch's global generator on the CPU, so that no device has to be waited for."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

_LUMA = (0.299, 0.587, 0.114)
_FILL = (124.0, 116.0, 104.0)  # what comes in at an edge: ImageNet's mean
_MOST = 10.0  # the largest magnitude


def rand_augment(
    images: Tensor, *, num_changes: int = 2, magnitude: float = 9.0, magnitude_std: float = 0.5, probability: float = 0.5
) -> Tensor:
    """images: uint8 or float (B, 3, H, W) in [0, 255] -> float32 of that shape and range.

    num_changes: draws for each image, each of which happens with the given probability. magnitude, magnitude_std: mean and deviation of the
    strength, cut to [0, 10]. Raises ValueError for a value out of range."""
    if num_changes < 0 or not 0.0 <= magnitude <= _MOST or magnitude_std < 0 or not 0.0 <= probability <= 1.0:
        given = f"num_changes {num_changes}, magnitude {magnitude}, magnitude_std {magnitude_std}, probability {probability}"
        raise ValueError(f"rand_augment: {given}; expected >= 0, in [0, 10], >= 0 and in [0, 1]")
    values = images.float()
    for _ in range(num_changes):
        draws = torch.rand(2, len(values))
        kinds = torch.randint(len(NAMES), (len(values),)).masked_fill_(draws[0] >= probability, -1)
        levels = (magnitude + magnitude_std * torch.randn(len(values))).clamp_(0.0, _MOST) / _MOST
        values = apply_changes(values, kinds, torch.where(draws[1] < 0.5, -levels, levels))
    return values


def apply_changes(values: Tensor, kinds: Tensor, levels: Tensor) -> Tensor:
    """Each image changed by its own kind, a place in NAMES or -1 for none. values: float32 (B, 3, H, W). kinds: int64 (B,) and levels
    (B,), on the CPU: strength in [-1, 1], whose sign is that of the change where it has two directions. Float32 under autocast, too."""
    found = values.clone()
    with torch.autocast(values.device.type, enabled=False):
        for chosen, function in _grouped(kinds):
            rows = chosen.to(values.device)
            strengths = levels[chosen].to(values.device)
            found[rows] = function(values[rows], strengths, kinds[chosen])
    return found


def random_erase(images: Tensor, mean: Tensor, std: Tensor, *, probability: float = 0.25) -> Tensor:
    """Fills a box of some images with noise: (B, 3, H, W) -> float32, mean + std * N(0, 1) in the box.

    mean, std: (1, 3, 1, 1), of pixel values. The box has 2 to 33 % of the area and sides at 0.3 to 3.3, cut to the image. Raises ValueError
    for a probability outside [0, 1]."""
    if not 0.0 <= probability <= 1.0:
        raise ValueError(f"random_erase: probability is {probability}; expected a value in [0, 1]")
    num, _, height, width = images.shape
    draws = torch.rand(5, num)
    area = 0.02 + (1 / 3 - 0.02) * draws[0]
    aspect = torch.exp(math.log(0.3) + (math.log(3.3) - math.log(0.3)) * draws[1])
    chosen = torch.nonzero(draws[4] < probability).flatten()
    if not len(chosen):
        return images.float()
    boxes = []
    for part, place, side in ((area * aspect, draws[2], height), (area / aspect, draws[3], width)):
        length = (part.sqrt() * side).round().clamp(1, side)
        start = (place * (side - length + 1)).floor().clamp_max(side - 1)
        index = torch.arange(side)
        boxes.append(((index >= start[:, None]) & (index < (start + length)[:, None]))[chosen])
    inside = (boxes[0][:, None, :, None] & boxes[1][:, None, None, :]).to(images.device)
    values, rows = images.float().clone(), chosen.to(images.device)
    noise = mean + std * torch.randn(len(chosen), *images.shape[1:], device=images.device)
    values[rows] = torch.where(inside, noise, values[rows])
    return values


def _grouped(kinds: Tensor) -> list[tuple[Tensor, Callable[[Tensor, Tensor, Tensor], Tensor]]]:
    """(positions, change) of the images that change, those of geometry together."""
    groups = [(torch.nonzero(kinds == kind).flatten(), _COLORS[name]) for kind, name in enumerate(NAMES) if name in _COLORS]
    groups.append((torch.nonzero(kinds >= len(_COLORS)).flatten(), _warped))
    return [(rows, function) for rows, function in groups if len(rows)]


def _auto_contrast(values: Tensor, levels: Tensor, kinds: Tensor) -> Tensor:
    low, high = values.amin(dim=(2, 3), keepdim=True), values.amax(dim=(2, 3), keepdim=True)
    return torch.where(high > low, (values - low) * (255.0 / (high - low).clamp_min(1e-6)), values)


def _equalized(values: Tensor, levels: Tensor, kinds: Tensor) -> Tensor:
    """Pillow's equalize: each value to its share of the cumulative histogram."""
    num, channels, height, width = values.shape
    pixels = values.round().long().reshape(num * channels, -1)
    counts = torch.zeros(num * channels, 256, dtype=torch.int64, device=values.device).scatter_add_(1, pixels, torch.ones_like(pixels))
    last = counts.gather(1, pixels.amax(dim=1, keepdim=True))
    step = (height * width - last) // 255
    table = ((step // 2 + counts.cumsum(dim=1) - counts) // step.clamp_min(1)).clamp_max(255)
    table = torch.where(step > 0, table, torch.arange(256, device=values.device))
    return table.gather(1, pixels).view_as(values).to(values.dtype)


def _inverted(values: Tensor, levels: Tensor, kinds: Tensor) -> Tensor:
    return 255.0 - values


def _posterized(values: Tensor, levels: Tensor, kinds: Tensor) -> Tensor:
    width = torch.exp2(8.0 - (4.0 - (levels.abs() * 4).floor()))[:, None, None, None]  # of a step that values are rounded down to
    return (values.round() / width).floor() * width


def _solarized(values: Tensor, levels: Tensor, kinds: Tensor) -> Tensor:
    limit = 256.0 - (levels.abs() * 256).floor().clamp_max(256.0)[:, None, None, None]
    return torch.where(values.round() < limit, values, 255.0 - values)


def _solarize_added(values: Tensor, levels: Tensor, kinds: Tensor) -> Tensor:
    amount = (levels.abs() * 110).floor().clamp_max(128.0)[:, None, None, None]
    return torch.where(values.round() < 128.0, (values + amount).clamp_max(255.0), values)


def _colored(values: Tensor, levels: Tensor, kinds: Tensor) -> Tensor:
    return _blended(values, _gray(values), levels)


def _contrasted(values: Tensor, levels: Tensor, kinds: Tensor) -> Tensor:
    return _blended(values, _gray(values).mean(dim=(1, 2, 3), keepdim=True), levels)


def _brightened(values: Tensor, levels: Tensor, kinds: Tensor) -> Tensor:
    return _blended(values, torch.zeros_like(values), levels)


def _sharpened(values: Tensor, levels: Tensor, kinds: Tensor) -> Tensor:
    """Away from the mean of the neighbours, the pixel itself counting five times; a border pixel stays as it is."""
    if min(values.shape[2:]) < 3:
        return values
    kernel = torch.ones(3, 1, 3, 3, device=values.device) / 13.0
    kernel[:, :, 1, 1] = 5.0 / 13.0
    smooth = values.clone()
    smooth[:, :, 1:-1, 1:-1] = functional.conv2d(values, kernel, groups=3)
    return _blended(values, smooth, levels)


def _gray(values: Tensor) -> Tensor:
    weights = torch.tensor(_LUMA, device=values.device)[:, None, None]
    return (values * weights).sum(dim=1, keepdim=True)


def _blended(values: Tensor, base: Tensor, levels: Tensor) -> Tensor:
    factor = (1.0 + 0.9 * levels).clamp_min(0.1)[:, None, None, None]
    return (base + factor * (values - base)).clamp(0.0, 255.0)


def _warped(values: Tensor, levels: Tensor, kinds: Tensor) -> Tensor:
    """Rotation by up to 30 degrees, shear by up to .3 and shift by up to .45 of the side, linear between pixels."""
    num, _, height, width = values.shape
    kinds, zero = kinds.to(values.device) - len(_COLORS), torch.zeros_like(levels)

    def only(place: int, amount: Tensor) -> Tensor:
        return torch.where(kinds == place, amount, zero)

    angle = only(0, -levels * math.radians(30.0))
    cosine, sine, ratio = angle.cos(), angle.sin(), height / width
    # where a pixel of the result comes from, in units of half a side
    rows = (cosine, only(1, 0.3 * levels) * ratio + sine * ratio, 2 * only(3, 0.45 * levels))
    columns = (only(2, 0.3 * levels) / ratio - sine / ratio, cosine, 2 * only(4, 0.45 * levels))
    matrix = torch.stack([torch.stack(rows, dim=1), torch.stack(columns, dim=1)], dim=1)  # (B, 2, 3)
    grid = functional.affine_grid(matrix, [num, 3, height, width], align_corners=False)
    fill = torch.tensor(_FILL, device=values.device)[:, None, None]
    return functional.grid_sample(values - fill, grid, align_corners=False) + fill


_COLORS: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "auto_contrast": _auto_contrast,
    "equalize": _equalized,
    "invert": _inverted,
    "posterize": _posterized,
    "solarize": _solarized,
    "solarize_add": _solarize_added,
    "color": _colored,
    "contrast": _contrasted,
    "brightness": _brightened,
    "sharpness": _sharpened,
}
NAMES = (*_COLORS, "rotate", "shear_x", "shear_y", "translate_x", "translate_y")  # geometry last
