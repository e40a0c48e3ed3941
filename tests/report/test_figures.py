"""Figures of groups: pooled, of a type, of a class, over the 75 conditions; each against a plain computation."""

import numpy as np
import pytest
from handmade import counts, write

from bench.protocol import AttributeType, Schema
from bench.report.figures import NUM_CONDITIONS, Cell, Figures
from bench.statistics import paired_difference
from bench.store import Store

SCHEMA = Schema((AttributeType("category", ("dress", "skirt"), True), AttributeType("part", ("zip", "hood", "bow"), False)))
POOL = {"protocol_id": "v1/darn/test/64px/native/pool=1"}


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path)


def cell(method, **changes):
    return Cell(method, "darn", "synthetic", "tiny", 1.0, "1", "none", 0)._replace(**changes)


def figures(store):
    return Figures(store.records(), store)


def test_pooled_and_typewise_figures_come_with_their_resamples(store):
    write(store, "good", skill=0.7, **POOL)
    hits = counts(0.7)["hits"][:, :, 0].astype(float)
    found = figures(store)
    pooled, part = found.replicates(cell("good"), "all", "recall@1"), found.replicates(cell("good"), "part", "recall@1")
    assert pooled.value == pytest.approx(hits.mean())
    assert part.value == pytest.approx(hits[:, 1].mean())
    assert pooled.values.std() == pytest.approx(np.sqrt(0.7 * 0.3 / 400), rel=0.15)


def test_records_of_a_group_find_it_whatever_their_order_and_name(store):
    records = [write(store, "good", skill=0.7, seed=seed, finished=seed + 1.0, **POOL) for seed in range(3)]
    found = figures(store)
    renamed = [record | {"dataset": "darn (another protocol)"} for record in reversed(records)]
    assert found.group_of(renamed) is found.groups[cell("good")]
    assert found.group_of(records[:2]) is not found.groups[cell("good")]
    assert [record["seed"] for record in found.group_of(records[:2]).ok] == [0, 1]
    assert found.group_of([]).ok == []


def test_a_group_holds_the_seeds_of_its_newest_code(store):
    for seed, code in ((0, "old"), (1, "new"), (2, "new")):
        write(store, "good", skill=0.7, seed=seed, env={"source_hash": code}, finished=1.0 + seed, **POOL)
    write(store, "good", status="failed", seed=3, env={"source_hash": "old"}, finished=0.5, **POOL)
    group = figures(store).groups[cell("good")]
    assert [record["seed"] for record in group.ok] == [1, 2]
    assert group.statuses == {"ok": 2, "failed": 1}


def test_all_types_counted_at_once_are_what_each_is_alone(store):
    write(store, "good", skill=0.7, **POOL)
    group, alone = figures(store).groups[cell("good")], figures(store).groups[cell("good")]
    for metric, attributes in {"recall@3": ["all", "category", "part"], "accuracy@1": ["all", "category"], "mean_rank": []}.items():
        together = group.counted(metric, ["category", "part"])
        assert list(together) == attributes
        for attribute, values in together.items():
            assert values.value == alone.replicates(attribute, metric).value
            np.testing.assert_array_equal(values.values, alone.replicates(attribute, metric).values)


def test_the_plain_mean_over_types_leaves_the_category_out(store):
    write(store, "good", skill=0.7, **POOL)
    assert figures(store).replicates(cell("good"), "all", "recall@1/all_mean").value == pytest.approx(counts(0.7)["hits"][:, 1, 0].mean())


def test_mean_accuracy_is_over_exclusive_types(store):
    write(store, "good", skill=0.7, **POOL)
    assert figures(store).replicates(cell("good"), "all", "mean_accuracy").value == pytest.approx(counts(0.7)["hits"][:, 0, 0].mean())


def test_what_has_no_counts_varies_with_the_seeds(store):
    for seed, value in enumerate((0.4, 0.5, 0.9)):
        write(store, "good", seed=seed, metrics={"map": value}, **POOL)
    found = figures(store).replicates(cell("good"), "all", "map")
    assert found.value == pytest.approx(0.6)
    assert found.values.std() > 0.05
    assert figures(store).replicates(cell("good"), "all", "f2") is None


def of_classes(seed):
    """Arrays and labels in which the class of the first type is drawn, and the prediction is right in four of five."""
    rng = np.random.default_rng(seed)
    truth = np.random.default_rng(9).integers(2, size=200)
    top = np.where(rng.random(200) < 0.8, truth, 1 - truth)
    arrays = counts(0.5, seed)
    arrays["top_classes"] = np.stack([np.stack([top, 1 - top, *[np.full(200, -1)] * 3], axis=1)] * 2, axis=1).astype(np.int16)
    arrays["per_class/f2/part"] = np.array([0.25, 0.5, np.nan])
    labels = {"category": np.eye(2, dtype=np.int8)[truth], "part": np.zeros((200, 3), dtype=np.int8)}
    return arrays, labels, truth, top


def test_figures_of_a_class(store):
    arrays, labels, truth, top = of_classes(0)
    write(store, "good", arrays=arrays, split="test", **POOL)
    store.save_split("d" * 64, "test", SCHEMA, labels)
    found = figures(store)
    hit, tried, there = ((truth == 1) & (top == 1)).sum(), (top == 1).sum(), (truth == 1).sum()
    assert found.replicates(cell("good"), "skirt", "f1@1").value == pytest.approx(2 * hit / (tried + there))
    recall = found.replicates(cell("good"), "skirt", "recall@1")
    assert recall.value == pytest.approx(hit / there)
    assert recall.values.std() == pytest.approx(np.sqrt(0.8 * 0.2 / there), rel=0.2)
    assert found.replicates(cell("good"), "hood", "f2").value == 0.5
    assert found.replicates(cell("good"), "bow", "f2") is None
    assert found.replicates(cell("good"), "cape", "f1@1") is None


def test_splits_read_back(store):
    _, labels, truth, _ = of_classes(0)
    labels["part"][3] = (1, -1, 0)
    store.save_split("e" * 64, "test", SCHEMA, labels)
    schema, positives = store.load_split("e" * 64, "test")
    assert schema == SCHEMA
    assert positives["category"][:, 1].tolist() == (truth == 1).tolist()
    assert positives["part"][3].tolist() == [True, False, False]


def test_the_corrupted_mean_needs_every_condition(store):
    for index in range(NUM_CONDITIONS):
        arrays = counts(0.3 + 0.4 * (index % 2), seed=index)
        write(store, "good", arrays=arrays, corruption=f"c{index // 5}", severity=1 + index % 5, **POOL)
    expected = np.mean([counts(0.3 + 0.4 * (index % 2), seed=index)["hits"][:, :, 0].mean() for index in range(NUM_CONDITIONS)])
    found = figures(store)
    assert found.replicates(cell("good"), "all", "recall@1", corrupted=True).value == pytest.approx(expected)
    assert found.statuses(cell("good"), corrupted=True, num_seeds=1) == {"ok": 75, "missing": 0}
    one = next(record for record in store.records())
    store.record_path(one["key"]).unlink()
    assert figures(store).replicates(cell("good"), "all", "recall@1", corrupted=True) is None
    assert figures(store).statuses(cell("good"), corrupted=True, num_seeds=1)["missing"] == 1


REFERENCE = {"protocol_id": "v1/darn/test/64px/reference/pool=1"}


def corrupt(store, conditions, **fields):
    for place, (name, severity) in enumerate(conditions):
        write(store, "good", arrays=counts(0.5, place), corruption=name, severity=severity, **{**POOL, **fields})


def conditions(store):
    clean, found = figures(store).beside_clean(cell("good"))
    return clean is not None, list(found)


def test_what_stands_beside_clean_images_is_of_the_newest_code_and_images(store):
    fog = [("fog", 1), ("fog", 3)]
    write(store, "good", env={"source_hash": "old"}, finished=1.0, **POOL)
    corrupt(store, fog, env={"source_hash": "old"}, finished=2.0)
    assert conditions(store) == (True, fog)
    write(store, "good", env={"source_hash": "new"}, finished=3.0, **POOL)
    assert conditions(store) == (True, [])
    corrupt(store, fog[:1], env={"source_hash": "new"}, finished=4.0)
    assert conditions(store) == (True, fog[:1])
    corrupt(store, fog, env={"source_hash": "new"}, data_hash="e" * 64, finished=5.0)
    assert conditions(store) == (False, fog)


def test_two_implementations_of_corruptions_never_meet_in_a_figure_and_clean_images_know_neither(store):
    write(store, "good", seed=0, **POOL)
    write(store, "good", seed=1, finished=1.5, **REFERENCE)
    corrupt(store, [("fog", 1), ("fog", 3)], finished=2.0)
    corrupt(store, [("snow", 5)], finished=3.0, **REFERENCE)
    assert conditions(store) == (True, [("snow", 5)])
    assert [record["seed"] for record in figures(store).clean(cell("good")).ok] == [0, 1]


def test_the_corrupted_mean_is_of_one_origin_and_the_rest_is_missing(store):
    every = [(f"c{index // 5}", 1 + index % 5) for index in range(NUM_CONDITIONS)]
    corrupt(store, every)
    corrupt(store, every[:2], env={"source_hash": "new"}, finished=2.0)
    found = figures(store)
    assert found.replicates(cell("good"), "all", "recall@1", corrupted=True) is None
    assert found.statuses(cell("good"), corrupted=True, num_seeds=1) == {"ok": 2, "missing": 73}


def test_seeds_that_all_have(store):
    for seed in range(3):
        write(store, "good", seed=seed, **POOL)
    corrupt(store, [("fog", 1)], seed=2)
    corrupt(store, [("fog", 3)], seed=1)
    found = figures(store)
    clean, under = found.beside_clean(cell("good"))
    one, other = under.values()
    shared = found.with_seeds_of_all([clean, one])
    assert [[record["seed"] for record in group.ok] for group in shared] == [[2], [2]]
    assert shared[1] is one
    assert found.with_seeds_of_all([clean, one])[0] is shared[0]
    assert found.with_seeds_of_all([clean, one, other]) == []


def test_groups_on_the_same_images_compare_in_pairs(store):
    arrays = counts(0.6)
    better = {**arrays, "hits": arrays["hits"].copy()}
    better["hits"][:20] = 1
    write(store, "one", arrays=arrays, **POOL)
    write(store, "other", arrays=better, **POOL)
    found = figures(store)
    difference = paired_difference(*(found.replicates(cell(name), "all", "recall@1") for name in ("other", "one")))
    assert difference.low > 0


def test_the_newest_record_of_a_cell_and_seed_counts(store):
    write(store, "good", skill=0.2, finished=1.0, **POOL)
    write(store, "good", skill=0.9, finished=2.0, **POOL)
    assert figures(store).replicates(cell("good"), "all", "recall@1").value > 0.8
    write(store, "good", status="failed", finished=3.0, **POOL)
    assert figures(store).replicates(cell("good"), "all", "recall@1") is None
