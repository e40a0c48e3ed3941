"""What training reads: batches as pure functions of an epoch's generator."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor


def epoch_order(rng: np.random.Generator, num_items: int, num_draws: int) -> np.ndarray:
    """int64 (num_draws,): items of range(num_items), shuffled; each appears floor or ceil(num_draws / num_items) times."""
    if num_items < 1:
        raise ValueError("epoch_order: there are no items to draw from")
    rounds = [rng.permutation(num_items) for _ in range(-(-num_draws // num_items))]
    return np.concatenate(rounds)[:num_draws] if rounds else np.empty(0, dtype=np.int64)


def steps_of(order: np.ndarray, batch_size: int) -> list[np.ndarray]:
    """The order (..., N) cut along its last axis into full batches; what is left over is dropped, unless it is all there is."""
    num_steps = max(1, order.shape[-1] // batch_size)
    return [order[..., step * batch_size : (step + 1) * batch_size] for step in range(num_steps)]


class LabeledBatches:
    """Shuffled batches of examples with their labels.

    examples: anything with len() and batch(index). images_per_epoch: draws an epoch, 0 for each example once; a larger number goes
    through the examples again, so that small label sets train for as many steps as large ones."""

    def __init__(self, examples: Any, batch_size: int, images_per_epoch: int = 0) -> None:
        self.examples, self.batch_size = examples, batch_size
        self.images_per_epoch = images_per_epoch or len(examples)

    def epoch(self, rng: np.random.Generator) -> list[np.ndarray]:
        """One index array a step."""
        return steps_of(epoch_order(rng, len(self.examples), self.images_per_epoch), self.batch_size)

    def load(self, step: np.ndarray) -> Any:
        """The Batch of one step."""
        return self.examples.batch(step)


class ImageBatches:
    """Shuffled batches of images from several sets of examples taken as one; labels are never looked at.

    extra: a tensor with a row for each image of the pool, loaded beside it, or None. load gives uint8 (B, 3, H, W), or with extra the
    pair (images, rows)."""

    def __init__(self, pool: Sequence[Any], batch_size: int, images_per_epoch: int = 0, extra: Tensor | None = None) -> None:
        self.pool, self.batch_size, self.extra = pool, batch_size, extra
        self.starts = np.cumsum([0, *(len(examples) for examples in pool)])
        self.kept: np.ndarray | None = None
        self.images_per_epoch = images_per_epoch or len(self)

    def __len__(self) -> int:
        return int(self.starts[-1]) if self.kept is None else len(self.kept)

    def keep(self, positions: np.ndarray) -> None:
        """Leaves only these positions, int64 (M,), in the pool; they are counted anew from 0."""
        self.kept = positions

    def epoch(self, rng: np.random.Generator) -> list[np.ndarray]:
        """One index array a step."""
        return steps_of(epoch_order(rng, len(self), self.images_per_epoch), self.batch_size)

    def load(self, step: np.ndarray) -> Tensor | tuple[Tensor, Tensor]:
        """The images of one step."""
        images = self.images(step)
        return images if self.extra is None else (images, self.extra[torch.from_numpy(step)])

    def images(self, index: np.ndarray) -> Tensor:
        """uint8 (B, 3, H, W), channels last in memory, at positions of the pool."""
        index = index if self.kept is None else self.kept[index]
        owners = np.searchsorted(self.starts, index, side="right") - 1
        parts = [(owners == owner, examples, self.starts[owner]) for owner, examples in enumerate(self.pool)]
        found: np.ndarray | None = None
        for mine, examples, start in parts:
            if mine.any():
                pixels = examples.images(index[mine] - start)  # (b, H, W, 3)
                found = np.empty((len(index), *pixels.shape[1:]), dtype=pixels.dtype) if found is None else found
                found[mine] = pixels
        if found is None:
            raise ValueError("ImageBatches: a batch of no images was asked for")
        return torch.from_numpy(found).permute(0, 3, 1, 2)  # (B, H, W, 3) -> (B, 3, H, W)


class CorruptedBatches:
    """Batches of a pool, some of whose images are corrupted: each with chance share, under a corruption and a severity from 1 to 5
    drawn for it. corrupt(images uint8 (1, H, W, 3), name, severity, keys uint64 (1,)) -> the same shape."""

    def __init__(self, batches: ImageBatches, share: float, names: Sequence[str], corrupt: Callable[..., np.ndarray]) -> None:
        self.batches, self.share, self.names, self.corrupt = batches, share, tuple(names), corrupt

    def __len__(self) -> int:
        return len(self.batches)

    def epoch(self, rng: np.random.Generator) -> list[tuple[np.ndarray, ...]]:
        """One (index, corruption or -1, severity, key) of arrays (B,) a step."""
        plan = []
        for index in self.batches.epoch(rng):
            names = np.where(rng.random(len(index)) < self.share, rng.integers(len(self.names), size=len(index)), -1)
            plan.append((index, names, rng.integers(1, 6, size=len(index)), rng.integers(2**63, size=len(index), dtype=np.uint64)))
        return plan

    def load(self, step: tuple[np.ndarray, ...]) -> Tensor:
        """uint8 (B, 3, H, W), channels last in memory."""
        index, names, severities, keys = step
        images = self.batches.images(index)
        pixels = images.permute(0, 2, 3, 1).numpy()  # (B, 3, H, W) -> (B, H, W, 3), the same memory
        for place in np.flatnonzero(names >= 0):
            one = slice(place, place + 1)
            pixels[one] = self.corrupt(pixels[one], self.names[names[place]], int(severities[place]), keys[one])
        return images
