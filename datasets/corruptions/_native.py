"""The compiled corruptions: what each draws, what it does with it, and batches of them.

A corruption is apply(images, out, severity, *draws), with draws = draw(images, severity, identities) where it draws at all; both
take batches, and each image's part depends on that image and its identity alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType

import numpy as np

from datasets.corruptions import _blur, _colour, _defocus, _digital, _kernel, _noise, _spatter, _weather

_MODULES = (_noise, _defocus, _blur, _weather, _colour, _digital, _spatter)
_BATCH_PIXELS = 1 << 15  # of all images of a batch: its draws and results stay in the processor's cache


def functions(name: str) -> tuple[Callable[..., tuple[np.ndarray, ...]], Callable[..., None]]:
    """A corruption's draw and apply; draw returns () where nothing is random."""
    module = _module(name)
    return getattr(module, f"draw_{name}", lambda *_: ()), getattr(module, f"apply_{name}")


def corrupt(images: np.ndarray, name: str, severity: int, identities: np.ndarray, out: np.ndarray, threads: int = 1) -> None:
    """uint8 (N, H, W, 3) images, uint32 (N, 4) identities -> out."""
    draw, apply = functions(name)
    size = max(_BATCH_PIXELS // (images.shape[1] * images.shape[2]), 1)

    def corrupt_from(start: int) -> None:
        part, result = _plain(images[start : start + size]), out[start : start + size]
        apply(part, result, severity, *draw(part, severity, identities[start : start + size]))

    starts = range(0, len(images), size)
    if threads == 1 or len(starts) == 1:
        for start in starts:
            corrupt_from(start)
    else:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(corrupt_from, starts))


def warm_up(names: Iterable[str], all_names: Sequence[str]) -> None:
    """Compiles, or loads from the disk, what the corruptions of these names need."""
    chosen = set(names)
    images = np.random.default_rng(0).integers(0, 256, (2, 32, 33, 3), dtype=np.uint8)
    for name in chosen:
        for severity in range(1, 6):
            corrupt(images, name, severity, np.zeros((2, 4), dtype=np.uint32), np.empty_like(images))
    if chosen.issuperset(all_names):
        _kernel.mark_compiled()


def is_compiled() -> bool:
    """Whether warm_up has compiled all kernels for this machine before."""
    marker = _kernel.marker()
    return marker is not None and marker.exists()


def _module(name: str) -> ModuleType:
    return next(module for module in _MODULES if hasattr(module, f"apply_{name}"))


def _plain(images: np.ndarray) -> np.ndarray:
    """A contiguous, writable array of no subclass, the one type that kernels are compiled for."""
    if type(images) is np.ndarray and images.flags.c_contiguous and images.flags.writeable:
        return images
    return np.array(images, order="C", subok=False)
