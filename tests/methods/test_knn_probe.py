"""The nearest-neighbour probe: what it remembers, and that near images decide."""

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file

from bench.training import TrainingRun
from methods.knn_probe import KNNProbe
from methods.linear_probe import LinearProbe

SMALL = {"backbone": "test_resnet", "image_size": 64, "shrink": 2}
CPU = torch.device("cpu")


@pytest.fixture
def weights(tmp_path):
    torch.manual_seed(5)
    path = tmp_path / "weights.safetensors"
    save_file({name: value.contiguous() for name, value in timm.create_model("test_resnet").state_dict().items()}, path)
    return str(path)


def fitted(toy, weights, **changes):
    probe = KNNProbe(**SMALL | {"weights_file": weights} | changes)
    probe.fit(toy, {}, TrainingRun(seed=0, device=CPU))
    return probe


def test_the_nearest_image_of_a_labelled_image_is_itself(toy, weights):
    probe = fitted(toy, weights, k=1, prior_weight=0.0)
    labels = toy.labeled.labels["color"]
    known = np.flatnonzero((labels == 1).any(axis=1))
    with torch.inference_mode():
        scores = probe.predict(toy.labeled.batch(known).images)["color"]
    assert np.array_equal(scores.argmax(dim=1).numpy(), labels[known].argmax(axis=1))


def test_the_labelled_images_are_remembered_and_no_others(toy, weights):
    vote = fitted(toy, weights).model.vote
    assert vote.features.shape == (160, 96)
    torch.testing.assert_close(vote.features.norm(dim=1), torch.ones(160))
    together = np.concatenate([toy.labeled.labels[name] for name in toy.schema.names], axis=1)
    assert np.array_equal(vote.labels.numpy(), together)


def test_standardize_changes_who_is_near(toy, weights):
    plain, standard = (fitted(toy, weights, standardize=flag).model for flag in (False, True))
    assert torch.equal(plain.standardize.mean, torch.zeros(96))
    assert bool(standard.standardize.mean.any())
    assert not torch.equal(plain.vote.features, standard.vote.features)


def test_stages_or_weights(toy):
    assert KNNProbe(**SMALL).teachers(toy.schema) == ()
    assert KNNProbe(**SMALL, features="simclr").teachers(toy.schema) == ("simclr",)


def test_its_networks_are_those_of_the_linear_probe():
    assert KNNProbe.ROWS == LinearProbe.ROWS


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"k": 0}, "k is 0; expected >= 1"),
        ({"temperature": 0.0}, "temperature is 0.0; expected > 0"),
        ({"features": "x"}, "features is 'x'"),
    ],
)
def test_errors(change, text):
    with pytest.raises(ValueError, match=f"knn_probe: {text}"):
        KNNProbe(**change)
