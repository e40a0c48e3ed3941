"""Oversampling: images with rare labels come up more often."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from methods.parts.batches import epoch_order, steps_of


def rarest_classes(positive: np.ndarray, share: float = 0.25) -> np.ndarray:
    """int64, ascending: the rarest classes among those with an image, ceil(share * their number) of them. positive: bool (N, C).

    Ties go to the lower index. A quarter of JD's 13 styles are sports, japanese, british and national, those of the paper."""
    counts = positive.sum(axis=0)
    present = np.flatnonzero(counts > 0)
    rarest = present[np.argsort(counts[present], kind="stable")]
    return np.sort(rarest[: math.ceil(share * len(present))])


def repeated(labels: Mapping[str, np.ndarray], times: int, share: float = 0.25) -> np.ndarray:
    """int64: every position once, and those with a positive of a rare class `times` times, ascending.

    labels: type -> int8 (N, C), the rarest classes of each type by rarest_classes. times: >= 1, or ValueError is raised."""
    if times < 1:
        raise ValueError(f"repeated: times is {times}; expected >= 1")
    positives = [values == 1 for values in labels.values()]
    rare = [positive[:, rarest_classes(positive, share)].any(axis=1) for positive in positives]
    repeats = np.where(np.any(rare, axis=0), times, 1)
    return np.repeat(np.arange(len(repeats)), repeats)


class RepeatedBatches:
    """Shuffled batches of examples at given positions, which may repeat.

    examples: anything with batch(index). positions: int64, such as those of repeated. images_per_epoch: draws an epoch, 0 for each position
    once."""

    def __init__(self, examples: Any, positions: np.ndarray, batch_size: int, images_per_epoch: int = 0) -> None:
        self.examples, self.positions, self.batch_size = examples, positions, batch_size
        self.images_per_epoch = images_per_epoch or len(positions)

    def epoch(self, rng: np.random.Generator) -> Sequence[np.ndarray]:
        """One index array a step."""
        return steps_of(self.positions[epoch_order(rng, len(self.positions), self.images_per_epoch)], self.batch_size)

    def load(self, step: np.ndarray) -> Any:
        """The Batch of one step."""
        return self.examples.batch(step)
