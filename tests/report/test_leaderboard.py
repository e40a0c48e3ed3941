"""Records to rows: intervals, ranks, ties, the floor, and what is not ok."""

import numpy as np
import pytest
from handmade import counts, write

from bench.report.leaderboard import AT_FLOOR, COLUMNS, build
from bench.store import Store


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path)


def frame(store):
    return build(store.records(), store.load_arrays)


def row(store, method, attribute="all", metric="f1@1"):
    found = frame(store)
    [only] = found[(found.method == method) & (found.attribute == attribute) & (found.metric == metric)].to_dict("records")
    return only


def test_columns_are_the_promised_ones(store):
    write(store, "good")
    assert tuple(frame(store).columns) == COLUMNS


def test_an_interval_holds_its_mean_and_shrinks_with_no_variance(store):
    write(store, "good", skill=0.7)
    write(store, "perfect", skill=1.0)
    good, perfect = row(store, "good"), row(store, "perfect")
    assert good["ci_low"] < good["mean"] < good["ci_high"]
    assert 0.05 < good["ci_high"] - good["ci_low"] < 0.2
    assert (perfect["ci_low"], perfect["mean"], perfect["ci_high"]) == (1, 1, 1)


def test_ranks_and_ties(store):
    arrays = counts(0.8)
    write(store, "best", arrays=arrays)
    one_less = {**arrays, "hits": arrays["hits"].copy()}
    place = np.argwhere(arrays["hits"][:, 0, 0] == 1)[0, 0]
    one_less["hits"][place, 0] = 0
    write(store, "close", arrays=one_less)
    write(store, "poor", skill=0.2)
    assert [(row(store, name)["rank"], row(store, name)["tied_with_best"]) for name in ("best", "close", "poor")] == [
        *((1, True), (2, True), (3, False))
    ]


def test_a_method_that_cannot_be_told_from_the_prior_says_so(store):
    write(store, "floor", row="prior", skill=0.5)
    write(store, "same", arrays=counts(0.5))
    write(store, "better", skill=0.9)
    assert row(store, "same")["status"] == AT_FLOOR
    assert row(store, "better")["status"] == "ok"
    assert row(store, "floor/prior")["status"] == "ok"


def test_seeds_are_pooled_and_counted(store):
    for seed in range(3):
        write(store, "good", seed=seed, skill=0.6)
    found = row(store, "good")
    assert found["n_seeds"] == 3
    assert found["mean"] == pytest.approx(np.mean([counts(0.6, seed)["hits"][:, :, 0].mean() for seed in range(3)]))


def test_what_is_not_ok_shows_and_counts_for_nothing(store):
    write(store, "good", skill=0.6)
    write(store, "half", skill=0.6, seed=0)
    write(store, "half", seed=1, status="timeout")
    write(store, "lost", status="failed")
    found = frame(store)
    assert row(store, "half")["status"] == "1 ok, 1 timeout"
    assert row(store, "half")["mean"] == row(store, "good")["mean"]
    [lost] = found[found.method == "lost"].to_dict("records")
    assert (lost["status"], lost["n_seeds"]) == ("1 failed", 0)
    assert np.isnan(lost["mean"])


def test_the_newest_record_of_a_cell_counts(store):
    write(store, "good", skill=0.2, finished=1.0)
    write(store, "good", skill=0.9, finished=2.0)
    assert row(store, "good")["mean"] > 0.8


def test_two_protocols_of_one_data_set_share_no_column(store):
    write(store, "small", protocol_id="v1/darn/test/32px")
    write(store, "large", protocol_id="v1/darn/test/64px")
    assert sorted(set(frame(store).dataset)) == ["darn (v1/darn/test/32px/dddddddd)", "darn (v1/darn/test/64px/dddddddd)"]


def test_a_data_set_that_has_come_since_replaces_its_absence(store):
    write(store, "good", status="no_data", data_hash="", source="real", finished=1.0)
    write(store, "other", status="no_data", data_hash="", source="real", finished=1.0)
    write(store, "good", source="real", finished=2.0)
    found = frame(store)
    assert set(found[found.method == "good"].status) == {"ok"}
    assert set(found[found.method == "other"].status) == {"1 no_data"}


def test_accuracy_pools_the_exclusive_types_only(store):
    arrays = counts(0.5)
    arrays["hits"][:, 1] = 1
    write(store, "good", arrays=arrays)
    assert row(store, "good", metric="accuracy@1")["mean"] == pytest.approx(arrays["hits"][:, 0, 0].mean())


def test_a_figure_without_counts_has_no_interval(store):
    write(store, "good")
    found = row(store, "good", metric="map")
    assert (found["mean"], found["rank"]) == (0.5, 1)
    assert np.isnan(found["ci_low"])
