"""Batches of labelled images beside images of a pool."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor

from methods.parts.batches import ImageBatches, epoch_order, steps_of


class PoolBatches:
    """num_labeled labelled images and num_unlabeled images of a pool a step; an epoch goes through the pool.

    labeled: anything with len() and batch(index). pool: whose labels are never looked at; where it is empty, the labelled images stand in
    for it. draws: images of the pool an epoch, 0 for each once."""

    def __init__(self, labeled: Any, pool: Any, num_labeled: int, num_unlabeled: int, draws: int = 0) -> None:
        self.labeled, self.num_labeled, self.num_unlabeled = labeled, num_labeled, num_unlabeled
        self.pool = ImageBatches([pool if len(pool) else labeled], num_unlabeled, draws)

    @property
    def steps_per_epoch(self) -> int:
        """How many steps an epoch has."""
        return max(1, self.pool.images_per_epoch // self.num_unlabeled)

    def epoch(self, rng: np.random.Generator) -> list[tuple[np.ndarray, np.ndarray]]:
        """One pair of index arrays a step: of labelled images, and of the pool."""
        pool = self.pool.epoch(rng)
        known = steps_of(epoch_order(rng, len(self.labeled), len(pool) * self.num_labeled), self.num_labeled)
        return list(zip(known, pool, strict=True))

    def load(self, step: tuple[np.ndarray, np.ndarray]) -> tuple[Any, Tensor]:
        """The Batch of labelled images, and uint8 (B, 3, H, W) of the pool."""
        return self.labeled.batch(step[0]), self.pool.images(step[1])
