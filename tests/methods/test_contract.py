"""What every registered row of every method promises, on small pictures at preset tiny with the "contract" preset's changes on top."""

from __future__ import annotations

import dataclasses
import math
from functools import cache

import numpy as np
import pytest
import torch

from bench import classwise, registry, spec
from bench.evaluation import predict_all

ROWS = [(found.name, row) for found in registry.entries("methods") for row in found.rows]
FLOORS = ("floor",)  # they look at no picture, so they cannot be above themselves
CPU = torch.device("cpu")


def make(method, row):
    presets = registry.entry("methods", method).constants["PRESETS"]
    changes = presets.get("contract", {}) | presets.get(f"contract/{row}", {})
    return registry.method_class(method)(**spec.resolve_params(method, row, "tiny", changes))


@cache
def train_teacher(method, params, teacher, data, make_run):
    """A teacher and the run that trained it; rows that agree on its name and on TEACHER_PARAMS share it, as in a sweep."""
    maker, run = registry.method_class(method)(**dict(params)), make_run()
    trained, network = maker.fit_teacher(teacher, data, run), maker.build(data.schema, teacher)
    network.load_state_dict(trained.state_dict())  # as a stage of its own hands it over
    return network.eval().requires_grad_(False), run


@dataclasses.dataclass
class Fitted:
    method: object
    run: object
    teachers: dict

    @property
    def runs(self):
        return [self.run, *(run for _, run in self.teachers.values())]


@cache
def fit(method, row, data, make_run, repeat=0):
    instance = make(method, row)
    names = registry.entry("methods", method).constants.get("TEACHER_PARAMS", ())
    params = tuple((name, getattr(instance, name)) for name in names)
    wanted = instance.teachers(data.schema) if names else ()
    teachers = {teacher: train_teacher(method, params, teacher, data, make_run) for teacher in wanted}
    run = make_run()
    torch.manual_seed(repeat)  # what came before must not matter
    instance.fit(data, {name: network for name, (network, _) in teachers.items()}, run)
    instance.model.eval()
    return Fitted(instance, run, teachers)


class Hashed:
    """The toy data as a key of the caches above."""

    def __init__(self, data):
        self.data = data

    def __getattr__(self, name):
        return getattr(self.data, name)


@pytest.fixture(scope="session")
def data(toy):
    return Hashed(toy)


@pytest.fixture(params=ROWS, ids=lambda pair: "/".join(filter(None, pair)))
def fitted(request, data, watched_run):
    return fit(*request.param, data, watched_run)


def test_every_entry_can_be_read():
    assert {found.name: found.error for found in registry.entries("methods") if found.error} == {}
    assert {"floor", "mtss", "supervised"} <= {method for method, _ in ROWS}


@pytest.mark.parametrize(("method", "row"), ROWS)
def test_presets_rows_and_teacher_parameters_name_parameters(method, row):
    found = registry.entry("methods", method)
    known = set(found.parameters)
    for values in [*found.constants["PRESETS"].values(), *found.constants.get("ROWS", {}).values()]:
        assert set(values) <= known
    assert set(found.constants.get("TEACHER_PARAMS", ())) <= known
    assert set(found.headline) <= set(found.rows)
    assert found.constants.get("SCORES", "logits") in ("logits", "similarity")
    assert {"image_size"} <= known
    assert found.summary


def test_losses_are_finite(fitted):
    for run in fitted.runs:
        for history in run.histories.values():
            assert history
            assert all(math.isfinite(row["loss"]) for row in history)


def test_gradients_reach_every_trainable_parameter(fitted):
    assert [run.unreached for run in fitted.runs if any(run.unreached.values())] == []


def test_same_seed_same_result(fitted, request, data, watched_run):
    method, row = request.node.callspec.params["fitted"]
    again = fit(method, row, data, watched_run, repeat=1)
    first, second = fitted.method.model.state_dict(), again.method.model.state_dict()
    assert list(first) == list(second)
    assert all(torch.equal(value, second[name]) for name, value in first.items())
    assert fitted.run.histories == again.run.histories


def test_teachers_are_left_as_they_are(fitted, request, data, watched_run):
    """Fitting moves no weight and no statistic of a teacher, and leaves no gradient on it."""
    for network, _ in fitted.teachers.values():
        assert not network.training
        assert all(value.grad is None for value in network.parameters())
    before = {name: {key: value.clone() for key, value in network.state_dict().items()} for name, (network, _) in fitted.teachers.items()}
    fit(*request.node.callspec.params["fitted"], data, watched_run, repeat=1)
    for name, (network, _) in fitted.teachers.items():
        assert all(torch.equal(value, before[name][key]) for key, value in network.state_dict().items())


def test_saved_weights_predict_the_same(fitted, request, data, unseen):
    fresh = make(*request.node.callspec.params["fitted"])
    fresh.model = fresh.build(data.schema)
    fresh.model.load_state_dict({name: value.clone() for name, value in fitted.method.model.state_dict().items()})
    fresh.model.eval().requires_grad_(False)
    first, second = (predict_all(method.predict, unseen, CPU) for method in (fitted.method, fresh))
    assert all(np.array_equal(first[name], second[name]) for name in data.schema.names)


@pytest.mark.parametrize("num_images", [1, 5])
def test_what_predict_returns(fitted, data, unseen, num_images):
    with torch.inference_mode():
        scores = fitted.method.predict(unseen.batch(np.arange(num_images)).images)
    assert tuple(scores) == data.schema.names
    for attribute_type in data.schema:
        assert scores[attribute_type.name].shape == (num_images, len(attribute_type.classes))
        assert scores[attribute_type.name].dtype == torch.float32
        assert not scores[attribute_type.name].isnan().any()
        assert scores[attribute_type.name].max() < torch.inf


def test_an_image_is_scored_alone(fitted, data, unseen):
    """Neither its neighbours in a batch nor its place there matter, up to rounding."""
    batch = unseen.batch(np.arange(6)).images
    with torch.inference_mode():
        together, alone = fitted.method.predict(batch), fitted.method.predict(batch[3:4])
    for name in data.schema.names:
        torch.testing.assert_close(together[name][3:4], alone[name], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("fitted", [pair for pair in ROWS if pair[0] not in FLOORS], indirect=True, ids="/".join)
def test_it_learns(fitted, data, watched_run, unseen):
    """Mean average precision of each type is above that of the class frequencies."""
    ours = predict_all(fitted.method.predict, unseen, CPU)
    floor = predict_all(fit("floor", "prior", data, watched_run).method.predict, unseen, CPU)
    for name, labels in unseen.labels.items():
        reached, least = (classwise.mean_average_precision(scores[name], labels) for scores in (ours, floor))
        assert reached > least + 0.1, name


def test_reading_labels_of_unlabeled_images_is_seen(toy):
    """The check that every fit above runs under: the pool's labels raise when asked for."""
    with pytest.raises(AssertionError, match="the labels 'color' of unlabelled images were read"):
        toy.unlabeled.labels["color"]
    with pytest.raises(AssertionError, match="were read"):
        toy.unlabeled.labels.get("color")
    assert toy.unlabeled.batch(np.arange(3)).labels == {}
