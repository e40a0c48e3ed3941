"""Coverage of the intervals, by simulation: how often they hold the truth of the population that images and seeds were drawn from."""

import numpy as np
import pytest

from bench.imagewise import image_mean, macro_f_beta
from bench.statistics import combine_seeds, paired_difference, replicates

pytestmark = pytest.mark.slow
NUM_WORLDS, NUM_IMAGES, NUM_SEEDS = 300, 150, 3


def recall_arrays(rng, difficulty, skill):
    """One seed: each image's two answers, right by chance around its own difficulty."""
    hits = (rng.random((NUM_IMAGES, 2)) < np.clip(difficulty + skill, 0, 1)).astype(np.uint8)
    ones = np.ones((NUM_IMAGES, 2), dtype=np.uint8)
    return {
        "hits": np.repeat(hits[:, :, None], 3, axis=2),
        "num_positives": ones,
        "num_predictions": np.repeat(ones[:, :, None], 3, axis=2),
    }


def share(inside):
    return sum(inside) / len(inside)


@pytest.mark.parametrize("spread", [0.0, 0.03])
def test_recall_over_images_and_seeds(spread):
    """Images differ in difficulty and seeds in skill; the truth is the mean over both populations. Seeds that only draw anew on the same
    images have that noise counted twice, as theirs and as the images': the interval is wide there, never narrow."""
    inside = []
    for world in range(NUM_WORLDS):
        rng = np.random.default_rng([world, 1])
        difficulty = rng.uniform(0.3, 0.7, size=(NUM_IMAGES, 1))
        seeds = [recall_arrays(rng, difficulty, spread * rng.normal()) for _ in range(NUM_SEEDS)]
        low, high = replicates(seeds, "recall@1", num_resamples=300).percentiles()
        inside.append(low <= 0.5 <= high)
    assert share(inside) >= 0.92


def test_differences_in_pairs():
    inside = []
    for world in range(NUM_WORLDS):
        rng = np.random.default_rng([world, 2])
        difficulty = rng.uniform(0.2, 0.6, size=(NUM_IMAGES, 1))
        methods = [[recall_arrays(rng, difficulty, skill) for _ in range(NUM_SEEDS)] for skill in (0.15, 0.05)]
        difference = paired_difference(*(replicates(seeds, "recall@1", num_resamples=300) for seeds in methods))
        inside.append(difference.low <= 0.1 <= difference.high)
    assert share(inside) >= 0.92


def test_macro_f2():
    """Four classes, a decision wrong one time in five: the truth is F2 of the population, 5 TP / (5 TP + 4 FN + FP)."""
    rate, wrong = 0.3, 0.2
    hit, miss, false = rate * (1 - wrong), rate * wrong, (1 - rate) * wrong
    truth = 5 * hit / (5 * hit + 4 * miss + false)
    inside = []
    for world in range(NUM_WORLDS):
        rng = np.random.default_rng([world, 3])
        positives = rng.random((NUM_IMAGES, 4)) < rate
        decided = positives ^ (rng.random(positives.shape) < wrong)
        low, high = macro_f_beta([decided], positives, num_resamples=300).percentiles()
        inside.append(low <= truth <= high)
    assert 0.9 <= share(inside) <= 0.99


def test_a_mean_over_images():
    inside = []
    for world in range(NUM_WORLDS):
        values = np.random.default_rng([world, 4]).exponential(size=(NUM_IMAGES, 1)).astype(np.float32)
        low, high = image_mean([values], num_resamples=300).percentiles()
        inside.append(low <= 1.0 <= high)
    assert 0.9 <= share(inside) <= 0.99


def test_p_values_of_figures_that_vary_with_three_seeds_alone():
    """Two methods of the same law: a paired t test, since three seeds say little of their own spread."""
    p_values = []
    for world in range(400):
        rng = np.random.default_rng([world, 5])
        a, b = ([np.full(301, value) for value in rng.normal(0.5, 0.05, size=3)] for _ in range(2))
        p_values.append(paired_difference(combine_seeds(a, 0), combine_seeds(b, 0)).p_value)
    assert share([p < 0.05 for p in p_values]) <= 0.08
    assert 0.12 <= share([p < 0.2 for p in p_values]) <= 0.28
