"""Accuracy by epoch and attention maps, drawn from what an evaluation kept."""

from xml.etree import ElementTree

import numpy as np
import pytest
from handmade import counts, write

from bench.report.figures import Figures
from bench.report.kept import attention_maps, curve_of, starts_of, training_curves
from bench.store import Store

PLACE = {"protocol_id": "v1/darn/test/64px/native/pool=1"}
NAN = np.nan


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path)


def groups(store, *methods):
    by_method = {group.records[0]["method"]: group for group in Figures(store.records(), store).groups.values()}
    return [by_method.get(method) for method in methods]


def texts(svg):
    return [node.text for node in ElementTree.fromstring(svg).iter() if node.tag.endswith("}text") and node.text]


def test_phases_follow_in_the_order_in_which_they_were_trained():
    arrays = {
        "history/10 late": np.array([0.6]),
        "history/0 labeled": np.array([NAN, 0.2]),
        "history/2 pseudo": np.array([0.4]),
        "hits": np.ones(1),
    }
    np.testing.assert_array_equal(curve_of(arrays), [NAN, 0.2, 0.4, 0.6])
    assert starts_of(arrays) == [0, 2, 3]
    assert curve_of({"hits": np.ones(1)}).shape == (0,)


def test_a_line_is_the_mean_over_seeds_where_every_seed_was_asked(store):
    for seed, values in enumerate(([NAN, 0.2, 0.4], [NAN, 0.4, 0.6])):
        arrays = {**counts(0.5, seed), "history/0 labeled": np.array(values, dtype=np.float32)}
        write(store, "a", seed=seed, arrays=arrays, **PLACE)
    write(store, "bare", **PLACE)
    svg = training_curves(groups(store, "a", "bare", "gone"), ["A <b>", "B", "C"], "By epoch")
    assert "A <b>" in texts(svg)
    assert not {"B", "C"} & set(texts(svg))
    assert training_curves(groups(store, "bare", "gone"), ["B", "C"], "By epoch") is None


def test_maps_stand_in_the_order_of_a_batchs_way(store):
    maps = {
        f"attention/{n} {name}": np.random.default_rng(n).random((6, 4, 4)).astype(np.float16)
        for n in (1, 10, 2)
        for name in ("after", "mask", "before")
    }
    write(store, "ran", arrays={**counts(0.5), **maps, "attention/image": np.zeros((6, 8, 8, 3), dtype=np.uint8)}, **PLACE)
    write(store, "plain", **PLACE)
    svg = attention_maps(groups(store, "plain", "ran"), ["plain", "ran"], "Maps")
    order = [f"{n} {name}" for n in (1, 2, 10) for name in ("before", "mask", "after")]
    assert [text for text in texts(svg) if text in order] == order
    assert svg.count("<image") == 2 * (1 + len(order))
    assert attention_maps(groups(store, "plain"), ["plain"], "Maps") is None
