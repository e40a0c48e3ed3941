"""Machines: equal to scikit-learn's, unknown labels, and classes without a plane."""

import dataclasses

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file
from sklearn.svm import LinearSVC

from bench.training import TrainingRun
from methods.wtbi import WTBI, separate

CPU = torch.device("cpu")


def case(seed=0):
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(60, 4))
    labels = (rows[:, 0] + 0.3 * rng.normal(size=60) > 0).astype(np.int8)
    return rows, labels


@pytest.mark.parametrize("balanced", [False, True])
def test_a_plane_is_scikit_learns(balanced):
    rows, labels = case()
    weight = "balanced" if balanced else None
    machine = LinearSVC(C=0.3, dual=False, random_state=0, class_weight=weight).fit(rows, labels)
    plane = separate(rows, labels, 0.3, balanced, 1000, 0)
    np.testing.assert_allclose(rows @ plane[:-1] + plane[-1], machine.decision_function(rows), rtol=1e-6)


def test_unknown_labels_take_no_part():
    rows, labels = case()
    labels[::3] = -1
    kept = labels >= 0
    np.testing.assert_allclose(separate(rows, labels, 1.0, False, 1000, 0), separate(rows[kept], labels[kept], 1.0, False, 1000, 0))


@pytest.mark.parametrize("only", [1, 0, -1])
def test_without_both_kinds_there_is_no_plane(only):
    rows, labels = case()
    assert separate(rows, np.full_like(labels, only), 1.0, False, 1000, 0) is None


def test_classes_without_a_plane_are_never_ranked(toy, tmp_path):
    path = tmp_path / "weights.safetensors"
    torch.manual_seed(5)
    save_file({name: value.contiguous() for name, value in timm.create_model("test_resnet").state_dict().items()}, path)
    labels = {name: values.copy() for name, values in toy.labeled.labels.items()}
    labels["marks"][:, 1] = 0  # nobody has dots
    data = dataclasses.replace(toy, labeled=dataclasses.replace(toy.labeled, labels=labels))
    method = WTBI(backbone="test_resnet", image_size=64, shrink=2, weights_file=str(path), regularization=0.01)
    assert method.teachers(toy.schema) == ()
    method.fit(data, {}, TrainingRun(seed=0, device=CPU))
    images = toy.labeled.batch(np.arange(8)).images
    with torch.inference_mode():
        scores = method.predict(images)
        features = method.model.standardize(method.model.backbone(images))
    assert torch.equal(scores["marks"].isneginf(), torch.tensor([[False, True]] * 8))
    torch.testing.assert_close(scores["color"], features @ method.model.planes[:3].T + method.model.offsets[:3])


@pytest.mark.parametrize(
    ("change", "text"), [({"regularization": 0.0}, "regularization is 0.0; expected > 0"), ({"features": "x"}, "features is 'x'")]
)
def test_errors(change, text):
    with pytest.raises(ValueError, match=f"wtbi: {text}"):
        WTBI(**change)
