"""Tables and figures over whole data sets, against what they were made from by hand."""

import csv
import re
from xml.etree import ElementTree

import numpy as np
import pytest
from handmade import counts, write

from bench import report
from bench.comparisons import rank_methods
from bench.report import costs, curves, overall, ranks, robustness
from bench.report.cache import Cache
from bench.report.figures import Figures
from bench.report.summaries import worlds
from bench.store import Store

POOL = {"protocol_id": "v1/darn/test/64px/native/pool=1"}
CONDITIONS = [(name, severity) for name in ("fog", "snow") for severity in (1, 3)]


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


def run(part, store, out):
    part.write(out, worlds(Figures(store.records(), store)), Cache(out / "cache.json"))


def table(out, name):
    with (out / "tables" / f"{name}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def texts(path):
    return [node.text for node in ElementTree.fromstring(path.read_text()).iter() if node.tag.endswith("}text") and node.text]


def recall3(skill, seed=0):
    return counts(skill, seed)["hits"][:, :, 1].mean()


def corrupt(store, method, skills, conditions=CONDITIONS):
    for place, (name, severity) in enumerate(conditions):
        write(store, method, arrays=counts(skills[severity], place), corruption=name, severity=severity, **POOL)


def test_robustness_by_hand(store, tmp_path):
    write(store, "supervised", skill=0.8, **POOL)
    write(store, "other", arrays=counts(0.7, 9), **POOL)
    corrupt(store, "supervised", {1: 0.6, 3: 0.4})
    corrupt(store, "other", {1: 0.65, 3: 0.6})
    corrupt(store, "supervised", {1: 0.1, 3: 0.1}, [("spatter", 1), ("saturate", 3)])  # extras are no part of a mean
    run(robustness, store, tmp_path)
    lines = {(line["method"], line["severity"]): line for line in table(tmp_path, "robustness")}
    means = {
        severity: np.mean([recall3(skill, place) for place in places]) for severity, skill, places in ((1, 0.6, (0, 2)), (3, 0.4, (1, 3)))
    }
    own, clean = lines["supervised", "1"], recall3(0.8)
    assert float(own["drop"]) == pytest.approx(clean - np.mean(list(means.values())), abs=1e-5)
    assert float(own["relative_drop"]) == pytest.approx(1 - np.mean(list(means.values())) / clean, abs=1e-5)
    assert float(own["drop_low"]) < float(own["drop"]) < float(own["drop_high"])
    assert float(lines["supervised", "3"]["severity_drop"]) == pytest.approx(clean - means[3], abs=1e-5)
    assert (own["mce"], own["reference"], own["conditions"]) == ("1", "supervised", "4")
    assert float(lines["other", "1"]["mce"]) < 1
    assert (own["rank_clean"], own["rank_change"], lines["other", "3"]["rank_change"]) == ("1", "1", "-1")
    assert {"supervised", "other"} <= set(texts(tmp_path / "figures" / "robustness-darn.svg"))


def test_a_method_that_lacks_conditions_is_left_out_and_named(store, tmp_path):
    for name in ("supervised", "other", "lazy"):
        write(store, name, **POOL)
        corrupt(store, name, {1: 0.5, 3: 0.4}, CONDITIONS[:3] if name == "lazy" else CONDITIONS)
    run(robustness, store, tmp_path)
    assert {line["method"] for line in table(tmp_path, "robustness")} == {"supervised", "other"}
    text = (tmp_path / "tables" / "robustness.md").read_text()
    assert "Left out: lazy (1 of 4 conditions missing)." in text
    assert "SYNTHETIC" in text


def test_no_clean_figure_of_new_code_less_corrupted_ones_of_old(store, tmp_path):
    for name in ("supervised", "edited"):
        write(store, name, **POOL)
        corrupt(store, name, {1: 0.5, 3: 0.4})
    write(store, "edited", skill=0.9, env={"source_hash": "new"}, finished=2.0, **POOL)
    run(robustness, store, tmp_path)
    assert {line["method"] for line in table(tmp_path, "robustness")} == {"supervised"}
    assert "Left out: edited (4 of 4 conditions missing)." in (tmp_path / "tables" / "robustness.md").read_text()


def test_methods_that_lost_their_clean_cell_or_saw_other_images_are_left_out_and_named(store, tmp_path):
    for name in ("supervised", "third", "stale", "elsewhere"):
        write(store, name, **POOL)
        fields = {**POOL, "env": {"source_hash": "new" if name == "stale" else None}}
        if name == "elsewhere":
            fields["protocol_id"] = "v1/darn/test/64px/reference/pool=1"
        for condition, severity in CONDITIONS:
            write(store, name, corruption=condition, severity=severity, finished=2.0, **fields)
    run(robustness, store, tmp_path)
    assert {line["method"] for line in table(tmp_path, "robustness")} == {"supervised", "third"}
    text = (tmp_path / "tables" / "robustness.md").read_text()
    assert "Left out: elsewhere (other images or protocol); stale (clean cell missing)." in text


def test_what_is_lost_is_over_the_seeds_that_both_sides_have(store, tmp_path):
    for seed, skill in enumerate((0.9, 0.5, 0.4)):
        write(store, "supervised", skill=skill, seed=seed, **POOL)
    corrupt(store, "supervised", {1: 0.5, 3: 0.5})
    run(robustness, store, tmp_path)
    line = table(tmp_path, "robustness")[0]
    assert line["n_seeds"] == "1"
    assert float(line["clean"]) == pytest.approx(recall3(0.9), abs=1e-5)


def test_costs_and_their_front(store, tmp_path):
    facts = {"images_per_second": 100.0, "peak_rss_mb": 300.0, "peak_vram_mb": None}
    for name, skill, seconds in (("quick", 0.5, 1.0), ("good", 0.9, 30.0), ("beaten", 0.4, 10.0)):
        for seed in range(2):
            write(store, name, skill=skill, seed=seed, **POOL, **{**facts, "fit_seconds": seconds + seed})
    write(store, "lost", status="failed", **POOL)
    write(store, "gpu", skill=0.95, **POOL, **{**facts, "fit_seconds": 99.0, "peak_vram_mb": 2000.0})
    run(costs, store, tmp_path)
    lines = {line["method"]: line for line in table(tmp_path, "cost")}
    assert [name for name, line in lines.items() if line["pareto"] == "True"] == ["quick", "good", "gpu"]
    assert (lines["good"]["fit_seconds"], lines["good"]["n_seeds"], lines["good"]["device"], lines["gpu"]["device"]) == (
        "30.5",
        "2",
        "CPU",
        "GPU",
    )
    assert "lost" not in lines
    assert lines["quick"]["peak_vram_mb"] == ""
    assert {"quick", "good"} <= set(texts(tmp_path / "figures" / "cost-darn.svg"))


def test_label_curves_by_hand(store, tmp_path):
    for name, skills in (("steep", (0.3, 0.5, 0.9)), ("flat", (0.5, 0.5, 0.5))):
        for fraction, skill in zip((0.25, 0.5, 1.0), skills, strict=True):
            write(store, name, skill=skill, label_fraction=fraction, n_labeled=int(100 * fraction), **POOL)
    write(store, "single", **POOL)
    run(curves, store, tmp_path)
    lines = [line for line in table(tmp_path, "label-curve") if line["method"] == "steep"]
    figures = [counts(skill)["hits"][:, :, 0].mean() for skill in (0.3, 0.5, 0.9)]
    assert float(lines[0]["area"]) == pytest.approx((figures[0] + 2 * figures[1] + figures[2]) / 4, abs=1e-5)
    assert float(lines[0]["per_doubling"]) == pytest.approx((figures[2] - figures[0]) / 2, abs=1e-5)
    assert [line["n_labeled"] for line in lines] == ["25", "50", "100"]
    assert lines[0]["tied_with_best"] == "True"
    text = (tmp_path / "tables" / "label-curve.md").read_text()
    assert "Left out: single (only at 1)." in text
    assert (tmp_path / "figures" / "label-curve-darn.svg").is_file()


def test_a_label_curve_is_of_one_code_and_stands_beside_others_of_the_same_images(store, tmp_path):
    for name in ("steady", "third", "edited", "elsewhere"):
        images = "e" * 64 if name == "elsewhere" else "d" * 64
        for fraction in (0.25, 0.5, 1.0):
            write(store, name, label_fraction=fraction, n_labeled=int(100 * fraction), data_hash=images, **POOL)
    write(store, "edited", label_fraction=1.0, env={"source_hash": "new"}, finished=2.0, **POOL)
    run(curves, store, tmp_path)
    assert {line["method"] for line in table(tmp_path, "label-curve")} == {"steady", "third"}
    text = (tmp_path / "tables" / "label-curve.md").read_text()
    assert "Left out: edited (only at 1); elsewhere (other images or protocol)." in text


def ranked(store, scores):
    for method, by_seed in scores.items():
        for seed, (category, part) in enumerate(by_seed):
            write(store, method, seed=seed, per_attribute={"category": {"f1@1": category}, "part": {"f1@1": part}}, **POOL)


def test_mean_ranks_over_types_and_seeds(store, tmp_path):
    scores = {"a": [(0.9, 0.8), (0.9, 0.9)], "b": [(0.5, 0.9), (0.5, 0.5)], "c": [(0.1, 0.1), (0.1, 0.1)], "short": [(0.3, 0.3)]}
    ranked(store, scores)
    run(ranks, store, tmp_path)
    found = {line["method"]: line for line in table(tmp_path, "critical-difference")}
    whole = rank_methods({name: [value for pair in scores[name] for value in pair] for name in "abc"})
    assert {name: float(found[name]["mean_rank"]) for name in "abc"} == pytest.approx(dict(zip(whole.names, whole.mean_ranks, strict=True)))
    assert float(found["a"]["friedman_p"]) == pytest.approx(whole.p_value, rel=1e-4)
    assert found["a"]["n_blocks"] == "4"
    assert "Left out: short (figures in 2 of 4 blocks)." in (tmp_path / "tables" / "critical-difference.md").read_text()
    shown = texts(tmp_path / "figures" / "critical-difference-darn.svg")
    assert any(re.fullmatch(r"\s*a \(1\.25\)\s*", text) for text in shown)
    assert any(text.startswith("CD = ") for text in shown)


def test_mean_ranks_are_of_one_code_and_of_methods_that_saw_the_same_images(store, tmp_path):
    for fraction in (0.25, 1.0):
        for place, name in enumerate(("a", "b", "c", "edited", "elsewhere")):
            images = "e" * 64 if name == "elsewhere" else "d" * 64
            figures = {"category": {"f1@1": place / 9}, "part": {"f1@1": place / 8}}
            write(store, name, label_fraction=fraction, per_attribute=figures, data_hash=images, **POOL)
    write(store, "edited", per_attribute=figures, env={"source_hash": "new"}, finished=2.0, **POOL)
    run(ranks, store, tmp_path)
    assert {line["method"] for line in table(tmp_path, "critical-difference")} == {"a", "b", "c"}
    text = (tmp_path / "tables" / "critical-difference.md").read_text()
    assert "Left out: edited (figures in 2 of 4 blocks); elsewhere (other images or protocol)." in text


SKILLS = {  # method -> its skill on each data set
    "first": {"darn": 0.9, "ficcy": 0.9, "naver": 0.5, "jdstyle": 0.9},
    "second": {"darn": 0.5, "ficcy": 0.5, "naver": 0.9, "jdstyle": 0.5},
    "third": {"darn": 0.2, "ficcy": 0.3, "naver": 0.2, "jdstyle": 0.2},
    "partial": {"darn": 0.95, "ficcy": 0.95},
    "alone": {"darn": 0.96},
    "floor": {"darn": 0.1, "ficcy": 0.1, "naver": 0.1, "jdstyle": 0.1},
}


def spread(store, skills=SKILLS, **fields):
    for method, own in skills.items():
        for dataset, skill in own.items():
            data = {"dataset": dataset, "protocol_id": f"v1/{dataset}/test/64px/native/pool=1", "data_hash": dataset[0] * 64}
            row = "prior" if method == "floor" else ""
            write(store, method, row=row, skill=skill, **{**data, **fields})


def test_ranks_over_data_sets_by_hand(store, tmp_path):
    spread(store)
    spread(store, {"first": dict.fromkeys(SKILLS["first"], 0.1)}, dataset="deepfashion->darn")  # another question
    run(overall, store, tmp_path)
    lines = {line["method"]: line for line in table(tmp_path, "over-data-sets")}
    assert list(lines) == ["first", "second", "third"]
    assert [float(line["mean_rank"]) for line in lines.values()] == [1.25, 1.75, 3.0]
    whole = rank_methods({name: list(SKILLS[name].values()) for name in lines})
    assert float(lines["first"]["friedman_p"]) == pytest.approx(whole.p_value, rel=1e-4)
    assert float(lines["first"]["critical_difference"]) == pytest.approx(whole.critical_difference, rel=1e-4)
    means = {name: np.mean([counts(skill)["hits"][:, :, 0].mean() for skill in SKILLS[name].values()]) for name in lines}
    assert {name: float(line["mean"]) for name, line in lines.items()} == pytest.approx(means, rel=1e-4)
    # on darn and ficcy those that are left out are better
    assert [line["n_best"] for line in lines.values()] == ["1", "1", "0"]
    assert {(line["n_datasets"], line["n_methods"], line["n_seeds"]) for line in lines.values()} == {("4", "3", "1")}
    text = (tmp_path / "tables" / "over-data-sets.md").read_text()
    assert "100% of the labels: 4 data sets (darn, ficcy, jdstyle, naver), one seed, Friedman" in text
    assert "Left out: 1 other (on one data set); partial (on 2 of 4 data sets)." in text
    assert "SYNTHETIC" in text
    shown = texts(tmp_path / "figures" / "over-data-sets-synthetic-tiny-1.svg")
    assert any(re.fullmatch(r"\s*first \(1\.25\)\s*", each) for each in shown)
    assert any(each.startswith("4 data sets, Friedman's p = ") for each in shown)


def test_ranks_over_data_sets_are_those_of_each_share_of_the_labels(store, tmp_path):
    three = {name: SKILLS[name] for name in ("first", "second", "third")}
    spread(store, three)
    turned = dict(zip(three, reversed(three.values()), strict=True))
    spread(store, turned, label_fraction=0.25, env={"source_hash": "older"})  # no figure holds both, so that both stand
    run(overall, store, tmp_path)
    found = [(line["label_fraction"], line["method"], line["mean_rank"]) for line in table(tmp_path, "over-data-sets")]
    assert found == [
        *(("0.25", name, rank) for name, rank in (("third", "1.25"), ("second", "1.75"), ("first", "3"))),
        *(("1", name, rank) for name, rank in (("first", "1.25"), ("second", "1.75"), ("third", "3"))),
    ]
    head = (tmp_path / "tables" / "over-data-sets.md").read_text().split("|")[1:9]
    assert [each.strip() for each in head[:4]] == ["method", "rank, 25%", "mean", "best on"]


def test_a_data_set_on_which_a_method_saw_other_images_does_not_count_for_it(store, tmp_path):
    spread(store, {name: SKILLS[name] for name in ("first", "second", "third")})
    spread(store, {"elsewhere": SKILLS["first"]})
    spread(store, {"elsewhere": {"darn": 0.99}}, data_hash="e" * 64, finished=2.0)
    run(overall, store, tmp_path)
    assert {line["method"] for line in table(tmp_path, "over-data-sets")} == {"first", "second", "third", "elsewhere"}
    assert {line["n_datasets"] for line in table(tmp_path, "over-data-sets")} == {"3"}


def test_a_mean_rank_is_of_one_version_of_a_methods_sources(store, tmp_path):
    for finished, version in ((1.0, "old"), (2.0, "new")):
        spread(store, {name: SKILLS[name] for name in ("first", "second", "third")}, finished=finished, env={"source_hash": "same"})
        datasets = ("darn", "ficcy", "naver", "jdstyle") if version == "old" else ("darn", "ficcy")
        spread(store, {"edited": dict.fromkeys(datasets, 0.99)}, finished=finished, env={"source_hash": version})
    run(overall, store, tmp_path)
    assert {line["method"] for line in table(tmp_path, "over-data-sets")} == {"first", "second", "third"}
    text = (tmp_path / "tables" / "over-data-sets.md").read_text()
    assert "Left out: edited (on 2 of 4 data sets, on others by other sources)." in text


def test_many_rows_on_one_data_set_do_not_hide_a_few_on_three(store, tmp_path):
    spread(store, {name: SKILLS[name] for name in ("first", "second", "third")})
    spread(store, {f"row{place}": {"darn": 0.5} for place in range(20)})
    run(overall, store, tmp_path)
    assert {line["method"] for line in table(tmp_path, "over-data-sets")} == {"first", "second", "third"}


def test_what_is_best_on_a_data_set_is_what_the_leaderboard_says(store, tmp_path):
    spread(store)
    for dataset, skill in SKILLS["first"].items():
        spread(store, {"close": {dataset: skill}}, arrays=counts(skill, 9))
    run(overall, store, tmp_path)
    report.write(store.root, tmp_path / "report")
    with (tmp_path / "report" / "leaderboard.csv").open(newline="") as file:
        board = [line for line in csv.DictReader(file) if (line["attribute"], line["metric"]) == ("all", "f1@1")]
    best = [line["method"] for line in board if line["tied_with_best"] == "True"]
    counted = {line["method"]: int(line["n_best"]) for line in table(tmp_path, "over-data-sets")}
    assert counted == {name: best.count(name) for name in ("first", "second", "third", "close")}
    assert counted["close"] > 0


def test_pools_are_not_compared_with_one_another(store, tmp_path):
    spread(store)
    run(overall, store, tmp_path)
    before = table(tmp_path, "over-data-sets")
    for dataset, skill in SKILLS["first"].items():
        for pool in (64, 128):
            data = {"dataset": dataset, "data_hash": dataset[0] * 64, "protocol_id": f"v1/{dataset}/test/64px/native/pool={pool}"}
            write(store, "pooled", skill=min(1.0, skill + 0.3), **data)
    run(overall, store, tmp_path)
    now = {line["method"]: line["n_best"] for line in table(tmp_path, "over-data-sets")}
    assert {line["method"]: now[line["method"]] for line in before} == {line["method"]: line["n_best"] for line in before}


@pytest.mark.parametrize("few", ["data sets", "methods"])
def test_of_two_data_sets_or_methods_nothing_is_said(few, store, tmp_path):
    if few == "methods":
        spread(store, {name: SKILLS[name] for name in ("first", "second", "floor")})
    else:
        spread(store, {name: {each: skill for each, skill in own.items() if each in ("darn", "ficcy")} for name, own in SKILLS.items()})
    run(overall, store, tmp_path)
    assert not (tmp_path / "tables").exists()


def test_names_of_methods_are_text_in_drawings(store, tmp_path):
    ranked(store, {name: [(place / 9, 0.5), (0.2, 0.3)] for place, name in enumerate(("<b>&", "x$y", "z"))})
    run(ranks, store, tmp_path)
    assert any("<b>&" in text for text in texts(tmp_path / "figures" / "critical-difference-darn.svg"))


def test_worlds_have_names_of_their_own_that_are_fit_for_files(store, tmp_path):
    write(store, "a", dataset="folder:../x y", **POOL)
    write(store, "a", dataset="deepfashion->darn", **POOL)
    write(store, "a", source="real", preset="paper", finished=2.0, **POOL)
    write(store, "a", source="synthetic", preset="tiny", finished=3.0, **POOL)
    names = [world.name for world in worlds(Figures(store.records(), store))]
    assert names == ["darn", "darn-synthetic-tiny", "deepfashion-to-darn", "folder-..-x-y"]
    assert all("/" not in name for name in names)


@pytest.mark.parametrize("part", [robustness, costs, curves, ranks, overall])
def test_nothing_is_written_of_nothing(part, store, tmp_path):
    write(store, "lost", status="failed", **POOL)
    run(part, store, tmp_path)
    assert not (tmp_path / "tables").exists()
    assert not (tmp_path / "figures").exists()
