"""A few embeddings of each trained method that has any, kept beside its figures for pictures of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from bench.protocol import Examples

if TYPE_CHECKING:
    import torch
    from torch import Tensor

MAX_IMAGES, MAX_DIM = 300, 32
Embed = Callable[["Tensor"], Mapping[str, "Tensor"]]


def first_embeddings(embed: Embed, examples: Examples, device: torch.device) -> dict[str, np.ndarray]:
    """`embedding/<type>` -> float16 (M, D) of the first 300 images: directions, along their 32 principal axes at most."""
    import torch

    index = np.arange(min(MAX_IMAGES, len(examples)))
    images = torch.from_numpy(examples.images(index)).to(device).permute(0, 3, 1, 2)  # (M, H, W, 3) -> (M, 3, H, W)
    with torch.inference_mode():
        found = {name: values.float().cpu().numpy() for name, values in embed(images).items()}
    return {f"embedding/{name}": principal(values).astype(np.float16) for name, values in found.items()}


def principal(embeddings: np.ndarray) -> np.ndarray:
    """(M, D) -> (M, min(32, D, M)): unit vectors, centred, along the axes of largest variance; distances are kept as well as can be."""
    unit = embeddings / np.maximum(np.linalg.norm(embeddings, axis=1, keepdims=True), 1e-12)
    left, values, _ = np.linalg.svd(unit - unit.mean(axis=0), full_matrices=False)
    found: np.ndarray = left[:, :MAX_DIM] * values[:MAX_DIM]
    return found
