"""Orders and batches as pure functions of a generator."""

import numpy as np
import pytest
import torch

from bench.protocol import Examples
from methods.parts.batches import ImageBatches, LabeledBatches, epoch_order, steps_of


def examples(count, offset=0):
    pixels = (np.arange(count * 2, dtype=np.uint8) + offset)[:, None, None, None].repeat(2, 1).repeat(2, 2).repeat(3, 3)
    rows = np.arange(count) * 2  # every other row of the cache
    labels = {"kind": np.eye(count, dtype=np.int8)}
    return Examples(pixels, rows, labels, rows.astype(np.uint64))


@pytest.mark.parametrize(("items", "draws"), [(5, 5), (5, 3), (5, 17), (1, 4), (3, 0)])
def test_items_are_drawn_in_whole_rounds(items, draws):
    order = epoch_order(np.random.default_rng(0), items, draws)
    counts = np.bincount(order, minlength=items)
    assert len(order) == draws
    assert set(counts) <= {draws // items, -(-draws // items)}
    if draws >= items:
        assert sorted(order[:items]) == list(range(items))


def test_nothing_to_draw_from():
    with pytest.raises(ValueError, match="no items to draw from"):
        epoch_order(np.random.default_rng(0), 0, 3)


def test_full_batches_only_unless_there_is_none():
    assert [step.tolist() for step in steps_of(np.arange(7), 3)] == [[0, 1, 2], [3, 4, 5]]
    assert [step.tolist() for step in steps_of(np.arange(2), 3)] == [[0, 1]]
    assert [step.shape for step in steps_of(np.zeros((3, 8)), 4)] == [(3, 4), (3, 4)]


def test_labeled_batches():
    batches = LabeledBatches(examples(10), 4)
    plan = batches.epoch(np.random.default_rng(1))
    assert [step.tolist() for step in plan] == [step.tolist() for step in batches.epoch(np.random.default_rng(1))]
    assert len(plan) == 2
    batch = batches.load(plan[0])
    assert batch.images[:, 0, 0, 0].tolist() == (plan[0] * 2).tolist()
    assert batch.labels["kind"].argmax(dim=1).tolist() == plan[0].tolist()
    assert len(LabeledBatches(examples(10), 4, images_per_epoch=40).epoch(np.random.default_rng(1))) == 10


def test_image_batches_join_sets_in_the_order_asked():
    pool = ImageBatches([examples(3), examples(0), examples(4, offset=100)], 4, extra=torch.arange(7) * 10)
    assert len(pool) == 7
    images, extra = pool.load(np.array([5, 0, 3, 2]))
    assert images.shape == (4, 3, 2, 2)
    assert images.dtype == torch.uint8
    assert images[:, 0, 0, 0].tolist() == [104, 0, 100, 4]
    assert extra.tolist() == [50, 0, 30, 20]
    seen = np.concatenate(ImageBatches([examples(3), examples(4)], 7).epoch(np.random.default_rng(0)))
    assert sorted(seen) == list(range(7))
    assert isinstance(ImageBatches([examples(3)], 2).load(np.array([1])), torch.Tensor)
