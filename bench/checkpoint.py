"""Files that hold a training run's state: atomic, with a digest, read back only whole and only where they belong."""

from __future__ import annotations

import hashlib
import io
import logging
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from bench.seeding import digest
from bench.store import replacing

logger = logging.getLogger(__name__)
_MAGIC = b"bench-checkpoint-1\n"
_DIGEST_BYTES = 32


def checkpoint_path(folder: Path, phase: str, suffix: str) -> Path:
    """Where the state of a phase lies; suffix is "ckpt" while it runs and "done" afterwards."""
    return folder / f"{re.sub(r'[^A-Za-z0-9_.-]', '_', phase)}.{suffix}"


def identity(facts: Mapping[str, Any], modules: Sequence[nn.Module]) -> str:
    """A digest of what a state must agree with before it is loaded: the facts, and names, shapes and types of all tensors."""
    shapes = [[(name, list(value.shape), str(value.dtype)) for name, value in module.state_dict().items()] for module in modules]
    return digest({"facts": dict(facts), "shapes": shapes})


def save(path: Path, state: Mapping[str, Any]) -> None:
    """Writes the state to a temporary file and moves it into place."""
    buffer = io.BytesIO()
    torch.save(dict(state), buffer)
    payload = buffer.getbuffer()
    with replacing(path) as temporary, temporary.open("wb") as file:
        file.write(_MAGIC + hashlib.sha256(payload).digest())
        file.write(payload)


def load(path: Path, expected_identity: str, device: torch.device) -> dict[str, Any] | None:
    """The state, or None where there is none; a torn file, and one of another run or other shapes, is left alone with a warning."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    start = len(_MAGIC) + _DIGEST_BYTES
    payload = memoryview(content)[start:]
    if not content.startswith(_MAGIC) or hashlib.sha256(payload).digest() != content[len(_MAGIC) : start]:
        logger.warning("%s: torn or not a checkpoint; ignored, the phase starts again", path)
        return None
    state: dict[str, Any] = torch.load(io.BytesIO(payload), map_location=device, weights_only=True)
    if state.get("identity") != expected_identity:
        logger.warning("%s: belongs to another run, recipe or network; ignored, the phase starts again", path)
        return None
    return state
