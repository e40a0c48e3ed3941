"""A few embeddings and attention maps of each trained method that has any, kept beside its figures for pictures of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from bench.protocol import Examples

if TYPE_CHECKING:
    import torch
    from torch import Tensor

MAX_IMAGES, MAX_DIM, NUM_SHOWN = 300, 32, 6
Embed = Callable[["Tensor"], Mapping[str, "Tensor"]]


def first_embeddings(embed: Embed, examples: Examples, device: torch.device) -> dict[str, np.ndarray]:
    """`embedding/<type>` -> float16 (M, D) of the first 300 images: directions, along their 32 principal axes at most."""
    import torch

    images = torch.from_numpy(_first(examples, MAX_IMAGES)).to(device).permute(0, 3, 1, 2)  # (M, H, W, 3) -> (M, 3, H, W)
    with torch.inference_mode():
        found = {name: values.float().cpu().numpy() for name, values in embed(images).items()}
    return {f"embedding/{name}": principal(values).astype(np.float16) for name, values in found.items()}


def first_attention(attend: Embed, examples: Examples, device: torch.device) -> dict[str, np.ndarray]:
    """`attention/<map>` -> float16 (M, h, w) of the first six images, and these as `attention/image`, uint8 (M, H, W, 3); nothing where
    attend knows no map."""
    import torch

    shown = _first(examples, NUM_SHOWN)
    with torch.inference_mode():
        maps = attend(torch.from_numpy(shown).to(device).permute(0, 3, 1, 2))
        found = {f"attention/{name}": values.float().cpu().numpy().astype(np.float16) for name, values in maps.items()}
    return {**found, "attention/image": shown} if found else {}


def principal(embeddings: np.ndarray) -> np.ndarray:
    """(M, D) -> (M, min(32, D, M)): unit vectors, centred, along the axes of largest variance; distances are kept as well as can be."""
    unit = embeddings / np.maximum(np.linalg.norm(embeddings, axis=1, keepdims=True), 1e-12)
    left, values, _ = np.linalg.svd(unit - unit.mean(axis=0), full_matrices=False)
    found: np.ndarray = left[:, :MAX_DIM] * values[:MAX_DIM]
    return found


def _first(examples: Examples, count: int) -> np.ndarray:
    return examples.images(np.arange(min(count, len(examples))))
