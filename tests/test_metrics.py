"""Each metric against a slow loop in Python floats, with ties, -inf, unknown labels and types without positives."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.testing import assert_equal
from sklearn.metrics import average_precision_score, fbeta_score, log_loss

from bench import metrics
from bench.protocol import AttributeType, Schema
from bench.ranking import UNRANKED, rank, top_classes

KINDS = {"category": (4, True), "texture": (6, False), "length": (2, True), "style": (7, False)}
SCHEMA = Schema(tuple(AttributeType(name, tuple(map(str, range(count))), exclusive) for name, (count, exclusive) in KINDS.items()))


def ranked(row) -> list[int]:
    """Classes of one image, best first: the definition that everything here is checked against."""
    return sorted((c for c in range(len(row)) if row[c] > -math.inf), key=lambda c: (-row[c], c))


def slow_counts(scores, labels, k) -> tuple[int, int, int, int, int]:
    """TP, predictions, positives, images hit, images with a positive."""
    tp = predictions = positives = hit = known = 0
    for row, label in zip(scores.tolist(), labels.tolist(), strict=True):
        top = ranked(row)[:k]
        found = sum(label[c] == 1 for c in top)
        tp, predictions, positives = tp + found, predictions + len(top), positives + label.count(1)
        hit, known = hit + (found > 0), known + (1 in label)
    return tp, predictions, positives, hit, known


def draw(rng, count: int, exclusive: bool, num_images: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Scores with many ties and some -inf; labels with unknowns, and images without any positive."""
    scores = rng.integers(-3, 4, (num_images, count)).astype(np.float32) / 2
    scores[rng.random(scores.shape) < 0.15] = -np.inf
    if exclusive:
        labels = np.zeros(scores.shape, dtype=np.int8)
        labels[np.arange(num_images), rng.integers(0, count, num_images)] = 1
        labels[rng.random(num_images) < 0.3] = -1
    else:
        labels = rng.choice(np.array([1, 0, -1], dtype=np.int8), scores.shape, p=[0.25, 0.55, 0.2])
        labels[:, -1] = np.where(labels[:, -1] == 1, 0, labels[:, -1])  # a class without positives
    return scores, labels


@pytest.fixture(params=[0, 1, 2])
def drawn(request) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    rng = np.random.default_rng(request.param)
    pairs = {name: draw(rng, *kind) for name, kind in KINDS.items()}
    return {name: pair[0] for name, pair in pairs.items()}, {name: pair[1] for name, pair in pairs.items()}


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


def slow_f_beta(labels, decisions, beta) -> float:
    pairs = [(label, chosen) for label, chosen in zip(labels.tolist(), decisions.tolist(), strict=True) if label != -1]
    tp, fn, fp = pairs.count((1, True)), pairs.count((1, False)), pairs.count((0, True))
    return (1 + beta**2) * tp / ((1 + beta**2) * tp + beta**2 * fn + fp)


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


@pytest.mark.parametrize("logits", [True, False])
def test_plus_infinity_is_refused_of_logits_and_of_similarities(drawn, logits):
    scores, labels = drawn
    scores["style"][3, 2] = np.inf
    with pytest.raises(ValueError, match=r"type 'style': 1 of 420 scores are \+inf"):
        metrics.summarize(scores, labels, SCHEMA, logits=logits)


def test_figures_without_positives_are_nan():
    scores, labels = np.zeros((3, 2)), np.zeros((3, 2), dtype=np.int8)
    for function in (metrics.recall_at_k, metrics.f1_at_k, metrics.accuracy_at_k, metrics.macro_recall_at_k):
        assert math.isnan(function(scores, labels, 1))
    assert math.isnan(metrics.f_beta(labels, scores > 1, 2))


def test_summary_pools_and_names_its_variants(drawn):
    scores, labels = drawn
    thresholds = {name: metrics.best_thresholds(scores[name], labels[name]) for name in ("category", "texture", "style")}
    summary = metrics.summarize(scores, labels, SCHEMA, logits=True, thresholds=thresholds)
    for k in (1, 3, 5):
        counts = np.sum([slow_counts(scores[name], labels[name], k) for name in KINDS], axis=0)
        assert summary.metrics[f"recall@{k}"] == pytest.approx(counts[0] / counts[2])
        assert summary.metrics[f"f1@{k}"] == pytest.approx(2 * counts[0] / (counts[1] + counts[2]))
        rest = [name for name in KINDS if name != "category"]
        mean = np.mean([metrics.recall_at_k(scores[name], labels[name], k) for name in rest])
        assert summary.metrics[f"recall@{k}/all_mean"] == pytest.approx(mean)
        wide = np.concatenate([scores[name] for name in rest], axis=1), np.concatenate([labels[name] for name in rest], axis=1)
        assert summary.metrics[f"recall@{k}/all_1000"] == metrics.recall_at_k(*wide, k)
        assert summary.metrics[f"recall@{k}/macro50"] == metrics.macro_recall_at_k(*wide, k)
    hit = np.sum([slow_counts(scores[name], labels[name], 1) for name in ("category", "length")], axis=0)
    assert summary.metrics["accuracy@1"] == pytest.approx(hit[3] / hit[4])
    assert summary.metrics["mean_accuracy"] == pytest.approx(metrics.mean_accuracy(scores, labels, SCHEMA))
    per_class = [
        slow_f_beta(labels[n][:, c], metrics.decide(scores[n], thresholds[n])[:, c], 2)
        for n in ("texture", "style")
        for c in range(KINDS[n][0] - 1)
    ]
    assert summary.metrics["f2"] == pytest.approx(np.mean(per_class))
    np.testing.assert_allclose(np.concatenate([summary.per_class[n]["f2"][:-1] for n in ("texture", "style")]), per_class)
    assert "f2" not in summary.per_class["length"]
    assert "accuracy@3" not in summary.metrics
    assert set(summary.per_attribute["texture"]) == {
        *(f"{name}@{k}" for name in ("recall", "f1") for k in (1, 3, 5)),
        "map",
        "f2",
        "f2@0.5",
    }
    assert summary.per_attribute["length"]["accuracy@1"] == metrics.accuracy_at_k(scores["length"], labels["length"], 1)


def test_f2_at_a_probability_of_a_half_needs_logits_and_no_thresholds():
    scores = {"style": np.array([[0.0, -2.0], [-0.1, 3.0], [5.0, 1.0]], dtype=np.float32)}
    labels = {"style": np.array([[1, 1], [1, 0], [0, 1]], dtype=np.int8)}
    schema = Schema((AttributeType("style", ("a", "b"), False),))
    expected = np.mean([5 / (5 + 4 + 1), 5 / (5 + 4 + 1)])  # one hit, one miss and one false alarm each
    assert metrics.summarize(scores, labels, schema, logits=True).metrics["f2@0.5"] == pytest.approx(expected)
    moved = {"style": np.array([-np.inf, -np.inf])}
    assert metrics.summarize(scores, labels, schema, logits=True, thresholds=moved).metrics["f2@0.5"] == pytest.approx(expected)
    assert "f2@0.5" not in metrics.summarize(scores, labels, schema, logits=False, thresholds=moved).metrics


def test_f1_of_each_class_counts_its_predictions():
    scores = np.array([[3, 2, 1], [3, 2, 1], [1, 3, 2], [0, 1, 2]], dtype=np.float32)  # predicts 0, 0, 1, 2
    labels = np.array([[1, 0, 0], [0, 1, 0], [0, 1, 0], [1, 0, 0]], dtype=np.int8)
    schema = Schema((AttributeType("category", ("a", "b", "c"), True),))
    found = metrics.summarize({"category": scores}, {"category": labels}, schema, logits=True).per_class["category"]
    assert_equal(found["f1@1"], [2 * 1 / (2 + 2), 2 * 1 / (1 + 2), np.nan])


def test_summary_leaves_out_what_is_undefined():
    scores = {"category": np.array([[0.0, -np.inf]] * 2, dtype=np.float32), "style": np.zeros((2, 3), dtype=np.float32)}
    labels = {"category": np.array([[0, 1], [-1, -1]], dtype=np.int8), "style": np.zeros((2, 3), dtype=np.int8)}
    schema = Schema((AttributeType("category", ("a", "b"), True), AttributeType("style", ("x", "y", "z"), False)))
    summary = metrics.summarize(scores, labels, schema, logits=True)
    assert "cross_entropy" not in summary.metrics  # infinite
    assert summary.metrics["recall@1"] == 0
    assert "recall@1/all_mean" not in summary.metrics
    assert summary.per_attribute["style"] == {}
    nothing, missed = [np.nan] * 3, [np.nan, 0.0]
    found = {name: {figure: values.tolist() for figure, values in each.items()} for name, each in summary.per_class.items()}
    assert_equal(found["style"], {"recall@1": nothing, "recall@3": nothing, "f1@1": nothing, "support": [0] * 3})
    assert_equal(found["category"], {"recall@1": missed, "recall@3": missed, "f1@1": missed, "support": [0, 1]})
    assert "cross_entropy" not in metrics.summarize(scores, labels, schema, logits=False).metrics


def test_variants_take_the_category_where_it_is_alone():
    scores, labels = draw(np.random.default_rng(0), 4, True)
    schema = Schema((AttributeType("category", tuple("abcd"), True),))
    found = metrics.summarize({"category": scores}, {"category": labels}, schema, logits=False).metrics
    assert found["recall@3/all_mean"] == found["recall@3/all_1000"] == found["recall@3"]


def test_summary_arrays(drawn):
    scores, labels = drawn
    arrays = metrics.summarize(scores, labels, SCHEMA, logits=True).arrays
    shapes = {name: (array.dtype.name, array.shape) for name, array in arrays.items()}
    assert shapes == {
        "hits": ("uint8", (60, 4, 3)),
        "num_predictions": ("uint8", (60, 4, 3)),
        "num_positives": ("uint8", (60, 4)),
        "top_classes": ("int16", (60, 4, 5)),
        "top_scores": ("float16", (60, 4, 5)),
        "cross_entropy": ("float32", (60, 4)),
        "f2@0.5/texture": ("uint8", (60, 1)),
        "f2@0.5/style": ("uint8", (60, 1)),
    }
    for t, name in enumerate(KINDS):
        for i, (row, label) in enumerate(zip(scores[name].tolist(), labels[name].tolist(), strict=True)):
            top = ranked(row)[:5]
            assert arrays["top_classes"][i, t].tolist() == top + [-1] * (5 - len(top))
            assert arrays["top_scores"][i, t].tolist() == [row[c] for c in top] + [-math.inf] * (5 - len(top))
            assert arrays["hits"][i, t].tolist() == [sum(label[c] == 1 for c in top[:k]) for k in (1, 3, 5)]
            assert arrays["num_predictions"][i, t].tolist() == [min(k, len(top)) for k in (1, 3, 5)]
            assert arrays["num_positives"][i, t] == label.count(1)
    np.testing.assert_array_equal(arrays["cross_entropy"][:, 0], metrics.cross_entropy(scores["category"], labels["category"]))
    assert np.isnan(arrays["cross_entropy"][:, 1]).all()


def test_top_scores_stay_finite_in_half_precision():
    scores, labels = {"s": np.array([[1e9, -1e9]], dtype=np.float32)}, {"s": np.array([[1, 0]], dtype=np.int8)}
    schema = Schema((AttributeType("s", ("a", "b"), False),))
    top = metrics.summarize(scores, labels, schema, logits=True).arrays["top_scores"]
    assert top[0, 0].tolist() == [65504.0, -65504.0, -math.inf, -math.inf, -math.inf]


def test_summary_names_the_type_that_is_wrong(drawn):
    scores, labels = drawn
    with pytest.raises(ValueError, match="type 'style': no scores"):
        metrics.summarize({name: scores[name] for name in KINDS if name != "style"}, labels, SCHEMA, logits=True)
    with pytest.raises(ValueError, match=r"type 'texture': scores \(60, 5\), expected \(images, 6\)"):
        metrics.summarize(scores | {"texture": scores["texture"][:, :5]}, labels, SCHEMA, logits=True)
    broken = scores["length"].copy()
    broken[0, 0] = np.nan
    with pytest.raises(ValueError, match="type 'length': 1 of 120 scores are NaN"):
        metrics.summarize(scores | {"length": broken}, labels, SCHEMA, logits=True)


def test_no_images_give_no_figures():
    empty = {kind.name: np.empty((0, len(kind.classes)), dtype=np.float32) for kind in SCHEMA}
    summary = metrics.summarize(empty, {name: array.astype(np.int8) for name, array in empty.items()}, SCHEMA, logits=True)
    assert summary.metrics == {}
    assert rank(empty["style"], empty["style"].astype(np.int8)).num_ranked.shape == (0,)
