"""Where a result was made: versions, commit, memory. Nothing here is part of a key."""

from __future__ import annotations

import platform
import resource
import subprocess
import sys
from contextlib import suppress
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

_PACKAGES = ("torch", "torchvision", "timm", "numpy", "numba", "imagecorruptions", "opencv-python")


@cache
def git_sha() -> str:
    """The commit of the source tree, with + where files differ from it; empty outside a checkout."""
    root = Path(__file__).resolve().parent.parent
    try:
        command = ["git", "-C", str(root), "describe", "--always", "--abbrev=40", "--dirty=+"]
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


@cache
def _versions() -> dict[str, str]:
    found = {"python": platform.python_version(), "platform": platform.platform()}
    for name in _PACKAGES:
        with suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def environment(threads: int) -> dict[str, Any]:
    """Versions of what computes, and the thread count, on which sums depend to the last bit."""
    return {**_versions(), "threads": threads}


def reset_peaks() -> None:
    """Starts the peak memory figures anew, where the system can (Linux)."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()


def peak_rss_mb() -> float:
    """Peak resident memory since reset_peaks (or since the process began), in MiB."""
    with suppress(OSError, StopIteration):
        lines = Path("/proc/self/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024
    scale = 1024**2 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / scale


def peak_vram_mb(device: torch.device) -> float | None:
    """Peak memory of a CUDA device since reset_peaks, in MiB; None of the CPU, whatever else the machine has."""
    import torch

    return float(torch.cuda.max_memory_allocated(device)) / 1024**2 if device.type == "cuda" else None


def device_name(device: torch.device) -> str:
    """cpu, or cuda with what the device calls itself: cuda (NVIDIA H100 80GB HBM3)."""
    import torch

    return f"cuda ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else device.type
