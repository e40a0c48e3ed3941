"""Batches of labelled images beside images of a pool."""

import numpy as np
import torch

from bench.protocol import Examples
from methods.parts.pool_batches import PoolBatches


def examples(count, first=0, labels=True):
    """Image k is k everywhere."""
    pixels = np.broadcast_to(np.arange(first, first + count, dtype=np.uint8)[:, None, None, None], (count, 4, 4, 3))
    found = {"class": np.eye(2, dtype=np.int8)[np.arange(count) % 2]} if labels else {}
    return Examples(pixels, np.arange(count), found, np.arange(count, dtype=np.uint64))


def test_an_epoch_goes_through_the_pool_once():
    batches = PoolBatches(examples(7), examples(20, 100, labels=False), 3, 5)
    steps = batches.epoch(np.random.default_rng(0))
    assert len(steps) == batches.steps_per_epoch == 4
    assert sorted(np.concatenate([pool for _, pool in steps])) == list(range(20))
    assert all(len(known) == 3 for known, _ in steps)
    counts = np.bincount(np.concatenate([known for known, _ in steps]), minlength=7)
    assert set(counts) == {1, 2}  # as often as any other, as far as that goes
    labeled, images = batches.load(steps[0])
    assert images.shape == (5, 3, 4, 4)
    assert torch.equal(images[:, 0, 0, 0].long(), 100 + torch.from_numpy(steps[0][1]))
    assert torch.equal(labeled.images[:, 0, 0, 0].long(), torch.from_numpy(steps[0][0]))
    assert labeled.labels["class"].shape == (3, 2)


def test_draws_set_the_length_of_an_epoch():
    batches = PoolBatches(examples(7), examples(20, 100, labels=False), 3, 5, draws=50)
    assert len(batches.epoch(np.random.default_rng(0))) == batches.steps_per_epoch == 10


def test_without_a_pool_the_labelled_images_stand_in():
    batches = PoolBatches(examples(7), examples(0, labels=False), 2, 3)
    steps = batches.epoch(np.random.default_rng(0))
    assert len(steps) == batches.steps_per_epoch == 2
    assert batches.load(steps[0])[1].max() < 7
