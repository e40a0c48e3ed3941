"""imagecorruptions 1.1.2 on current packages, with its random numbers taken from a given seed.

The package is imported as a private copy, so that nobody else's imagecorruptions, numpy or scikit-image is touched. Its own
names are then bound to stand-ins: a numpy with `float_` and a seeded `random`, a Gaussian filter that knows `channel_axis`, and
a salt-and-pepper noise that takes the seed, which the package ignores there.

One result differs from the package's: a spatter without a single drop, about one in a hundred of severity 1 at 32 pixels, leaves
the image as it is; the package divides by zero and returns black."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np

_PACKAGE = "imagecorruptions"


def corrupt_one(image: np.ndarray, name: str, severity: int, seed: Sequence[int]) -> np.ndarray:
    """uint8 (H, W, 3) -> uint8 (H, W, 3). seed: 32-bit words; they are what numpy.random.seed would take before the package is
    called, and numpy.random.default_rng for impulse_noise."""
    package, random = _package()
    random.seed(seed)
    corrupted: np.ndarray = package.corrupt(image, severity=severity, corruption_name=name)
    return corrupted


class _Random(threading.local):
    """numpy.random as the package uses it; each thread has its own."""

    def seed(self, words: Sequence[int]) -> None:
        self.words = words
        self.legacy = np.random.RandomState(words)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.legacy, name)


class _Numpy:
    """numpy, but for three names."""

    float_ = np.float64

    def __init__(self, random: _Random) -> None:
        self.random = random

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)

    def max(self, values: Any, axis: Any = None) -> Any:
        """np.max; along axes, where only spatter's division by the largest drop calls it, 1 in place of 0."""
        largest = np.max(values, axis=axis)
        return largest if axis is None else np.where(largest == 0, 1, largest).astype(largest.dtype)


@cache
def _package() -> tuple[ModuleType, _Random]:
    """The private copy, and the generator that it draws from."""
    import skimage.color
    import skimage.filters
    import skimage.util

    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("imagecorruptions is not installed: pip install imagecorruptions==1.1.2")
    folder, random = Path(spec.origin).parent, _Random()

    def resource_filename(_package_name: str, path: str) -> str:
        return str(folder / path)

    def gaussian(image: np.ndarray, *args: Any, multichannel: bool = False, **options: Any) -> np.ndarray:
        blurred: np.ndarray = skimage.filters.gaussian(image, *args, channel_axis=-1 if multichannel else None, **options)
        return blurred

    def random_noise(image: np.ndarray, **options: Any) -> np.ndarray:
        noisy: np.ndarray = skimage.util.random_noise(image, rng=np.random.default_rng(random.words), **options)
        return noisy

    with _private_import(resource_filename):
        package = importlib.import_module(_PACKAGE)
        functions: Any = importlib.import_module(f"{_PACKAGE}.corruptions")
    functions.np, functions.gaussian = _Numpy(random), gaussian
    functions.sk = SimpleNamespace(color=skimage.color, util=SimpleNamespace(random_noise=random_noise))
    return package, random


@contextmanager
def _private_import(resource_filename: Callable[[str, str], str]) -> Iterator[None]:
    """While it lasts, imports find no imagecorruptions yet, and stand-ins for two modules that are gone or deprecated."""
    from scipy.ndimage import map_coordinates

    pkg_resources, interpolation = ModuleType("pkg_resources"), ModuleType("scipy.ndimage.interpolation")
    pkg_resources.resource_filename = resource_filename  # type: ignore[attr-defined]
    interpolation.map_coordinates = map_coordinates  # type: ignore[attr-defined]
    names = (_PACKAGE, f"{_PACKAGE}.corruptions", pkg_resources.__name__, interpolation.__name__)
    before = {name: sys.modules.pop(name) for name in names if name in sys.modules}
    sys.modules.update({module.__name__: module for module in (pkg_resources, interpolation)})
    try:
        yield
    finally:
        for name in names:
            sys.modules.pop(name, None)
        sys.modules.update(before)
