"""Records to rows: intervals, ranks, ties, the floor, and what is not ok."""

import numpy as np
import pytest
from handmade import counts, write
from sklearn.metrics import fbeta_score

from bench.protocol import AttributeType, Schema
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


def test_all_is_the_records_pool_where_a_type_has_no_positive(store):
    arrays = counts(0.7)
    arrays["hits"][:, 1] = arrays["num_positives"][:, 1] = 0  # predicted for, and annotated in training alone
    kinds = {"category": {"f1@1": 0.0, "recall@1": 0.0, "accuracy@1": 0.0}, "part": {}}
    write(store, "good", arrays=arrays, per_attribute=kinds)
    right = arrays["hits"][:, 0, 0].sum()
    assert row(store, "good")["mean"] == pytest.approx(2 * right / (200 + 2 * 200))
    assert row(store, "good", metric="recall@1")["mean"] == pytest.approx(right / 200)
    assert row(store, "good", metric="accuracy@1")["mean"] == pytest.approx(right / 200)
    assert row(store, "good", "category")["mean"] == pytest.approx(right / 200)


def test_seeds_of_older_code_are_missing_and_not_averaged_in(store):
    for seed, code, skill in ((0, "new", 0.9), (1, "old", 0.2), (2, "old", 0.2)):
        finished = 5.0 if code == "new" else 1.0
        write(store, "edited", skill=skill, seed=seed, env={"source_hash": code}, finished=finished)
    found = row(store, "edited")
    assert (found["n_seeds"], found["status"]) == (1, "1 ok, 2 missing")
    assert found["mean"] == pytest.approx(counts(0.9)["hits"][:, :, 0].mean())
    for seed in (1, 2):
        write(store, "edited", skill=0.9, seed=seed, env={"source_hash": "new"}, finished=6.0)
    assert (row(store, "edited")["n_seeds"], row(store, "edited")["status"]) == (3, "ok")


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
    assert sorted(set(frame(store).dataset)) == ["darn (32px)", "darn (64px)"]
    write(store, "other files", protocol_id="v1/darn/test/64px", data_hash="e" * 64)
    assert sorted(set(frame(store).dataset)) == ["darn (32px, data=dddddddd)", "darn (64px, data=dddddddd)", "darn (64px, data=eeeeeeee)"]
    write(store, "older harness", protocol_id="darn/64px")
    assert "darn (v1/darn/test/32px/data=dddddddd)" in set(frame(store).dataset)


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


def with_decisions(store, method, wrong, seed=0, **fields):
    """A record with the decisions of one type of nine classes, a share of them wrong."""
    rng = np.random.default_rng([seed, int(1000 * wrong)])
    labels = np.random.default_rng(7).random((200, 9)) < 0.3
    decided = labels ^ (rng.random(labels.shape) < wrong)
    entropy = rng.exponential(1 + wrong, size=(200, 2)).astype(np.float32)
    arrays = {**counts(0.5, seed), "f2/part": np.packbits(decided, axis=1), "cross_entropy": entropy}
    figures = {"f2": fbeta_score(labels, decided, beta=2, average="macro"), "cross_entropy": float(entropy.mean())}
    types = {"category": {"f1@1": 0.0}, "part": {"f1@1": 0.0, **figures}}
    record = write(store, method, arrays=arrays, seed=seed, metrics={"f1@1": 0.5, **figures}, per_attribute=types, split="test", **fields)
    schema = Schema((AttributeType("category", tuple("ab"), True), AttributeType("part", tuple("abcdefghi"), False)))
    store.save_split(record["data_hash"], "test", schema, {"category": np.zeros((200, 2)), "part": labels.astype(np.int8)})


def full(store):
    found = build(store.records(), store.load_arrays, store.load_split)
    return {(each["method"], each["attribute"], each["metric"]): each for each in found.to_dict("records")}


def test_f2_and_cross_entropy_have_intervals_and_ties_over_images(store):
    with_decisions(store, "best", 0.05)
    with_decisions(store, "poor", 0.3)
    found = full(store)
    best, poor = found["best", "all", "f2"], found["poor", "all", "f2"]
    assert best["ci_low"] < best["mean"] < best["ci_high"]
    assert (best["tied_with_best"], poor["tied_with_best"]) == (True, False)
    assert best["mean"] == pytest.approx(next(record for record in store.records() if record["method"] == "best")["metrics"]["f2"])
    entropy = found["best", "all", "cross_entropy"]
    assert (entropy["rank"], found["poor", "all", "cross_entropy"]["rank"]) == (1, 2)  # less is better
    assert entropy["ci_low"] < entropy["mean"] < entropy["ci_high"]
    assert entropy["ci_high"] > 1  # nats are not a share


def test_predictions_from_before_decisions_were_kept_still_read(store):
    write(store, "old", metrics={"f1@1": 0.5, "f2": 0.4, "cross_entropy": 1.5})
    found = full(store)
    assert found["old", "all", "f2"]["mean"] == 0.4
    assert np.isnan(found["old", "all", "f2"]["ci_low"])
    with_decisions(store, "new", 0.1)
    mixed = full(store)
    assert mixed["new", "all", "f2"]["tied_with_best"] is None  # nothing pairs the two
    assert mixed["new", "all", "f2"]["rank"] == 1


def test_a_figure_of_seeds_alone_has_an_interval_over_them(store):
    for seed, value in enumerate((0.4, 0.5, 0.9)):
        write(store, "good", seed=seed, metrics={"f1@1": 0.5, "map": value})
    found = row(store, "good", metric="map")
    assert found["ci_low"] < found["mean"] < found["ci_high"]
    assert found["tied_with_best"] is None


@pytest.mark.parametrize("status", ["failed", "timeout", "oom", "killed", "no_data", "interrupted"])
def test_every_kind_of_loss_has_its_row_and_no_figure(store, status):
    write(store, "good")
    write(store, "lost", status=status)
    [lost] = frame(store)[frame(store).method == "lost"].to_dict("records")
    assert lost["status"] == f"1 {status}"
    assert np.isnan(lost["mean"])
    assert set(frame(store)[frame(store).method == "good"].status) == {"ok"}


def test_seeds_and_conditions_that_were_never_run_are_missing(store):
    for seed in (0, 1):
        write(store, "whole", seed=seed)
        write(store, "whole", seed=seed, corruption="fog", severity=3)
    write(store, "part", seed=0)
    write(store, "part", seed=0, corruption="fog", severity=3)
    write(store, "part", seed=1)
    write(store, "clean", seed=0)
    found = {(each["method"], each["severity"]): each["status"] for each in frame(store).to_dict("records")}
    assert found == {
        ("whole", 0): "ok",
        ("whole", 3): "ok",
        ("part", 0): "ok",
        ("part", 3): "1 ok, 1 missing",
        ("clean", 0): "ok",
        ("clean", 3): "1 missing",
    }


def test_a_loss_shows_beside_the_floor(store):
    write(store, "floor", row="prior", skill=0.5)
    write(store, "same", arrays=counts(0.5))
    write(store, "same", seed=1, status="timeout")
    assert row(store, "same")["status"] == f"1 ok, 1 timeout, {AT_FLOOR}"


def test_two_presets_share_no_column(store):
    write(store, "good", preset="tiny")
    write(store, "better", preset="paper")
    assert set(frame(store).dataset) == {"darn (preset tiny)", "darn (preset paper)"}
