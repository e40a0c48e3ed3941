"""Glass, motion and zoom blur, and the Gaussian blur that is an extra."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from datasets.corruptions import _filters, _philox
from datasets.corruptions._kernel import kernel

GLASS = ((0.7, 1, 2), (0.9, 2, 1), (1, 2, 3), (1.1, 3, 2), (1.5, 4, 2))  # sigma, distance, rounds
MOTION = ((10, 3), (15, 5), (15, 8), (15, 12), (20, 15))  # radius, sigma
ZOOM = ((1.11, 0.01), (1.16, 0.01), (1.21, 0.02), (1.26, 0.02), (1.31, 0.03))  # end and step of the factors from 1
GAUSSIAN_SIGMA = (1, 2, 3, 4, 6)


def apply_gaussian_blur(images: np.ndarray, out: np.ndarray, severity: int) -> None:
    _filters.gaussian_blur_levels(images, GAUSSIAN_SIGMA[severity - 1], out)


def draw_glass_blur(images: np.ndarray, severity: int, identities: np.ndarray) -> tuple[np.ndarray]:
    """uint8 (N, rounds, rows, columns): dx + 2 distance dy, each from 0 to 2 distance - 1, in the order in which they are used."""
    _, distance, rounds = GLASS[severity - 1]
    shape = (len(images), rounds, *(max(size - 2 * distance, 0) for size in images.shape[1:3]))
    moves = np.empty(shape, dtype=np.uint8)
    words = _philox.words(identities, moves[0].size)
    _scale_down(words.ravel(), np.uint64((2 * distance) ** 2), moves.ravel())
    return (moves,)


def apply_glass_blur(images: np.ndarray, out: np.ndarray, severity: int, moves: np.ndarray) -> None:
    sigma, distance, _ = GLASS[severity - 1]
    _filters.gaussian_blur_levels(images, sigma, out)
    _shuffle_(out, distance, moves)
    _filters.gaussian_blur_levels(out.copy(), sigma, out)


def draw_motion_blur(images: np.ndarray, severity: int, identities: np.ndarray) -> tuple[np.ndarray]:
    """float64 (N,), uniform in (0, 1): from -45 to 45 degrees."""
    return (_philox.uniforms(identities, 1)[:, 0],)


def apply_motion_blur(images: np.ndarray, out: np.ndarray, severity: int, uniform: np.ndarray) -> None:
    _filters.motion_blur(images, *MOTION[severity - 1], -45 + 90 * uniform, out)


def apply_zoom_blur(images: np.ndarray, out: np.ndarray, severity: int) -> None:
    levels = (np.arange(256) / 255.0).astype(np.float32)
    _zoom_blur(images, levels, *_zoom_tables(severity, *images.shape[1:]), out)


@lru_cache(maxsize=32)
def _zoom_tables(severity: int, height: int, width: int, channels: int) -> tuple[np.ndarray, ...]:
    """Of each layer: the first of two rows, int64 (L, H), and their weights, float64 (L, H, 2); the first of two values of a row,
    int32 (L, W*C), and their weights, float64 (L, 2, W*C)."""
    end, step = ZOOM[severity - 1]
    rows, row_weights, places, place_weights = [], [], [], []
    for factor in np.arange(1, end, step):
        crop = [int(np.ceil(size / float(factor))) for size in (height, width)]
        (first_y, weight_y), (first_x, weight_x) = (_filters.zoom_axis(size, round(size * factor)) for size in crop)
        rows.append(first_y[:height] + (height - crop[0]) // 2)
        row_weights.append(weight_y[:height])
        columns = first_x[:width, None] + (width - crop[1]) // 2
        places.append((columns * channels + np.arange(channels)).ravel())
        place_weights.append(np.repeat(weight_x[:width].T, channels, axis=1))
    return np.array(rows), np.array(row_weights), np.array(places, dtype=np.int32), np.array(place_weights)


@kernel
def _scale_down(words, below, out):
    for i in range(len(words)):
        out[i] = (np.uint64(words[i]) * below) >> np.uint64(32)


@kernel
def _shuffle_(images, distance, moves):
    """Pixels take the colour of one nearby, one after the other, from the last row and column to the first.

    The peer means to swap them, but both sides are views of the same image, so that the other pixel keeps its colour."""
    num, height, width, _ = images.shape
    shift = np.empty(4 * distance * distance, np.int64)
    for move in range(len(shift)):
        shift[move] = (move // (2 * distance) - distance) * width + move % (2 * distance) - distance
    pixels = np.empty(height * width, np.uint32)
    for n in range(num):
        flat = images[n].reshape(-1, 3)
        for i in range(len(pixels)):
            pixels[i] = np.uint32(flat[i, 0]) | np.uint32(flat[i, 1]) << np.uint32(8) | np.uint32(flat[i, 2]) << np.uint32(16)
        for turn in range(moves.shape[1]):
            for row in range(moves.shape[2]):
                start = (height - distance - row) * width + width - distance
                line = moves[n, turn, row]
                for column in range(len(line)):
                    place = start - column
                    pixels[place] = pixels[place + shift[line[column]]]
        for i in range(len(pixels)):
            flat[i, 0], flat[i, 1], flat[i, 2] = pixels[i] & 255, (pixels[i] >> np.uint32(8)) & 255, pixels[i] >> np.uint32(16)


@kernel
def _zoom_blur(images, levels, rows, row_weights, places, place_weights, out):
    num, height, width, channels = images.shape
    length = width * channels
    values, total = np.zeros((height, length + channels), np.float32), np.empty((height, length), np.float32)
    lines = np.empty((2, 2, length), np.float32)  # of two rows: left and right neighbours
    for n in range(num):
        pixels = images[n].reshape(height, length)
        for y in range(height):
            for i in range(length):
                values[y, i] = levels[pixels[y, i]]
        total[:] = 0
        for layer in range(len(rows)):
            held = -2
            left_weights, right_weights = place_weights[layer, 0], place_weights[layer, 1]
            for y in range(height):
                first = rows[layer, y]
                if first != held:
                    for row in range(first + 1 if first == held + 1 else first, first + 2):
                        _spread(values[min(row, height - 1)], places[layer], channels, lines[row % 2, 0], lines[row % 2, 1])
                    held = first
                above, below = lines[first % 2], lines[(first + 1) % 2]
                _add_zoomed(above, below, row_weights[layer, y], left_weights, right_weights, total[y])
        result = out[n].reshape(height, length)
        layers = np.float32(len(rows) + 1)
        for y in range(height):
            for i in range(length):
                value = (values[y, i] + total[y, i]) / layers
                result[y, i] = np.uint8(min(max(value, np.float32(0)), np.float32(1)) * np.float32(255))


@kernel
def _spread(row, places, channels, left, right):
    """A row's left and right neighbours of each output value."""
    for i in range(len(places)):
        place = np.uint64(places[i])
        left[i], right[i] = row[place], row[place + np.uint64(channels)]


@kernel
def _add_zoomed(above, below, weights, left_weights, right_weights, total):
    upper, lower = weights[0], weights[1]
    above_left, above_right, below_left, below_right = above[0], above[1], below[0], below[1]
    for i in range(len(total)):
        first, second = left_weights[i], right_weights[i]
        value = above_left[i] * upper * first + above_right[i] * upper * second
        total[i] += np.float32(value + below_left[i] * lower * first + below_right[i] * lower * second)
