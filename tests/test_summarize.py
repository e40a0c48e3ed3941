"""All metrics of one prediction at once: pooled, of a type, of a class, and the arrays that are kept of it."""

import math

import numpy as np
import pytest
from numpy.testing import assert_equal
from slow_metrics import KINDS, SCHEMA, draw, draw_all, ranked, slow_counts, slow_f_beta

from bench import metrics
from bench.protocol import AttributeType, Schema
from bench.ranking import rank


@pytest.fixture(params=[0, 1, 2])
def drawn(request):
    return draw_all(request.param)


@pytest.mark.parametrize("logits", [True, False])
def test_plus_infinity_is_refused_of_logits_and_of_similarities(drawn, logits):
    scores, labels = drawn
    scores["style"][3, 2] = np.inf
    with pytest.raises(ValueError, match=r"type 'style': 1 of 420 scores are \+inf"):
        metrics.summarize(scores, labels, SCHEMA, logits=logits)


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


@pytest.mark.parametrize("kinds", [("texture",), ("category", "texture"), ("texture", "style")])
def test_summary_of_one_and_of_two_types(drawn, kinds):
    scores, labels = ({name: each[name] for name in kinds} for each in drawn)
    found = metrics.summarize(scores, labels, Schema(tuple(SCHEMA[name] for name in kinds)), logits=True).metrics
    counts = np.sum([slow_counts(scores[name], labels[name], 3) for name in kinds], axis=0)
    assert found["recall@3"] == pytest.approx(counts[0] / counts[2])
    assert found["f1@3"] == pytest.approx(2 * counts[0] / (counts[1] + counts[2]))
    rest = [name for name in kinds if name != "category"]
    wide = np.concatenate([scores[name] for name in rest], axis=1), np.concatenate([labels[name] for name in rest], axis=1)
    assert found["recall@3/all_1000"] == metrics.recall_at_k(*wide, 3)


def test_kept_decisions_are_those_of_known_labels(drawn):
    scores, labels = drawn
    thresholds = {"style": np.linspace(-1, 1, 7)}
    kept = metrics.summarize(scores, labels, SCHEMA, logits=True, thresholds=thresholds).arrays
    for name, limits in (("f2", thresholds["style"]), ("f2@0.5", np.zeros(7))):
        decided = np.unpackbits(kept[f"{name}/style"], axis=1)[:, :7]
        assert_equal(decided, (scores["style"] >= limits) & (labels["style"] != -1))


def test_an_image_has_at_most_255_positives_in_a_type():
    schema = Schema((AttributeType("tags", tuple(map(str, range(256))), False),))
    labels = np.ones((2, 256), dtype=np.int8)
    labels[:, -1] = 0
    kept = metrics.summarize({"tags": np.zeros((2, 256))}, {"tags": labels}, schema, logits=True).arrays
    assert_equal(kept["num_positives"], [[255], [255]])
    labels[1, -1] = 1
    with pytest.raises(ValueError, match="256 positives in one type"):
        metrics.summarize({"tags": np.zeros((2, 256))}, {"tags": labels}, schema, logits=True)


def test_figures_of_each_class_against_loops(drawn):
    scores, labels = drawn
    for name in KINDS:  # a class with a single positive, too
        positives = np.flatnonzero(labels[name][:, 0] == 1)
        labels[name][positives[1:], 0] = 0
    found = metrics.summarize(scores, labels, SCHEMA, logits=True).per_class
    for name, (num_classes, _) in KINDS.items():
        tops = [ranked(row) for row in scores[name].tolist()]
        for c in range(num_classes):
            carriers = [top for top, row in zip(tops, labels[name].tolist(), strict=True) if row[c] == 1]
            hits = {k: sum(c in top[:k] for top in carriers) for k in (1, 3)}
            expected = {"support": len(carriers)} | {f"recall@{k}": hits[k] / len(carriers) if carriers else np.nan for k in (1, 3)}
            predicted = sum(top[:1] == [c] for top in tops)
            expected["f1@1"] = 2 * hits[1] / (predicted + len(carriers)) if carriers else np.nan
            np.testing.assert_allclose([found[name][figure][c] for figure in expected], list(expected.values()), err_msg=f"{name} {c}")


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
