"""Random numbers by counter: Philox 4x32 with ten rounds (Salmon et al. 2011), a function of its key and counter alone.

The numbers of an image come from four words that stand for (seed, image key, corruption, severity): two are the key, two the
upper half of the counter. The lower half is (index // 4, stream), and index % 4 picks one of the four results, where index counts
the image's values, row by row. No order, batch or worker can change them."""

from __future__ import annotations

import math

import numpy as np

from datasets.corruptions._kernel import kernel

_MASK = np.uint64(0xFFFFFFFF)
_MULTIPLIER_0, _MULTIPLIER_1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_WEYL_0, _WEYL_1 = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)
_SHIFT = np.uint64(32)
_BLOCKS = 256  # worked on together


def words(identities: np.ndarray, count: int, stream: int = 0) -> np.ndarray:
    """uint32 (N, 4) identities of images -> uint32 (N, count), uniform."""
    out = np.empty((len(identities), -(-count // 4) * 4), dtype=np.uint32)
    _fill(identities, np.uint64(stream), out.reshape(len(out), -1, 4))
    return out[:, :count] if count % 4 else out


def uniforms(identities: np.ndarray, count: int, stream: int = 0) -> np.ndarray:
    """float64 (N, count) in (0, 1), at the midpoints of 2^32 equal intervals."""
    return (words(identities, count, stream) + 0.5) * 2.0**-32


def integers(identities: np.ndarray, count: int, below: int, stream: int = 0) -> np.ndarray:
    """int64 (N, count) from 0 to below - 1; the chances of two numbers differ by less than 2^-32."""
    return ((words(identities, count, stream).astype(np.uint64) * np.uint64(below)) >> _SHIFT).astype(np.int64)


def normals(identities: np.ndarray, count: int, stream: int = 0) -> np.ndarray:
    """float64 (N, count), standard normal, by Box and Muller's transformation; at most 6.8 in absolute value."""
    uniform = uniforms(identities, count + count % 2, stream)
    _box_muller_(uniform)
    return uniform[:, :count]


@kernel
def _fill(identities, stream, out):
    """A round of many blocks at a time, so that the processor's wide multiplications are used."""
    state = np.empty((4, _BLOCKS), np.uint64)
    for n in range(len(identities)):
        blocks = out[n]
        for start in range(0, len(blocks), _BLOCKS):
            count = min(_BLOCKS, len(blocks) - start)
            for i in range(count):
                state[0, i], state[1, i], state[2, i], state[3, i] = start + i, stream, identities[n, 2], identities[n, 3]
            key_0, key_1 = np.uint64(identities[n, 0]), np.uint64(identities[n, 1])
            for _ in range(5):
                next_0, next_1 = (key_0 + _WEYL_0) & _MASK, (key_1 + _WEYL_1) & _MASK
                _two_rounds_(state[0], state[1], state[2], state[3], key_0, key_1, next_0, next_1, count)
                key_0, key_1 = (next_0 + _WEYL_0) & _MASK, (next_1 + _WEYL_1) & _MASK
            for i in range(count):
                block = blocks[start + i]
                block[0], block[1], block[2], block[3] = state[0, i], state[1, i], state[2, i], state[3, i]


@kernel
def _two_rounds_(first, second, third, fourth, key_0, key_1, next_0, next_1, count):
    for i in range(count):
        product_0, product_1 = (first[i] & _MASK) * _MULTIPLIER_0, (third[i] & _MASK) * _MULTIPLIER_1
        a, c = (product_1 >> _SHIFT) ^ second[i] ^ key_0, (product_0 >> _SHIFT) ^ fourth[i] ^ key_1
        b, d = product_1 & _MASK, product_0 & _MASK
        product_0, product_1 = (a & _MASK) * _MULTIPLIER_0, (c & _MASK) * _MULTIPLIER_1
        first[i], third[i] = (product_1 >> _SHIFT) ^ b ^ next_0, (product_0 >> _SHIFT) ^ d ^ next_1
        second[i], fourth[i] = product_1 & _MASK, product_0 & _MASK


@kernel
def _box_muller_(uniform):
    for n in range(len(uniform)):
        for i in range(0, uniform.shape[1], 2):
            radius, angle = math.sqrt(-2.0 * math.log(uniform[n, i])), 2.0 * math.pi * uniform[n, i + 1]
            uniform[n, i], uniform[n, i + 1] = radius * math.cos(angle), radius * math.sin(angle)
