"""Compiled functions: kept on disk by numba, in the same bytes of result on every machine.

Kernels never call a kernel of another file: numba's disk cache looks at the file of the function alone, and would go on using the
old code of what it calls. There is no fastmath, so that sums keep the order in which they are written."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numba
import numpy as np
from llvmlite import binding

_OPTIONS: Any = {"nogil": True, "error_model": "numpy"}  # a division by zero is inf or nan, as in numpy
_kernels: list[Any] = []


def kernel(function: Callable) -> Any:
    """njit with a disk cache: in NUMBA_CACHE_DIR, or __pycache__, or the user's cache folder where that cannot be written.
    Where nothing can be written, the function is compiled in every process."""
    try:
        compiled = numba.njit(cache=True, **_OPTIONS)(function)
    except RuntimeError as error:
        if "cannot cache function" not in str(error):
            raise
        warnings.warn("compiled corruptions cannot be kept: no writable cache folder; set NUMBA_CACHE_DIR", RuntimeWarning, stacklevel=2)
        compiled = numba.njit(**_OPTIONS)(function)
    _kernels.append(compiled)
    return compiled


def marker() -> Path | None:
    """The file that says that all kernels are in numba's cache as they stand here, for this processor and numba."""
    folder = _kernels[0].stats.cache_path
    if folder is None:
        return None
    digest = hashlib.blake2b(digest_size=12)
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(f"{path.name}:{path.stat().st_mtime_ns}\n".encode() + path.read_bytes())
    digest.update(f"{numba.__version__}:{np.__version__}:{binding.get_host_cpu_name()}".encode())
    return Path(folder) / f"compiled-{digest.hexdigest()}"


def mark_compiled() -> None:
    """Leaves the marker, if there is a folder for it."""
    path = marker()
    if path is not None:
        with suppress(OSError):
            path.touch()
