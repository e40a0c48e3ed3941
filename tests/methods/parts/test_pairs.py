"""The draws of class-balanced pairs: shares, laws and exclusions."""

import numpy as np
import pytest
import torch
from scipy import stats

from bench.protocol import Examples
from methods.parts.pairs import LabeledPairBatches, PairBatches, PairSampler, top_classes


def long_tailed(multi=True, num_images=400, seed=0):
    """bool (N, 6): class sizes fall off, images may carry two classes."""
    rng = np.random.default_rng(seed)
    weights = 0.5 ** np.arange(6)
    positive = np.zeros((num_images, 6), dtype=bool)
    positive[np.arange(num_images), rng.choice(6, num_images, p=weights / weights.sum())] = True
    if multi:
        positive[np.arange(num_images), rng.choice(6, num_images, p=weights / weights.sum())] = True
    return positive


def test_top_classes():
    positive = np.zeros((6, 5), dtype=bool)
    positive[:, 3] = True
    positive[:2, [0, 4]] = True
    positive[:1, 2] = True
    assert top_classes(positive, 3).tolist() == [0, 3, 4]
    assert top_classes(positive, 2).tolist() == [0, 3]  # of equals the lower index
    assert top_classes(positive, 40).tolist() == [0, 2, 3, 4]  # class 1 has no image


def test_classes_come_up_equally_and_positives_carry_them():
    positive = long_tailed()
    classes, positives, _ = PairSampler(positive, np.arange(6)).draw(np.random.default_rng(0), 600)
    assert np.bincount(classes).tolist() == [100] * 6
    assert positive[positives, classes].all()
    for index in range(6):
        counts = np.bincount(positives[classes == index], minlength=400)[positive[:, index]]
        assert counts.max() - counts.min() <= 1  # whole rounds


@pytest.mark.parametrize("multi", [False, True])
def test_no_negative_carries_the_class_of_its_anchor(multi):
    positive = long_tailed(multi)
    classes, _, negatives = PairSampler(positive, np.arange(6)).draw(np.random.default_rng(1), 30_000)
    assert not positive[negatives, classes].any()
    assert positive[negatives].any(axis=1).all()


def test_law_of_the_negatives():
    """Every other class is as likely as the next, and within a class every image without the anchor's."""
    positive = long_tailed(multi=False)
    classes, _, negatives = PairSampler(positive, np.arange(6)).draw(np.random.default_rng(2), 60_000)
    owners = positive[negatives].argmax(axis=1)
    for anchor in range(6):
        counts = np.bincount(owners[classes == anchor], minlength=6)
        assert counts[anchor] == 0
        assert stats.chisquare(np.delete(counts, anchor)).pvalue > 1e-3
        images = np.bincount(negatives[(classes == anchor) & (owners == (anchor + 1) % 6)], minlength=400)
        assert stats.chisquare(images[positive[:, (anchor + 1) % 6]]).pvalue > 1e-3


def test_law_of_the_negatives_where_classes_overlap():
    positive = np.array([[1, 0, 0]] * 4 + [[1, 1, 0]] * 8 + [[0, 1, 0]] * 4 + [[0, 0, 1]] * 4, dtype=bool)
    classes, _, negatives = PairSampler(positive, np.arange(3)).draw(np.random.default_rng(3), 12_000)
    drawn = np.bincount(negatives[classes == 0], minlength=20)
    assert drawn[:12].sum() == 0
    assert stats.chisquare(drawn[12:]).pvalue > 1e-3  # half from class 1 without class 0, half from class 2


def test_a_class_almost_inside_another_is_searched():
    positive = np.zeros((5000, 2), dtype=bool)
    positive[:, 0] = True
    positive[:4999, 1] = True  # one image in 5000 lacks class 1
    positive = np.vstack([positive, [[False, True]]])
    classes, _, negatives = PairSampler(positive, np.arange(2)).draw(np.random.default_rng(4), 20)
    assert set(negatives[classes == 1]) == {4999}
    assert set(negatives[classes == 0]) == {5000}


def test_draws_are_a_function_of_the_generator():
    sampler = PairSampler(long_tailed(), np.arange(6))
    first, again, other = (sampler.draw(np.random.default_rng(seed), 100) for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_classes_that_cannot_be_ranked_are_refused():
    with pytest.raises(ValueError, match="1 classes with images; expected two or more"):
        PairSampler(np.ones((3, 1), dtype=bool), np.array([0]))
    with pytest.raises(ValueError, match="each with images that lack the others"):
        PairSampler(np.array([[1, 1], [1, 0]], dtype=bool), np.arange(2))


def examples(count):
    pixels = np.zeros((count, 2, 4, 3), dtype=np.uint8)
    pixels[:, 0, 0, 0] = np.arange(count)
    return Examples(pixels, np.arange(count), {}, np.arange(count, dtype=np.uint64))


def test_batches_of_pairs():
    positive = long_tailed(num_images=200)
    batches = PairBatches(examples(200), PairSampler(positive, np.arange(6)), 16, 120)
    plan = batches.epoch(np.random.default_rng(0))
    assert len(plan) == 7
    classes, images = batches.load(plan[0])
    assert classes.tolist() == plan[0][0].tolist()
    assert images.shape == (32, 3, 2, 4)
    assert images[:, 0, 0, 0].tolist() == [*plan[0][1], *plan[0][2]]


def test_shared_negatives():
    positive = long_tailed(num_images=200)
    batches = PairBatches(examples(200), PairSampler(positive, np.arange(6)), 16, 120, share_negatives=True)
    step = batches.epoch(np.random.default_rng(0))[0]
    classes, images, carries = batches.load(step)
    assert images[:, 0, 0, 0].tolist() == step[1].tolist()
    assert carries.dtype == torch.bool
    for anchor in range(16):
        for other in range(16):
            assert carries[anchor, other].item() == positive[step[1][other], classes[anchor]]


@pytest.mark.parametrize("share_negatives", [False, True])
def test_batches_of_pairs_with_all_that_they_carry(share_negatives):
    positive = long_tailed(num_images=200)
    batches = LabeledPairBatches(examples(200), PairSampler(positive, np.arange(6)), 16, 120, share_negatives)
    step = batches.epoch(np.random.default_rng(0))[0]
    images, carried = batches.load(step)
    index = [*step[1]] if share_negatives else [*step[1], *step[2]]
    assert images.shape == (len(index), 3, 2, 4)
    assert images[:, 0, 0, 0].tolist() == index
    assert carried.dtype == torch.bool
    assert carried.tolist() == positive[index].tolist()
