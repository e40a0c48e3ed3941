"""Gaussian, shot, impulse and speckle noise, drawn as the whole numbers that they add up to.

A pixel ends as a whole number, so its noise has a discrete law: floor(255 c g) for Gaussian noise, a Poisson count, a level for
speckle noise. Each law becomes an alias table (Walker 1977; Vose 1991), exact to 2^-32 in every slot, and a number costs one
32-bit word and one look-up. What lies beyond black or white is lumped there, as clipping would."""

from __future__ import annotations

from functools import cache

import numpy as np

from datasets.corruptions import _philox
from datasets.corruptions._kernel import kernel

GAUSSIAN_SCALE = (0.08, 0.12, 0.18, 0.26, 0.38)
SHOT_PHOTONS = (60, 25, 12, 5, 3)  # that white stands for
IMPULSE_AMOUNT = (0.03, 0.06, 0.09, 0.17, 0.27)
SPECKLE_SCALE = (0.15, 0.2, 0.35, 0.45, 0.6)


def draw_gaussian_noise(images: np.ndarray, severity: int, identities: np.ndarray) -> tuple[np.ndarray]:
    """int16, floor(255 c g) with g standard normal, from -255 to 255."""
    return (_draw_by_level(images, gaussian_table(severity), identities),)


def apply_gaussian_noise(images: np.ndarray, out: np.ndarray, severity: int, steps: np.ndarray) -> None:
    _add_steps(images.ravel(), steps.ravel(), out.ravel())


def draw_shot_noise(images: np.ndarray, severity: int, identities: np.ndarray) -> tuple[np.ndarray]:
    """int16 numbers of photons, Poisson; what would be more than white is white."""
    return (_draw_by_level(images, shot_table(severity), identities),)


def apply_shot_noise(images: np.ndarray, out: np.ndarray, severity: int, photons: np.ndarray) -> None:
    white = SHOT_PHOTONS[severity - 1]
    levels = (np.clip(np.arange(white + 1) / float(white), 0, 1) * 255).astype(np.uint8)
    _look_up(photons.ravel(), levels, out.ravel())


def draw_speckle_noise(images: np.ndarray, severity: int, identities: np.ndarray) -> tuple[np.ndarray]:
    """int16 levels, floor(v + v c g) with g standard normal, from 0 to 255."""
    return (_draw_by_level(images, speckle_table(severity), identities),)


def apply_speckle_noise(images: np.ndarray, out: np.ndarray, severity: int, levels: np.ndarray) -> None:
    out[...] = levels


def draw_impulse_noise(images: np.ndarray, severity: int, identities: np.ndarray) -> tuple[np.ndarray]:
    """uint32, uniform: salt below half the amount, pepper below the amount."""
    return (_philox.words(identities, images[0].size).reshape(images.shape),)


def apply_impulse_noise(images: np.ndarray, out: np.ndarray, severity: int, words: np.ndarray) -> None:
    amount, levels = round(IMPULSE_AMOUNT[severity - 1] * 2**32), (np.arange(256) / 255.0 * 255).astype(np.uint8)
    _salt_and_pepper(images.ravel(), words.ravel(), np.uint32(amount // 2), np.uint32(amount), levels, out.ravel())


@cache
def gaussian_table(severity: int) -> np.ndarray:
    """uint64 (1, 512): the law of floor(255 c g), the same for all levels."""
    from scipy.special import ndtr

    edges = np.arange(-254, 256) / (255 * GAUSSIAN_SCALE[severity - 1])  # of 511 steps, all but the outermost
    return _alias_table(_differences(ndtr(edges)[None]), -255)


@cache
def shot_table(severity: int) -> np.ndarray:
    """uint64 (256, slots): the Poisson law of each level; the last number stands for all that are white or more."""
    from scipy.special import pdtr

    white = SHOT_PHOTONS[severity - 1]
    rates = np.arange(256)[:, None] / 255.0 * white
    return _alias_table(_differences(pdtr(np.arange(white)[None], rates)), 0)


@cache
def speckle_table(severity: int) -> np.ndarray:
    """uint64 (256, 256): the law of floor(v + v c g) for each level v."""
    from scipy.special import ndtr

    levels = np.arange(256.0)[:, None]
    with np.errstate(divide="ignore"):
        edges = (np.arange(1, 256) / levels - 1) / SPECKLE_SCALE[severity - 1]  # level 0 stays 0
    return _alias_table(_differences(ndtr(edges)), 0)


def _differences(distribution: np.ndarray) -> np.ndarray:
    """Distribution function (rows, K) below each of K edges -> chances (rows, K + 1)."""
    padded: np.ndarray = np.pad(distribution, ((0, 0), (1, 1)), constant_values=(0, 1))
    return np.diff(padded)


def _alias_table(chances: np.ndarray, first: int) -> np.ndarray:
    """uint64 (rows, slots), slots a power of two: threshold << 32 | other number << 16 | own number, as 16 bits with sign."""
    slots = 1 << (chances.shape[1] - 1).bit_length()
    padded: np.ndarray = np.pad(chances, ((0, 0), (0, slots - chances.shape[1])))
    table = np.empty(padded.shape, dtype=np.uint64)
    _build_alias(padded * slots, first, table)
    return table


def _draw_by_level(images: np.ndarray, table: np.ndarray, identities: np.ndarray) -> np.ndarray:
    drawn = np.empty(images.shape, dtype=np.int16)
    words = _philox.words(identities, images[0].size)
    bits = table.shape[1].bit_length() - 1
    _look_up_alias(words.ravel(), images.ravel(), table.ravel(), len(table) > 1, np.uint32(bits), drawn.ravel())
    return drawn


@kernel
def _build_alias(scaled, first, table):
    slots = scaled.shape[1]
    small, large = np.empty(slots, np.int64), np.empty(slots, np.int64)
    for row in range(len(scaled)):
        mass, num_small, num_large = scaled[row].copy(), 0, 0
        for slot in range(slots):
            if mass[slot] < 1.0:
                small[num_small] = slot
                num_small += 1
            else:
                large[num_large] = slot
                num_large += 1
        alias = np.arange(slots)
        while num_small > 0 and num_large > 0:
            num_small -= 1
            low, high = small[num_small], large[num_large - 1]
            alias[low] = high
            mass[high] = (mass[high] + mass[low]) - 1.0
            if mass[high] < 1.0:
                num_large -= 1
                small[num_small] = high
                num_small += 1
        for slot in range(slots):  # what rounding left over keeps its own number
            threshold = np.uint64(min(mass[slot], 1.0) * 4294967295.0 + 0.5) if alias[slot] != slot else np.uint64(4294967295)
            other, own = np.uint64((alias[slot] + first) & 65535), np.uint64((slot + first) & 65535)
            table[row, slot] = (threshold << np.uint64(32)) | (other << np.uint64(16)) | own


@kernel
def _look_up_alias(words, levels, table, by_level, bits, drawn):
    for i in range(len(words)):
        word = words[i]
        slot = np.uint64(word) >> np.uint64(np.uint32(32) - bits)
        if by_level:
            slot += np.uint64(levels[i]) << np.uint64(bits)
        entry = table[slot]
        rest = (np.uint64(word) << np.uint64(bits)) & np.uint64(0xFFFFFFFF)
        shift = np.uint64(0) if rest < (entry >> np.uint64(32)) else np.uint64(16)
        drawn[i] = np.int16((entry >> shift) & np.uint64(0xFFFF))


@kernel
def _add_steps(levels, steps, out):
    for i in range(len(levels)):
        out[i] = min(max(np.int16(levels[i]) + steps[i], 0), 255)


@kernel
def _look_up(numbers, levels, out):
    for i in range(len(numbers)):
        out[i] = levels[numbers[i]]


@kernel
def _salt_and_pepper(pixels, words, salt, amount, levels, out):
    for i in range(len(pixels)):
        level = levels[pixels[i]]  # looked up in any case: a branch would be guessed wrong too often
        level = level if words[i] >= amount else np.uint8(0)
        out[i] = level if words[i] >= salt else np.uint8(255)
