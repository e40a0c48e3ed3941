"""Predictions: the nearest measurement first, the machine's own kind before others, a guess where there is none."""

import pytest
from handmade import write

from bench.bundles import Bundle, Limits, memory_mb, walltime_minutes
from bench.costs import CELL_SECONDS, FIT_SECONDS, MODEL_MB, PAPER_FACTOR, TEACHER_SECONDS, CostModel, Estimate, learn, teacher_facts
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
    assert found == Estimate(pytest.approx(0.2), 900.0, True, MODEL_MB["tiny"])


def test_an_evaluation_of_several_models_takes_the_weights_of_each(tmp_path):
    import torch

    store, fits = Store(tmp_path), [fit(seed=seed) for seed in range(4)]
    for spec in fits[:2]:
        store.save_model(spec.key, {"w": torch.zeros(10**6)}, {})
        write(store, "mtss", dataset="darn", fit_key=spec.key, seed=spec.data.seed, peak_rss_mb=300.0)

    def ask(count, model):
        stage = Stage("evaluate", "e", (), [cell(spec, severity=severity) for spec in fits[:count] for severity in (1, 2)])
        return model.estimate(stage)

    assert [ask(count, learn(store)).further_mb for count in (1, 2, 4)] == pytest.approx([0.0, 4.0, 12.0], rel=0.01)
    assert ask(4, CostModel(())).further_mb == 3 * MODEL_MB["tiny"]
    assert memory_mb(Bundle([], 1.0, 1000.0, True, further_mb=3100.0), Limits()) == 5000
    assert memory_mb(Bundle([], 1.0, 0.0, False, further_mb=3100.0), Limits()) == 12000


def test_what_ran_out_of_memory_or_time_gets_twice_as_much_at_each_attempt():
    spec = fit()
    stages = {
        "fit": Stage("fit", spec.key, (), [cell(spec)], fit=spec),
        "evaluate": Stage("evaluate", "e", (), [cell(spec, severity=1)]),
        "teacher": Stage("teacher", "t", (), [], [cell(spec)], teacher=TeacherSpec("mtss", "color", {}, spec.data, "s")),
    }

    def more(*records, stage="fit"):
        found = CostModel(records).estimate(stages[stage])
        return found.more_memory, found.more_time

    def ended(status, finished=2.0, attempt=1, reason="", **fields):
        return {**record(10, status=status, **fields), "finished": finished, "attempt": attempt, "reason": reason}

    well = ended("ok", 1.0)
    assert more(well) == (1.0, 1.0)
    assert more(well, ended("oom")) == more(ended("oom"), well) == more(ended("oom"), stage="evaluate") == (2.0, 1.0)
    assert more(well, ended("timeout", attempt=2)) == (1.0, 4.0)
    assert more(ended("timeout", attempt=9)) == (1.0, 8.0)
    assert more(ended("oom"), ended("ok", 3.0)) == (1.0, 1.0)  # others of its kind have gone well since
    assert more(ended("oom", fraction=0.25)) == more(ended("oom", reason="out of memory: CUDA out of memory")) == (1.0, 1.0)
    skipped = ended("oom", reason="skipped: teacher failed (mtss:color: used more)")
    assert (more(skipped), more(skipped, stage="teacher"), more(ended("oom"), stage="teacher")) == ((1.0, 1.0), (2.0, 1.0), (1.0, 1.0))
    assert more(skipped, ended("ok", 3.0), stage="teacher") == (1.0, 1.0)


def test_what_is_asked_for_is_doubled_within_the_limits():
    plain, hungry, slow = (Bundle([], 600.0, 1400.0, True, **more) for more in ({}, {"more_memory": 2.0}, {"more_time": 4.0}))
    assert [memory_mb(each, Limits(max_mb=5000)) for each in (plain, hungry, slow)] == [3000, 5000, 3000]
    assert [walltime_minutes(each, Limits(max_minutes=120)) for each in (plain, hungry, slow)] == [40, 40, 120]


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
