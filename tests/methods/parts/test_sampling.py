"""Oversampling: which images repeat, and how often they are drawn."""

import numpy as np
import pytest

from methods.parts.sampling import RepeatedBatches, rarest_classes, repeated

JD_COUNTS = [104, 4292, 49893, 262, 18722, 8882, 197, 1356, 49389, 7094, 3712, 1249, 361]


def labels_of(counts, num):
    labels = np.zeros((num, len(counts)), dtype=np.int8)
    for c, count in enumerate(counts):
        labels[:count, c] = 1
    return labels


def test_a_quarter_of_jds_styles_are_those_of_the_paper():
    """Sports, japanese, british and national."""
    assert rarest_classes(labels_of(JD_COUNTS, 54_908) == 1).tolist() == [0, 3, 6, 12]


def test_classes_without_images_are_not_rare_and_ties_go_to_the_lower_index():
    assert rarest_classes(labels_of([5, 0, 2, 2, 9, 2], 10) == 1).tolist() == [2, 3]
    assert rarest_classes(labels_of([0, 0], 4) == 1).tolist() == []


@pytest.mark.parametrize("times", [1, 10, 100])
def test_images_of_rare_classes_repeat(times):
    labels = {"style": np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 1, 1, 0], [0, 1, 1, 1], [0, -1, 1, 1]], dtype=np.int8)}
    found = np.bincount(repeated(labels, times))  # class 0 is the rarest, on image 0
    assert found.tolist() == [times, 1, 1, 1, 1]


def test_every_type_has_rare_classes_and_unknown_is_not_rare():
    labels = {
        "a": np.array([[1, 0], [0, 1], [0, 1], [-1, -1]], dtype=np.int8),
        "b": np.array([[1, 0], [1, 0], [0, 1], [1, -1]], dtype=np.int8),
    }
    assert np.bincount(repeated(labels, 3)).tolist() == [3, 1, 3, 1]


def test_an_epoch_draws_in_proportion():
    class Examples:
        def batch(self, index):
            return index.tolist()

    batches = RepeatedBatches(Examples(), np.array([0, 0, 0, 1]), batch_size=2, images_per_epoch=400)
    plan = batches.epoch(np.random.default_rng(0))
    drawn = np.concatenate(plan)
    assert np.bincount(drawn).tolist() == [300, 100]
    assert {len(step) for step in plan} == {2}
    assert batches.load(plan[0]) == plan[0].tolist()
    assert len(np.concatenate(RepeatedBatches(Examples(), np.arange(6), 2).epoch(np.random.default_rng(0)))) == 6
    again = batches.epoch(np.random.default_rng(0))
    assert all(np.array_equal(one, other) for one, other in zip(plan, again, strict=True))


def test_errors():
    with pytest.raises(ValueError, match="times is 0; expected >= 1"):
        repeated({"a": np.ones((2, 1), dtype=np.int8)}, 0)
