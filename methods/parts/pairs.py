"""Class-balanced pairs of a positive and a negative image, for ranking losses with one learned vector a class."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from methods.parts.batches import epoch_order, steps_of

_REDRAWS = 16  # rounds of redrawing before the exact search


def top_classes(positive: np.ndarray, num_top: int) -> np.ndarray:
    """int64, ascending: the num_top classes with most images, of those with any. positive: bool (N, C). Ties go to the lower index."""
    counts = positive.sum(axis=0)
    order = np.argsort(-counts, kind="stable")[:num_top]
    return np.sort(order[counts[order] > 0])


class PairSampler:
    """Draws (class, positive, negative) so that each class comes up equally often.

    positive: bool (N, C), whether an image carries a class. classes: those that train. A positive is drawn from its class by whole
    shuffled rounds, so that rare classes repeat and frequent ones are sampled without replacement; an image of several classes counts
    in each. A negative is an image of another class, chosen uniformly among those that have one, and never carries the anchor's class.
    Raises ValueError where some class has no negative."""

    def __init__(self, positive: np.ndarray, classes: np.ndarray) -> None:
        self.positive, self.classes = positive, classes
        columns = positive[:, classes]
        rows, owners = np.nonzero(columns)
        self.members = rows[np.argsort(owners, kind="stable")]  # images of class 0, then of class 1, ...
        self.counts = columns.sum(axis=0)
        self.starts = np.cumsum(self.counts) - self.counts
        together = columns.astype(np.float32).T @ columns.astype(np.float32)  # images that carry both classes
        self.allowed = self.counts[None, :] > together.astype(np.int64)  # (anchor, other): other has images without anchor
        self.num_others = self.allowed.sum(axis=1)
        if len(classes) < 2 or not self.num_others.all():
            raise ValueError(f"{len(classes)} classes with images; expected two or more, each with images that lack the others")
        self.others = np.argsort(~self.allowed, axis=1, kind="stable")  # a row lists the allowed classes first

    def draw(self, rng: np.random.Generator, num_draws: int) -> np.ndarray:
        """int64 (3, n) with n = num_draws rounded up to equal shares: class (of all C), positive and negative image, shuffled."""
        share = -(-num_draws // len(self.classes))
        anchors = np.repeat(np.arange(len(self.classes)), share)
        picks = [start + epoch_order(rng, count, share) for start, count in zip(self.starts, self.counts, strict=True)]
        positives = self.members[np.concatenate(picks)]
        drawn = np.stack([self.classes[anchors], positives, self._negatives(rng, anchors)])
        return drawn[:, rng.permutation(len(anchors))]

    def _negatives(self, rng: np.random.Generator, anchors: np.ndarray) -> np.ndarray:
        others = self.others[anchors, rng.integers(self.num_others[anchors])]
        negatives = np.empty_like(anchors)
        todo = np.arange(len(anchors))
        for _ in range(_REDRAWS):
            owner = others[todo]
            negatives[todo] = self.members[self.starts[owner] + rng.integers(self.counts[owner])]
            todo = todo[self.positive[negatives[todo], self.classes[anchors[todo]]]]
            if not len(todo):
                return negatives
        for index in todo:  # nearly all images of the other class carry the anchor's
            start, count = self.starts[others[index]], self.counts[others[index]]
            members = self.members[start : start + count]
            negatives[index] = rng.choice(members[~self.positive[members, self.classes[anchors[index]]]])
        return negatives


class PairBatches:
    """Batches of pairs, drawn anew each epoch. examples: anything with images(index), in the order of the sampler's rows.

    share_negatives: leave out the negatives drawn; the positives of the other classes in the batch serve instead, which follow the same
    law, at half the images."""

    def __init__(self, examples: Any, sampler: PairSampler, batch_size: int, images_per_epoch: int, share_negatives: bool = False) -> None:
        self.examples, self.sampler, self.share_negatives = examples, sampler, share_negatives
        self.batch_size, self.images_per_epoch = batch_size, images_per_epoch

    def epoch(self, rng: np.random.Generator) -> list[np.ndarray]:
        """One (3, B) array of classes, positives and negatives a step."""
        return steps_of(self.sampler.draw(rng, self.images_per_epoch), self.batch_size)

    def load(self, step: np.ndarray) -> tuple[Tensor, ...]:
        """classes (B,) and uint8 images (2B, 3, H, W), the positives, then the negatives; with share_negatives the positives alone, and
        bool (B, B), whether image j carries class i."""
        classes, positives, negatives = step
        index = positives if self.share_negatives else np.concatenate([positives, negatives])
        images = torch.from_numpy(self.examples.images(index)).permute(0, 3, 1, 2)
        loaded = torch.from_numpy(np.ascontiguousarray(classes)), images
        if not self.share_negatives:
            return loaded
        return *loaded, torch.from_numpy(self.sampler.positive[positives][:, classes].T.copy())


class LabeledPairBatches(PairBatches):
    """The same draws for losses over all classes: the positive and negative images with everything that they carry."""

    def load(self, step: np.ndarray) -> tuple[Tensor, ...]:
        """uint8 images (2B, 3, H, W) and bool (2B, C), which classes each carries; with share_negatives the positives (B) alone."""
        _, positives, negatives = step
        index = positives if self.share_negatives else np.concatenate([positives, negatives])
        images = torch.from_numpy(self.examples.images(index)).permute(0, 3, 1, 2)
        return images, torch.from_numpy(self.sampler.positive[index])
