"""Each metric against a slow loop in Python floats, with ties, -inf, unknown labels and types without positives."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, fbeta_score, log_loss
from slow_metrics import KINDS, SCHEMA, draw, draw_all, ranked, slow_counts, slow_f_beta

from bench import metrics
from bench.ranking import UNRANKED, macro_recall, rank, top_classes


@pytest.fixture(params=[0, 1, 2])
def drawn(request):
    return draw_all(request.param)


def test_positive_ranks_by_hand():
    scores = np.array([[0.5, 0.9, 0.5, -np.inf], [-np.inf, 0.0, 0.0, 0.0]])
    labels = np.array([[1, 0, 1, 1], [1, -1, 1, 0]], dtype=np.int8)
    rows, classes, ranks = metrics.positive_ranks(scores, labels)
    assert rows.tolist() == [0, 0, 0, 1, 1]
    assert classes.tolist() == [0, 2, 3, 0, 2]
    assert ranks.tolist() == [1, 2, UNRANKED, UNRANKED, 1]
    assert metrics.hits(scores, labels, (1, 2, 3)).tolist() == [[0, 1, 2], [0, 1, 1]]


def test_positive_ranks_over_several_blocks(monkeypatch):
    scores, labels = draw(np.random.default_rng(3), 9, False, 200)
    whole = metrics.positive_ranks(scores, labels)
    monkeypatch.setattr("bench.ranking._BLOCK_VALUES", 20)
    for part, expected in zip(metrics.positive_ranks(scores, labels), whole, strict=True):
        np.testing.assert_array_equal(part, expected)


@pytest.mark.parametrize("num_classes", [255, 256, 65_535, 65_536, 70_000])
def test_ranks_among_many_classes(num_classes):
    scores = np.zeros((2, num_classes), dtype=np.float32)
    scores[0, -1] = -1
    labels = np.zeros((2, num_classes), dtype=np.int8)
    labels[:, -1] = 1
    assert metrics.positive_ranks(scores, labels).ranks.tolist() == [num_classes - 1] * 2


@pytest.mark.parametrize("k", [1, 3, 5])
def test_at_k_against_loops(drawn, k):
    for name, (_, exclusive) in KINDS.items():
        scores, labels = drawn[0][name], drawn[1][name]
        tp, predictions, positives, hit, known = slow_counts(scores, labels, k)
        assert metrics.recall_at_k(scores, labels, k) == tp / positives
        assert metrics.f1_at_k(scores, labels, k) == pytest.approx(2 * tp / (predictions + positives), abs=1e-15)
        if exclusive:
            assert metrics.accuracy_at_k(scores, labels, k) == hit / known


def test_top_classes_against_loops(drawn):
    for scores in drawn[0].values():
        expected = [(ranked(row) + [-1] * 5)[:5] for row in scores.tolist()]
        np.testing.assert_array_equal(top_classes(scores, 5), expected)


def test_f1_counts_images_without_positives_and_small_types():
    scores = np.array([[3.0, 2.0, 1.0], [1.0, 2.0, 3.0]])
    labels = np.array([[1, 0, 0], [-1, -1, -1]], dtype=np.int8)
    assert metrics.f1_at_k(scores, labels, 1) == 2 * 1 / (2 + 1)
    assert metrics.f1_at_k(scores, labels, 5) == 2 * 1 / (2 * 3 + 1)  # three classes: three predictions, not five
    scores[1, :2] = -np.inf
    assert metrics.f1_at_k(scores, labels, 5) == 2 * 1 / (3 + 1 + 1)


@pytest.mark.parametrize(("k", "f1", "recall"), [(1, 0.3353, 0.4011), (3, 0.2241, 0.5802), (5, 0.1616, 0.6435)])
def test_definition_fits_the_printed_pairs(k, f1, recall):
    """F1@k = 2 TP / (k N + G) and R@k = TP / G give G / N = k F1 / (2 R - F1), the same for every printed pair of MTSS's student
    (Table 2) only because both figures are micro and N counts images without positives too."""
    density = k * f1 / (2 * recall - f1)
    assert density == pytest.approx(0.718, abs=5e-4)
    num_images, num_classes = 20_000, 8
    rng = np.random.default_rng(k)
    labels = np.zeros((num_images, num_classes), dtype=np.int8)
    positives = rng.choice(num_images * num_classes, round(density * num_images), replace=False)
    labels.ravel()[positives] = 1
    scores = rng.random(labels.shape)
    measured_f1, measured_recall = metrics.f1_at_k(scores, labels, k), metrics.recall_at_k(scores, labels, k)
    assert k * measured_f1 / (2 * measured_recall - measured_f1) == pytest.approx(density, rel=1e-4)


def test_macro_recall_is_the_mean_of_the_best_classes(drawn):
    scores, labels = drawn[0]["style"], drawn[1]["style"]
    recalls = []
    for c in range(labels.shape[1]):
        rows = [i for i in range(len(labels)) if labels[i, c] == 1]
        if rows:
            recalls.append(sum(c in ranked(scores[i].tolist())[:3] for i in rows) / len(rows))
    recalls.sort(reverse=True)
    assert metrics.macro_recall_at_k(scores, labels, 3, best=2) == pytest.approx(sum(recalls[:2]) / 2)
    assert metrics.macro_recall_at_k(scores, labels, 3) == pytest.approx(sum(recalls) / len(recalls))


def test_macro_recall_is_over_fifty_classes():
    labels = np.eye(60, dtype=np.int8)
    scores = np.where(np.arange(60)[:, None] < 45, labels, -labels).astype(np.float32)  # 45 classes come first, 15 last
    assert metrics.macro_recall_at_k(scores, labels, 1) == pytest.approx(45 / 50)
    assert macro_recall(rank(scores, labels), 1) == pytest.approx(45 / 50)


def slow_average_precision(scores, labels) -> float:
    known = [(score, label) for score, label in zip(scores.tolist(), labels.tolist(), strict=True) if label != -1]
    positives = sum(label == 1 for _, label in known)
    total, earlier = 0.0, 0.0
    for threshold in sorted({score for score, _ in known if score > -math.inf}, reverse=True):
        chosen = [label for score, label in known if score >= threshold]
        recall = chosen.count(1) / positives
        total, earlier = total + (recall - earlier) * chosen.count(1) / len(chosen), recall
    return total


def test_map_against_loops(drawn):
    for name in KINDS:
        scores, labels = drawn[0][name], drawn[1][name]
        defined = [c for c in range(labels.shape[1]) if (labels[:, c] == 1).any() and (labels[:, c] == 0).any()]
        expected = np.mean([slow_average_precision(scores[:, c], labels[:, c]) for c in defined])
        assert metrics.mean_average_precision(scores, labels) == pytest.approx(expected, abs=1e-12)


def test_map_against_scikit_learn():
    rng = np.random.default_rng(0)
    scores, labels = rng.integers(0, 40, (300, 5)).astype(np.float32), (rng.random((300, 5)) < 0.2).astype(np.int8)
    expected = np.mean([average_precision_score(labels[:, c], scores[:, c]) for c in range(5)])
    assert metrics.mean_average_precision(scores, labels) == pytest.approx(expected, abs=1e-12)


def test_map_leaves_out_classes_without_both_kinds():
    labels = np.array([[1, 1, 0], [0, 1, 0]], dtype=np.int8)
    assert metrics.mean_average_precision(np.array([[1.0, 0, 0], [2.0, 0, 0]]), labels) == 0.5
    assert math.isnan(metrics.mean_average_precision(np.zeros((2, 2)), labels[:, 1:]))


def test_cross_entropy_against_loops_and_scikit_learn(drawn):
    scores, labels = drawn[0]["category"] * 40, drawn[1]["category"]
    found = metrics.cross_entropy(scores, labels)
    for value, row, label in zip(found.tolist(), scores.tolist(), labels.tolist(), strict=True):
        if 1 not in label:
            assert math.isnan(value)
        elif row[label.index(1)] == -math.inf:
            assert value == math.inf
        else:
            top = max(row)
            expected = top + math.log(sum(math.exp(x - top) for x in row)) - row[label.index(1)]
            assert value == pytest.approx(expected, rel=1e-6, abs=1e-6)
    rows = [i for i in range(len(labels)) if 1 in labels[i]]
    logits = np.random.default_rng(1).normal(size=(len(rows), 4))
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    peer = log_loss(labels[rows].argmax(axis=1), probabilities, labels=range(4))
    assert metrics.cross_entropy(logits, labels[rows]).mean() == pytest.approx(peer, rel=1e-6)


def test_cross_entropy_of_large_logits_and_of_two_positives():
    labels = np.array([[1, 0], [0, 1], [1, 1]], dtype=np.int8)
    found = metrics.cross_entropy(np.array([[1e30, 0], [1000.0, 0], [0, 0]], dtype=np.float32), labels)
    np.testing.assert_array_equal(found, np.array([0, 1000, np.nan], dtype=np.float32))


def test_mean_accuracy_is_the_plain_mean_over_exclusive_types(drawn):
    scores, labels = drawn
    expected = np.mean([metrics.accuracy_at_k(scores[name], labels[name], 1) for name in ("category", "length")])
    assert metrics.mean_accuracy(scores, labels, SCHEMA) == expected
    labels = labels | {"length": np.full_like(labels["length"], -1)}
    assert metrics.mean_accuracy(scores, labels, SCHEMA) == metrics.accuracy_at_k(scores["category"], labels["category"], 1)


@pytest.mark.parametrize("beta", [0.5, 1.0, 2.0])
def test_f_beta_against_loops_and_scikit_learn(drawn, beta):
    labels = drawn[1]["texture"]
    decisions = np.random.default_rng(0).random(labels.shape) < 0.5
    defined = [c for c in range(labels.shape[1]) if (labels[:, c] == 1).any()]
    assert len(defined) == labels.shape[1] - 1
    expected = np.mean([slow_f_beta(labels[:, c], decisions[:, c], beta) for c in defined])
    assert metrics.f_beta(labels, decisions, beta) == pytest.approx(expected, abs=1e-12)
    all_known = np.maximum(labels[:, defined], 0)
    peer = fbeta_score(all_known, decisions[:, defined], beta=beta, average="macro")
    assert metrics.f_beta(all_known, decisions[:, defined], beta) == pytest.approx(peer, abs=1e-12)


def test_f2_of_all_positive_on_jd():
    """F2 = 5π / (4π + 1) for a label of rate π; the macro value over JD's 13 label counts is .343."""
    counts = [104, 4292, 49893, 262, 18722, 8882, 197, 1356, 49389, 7094, 3712, 1249, 361]
    labels = np.zeros((54_908, 13), dtype=np.int8)
    for c, count in enumerate(counts):
        labels[:count, c] = 1
    assert metrics.f_beta(labels, np.ones(labels.shape, dtype=bool), 2) == pytest.approx(0.343, abs=5e-4)


@pytest.mark.parametrize("beta", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("name", ["texture", "style", "category"])
def test_best_thresholds_against_trying_each(drawn, name, beta):
    scores, labels = drawn[0][name], drawn[1][name]
    found = metrics.best_thresholds(scores, labels, beta)
    assert found.dtype == scores.dtype
    for c in range(labels.shape[1]):
        known = labels[:, c] != -1
        tries = [
            (slow_f_beta(labels[:, c], scores[:, c] >= t, beta), t)
            for t in set(scores[known, c].tolist())
            if t > -math.inf and 1 in labels[:, c]
        ]
        best = max(tries, default=(0.0, math.inf))  # of equal F the higher threshold
        assert found[c] == best[1]


def test_best_thresholds_without_positives_predict_nothing():
    scores = np.array([[0.3, -np.inf], [0.8, 1.0]], dtype=np.float32)
    found = metrics.best_thresholds(scores, np.array([[0, 1], [-1, 0]], dtype=np.int8))
    assert found.tolist() == [math.inf, math.inf]
    assert not metrics.decide(scores, found).any()


def test_a_class_at_minus_infinity_is_never_decided():
    scores = np.array([[-np.inf, 0.0]], dtype=np.float32)
    assert metrics.decide(scores, np.full(2, -np.inf, dtype=np.float32)).tolist() == [[False, True]]


def test_nan_scores_and_shapes_are_refused():
    labels = np.zeros((2, 3), dtype=np.int8)
    scores = np.array([[0, np.nan, 0], [0, 0, 0]], dtype=np.float32)
    for function in (metrics.best_thresholds, metrics.positive_ranks, metrics.cross_entropy, metrics.mean_average_precision):
        with pytest.raises(ValueError, match="1 of 6 scores are NaN"):
            function(scores, labels)
        with pytest.raises(ValueError, match=r"scores \(2, 2\) and labels \(2, 3\)"):
            function(scores[:, [0, 2]], labels)
    with pytest.raises(ValueError, match=r"a logit is \+inf"):
        metrics.cross_entropy(np.array([[np.inf, 0, 0]]), labels[:1])


def test_figures_without_positives_are_nan():
    scores, labels = np.zeros((3, 2)), np.zeros((3, 2), dtype=np.int8)
    for function in (metrics.recall_at_k, metrics.f1_at_k, metrics.accuracy_at_k, metrics.macro_recall_at_k):
        assert math.isnan(function(scores, labels, 1))
    assert math.isnan(metrics.f_beta(labels, scores > 1, 2))
