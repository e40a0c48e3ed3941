"""Initial weights that depend on the run alone."""

from __future__ import annotations

import numpy as np
import torch


def seed_weights(rng: np.random.Generator) -> None:
    """Seeds torch's global generator from rng; what is built next has the same initial weights in every process."""
    torch.manual_seed(int(rng.integers(2**63)))
