"""Batches of images with and without labels, each image with what it is to answer."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from methods.parts.batches import ImageBatches, epoch_order, steps_of

Targets = dict[str, tuple[Tensor, Tensor]]  # type -> what each image is to answer, and how much that counts


class MixedBatches:
    """Images with and without labels in one batch, labelled ones first; an epoch goes through the unlabelled ones.

    images: those with labels, then those without. targets: a row for each image. num_labeled, num_unlabeled: of one batch. draws: of
    unlabelled images an epoch, 0 for each once. Without unlabelled images the labelled ones fill both parts."""

    def __init__(
        self, images: ImageBatches, targets: Targets, sizes: tuple[int, int], num_labeled: int, num_unlabeled: int, draws: int = 0
    ) -> None:
        self.images, self.targets, self.sizes = images, targets, sizes
        self.num_labeled, self.num_unlabeled, self.draws = num_labeled, num_unlabeled, draws

    def epoch(self, rng: np.random.Generator) -> list[np.ndarray]:
        """One index array a step."""
        labeled, unlabeled = self.sizes
        first = labeled if unlabeled else 0
        pool = first + epoch_order(rng, unlabeled or labeled, self.draws or unlabeled or labeled)
        steps = steps_of(pool, self.num_unlabeled)
        known = epoch_order(rng, labeled, len(steps) * self.num_labeled).reshape(len(steps), self.num_labeled)
        return [np.concatenate(pair) for pair in zip(known, steps, strict=True)]

    def load(self, step: np.ndarray) -> tuple[Tensor, Targets]:
        """uint8 (B, 3, H, W) and the targets of these images."""
        return self.images.images(step), _rows(self.targets, step)


class KnownBatches:
    """Labelled images alone, with their targets."""

    def __init__(self, images: ImageBatches, targets: Targets, num_labeled: int, batch_size: int, draws: int = 0) -> None:
        self.images, self.targets, self.num_labeled, self.batch_size = images, targets, num_labeled, batch_size
        self.draws = draws or num_labeled

    def epoch(self, rng: np.random.Generator) -> list[np.ndarray]:
        """One index array a step."""
        return steps_of(epoch_order(rng, self.num_labeled, self.draws), self.batch_size)

    def load(self, step: np.ndarray) -> tuple[Tensor, Targets]:
        """uint8 (B, 3, H, W) and the targets of these images."""
        return self.images.images(step), _rows(self.targets, step)


def _rows(targets: Targets, step: np.ndarray) -> Targets:
    index = torch.from_numpy(step)
    return {name: (target[index], weights[index]) for name, (target, weights) in targets.items()}
