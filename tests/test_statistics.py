"""Intervals and comparisons against hand-computed cases, loops, scipy, and a simulation of their coverage."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats

from bench import statistics
from bench.statistics import Replicates, bootstrap_weights, holm, metric_interval, paired_difference, replicates, resample, tied_with_best

METRICS = [f"{kind}@{k}" for kind in ("recall", "f1", "accuracy") for k in (1, 3, 5)]


def draw(seed: int, num_images: int = 80, num_types: int = 3, rate: float = 0.5) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    num_positives = rng.integers(0, 4, (num_images, num_types)).astype(np.uint8)
    hits = np.stack([rng.binomial(num_positives, p) for p in (rate, rate + 0.1, rate + 0.2)], axis=2).astype(np.uint8)
    predictions = np.minimum(rng.integers(2, 8, (num_images, num_types, 1)), [1, 3, 5]).astype(np.uint8)
    return {"hits": hits, "num_positives": num_positives, "num_predictions": predictions}


def slow_metric(arrays: dict[str, np.ndarray], images, metric: str, types) -> float:
    """The metric over a list of images, which may hold an image several times."""
    kind, k = metric.split("@")
    column, top, bottom = (1, 3, 5).index(int(k)), 0, 0
    for i in images:
        for t in types:
            hits, positives = int(arrays["hits"][i, t, column]), int(arrays["num_positives"][i, t])
            if kind == "recall":
                top, bottom = top + hits, bottom + positives
            elif kind == "f1":
                top, bottom = top + 2 * hits, bottom + positives + int(arrays["num_predictions"][i, t, column])
            else:
                top, bottom = top + (hits > 0), bottom + (positives > 0)
    return top / bottom


def test_weights_count_draws_with_replacement():
    weights = bootstrap_weights(50, 4000)
    assert weights.dtype == np.float32
    np.testing.assert_array_equal(weights.sum(axis=1), 50)
    assert weights.mean() == 1
    assert weights.var() == pytest.approx(1 - 1 / 50, rel=0.02)  # multinomial
    assert bootstrap_weights(50, 4000) is weights  # the same for every method
    assert not np.array_equal(bootstrap_weights(50, 4000, seed=1), weights)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("types", [None, [1], [0, 2]])
def test_replicates_are_the_metric_of_the_resampled_images(metric, types):
    seeds, chosen = [draw(0), draw(1)], range(3) if types is None else types
    found = replicates(seeds, metric, types, num_resamples=20)
    values = np.array([slow_metric(arrays, range(80), metric, chosen) for arrays in seeds])
    assert found.value == pytest.approx(values.mean())
    for r, weights in enumerate(bootstrap_weights(80, 20)):
        images = np.repeat(np.arange(80), weights.astype(int))
        per_seed = [slow_metric(arrays, images, metric, chosen) for arrays in seeds]
        assert found.values[r] == pytest.approx(np.dot(statistics._seed_weights(2, 20, 0)[1 + r], per_seed))
    whole = resample(seeds, num_resamples=20).metric(metric, types)
    assert whole.value == pytest.approx(found.value)
    np.testing.assert_allclose(whole.values, found.values)


def test_interval_by_hand():
    values = np.arange(1, 101) / 200
    interval = Replicates(0.25, np.random.default_rng(0).permutation(values), 10).interval(0.9)
    assert interval == pytest.approx((0.25, 0.02975, 0.47525))
    assert Replicates(1.0, values + 0.9, 10).interval().high == 1.0


def test_interval_agrees_with_scipy():
    arrays = draw(2, num_images=120, num_types=1)
    hits, positives = arrays["hits"][:, 0, 0].astype(float), arrays["num_positives"][:, 0].astype(float)
    peer = scipy.stats.bootstrap(
        (hits, positives),
        lambda h, p, axis=-1: h.sum(axis=axis) / p.sum(axis=axis),
        paired=True,
        vectorized=True,
        n_resamples=20_000,
        method="percentile",
        rng=np.random.default_rng(0),
    ).confidence_interval
    mean, low, high = metric_interval([arrays], "recall@1", num_resamples=20_000)
    assert mean == hits.sum() / positives.sum()
    assert (low, high) == pytest.approx((peer.low, peer.high), abs=0.004)


def test_seeds_widen_the_interval_by_their_variance():
    """With many images that all agree within a seed, only the seeds vary: the variance must be theirs over their number."""
    seeds, shares = [], (0.3, 0.5, 0.6, 0.8)
    for share in shares:
        arrays = draw(0, num_images=1000, num_types=1)
        arrays["num_positives"][:] = 1
        arrays["hits"][:] = (np.arange(1000) < share * 1000)[:, None, None]
        seeds.append(arrays)
    found = replicates(seeds, "recall@1", num_resamples=4000)
    assert found.value == pytest.approx(np.mean(shares))
    of_images = replicates(seeds[:1], "recall@1", num_resamples=4000).values.var()
    assert found.values.var() == pytest.approx(np.var(shares, ddof=1) / 4 + of_images, rel=0.1)


def test_coverage_of_the_interval():
    """Nominal 95 % over images, one seed: 400 samples of a population of known recall."""
    inside = 0
    for seed in range(400):
        low, high = metric_interval([draw(1000 + seed, num_images=300, num_types=2, rate=0.5)], "recall@1", num_resamples=500)[1:]
        inside += low <= 0.5 <= high
    assert 0.92 <= inside / 400 <= 0.975


def test_p_values_are_uniform_under_the_null():
    """Two methods of equal skill: about one in twenty pairs differs at .05, and one in five at .2."""
    p_values = []
    for seed in range(300):
        a, b = draw(seed, num_images=200, num_types=1), draw(seed, num_images=200, num_types=1)
        rng = np.random.default_rng(5000 + seed)
        b["hits"] = np.stack([rng.binomial(b["num_positives"], p) for p in (0.5, 0.6, 0.7)], axis=2).astype(np.uint8)
        pair = [replicates([arrays], "recall@3", num_resamples=200) for arrays in (a, b)]
        p_values.append(paired_difference(*pair).p_value)
    assert 0.02 <= np.mean(np.array(p_values) < 0.05) <= 0.085
    assert 0.14 <= np.mean(np.array(p_values) < 0.2) <= 0.26


def test_paired_difference_by_hand():
    a, b = Replicates(0.6, np.array([0.5, 0.6, 0.7, 0.6]), 30), Replicates(0.5, np.array([0.45, 0.5, 0.55, 0.5]), 30)
    found = paired_difference(a, b, confidence=0.5)
    values = np.array([0.05, 0.1, 0.15, 0.1])
    assert found[:3] == pytest.approx((0.1, *np.quantile(values, [0.25, 0.75])))
    assert found.p_value == pytest.approx(2 * scipy.stats.norm.sf(0.1 / values.std(ddof=1)))
    mirrored = paired_difference(b, a, confidence=0.5)
    assert mirrored == pytest.approx((-found.mean, -found.high, -found.low, found.p_value))


def test_pairing_cancels_what_both_methods_share():
    """The better method has every hit of the other and a few more: far clearer in pairs than from two separate intervals."""
    a = draw(0, num_images=300)
    b = {name: array.copy() for name, array in a.items()}
    rows = np.flatnonzero(a["num_positives"][:, 0] > a["hits"][:, 0, 0])[:12]
    a["hits"][rows, 0, 0] += 1
    better, worse = replicates([a], "recall@1"), replicates([b], "recall@1")
    assert better.interval().low < worse.interval().high
    found = paired_difference(better, worse)
    assert found.low > 0
    assert found.p_value < 0.01
    assert paired_difference(better, better) == (0, 0, 0, 1)


def test_a_difference_without_spread_is_a_sign_test():
    one, none = Replicates(1.0, np.ones(50), 5), Replicates(0.0, np.zeros(50), 5)
    assert paired_difference(one, none).p_value == 2**-4
    single = Replicates(1.0, np.ones(50), 1), Replicates(0.0, np.zeros(50), 1)
    assert paired_difference(*single).p_value == 1


@pytest.mark.parametrize("num_seeds", [2, 3, 9])
def test_figures_of_seeds_alone_have_a_paired_t_test(num_seeds):
    rng = np.random.default_rng(num_seeds)
    a, b = rng.normal(0.6, 0.1, num_seeds), rng.normal(0.5, 0.1, num_seeds)
    error = (a - b).std(ddof=1) / math.sqrt(num_seeds)
    noise = rng.normal(size=500)
    noise = (noise - noise.mean()) / noise.std(ddof=1)
    better = Replicates(a.mean(), a.mean() + error * noise, 0, num_seeds)
    worse = Replicates(b.mean(), np.full(500, b.mean()), 0, num_seeds)
    assert statistics.paired_p_values(better, [worse, better]) == pytest.approx([scipy.stats.ttest_rel(a, b).pvalue, 1])
    assert statistics.p_against(better, 0.45) == pytest.approx(2 * scipy.stats.t.sf(abs(a.mean() - 0.45) / error, num_seeds - 1))
    assert math.isnan(statistics.p_against(Replicates(0.5, np.full(500, 0.5), 0, num_seeds), 0.4))  # no spread says nothing
    assert math.isnan(statistics.p_against(Replicates(0.5, 0.5 + noise, 0, 1), 0.4))


def test_an_effect_against_a_bound():
    effect = Replicates(2.5, np.random.default_rng(0).normal(2.5, 0.4, 800), 50)
    for bound in (2.0, 3.0):
        assert statistics.p_against(effect, bound) == pytest.approx(2 * scipy.stats.norm.sf(0.5 / effect.values.std(ddof=1)))
    assert statistics.p_against(effect, 2.5) == 1


def test_resamples_without_a_figure_are_left_out():
    values = np.random.default_rng(0).normal(0.5, 0.1, 100)
    holes = np.insert(values, [3, 50, 100], np.nan)
    whole, holed = Replicates(0.5, values, 20), Replicates(0.5, holes, 20)
    assert statistics.p_against(holed, 0.3) == statistics.p_against(whole, 0.3)
    assert holed.percentiles(0.8) == whole.percentiles(0.8) == pytest.approx(np.quantile(values, [0.1, 0.9]))
    assert math.isnan(statistics.p_against(Replicates(0.5, np.array([np.nan, 0.5, np.nan]), 20), 0.3))


def test_many_intervals_are_those_of_each():
    rng = np.random.default_rng(1)
    figures = [Replicates(0.5, rng.normal(0.5, 0.2, 60), 20) for _ in range(3)]
    figures[1].values[:7] = np.nan
    figures.append(Replicates(math.nan, np.full(60, np.nan), 20))
    for confidence in (0.95, 0.5):
        found = statistics.percentile_intervals(figures, confidence)
        np.testing.assert_allclose(found, [figure.percentiles(confidence) for figure in figures])
        np.testing.assert_allclose(found[0], np.quantile(figures[0].values, [(1 - confidence) / 2, (1 + confidence) / 2]))
        assert np.isnan(found[3]).all()
    assert statistics.percentile_intervals([]).shape == (0, 2)


def test_seeds_and_figures_are_combined_by_their_means():
    rng = np.random.default_rng(2)
    seeds = [rng.random(201) for _ in range(3)]
    found = statistics.combine_seeds(seeds, 40)
    assert found.value == pytest.approx(np.mean([each[0] for each in seeds]))
    assert (found.num_images, found.num_seeds) == (40, 3)
    np.testing.assert_array_equal(statistics.combine_seeds(seeds[:1], 40).values, seeds[0][1:])
    other = Replicates(0.25, rng.random(200), 40, 2)
    mean = statistics.mean_replicates([found, other])
    assert mean.value == pytest.approx((found.value + 0.25) / 2)
    np.testing.assert_allclose(mean.values, (found.values + other.values) / 2)
    assert (mean.num_images, mean.num_seeds) == (40, 2)
    with pytest.raises(ValueError, match="2 figures"):
        statistics.mean_replicates([found, Replicates(0.1, np.zeros(7), 40)])


def test_holm_by_hand_and_by_definition():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]).tolist() == [1.0, 1.0]
    assert holm([]).tolist() == []
    p_values = np.random.default_rng(0).random(9) ** 3
    for alpha in (0.01, 0.05, 0.3):  # the step-down procedure itself
        rejected, order = set(), np.argsort(p_values)
        for step, index in enumerate(order):
            if p_values[index] > alpha / (len(p_values) - step):
                break
            rejected.add(int(index))
        assert set(np.flatnonzero(holm(p_values) <= alpha).tolist()) == rejected


def test_tied_with_best():
    rng = np.random.default_rng(0)
    base = rng.normal(0, 0.02, 1000)

    def method(value: float, spread: float) -> Replicates:
        return Replicates(value, value + base + rng.normal(0, spread, 1000), 500)

    methods = {"best": method(0.70, 0.005), "near": method(0.695, 0.005), "far": method(0.60, 0.005), "vague": method(0.60, 0.2)}
    assert tied_with_best(methods) == {"best", "near", "vague"}
    assert tied_with_best(methods | {"gone": Replicates(math.nan, np.full(1000, math.nan), 500)}) == {"best", "near", "vague"}
    assert tied_with_best({}) == set()
    assert tied_with_best({"only": methods["far"]}) == {"only"}


def test_holm_decides_who_is_tied():
    """One comparison of p = .03 is clear on its own and not among five."""
    difference = scipy.stats.norm.isf(0.015)
    noise = np.random.default_rng(0).normal(size=1000)
    noise = (noise - noise.mean()) / noise.std(ddof=1)
    best, other = Replicates(0.0, np.zeros(1000), 100), Replicates(-difference, -difference + noise, 100)
    assert tied_with_best({"best": best, "a": other}) == {"best"}
    assert tied_with_best({"best": best, **dict.fromkeys("abcde", other)}) == {"best", *"abcde"}


def test_undefined_without_positives():
    arrays = draw(0)
    arrays["num_positives"][:, 1] = 0
    arrays["hits"][:, 1] = 0
    for metric in METRICS:
        assert all(math.isnan(value) for value in (replicates([arrays], metric, [1]).value, resample([arrays]).metric(metric, [1]).value))
    assert math.isnan(metric_interval([arrays], "recall@1", [1]).low)


def test_errors():
    arrays = draw(0)
    for ask in (replicates, metric_interval):
        with pytest.raises(ValueError, match="no per-image counts for metric 'map'; there are recall@1, recall@3"):
            ask([arrays], "map")
    with pytest.raises(ValueError, match="metric 'recall@2'"):
        resample([arrays]).metric("recall@2")
    with pytest.raises(ValueError, match="arrays of 2 seeds"):
        replicates([arrays, draw(0, num_images=79)], "f1@1")
    with pytest.raises(ValueError, match="arrays of 0 seeds"):
        resample([])
    with pytest.raises(ValueError, match=r"hits \(80, 3, 3\): expected 2 values of k: 1, 5"):
        resample([arrays], ks=(1, 5))
    with pytest.raises(ValueError, match="80 and 79 images"):
        paired_difference(replicates([arrays], "f1@1"), replicates([draw(0, num_images=79)], "f1@1"))
    with pytest.raises(ValueError, match=r"confidence 95: expected a number between 0 and 1"):
        metric_interval([arrays], "f1@1", confidence=95)
