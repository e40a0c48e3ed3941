"""Figures by groups of images: who is in which, a metric over one group by hand, and a data set's own groups beside its examples."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench import image_groups, ranking
from bench.metrics import summarize
from bench.protocol import AttributeType, Examples, Schema
from bench.report.groups import Group

SCHEMA = Schema((AttributeType("class", ("a", "b", "c"), True),))


def examples(count):
    return Examples(np.zeros((count, 1, 1, 3), np.uint8), np.arange(count), {}, np.arange(count, dtype=np.uint64))


def predicted(num, seed=0):
    """The arrays of one prediction, its scores and its labels."""
    rng = np.random.default_rng(seed)
    scores, labels = rng.normal(size=(num, 3)).astype(np.float32), np.eye(3, dtype=np.int8)[rng.integers(3, size=num)]
    return summarize({"class": scores}, {"class": labels}, SCHEMA, logits=True).arrays, scores, labels


def with_groups(arrays, values):
    dataset = SimpleNamespace(groups=lambda _: {"marketplace": list(values)})
    return arrays | image_groups.memberships(dataset, examples(len(values)))


def test_memberships():
    found = image_groups.memberships(SimpleNamespace(groups=lambda _: {"marketplace": ["MX", "", "BR", "MX"]}), examples(4))
    assert {name: np.unpackbits(bits, count=4).tolist() for name, bits in found.items()} == {
        "group/marketplace=BR": [0, 0, 1, 0],
        "group/marketplace=MX": [1, 0, 0, 1],
    }
    assert image_groups.memberships(SimpleNamespace(), examples(4)) == {}
    assert image_groups.is_group(found, "marketplace=MX")
    assert not image_groups.is_group(found, "marketplace=US")


@settings(max_examples=20, deadline=None)
@given(values=st.lists(st.sampled_from(["MX", "BR", ""]), min_size=3, max_size=40), seed=st.integers(0, 99))
def test_a_metric_over_a_group_is_that_of_its_images_alone(values, seed):
    arrays, scores, labels = predicted(len(values), seed)
    inside = np.array([value == "MX" for value in values])
    if not inside.any():
        return
    one = ranking.rank(scores[inside], labels[inside])
    for metric, expected in {
        "accuracy@1": ranking.accuracy([one], 1),
        "recall@3": ranking.recall([one], 3),
        "f1@1": ranking.f1([one], 1),
    }.items():
        assert image_groups.of_group([with_groups(arrays, values)], "marketplace=MX", metric).value == pytest.approx(expected)


def test_small_groups_have_wide_intervals():
    values = ["MX"] * 20 + ["US"] * 380
    arrays = with_groups(predicted(400)[0], values)
    small, large = (image_groups.of_group([arrays], f"marketplace={name}", "accuracy@1").interval() for name in ("MX", "US"))
    assert small.high - small.low > 2 * (large.high - large.low)


def test_seeds_are_averaged():
    values = ["MX", "US"] * 30
    both = [with_groups(predicted(60, seed)[0], values) for seed in (0, 1)]
    alone = [image_groups.of_group([each], "marketplace=US", "accuracy@1").value for each in both]
    assert image_groups.of_group(both, "marketplace=US", "accuracy@1").value == pytest.approx(np.mean(alone))


@pytest.mark.parametrize("metric", ["map", "f2", "accuracy@4"])
def test_other_metrics_have_none(metric):
    assert image_groups.of_group([with_groups(predicted(6)[0], ["MX"] * 6)], "marketplace=MX", metric) is None


def test_tables_find_a_group_by_the_name_of_an_attribute():
    arrays = with_groups(predicted(60)[0], ["MX", "US"] * 30)
    record = {"status": "ok", "seed": 0, "per_attribute": {"class": {}}, "metrics": {}, "predictions_path": "", "key": "", "finished": 0.0}
    record |= {"data_hash": "d" * 64, "split": "test"}
    split = SCHEMA, {}
    group = Group([record], SimpleNamespace(load_arrays=lambda _: arrays, load_split=lambda *_: split))
    expected = image_groups.of_group([arrays], "marketplace=MX", "accuracy@1")
    found = group.replicates("marketplace=MX", "accuracy@1")
    assert found.value == expected.value
    assert np.array_equal(found.values, expected.values)
