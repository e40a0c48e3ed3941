"""Gaussian blur, motion blur and linear zoom in double precision, each sum in the order in which SciPy or the peer takes it."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from datasets.corruptions._kernel import kernel


def gaussian_blur(values: np.ndarray, sigma: tuple[float, float], truncate: float = 4.0, reflect: bool = False) -> np.ndarray:
    """float64 (N, H, W, C) -> float64 (N, H, W, C), rows then columns, as scipy.ndimage.gaussian_filter of each.

    sigma: of rows and columns. Beyond the border: the nearest pixel, or the reflection about the border's edge."""
    out = np.empty_like(values)
    _gaussian(values, *(_gaussian_weights(width, truncate) for width in sigma), reflect, out)
    return out


def gaussian_blur_levels(images: np.ndarray, sigma: float, out: np.ndarray) -> None:
    """uint8 (N, H, W, C) images -> out uint8 (N, H, W, C), by way of [0, 1] and truncated."""
    _gaussian_levels(images, np.arange(256) / 255.0, _gaussian_weights(sigma, 4.0), out)


def motion_blur(values: np.ndarray, radius: int, sigma: float, angles: np.ndarray, out: np.ndarray) -> None:
    """uint8 or float64 (N, H, W, C), angles float64 (N,) in degrees -> out float64 or truncated to uint8, (N, H, W, C).

    Sums of shifted copies along a line, Gaussian weights; beyond the border the nearest pixel, and no shift of a whole image."""
    width = 2 * radius + 1
    _motion(values, _motion_weights(width, sigma), np.deg2rad(angles), out)


def linear_zoom(values: np.ndarray, factor: float) -> np.ndarray:
    """float64 (N, h, w) -> float64 (N, round(h * factor), round(w * factor)), as scipy.ndimage.zoom of order 1."""
    rows, columns = (zoom_axis(size, round(size * factor)) for size in values.shape[1:])
    out = np.empty((len(values), len(rows[0]), len(columns[0])))
    _zoom(values, *rows, *columns, out)
    return out


@lru_cache(maxsize=256)
def zoom_axis(num_in: int, num_out: int) -> tuple[np.ndarray, np.ndarray]:
    """Of each output pixel: the first of two input pixels, int64 (num_out,), and their weights, float64 (num_out, 2).

    Where rounding carries the last pixel past the input's last, both weights are 0, as SciPy then takes the constant border."""
    places = np.arange(num_out) * ((num_in - 1) / (num_out - 1))
    first = np.floor(places).astype(np.int64)
    weights = np.stack([1 - (places - first), places - first], axis=1)
    weights[places > num_in - 1] = 0
    return np.minimum(first, num_in - 1), weights


@lru_cache(maxsize=64)
def _gaussian_weights(sigma: float, truncate: float) -> np.ndarray:
    """Weights by distance, float64 (radius + 1,)."""
    radius = int(truncate * sigma + 0.5)
    weights = np.exp(-0.5 / (sigma * sigma) * np.arange(-radius, radius + 1) ** 2)
    half: np.ndarray = (weights / weights.sum())[radius:].copy()
    return half


@lru_cache(maxsize=64)
def _motion_weights(width: int, sigma: float) -> np.ndarray:
    weights: np.ndarray = np.exp(-(np.arange(width) ** 2) / (2 * sigma**2)) / (np.sqrt(2 * np.pi) * sigma)
    weights /= np.sum(weights)
    return weights


@kernel
def _border(index, size, reflect):
    """The row or column that stands for one beyond the border."""
    if not reflect:
        return min(max(index, 0), size - 1)
    index %= 2 * size
    return index if index < size else 2 * size - 1 - index


@kernel
def _blur_row(values, y, channels, weights_y, weights_x, reflect, wide, line):
    """Row y of a blurred image (H, W*C) into line; wide: W*C and twice the border."""
    height, radius, border = len(values), len(weights_x) - 1, (len(weights_x) - 1) * channels
    middle = wide[border : border + len(line)]
    row = values[y]
    for i in range(len(line)):
        middle[i] = row[i] * weights_y[0]
    for step in range(len(weights_y) - 1, 0, -1):
        above, below, weight = values[_border(y - step, height, reflect)], values[_border(y + step, height, reflect)], weights_y[step]
        for i in range(len(line)):
            middle[i] += (above[i] + below[i]) * weight
    width = len(line) // channels
    for step in range(1, radius + 1):
        for c in range(channels):
            wide[border - step * channels + c] = middle[_border(-step, width, reflect) * channels + c]
            wide[border + (width - 1 + step) * channels + c] = middle[_border(width - 1 + step, width, reflect) * channels + c]
    for i in range(len(line)):
        line[i] = middle[i] * weights_x[0]
    for step in range(radius, 0, -1):
        left, right, weight = wide[border - step * channels :], wide[border + step * channels :], weights_x[step]
        for i in range(len(line)):
            line[i] += (left[i] + right[i]) * weight


@kernel
def _gaussian(values, weights_y, weights_x, reflect, out):
    num, height, width, channels = values.shape
    wide = np.empty((width + 2 * (len(weights_x) - 1)) * channels)
    for n in range(num):
        flat, flat_out = values[n].reshape(height, width * channels), out[n].reshape(height, width * channels)
        for y in range(height):
            _blur_row(flat, y, channels, weights_y, weights_x, reflect, wide, flat_out[y])


@kernel
def _gaussian_levels(images, levels, weights, out):
    num, height, width, channels = images.shape
    wide, line = np.empty((width + 2 * (len(weights) - 1)) * channels), np.empty(width * channels)
    values = np.empty((height, width * channels))
    for n in range(num):
        pixels, flat, result = images[n].reshape(-1), values.reshape(-1), out[n].reshape(height, width * channels)
        for i in range(len(pixels)):
            flat[i] = levels[pixels[i]]
        for y in range(height):
            _blur_row(values, y, channels, weights, weights, False, wide, line)
            row = result[y]
            for i in range(len(line)):
                row[i] = np.uint8(min(max(line[i], 0.0), 1.0) * 255)


@kernel
def _motion(values, weights, angles, out):
    num, height, width, channels = values.shape
    taps, length = len(weights), width * channels
    border = taps * channels
    wide, line = np.empty((height, length + 2 * border), values.dtype), np.empty(length)
    for n in range(num):
        _widen(values[n].reshape(height, length), channels, border, wide)
        down, right = taps * math.sin(angles[n]), taps * math.cos(angles[n])
        distance = math.hypot(down, right)
        rows, starts, used = np.empty(taps, np.int64), np.empty(taps, np.int64), 0
        for i in range(taps):
            dy, dx = -math.ceil(i * down / distance - 0.5), -math.ceil(i * right / distance - 0.5)
            if abs(dy) >= height or abs(dx) >= width:
                break
            rows[i], starts[i], used = dy, border - dx * channels, i + 1
        result = out[n].reshape(height, length)
        for y in range(height):
            line[:] = 0.0
            for i in range(used):
                source = wide[min(max(y - rows[i], 0), height - 1)][starts[i] : starts[i] + length]
                weight = weights[i]
                for j in range(length):
                    line[j] += weight * source[j]
            row = result[y]
            for j in range(length):
                row[j] = line[j]


@kernel
def _widen(rows, channels, border, wide):
    """Rows with their first and last pixel repeated on both sides."""
    length = rows.shape[1]
    for y in range(len(rows)):
        row, padded = rows[y], wide[y]
        padded[border : border + length] = row
        for i in range(0, border, channels):
            padded[i : i + channels] = row[:channels]
            padded[border + length + i : border + length + i + channels] = row[length - channels :]


@kernel
def _zoom(values, rows, row_weights, columns, column_weights, out):
    num, height, width = values.shape
    for n in range(num):
        for y in range(len(rows)):
            above, below = values[n, rows[y]], values[n, min(rows[y] + 1, height - 1)]
            upper, lower, row = row_weights[y, 0], row_weights[y, 1], out[n, y]
            for x in range(len(columns)):
                left, right = columns[x], min(columns[x] + 1, width - 1)
                first, second = column_weights[x, 0], column_weights[x, 1]
                total = above[left] * upper * first + above[right] * upper * second
                row[x] = total + below[left] * lower * first + below[right] * lower * second
