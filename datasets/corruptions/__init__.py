"""Corruptions of photographs: the 15 of Hendrycks & Dietterich (2019) and their 4 extras, at severities 1 to 5.

What happens to an image depends on its key, the corruption, the severity and the seed alone, not on its batch, its place, the
process or the number of threads. There are two backends, with the same arithmetic and the same random laws:

- native: kernels compiled by numba. TOLERANCE says how far a pixel may be from that of imagecorruptions 1.1.2, given the same
  random draws; what each draws is said in its draw_ function, and how numbers come from keys in _philox.
- reference: imagecorruptions itself, seeded; see _reference for what differs.

Given the same draws, the native corruptions are exact for these reasons: noise, impulse and frost are sums of whole numbers or one
expression a pixel; glass, motion and zoom blur, elastic transform, fog, brightness, saturation and contrast keep each operation and
its order, in the peer's precision; snow's grey, frost's textures, pixelation, JPEG and spatter call the peer's own libraries.
Defocus blur sums in another order, so that a sum at the very edge of two levels may fall on the other side.
The random draws themselves are not numpy's: their laws are."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
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
BACKENDS = ("native", "reference")
TOLERANCE = {**dict.fromkeys((*NAMES, *EXTRAS), 0), "defocus_blur": 1}  # grey levels, native against the peer given its draws


def corrupt(
    images: np.ndarray,
    name: str,
    severity: int,
    keys: np.ndarray,
    *,
    backend: str = "native",
    seed: int = 0,
    threads: int = 1,
) -> np.ndarray:
    """Corrupted copies of images, or the images themselves at severity 0 or under the name "none".

    images: uint8 (N, H, W, 3), RGB, H and W >= 32. severity: 0 to 5. keys: uint64 (N,), of the images. threads: of the native
    backend. Returns uint8 (N, H, W, 3).
    Raises UnknownNameError, a KeyError, for an unknown name or backend, and ValueError for anything else out of range."""
    check_name(name)
    _check(images, severity, keys, backend, threads)
    if severity == 0 or name == NONE:
        return images
    if min(images.shape[1:3]) < MIN_SIZE:
        raise ValueError(f"images of {images.shape[1]}x{images.shape[2]} pixels: corruptions need at least {MIN_SIZE}x{MIN_SIZE}")
    import numpy as np

    seeds = [seed_words(int(key), name, int(severity), seed) for key in keys]
    corrupted = np.empty(images.shape, dtype=np.uint8)
    if backend == "reference":
        from datasets.corruptions._reference import corrupt_one

        for image, words, out in zip(images, seeds, corrupted, strict=True):
            out[...] = corrupt_one(image, name, int(severity), words)
    elif len(images):
        from datasets.corruptions import _native

        _native.corrupt(images, name, int(severity), np.array(seeds, dtype=np.uint32)[:, :4].copy(), corrupted, threads)
    return corrupted


def warm_up(names: Iterable[str] = (*NAMES, *EXTRAS)) -> None:
    """Makes the native corruptions ready: compiles their kernels, once a machine, or loads them, and reads frost's textures."""
    from datasets.corruptions import _native

    names = list(names)
    for name in names:
        check_name(name)
    _native.warm_up([name for name in names if name != NONE], (*NAMES, *EXTRAS))


def is_compiled() -> bool:
    """Whether warm_up() of all corruptions has run on this machine with these sources, so that the next one only loads."""
    from datasets.corruptions import _native

    return _native.is_compiled()


def _check(images: np.ndarray, severity: int, keys: np.ndarray, backend: str, threads: int) -> None:
    if backend not in BACKENDS:
        raise UnknownNameError(unknown("corruption backend", backend, list(BACKENDS), "run --help"))
    if severity not in range(6):
        raise ValueError(f"severity {severity!r}: expected 0 (clean), 1, 2, 3, 4 or 5")
    if images.dtype != "uint8" or images.ndim != 4 or images.shape[3] != 3:
        raise ValueError(f"images {images.dtype} {images.shape}: expected uint8 (N, H, W, 3)")
    if len(keys) != len(images):
        raise ValueError(f"{len(keys)} keys for {len(images)} images")
    if threads < 1:
        raise ValueError(f"threads {threads}: expected 1 or more")


def check_name(name: str) -> None:
    """Raises UnknownNameError with the nearest name unless it names a corruption, an extra or "none"."""
    known = [*NAMES, *EXTRAS]
    if name not in known and name != NONE:
        raise UnknownNameError(unknown("corruption", name, known, "list corruptions"))


def seed_words(key: int, name: str, severity: int, seed: int = 0) -> Sequence[int]:
    """Eight 32-bit words that stand for the noise of one image; the native backend takes the first four."""
    text = f"{key}:{name}:{severity}" + (f":{seed}" if seed else "")
    digest = hashlib.blake2b(text.encode(), digest_size=32).digest()
    return [int.from_bytes(digest[start : start + 4], "little") for start in range(0, 32, 4)]
