"""The floor's scores, counted by hand."""

import numpy as np
import pytest
import torch

from bench.protocol import AttributeType, Examples, Schema, TrainingData
from bench.training import TrainingRun
from methods.floor import Floor

SCHEMA = Schema((AttributeType("one", ("a", "b", "c"), True), AttributeType("many", ("x", "y"), False)))


def scores_of(rule):
    one = np.array([[0, 1, 0], [0, 1, 0], [1, 0, 0], *[[-1, -1, -1]] * 3], dtype=np.int8)
    many = np.array([[1, -1], [0, 1], [0, 1], [1, -1], [0, 1], [-1, -1]], dtype=np.int8)  # x: 2 of 5, y: 3 of 5
    labeled = Examples(np.zeros((6, 2, 2, 3), dtype=np.uint8), np.arange(6), {"one": one, "many": many}, np.arange(6, dtype=np.uint64))
    empty = Examples(labeled.pixels, np.arange(0), {}, np.arange(0, dtype=np.uint64))
    floor = Floor(rule=rule)
    floor.fit(TrainingData(SCHEMA, labeled, empty, empty), {}, TrainingRun(seed=0, device=torch.device("cpu")))
    return {name: values.tolist() for name, values in floor.predict(torch.zeros(2, 3, 2, 2, dtype=torch.uint8)).items()}


def test_prior_is_the_log_frequency_of_known_labels():
    scores = scores_of("prior")
    np.testing.assert_allclose(scores["one"], [np.log(np.array([1.5, 2.5, 0.5]) / 4.5)] * 2, rtol=1e-6)
    np.testing.assert_allclose(scores["many"], [np.log(np.array([2.5 / 3.5, 3.5 / 2.5]))] * 2, rtol=1e-6, atol=1e-7)


def test_a_class_with_few_positives_and_no_negative_is_not_first():
    """Of 40 images with a known label, y is known on two, which have it, and x is positive on 30."""
    many = np.full((50, 2), -1, dtype=np.int8)
    many[:40, 0] = np.arange(40) < 30
    many[:2, 1] = 1
    scores = Floor()._scores(many, SCHEMA["many"])
    np.testing.assert_allclose(1 / (1 + np.exp(-scores)), [30.5 / 41, 2.5 / 41])


def test_where_all_classes_are_known_scores_are_the_log_odds_of_positives_and_negatives():
    many = np.random.default_rng(0).integers(2, size=(30, 2)).astype(np.int8)
    many[20:] = -1
    positives, negatives = ((many == value).sum(axis=0) for value in (1, 0))
    np.testing.assert_array_equal(Floor()._scores(many, SCHEMA["many"]), np.log((positives + 0.5) / (negatives + 0.5)))


def test_majority_and_all_positive():
    assert scores_of("majority") == {"one": [[-10, 10, -10]] * 2, "many": [[-10, 10]] * 2}
    assert scores_of("all_positive") == {"one": [[10] * 3] * 2, "many": [[10] * 2] * 2}


def test_errors():
    with pytest.raises(ValueError, match="rule is 'mode'; expected one of prior, majority, all_positive"):
        Floor(rule="mode")
