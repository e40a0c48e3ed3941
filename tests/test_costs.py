"""Predictions: the nearest measurement first, the machine's own kind before others, a guess where there is none."""

import pytest

from bench.costs import CELL_SECONDS, FIT_SECONDS, PAPER_FACTOR, TEACHER_SECONDS, CostModel, Estimate, learn, teacher_facts
from bench.plan import Stage
from bench.spec import CellSpec, DataSpec, FitSpec, TeacherSpec
from bench.store import Store


def fit(method="mtss", dataset="darn", fraction=1.0, seed=0):
    return FitSpec(method, {}, DataSpec(dataset, "real", "h", 8, fraction, 1.0, seed), "s")


def cell(spec, preset="tiny", severity=0):
    return CellSpec(spec, "", preset, "fog" if severity else "none", severity)


def record(seconds, *, method="mtss", dataset="darn", fraction=1.0, key="k", vram=None, rss=100.0, status="ok"):
    names = {"method": method, "preset": "tiny", "dataset": dataset, "label_fraction": fraction, "fit_key": key, "status": status}
    return {**names, "fit_seconds": seconds, "eval_seconds": seconds / 10, "peak_vram_mb": vram, "peak_rss_mb": rss}


def test_without_a_measurement_it_says_that_it_guesses():
    spec = fit()
    stage = Stage("fit", spec.key, (), [cell(spec)], fit=spec)
    assert CostModel(()).estimate(stage) == Estimate(FIT_SECONDS + CELL_SECONDS, 0.0, False)
    paper = Stage("fit", spec.key, (), [cell(spec, "paper")], fit=spec)
    assert CostModel(()).seconds(paper) == (FIT_SECONDS + CELL_SECONDS) * PAPER_FACTOR


def test_the_nearest_measurement_counts_and_fits_count_once():
    spec = fit(fraction=0.5)
    stage = Stage("fit", spec.key, (), [cell(spec)], fit=spec)
    far = [record(90, fraction=1.0, key="a"), record(90, fraction=1.0, key="a"), record(30, fraction=0.25, key="b")]
    assert CostModel(far).estimate(stage) == Estimate(60 + 9, 100.0, True)
    assert CostModel([*far, record(10, fraction=0.5, key="c")]).seconds(stage) == 10 + 1
    assert CostModel([record(10, dataset="deepfashion")]).estimate(stage).measured
    assert not CostModel([record(10, method="naver"), record(5, status="failed")]).estimate(stage).measured


def test_measurements_of_the_machines_own_kind_come_first():
    spec = fit()
    stage = Stage("fit", spec.key, (), [cell(spec)], fit=spec)
    records = [record(100, key="a"), record(100, key="b"), record(10, key="c", vram=500.0)]
    assert CostModel(records, cuda=True).seconds(stage) == 11
    assert CostModel(records, cuda=False).seconds(stage) == 110
    assert CostModel(records).seconds(stage) == 110
    assert CostModel(records[2:], cuda=False).seconds(stage) == 11  # better than a guess


def test_memory_is_the_most_that_was_seen_of_any_method_of_the_stage():
    first, second = fit(), fit("naver")
    stage = Stage("evaluate", "e", (), [cell(first, severity=1), cell(second, severity=1)])
    found = CostModel([record(1, rss=300.0), record(1, rss=200.0, key="j"), record(1, method="naver", rss=900.0)]).estimate(stage)
    assert found == Estimate(pytest.approx(0.2), 900.0, True)


def test_teachers_are_learnt_from_what_lies_beside_their_weights(tmp_path):
    import torch

    store, spec = Store(tmp_path), fit()
    facts = {"method": "mtss", "preset": "tiny", "dataset": "darn", "label_fraction": 1.0, "peak_rss_mb": 700.0, "peak_vram_mb": None}
    store.save_model("a", {"w": torch.zeros(1)}, {**facts, "teacher": "color", "fit_seconds": 40.0})
    store.save_model("b", {"w": torch.zeros(1)}, {**facts, "teacher": "shape", "fit_seconds": 20.0})
    store.save_model("old", {"w": torch.zeros(1)}, {"teacher": "color", "fit_seconds": 5.0})
    store.save_model("fit", {"w": torch.zeros(1)}, {"fit_seconds": 5.0})
    assert len(list(teacher_facts(store))) == 2

    def stage(name, fraction=1.0):
        return Stage("teacher", name, (), [], [cell(spec)], teacher=TeacherSpec("mtss", name, {}, fit(fraction=fraction).data, "s"))

    assert learn(store).estimate(stage("color")) == Estimate(40.0, 700.0, True)
    assert learn(store).seconds(stage("color", 0.25)) == 30.0
    assert learn(store).seconds(stage("fabric")) == 30.0
    assert CostModel(()).seconds(stage("color")) == TEACHER_SECONDS
