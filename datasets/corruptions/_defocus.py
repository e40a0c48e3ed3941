"""Defocus blur: a disk's weights take few values, so that each value needs one sum of whole numbers.

The peer convolves by a discrete Fourier transform in double precision. Here the pixels under equal weights are added as 16-bit
numbers, exactly, long runs of them as differences of sums along the row; the few sums are then weighted in double precision."""

from __future__ import annotations

from functools import cache

import numpy as np

from datasets.corruptions._kernel import kernel

DEFOCUS = ((3, 0.1), (4, 0.5), (6, 0.5), (8, 0.5), (10, 0.5))  # radius, sigma of the disk's edge
_LONG = 4  # pixels; a shorter run is added one by one
_BLOCK = 4096  # values that are summed at a time
_NEGLIGIBLE = 1e-20  # a weight whose share no double precision sum would keep


def apply_defocus_blur(images: np.ndarray, out: np.ndarray, severity: int) -> None:
    weights, singles, single_ends, runs, run_ends = _sums(severity)
    _defocus(images, len(disk(severity)) // 2, weights, singles, single_ends, runs, run_ends, out)


@cache
def disk(severity: int) -> np.ndarray:
    """A round opening with a softened edge, float32 (17, 17) or (21, 21)."""
    import cv2

    radius, softness = DEFOCUS[severity - 1]
    reach = np.arange(-max(radius, 8), max(radius, 8) + 1)
    opening = (reach[:, None] ** 2 + reach**2 <= radius**2).astype(np.float32)
    opening /= np.sum(opening)
    size = 3 if radius <= 8 else 5
    softened: np.ndarray = cv2.GaussianBlur(opening, ksize=(size, size), sigmaX=softness)
    return softened


@cache
def _sums(severity: int) -> tuple[np.ndarray, ...]:
    """The distinct weights, float64 (G,); where each group's single pixels lie, int64 (., 2) as row and column of the disk, in
    pairs, and where its runs lie, int64 (., 3) as row, first column and end; int64 (G + 1,) bounds of each group in both.

    A row beyond the disk stands for zeros."""
    opening = disk(severity).astype(np.float64)
    weights = np.unique(opening[opening > _NEGLIGIBLE])
    singles: list[tuple[int, int]] = []
    runs: list[tuple[int, int, int]] = []
    single_ends, run_ends = [0], [0]
    for weight in weights:
        for row, same in enumerate(opening == weight):
            edges = np.flatnonzero(np.diff(same.astype(np.int8), prepend=0, append=0))
            for start, end in edges.reshape(-1, 2).tolist():
                if end - start >= _LONG:
                    runs.append((row, start, end))
                else:
                    singles += [(row, column) for column in range(start, end)]
        if len(singles) % 2:
            singles.append((-1, 0))
        single_ends.append(len(singles))
        run_ends.append(len(runs))
    tables = np.array(singles).reshape(-1, 2), np.array(single_ends), np.array(runs).reshape(-1, 3), np.array(run_ends)
    return weights, *tables


@kernel
def _defocus(images, reach, weights, singles, single_ends, runs, run_ends, out):
    num, height, width, channels = images.shape
    stride = (width + 2 * reach + 1) * channels  # one pixel more than the widened row: sums start with 0
    block = max(_BLOCK // stride, 1)  # rows at a time, with what lies between them
    values = np.zeros((height + 2 * reach + block, stride), np.uint16)  # the last rows stay 0
    sums = np.zeros((height + 2 * reach, stride), np.uint16)  # of all pixels before, modulo 2^16
    total, line = np.empty(block * stride, np.uint16), np.empty(block * stride)
    for n in range(num):
        _mirror(images[n], reach, values, sums)
        result = out[n].reshape(height, width * channels)
        for y in range(0, height, block):
            rows = min(block, height - y)
            length = (rows - 1) * stride + width * channels
            line[:] = 0.0
            for group in range(len(weights)):
                total[:] = 0
                for i in range(single_ends[group], single_ends[group + 1], 2):
                    first, second = (y + singles[i, 0]) * stride, (y + singles[i + 1, 0]) * stride
                    if singles[i + 1, 0] < 0:
                        second = (height + 2 * reach) * stride
                    _add(values.reshape(-1), first + singles[i, 1] * channels, second + singles[i + 1, 1] * channels, length, total)
                for i in range(run_ends[group], run_ends[group + 1]):
                    first = (y + runs[i, 0]) * stride
                    _add_run(sums.reshape(-1), first + runs[i, 1] * channels, first + runs[i, 2] * channels, length, total)
                weight = weights[group]
                for j in range(length):
                    line[j] += weight * total[j]
            for row in range(rows):
                row_out, row_line = result[y + row], line[row * stride :]
                for j in range(len(row_out)):
                    row_out[j] = np.uint8(min(row_line[j], 255.0))


@kernel
def _add(values, first, second, length, total):
    """Adds two shifted pieces."""
    piece, other = values[first : first + length], values[second : second + length]
    for j in range(length):
        total[j] += piece[j] + other[j]


@kernel
def _add_run(sums, start, end, length, total):
    """Adds runs of pixels that start and end with those of two shifted pieces."""
    before, after = sums[start : start + length], sums[end : end + length]
    for j in range(length):
        total[j] += after[j] - before[j]


@kernel
def _mirror(image, reach, values, sums):
    """A picture with its border mirrored about the outermost pixels, and the sums along its rows."""
    height, width, channels = image.shape
    for y in range(-reach, height + reach):
        source, row, total = image[_mirrored(y, height)], values[y + reach], sums[y + reach]
        for x in range(-reach, width + reach):
            place, pixel = (x + reach) * channels, source[_mirrored(x, width)]
            for c in range(channels):
                row[place + c] = pixel[c]
                total[place + channels + c] = total[place + c] + pixel[c]


@kernel
def _mirrored(place, size):
    place = abs(place)
    return place if place < size else 2 * size - 2 - place
