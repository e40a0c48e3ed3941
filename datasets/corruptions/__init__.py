"""Corruptions of photographs: the 15 of Hendrycks & Dietterich (2019) and their 4 extras, at severities 1 to 5.

What happens to an image depends on its key, the corruption and the severity alone, not on its batch, its place or the process.
Arithmetic and random laws are those of imagecorruptions 1.1.2; see _reference for what differs."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from bench.registry import UnknownNameError, unknown

if TYPE_CHECKING:
    import numpy as np

NONE = "none"  # the name of no corruption, which is also what severity 0 means
NAMES = (
    *("gaussian_noise", "shot_noise", "impulse_noise"),
    *("defocus_blur", "glass_blur", "motion_blur", "zoom_blur"),
    *("snow", "frost", "fog", "brightness"),
    *("contrast", "elastic_transform", "pixelate", "jpeg_compression"),
)
EXTRAS = ("speckle_noise", "gaussian_blur", "spatter", "saturate")  # never part of a mean over corruptions
MIN_SIZE = 32  # pixels of the shorter side


def corrupt(images: np.ndarray, name: str, severity: int, keys: np.ndarray) -> np.ndarray:
    """Corrupted copies of images, or the images themselves at severity 0 or under the name "none".

    images: uint8 (N, H, W, 3), RGB, H and W >= 32. severity: 0 to 5. keys: uint64 (N,), of the images. Returns uint8 (N, H, W, 3).
    Raises UnknownNameError, a KeyError, for an unknown name, and ValueError for anything else out of range."""
    check_name(name)
    if severity not in range(6):
        raise ValueError(f"severity {severity!r}: expected 0 (clean), 1, 2, 3, 4 or 5")
    if images.dtype != "uint8" or images.ndim != 4 or images.shape[3] != 3:
        raise ValueError(f"images {images.dtype} {images.shape}: expected uint8 (N, H, W, 3)")
    if len(keys) != len(images):
        raise ValueError(f"{len(keys)} keys for {len(images)} images")
    if severity == 0 or name == NONE:
        return images
    if min(images.shape[1:3]) < MIN_SIZE:
        raise ValueError(f"images of {images.shape[1]}x{images.shape[2]} pixels: corruptions need at least {MIN_SIZE}x{MIN_SIZE}")
    import numpy as np

    from datasets.corruptions._reference import corrupt_one

    corrupted = np.empty_like(images)
    for image, key, out in zip(images, keys, corrupted, strict=True):
        out[...] = corrupt_one(image, name, int(severity), seed_words(int(key), name, int(severity)))
    return corrupted


def check_name(name: str) -> None:
    """Raises UnknownNameError with the nearest name unless it names a corruption, an extra or "none"."""
    known = [*NAMES, *EXTRAS]
    if name not in known and name != NONE:
        raise UnknownNameError(unknown("corruption", name, known, "list corruptions"))


def seed_words(key: int, name: str, severity: int) -> Sequence[int]:
    """Eight 32-bit words that seed the noise of one image."""
    digest = hashlib.blake2b(f"{key}:{name}:{severity}".encode(), digest_size=32).digest()
    return [int.from_bytes(digest[start : start + 4], "little") for start in range(0, 32, 4)]
