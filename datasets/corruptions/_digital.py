"""Contrast, elastic transform, pixelation and JPEG compression."""

from __future__ import annotations

import numpy as np

from datasets.corruptions import _filters, _philox
from datasets.corruptions._kernel import kernel

CONTRAST = (0.4, 0.3, 0.2, 0.1, 0.05)
ELASTIC = (12.5, 16.25, 21.25, 25.0, 30.0)  # strength; the distances are blurred to a small part of it
PIXELATE = (0.6, 0.5, 0.4, 0.3, 0.25)
JPEG_QUALITY = (25, 18, 15, 10, 7)


def apply_contrast(images: np.ndarray, out: np.ndarray, severity: int) -> None:
    _contrast(images, np.arange(256) / 255.0, CONTRAST[severity - 1], out)


def draw_elastic_transform(images: np.ndarray, severity: int, identities: np.ndarray) -> tuple[np.ndarray]:
    """float64 (N, 2, H, W), uniform in (0, 1): columns' distances, then rows'."""
    _, height, width, _ = images.shape
    return (_philox.uniforms(identities, 2 * height * width).reshape(-1, 2, height, width),)


def apply_elastic_transform(images: np.ndarray, out: np.ndarray, severity: int, uniform: np.ndarray) -> None:
    num, height, width, _ = images.shape
    furthest = height * 0.005  # for columns too
    distances = (-furthest + (furthest - -furthest) * uniform).reshape(2 * num, height, width, 1)
    blurred = _filters.gaussian_blur(distances, (height * 0.01, width * 0.01), truncate=3, reflect=True)
    moves = (blurred * ELASTIC[severity - 1]).astype(np.float32).reshape(num, 2, height, width)
    _resample(images, np.arange(256, dtype=np.float32) / np.float32(255), moves, out)


def apply_pixelate(images: np.ndarray, out: np.ndarray, severity: int) -> None:
    from PIL import Image

    _, height, width, _ = images.shape
    small = int(width * PIXELATE[severity - 1]), int(height * PIXELATE[severity - 1])
    for image, result in zip(images, out, strict=True):
        blocks = Image.fromarray(image).resize(small, Image.Resampling.BOX)
        result[...] = np.asarray(blocks.resize((width, height), Image.Resampling.NEAREST))


def apply_jpeg_compression(images: np.ndarray, out: np.ndarray, severity: int) -> None:
    import cv2

    quality = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY[severity - 1]]
    for image, result in zip(images, out, strict=True):
        _, encoded = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), quality)
        decoded: np.ndarray = cv2.imdecode(encoded, cv2.IMREAD_COLOR)  # type: ignore[assignment]  # None where it is no picture
        cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB, dst=result)


@kernel
def _contrast(images, levels, amount, out):
    num, height, width, _ = images.shape
    table = np.empty((3, 256), np.uint8)
    for n in range(num):
        pixels, result = images[n].reshape(-1, 3), out[n].reshape(-1, 3)
        red = green = blue = 0.0
        for i in range(len(pixels)):
            red, green, blue = red + levels[pixels[i, 0]], green + levels[pixels[i, 1]], blue + levels[pixels[i, 2]]
        means = (red / (height * width), green / (height * width), blue / (height * width))
        for c in range(3):
            for level in range(256):
                value = (levels[level] - means[c]) * amount + means[c]
                table[c, level] = np.uint8(min(max(value, 0.0), 1.0) * 255)
        for i in range(len(pixels)):
            result[i, 0], result[i, 1], result[i, 2] = table[0, pixels[i, 0]], table[1, pixels[i, 1]], table[2, pixels[i, 2]]


@kernel
def _resample(images, levels, moves, out):
    num, height, width, _ = images.shape
    values = np.zeros((height * width, 4), np.float32)  # four channels, for the processor
    places, shares, line = np.empty((4, width), np.uint64), np.empty((2, width)), np.empty((width, 4), np.float32)
    for n in range(num):
        pixels = images[n].reshape(-1, 3)
        for i in range(len(pixels)):
            values[i, 0], values[i, 1], values[i, 2] = levels[pixels[i, 0]], levels[pixels[i, 1]], levels[pixels[i, 2]]
        for y in range(height):
            _find(y, moves[n, 1, y], moves[n, 0, y], height, places, shares)
            for x in range(width):
                down, right = shares[0, x], shares[1, x]
                _mix(values, places[0, x], places[1, x], places[2, x], places[3, x], 1 - down, down, 1 - right, right, line[x])
            result = out[n, y]
            for x in range(width):
                for c in range(3):
                    result[x, c] = np.uint8(min(max(line[x, c], np.float32(0)), np.float32(1)) * np.float32(255))


@kernel
def _find(y, down, right, height, places, shares):
    """Of each pixel of a row: the four that it lies between, and how far it is from the first, down and right.

    Beyond the border, places are folded back about the border's edge, once: a picture six times as high as wide needs no more."""
    width = len(right)
    for x in range(width):
        row, column = y + np.float64(down[x]), x + np.float64(right[x])
        row = -row - 1 if row < 0 else (2 * height - row - 1 if row >= height else row)
        column = -column - 1 if column < 0 else (2 * width - column - 1 if column >= width else column)
        top, left = np.floor(row), np.floor(column)
        shares[0, x], shares[1, x] = row - top, column - left
        upper = np.int64(min(max(top, 0.0), height - 1.0)) * width
        lower = np.int64(min(max(top + 1, 0.0), height - 1.0)) * width
        first, last = np.int64(min(max(left, 0.0), width - 1.0)), np.int64(min(max(left + 1, 0.0), width - 1.0))
        places[0, x], places[1, x], places[2, x], places[3, x] = upper + first, upper + last, lower + first, lower + last


@kernel
def _mix(values, first, second, third, fourth, up, down, near, far, mixed):
    """The weighted mean of four pixels, rows first."""
    for c in range(4):
        value = values[first, c] * up * near + values[second, c] * up * far
        mixed[c] = value + values[third, c] * down * near + values[fourth, c] * down * far
