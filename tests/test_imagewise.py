"""Resamples of means over images and of F-beta against loops, against bench.metrics, and against the laws of a mean."""

import math

import numpy as np
import pytest
import scipy.stats
from sklearn.metrics import fbeta_score

from bench.imagewise import class_f_beta, image_mean, macro_f_beta, unpack_decisions
from bench.metrics import summarize
from bench.protocol import AttributeType, Schema
from bench.statistics import bootstrap_weights, paired_difference

SCHEMA = Schema((AttributeType("category", ("a", "b", "c"), True), AttributeType("style", tuple("uvwxyz") + tuple("ABC"), False)))


def decisions(seed=0, num_images=60, num_classes=5, rate=0.3):
    rng = np.random.default_rng(seed)
    positives = rng.random((num_images, num_classes)) < rate
    return positives, positives ^ (rng.random(positives.shape) < 0.25)


def drawn_images(num_images, num_resamples):
    return [np.repeat(np.arange(num_images), weights.astype(int)) for weights in bootstrap_weights(num_images, num_resamples)]


def test_f2_is_that_of_the_resampled_images():
    positives, decided = decisions()
    found = macro_f_beta([decided], positives, num_resamples=20)
    assert found.value == pytest.approx(fbeta_score(positives, decided, beta=2, average="macro"))
    for value, images in zip(found.values, drawn_images(60, 20), strict=True):
        assert value == pytest.approx(fbeta_score(positives[images], decided[images], beta=2, average="macro"), rel=1e-6)


def test_f2_of_some_classes_is_a_mean_over_those_alone():
    positives, decided = decisions()
    whole = class_f_beta([decided, ~decided], positives, num_resamples=20)
    for classes in ([0, 1, 2, 3, 4], [1, 3], [2]):
        found, alone = (
            whole.mean(classes),
            macro_f_beta([decided[:, classes], ~decided[:, classes]], positives[:, classes], num_resamples=20),
        )
        assert found.value == alone.value
        np.testing.assert_array_equal(found.values, alone.values)


def test_a_class_that_a_resample_has_no_positive_of_takes_no_part_in_it():
    positives, decided = np.zeros((30, 2), dtype=bool), np.zeros((30, 2), dtype=bool)
    positives[:15, 0] = decided[:15, 0] = True  # found without an error
    positives[0, 1] = True  # one image alone carries it, and it is missed
    found = macro_f_beta([decided], positives, num_resamples=50)
    assert found.value == 0.5
    carried = [0 in images for images in drawn_images(30, 50)]
    assert 0 < sum(carried) < 50
    assert found.values.tolist() == [0.5 if there else 1.0 for there in carried]


def test_a_summary_holds_what_its_f2_and_cross_entropy_are_resampled_from():
    rng = np.random.default_rng(0)
    scores = {kind.name: rng.normal(size=(80, len(kind.classes))).astype(np.float32) for kind in SCHEMA}
    labels = {
        "category": np.eye(3, dtype=np.int8)[rng.integers(3, size=80)],
        "style": rng.choice(np.array([-1, 0, 1], dtype=np.int8), size=(80, 9), p=(0.2, 0.5, 0.3)),
    }
    labels["category"][:9] = -1
    labels["style"][:, 4] = 0  # a class without a positive
    summary = summarize(scores, labels, SCHEMA, logits=True, thresholds={"style": np.full(9, -0.4, dtype=np.float32)})
    positives = labels["style"] == 1
    for metric in ("f2", "f2@0.5"):
        decided = unpack_decisions(summary.arrays[f"{metric}/style"], 9)
        assert not decided[labels["style"] == -1].any()
        assert macro_f_beta([decided], positives).value == pytest.approx(summary.metrics[metric])
    assert macro_f_beta([decided], positives).values.std() > 0
    assert image_mean([summary.arrays["cross_entropy"]]).value == pytest.approx(summary.metrics["cross_entropy"])


def test_a_mean_over_images_has_the_error_of_a_mean():
    values = np.random.default_rng(1).exponential(size=(400, 1)).astype(np.float32)
    values[::4] = np.nan
    known = values[np.isfinite(values)]
    found = image_mean([values])
    assert found.value == pytest.approx(known.mean())
    assert found.values.std() == pytest.approx(scipy.stats.sem(known), rel=0.1)


def test_a_mean_pools_types_and_averages_seeds():
    one, other = np.array([[1.0, np.nan], [2.0, 4.0]]), np.array([[0.0, np.nan], [0.0, 3.0]])
    assert image_mean([one]).value == pytest.approx(7 / 3)
    assert image_mean([one, other]).value == pytest.approx((7 / 3 + 1) / 2)
    assert math.isnan(image_mean([np.full((4, 1), np.nan)]).value)


def test_methods_compare_in_pairs_with_less_noise_than_alone():
    positives, decided = decisions(num_images=300)
    better = decided.copy()
    better[:20] = positives[:20]
    one, other = macro_f_beta([better], positives), macro_f_beta([decided], positives)
    difference = paired_difference(one, other)
    assert difference.low > 0
    assert difference.high - difference.low < (one.interval().high - one.interval().low) / 2


def test_arrays_that_do_not_fit_are_named():
    positives, decided = decisions()
    with pytest.raises(ValueError, match=r"arrays \(60, 5\), \(60, 4\): expected one or more, of the same images and classes"):
        macro_f_beta([decided[:, :4]], positives)
    with pytest.raises(ValueError, match=r"arrays \(3, 1\), \(2, 1\)"):
        image_mean([np.zeros((3, 1)), np.zeros((2, 1))])
    with pytest.raises(ValueError, match="arrays of no seed"):
        image_mean([])
