"""Proxies: gradients, scores, drawn classes, and the package that is missing."""

import sys

import pytest
import torch
from torch.nn import functional

from bench.protocol import Batch
from methods.metric_learning import MetricLearning, drawn_class, proxies_of

SMALL = {"backbone": "test_resnet", "pretrained": False, "image_size": 64, "shrink": 2, "embedding_dim": 8, "augment": False}
LOSSES = ("normalized_softmax", "proxy_anchor")
IMAGES = torch.randint(0, 256, (4, 3, 64, 64), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


def labels():
    found = {"color": torch.eye(3, dtype=torch.int8)[[0, 1, 2, 0]], "type": torch.full((4, 3), -1, dtype=torch.int8)}
    return found | {"marks": torch.tensor([[1, 0], [0, 0], [1, 0], [-1, -1]], dtype=torch.int8)}


def network(toy, loss):
    torch.manual_seed(0)
    return MetricLearning(**SMALL, loss=loss).build(toy.schema)


@pytest.mark.parametrize("loss", LOSSES)
def test_proxies_learn_where_their_type_is_known(toy, loss):
    module = network(toy, loss)
    MetricLearning(**SMALL, loss=loss).batch_loss(module, Batch(IMAGES, labels(), torch.arange(4))).backward()
    reached = [bool(value.grad is not None and value.grad.any()) for part in module.losses for value in part.parameters()]
    assert reached == [True, False, True]
    assert any(bool(value.grad.any()) for value in module.backbone.parameters())


def test_normalized_softmax_by_hand(toy):
    """Cross-entropy of cosines over the temperature, the mean of colour and marks, beside a type that nobody knows."""
    module = network(toy, "normalized_softmax").eval()
    found = MetricLearning(**SMALL).batch_loss(module, Batch(IMAGES, labels(), torch.arange(4)))
    embeddings, terms = module(IMAGES), []
    for place, (name, rows, classes) in enumerate((("color", [0, 1, 2, 3], [0, 1, 2, 0]), ("type", [], []), ("marks", [0, 2], [0, 0]))):
        unit = functional.normalize(embeddings[name][rows], dim=1)
        cosines = unit @ functional.normalize(proxies_of(module.losses[place]), dim=1).T
        terms.append(functional.cross_entropy(cosines / 0.05, torch.tensor(classes)) if rows else torch.zeros(()))
    torch.testing.assert_close(found, torch.stack(terms).mean(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("loss", LOSSES)
def test_scores_are_cosines_of_classes_that_have_images(toy, loss):
    module = network(toy, loss).eval()
    module.trained[:] = True
    module.trained[4] = False
    with torch.no_grad():
        scores, embeddings = module.scores(IMAGES), module(IMAGES)
        cosine = functional.cosine_similarity(embeddings["color"][1], proxies_of(module.losses[0])[2], dim=0)
    torch.testing.assert_close(scores["color"][1, 2], cosine)
    assert torch.equal(scores["type"].isneginf(), torch.tensor([[False, True, False]] * 4))


def test_one_positive_class_is_drawn_of_those_that_an_image_has():
    torch.manual_seed(0)
    rows = torch.tensor([[1, 1, 0, -1]], dtype=torch.int8).expand(2000, -1)
    classes, known = drawn_class(rows)
    assert bool(known.all())
    assert set(classes.tolist()) == {0, 1}
    assert float((classes == 0).float().mean()) == pytest.approx(0.5, abs=0.05)
    assert not drawn_class(torch.tensor([[0, -1]], dtype=torch.int8))[1].any()


def test_proxies_have_a_rate_of_their_own(toy):
    groups = MetricLearning(**SMALL, learning_rate=0.01, proxy_rate=7.0)._recipe().param_groups(network(toy, "proxy_anchor"))
    rates = {len(group["params"]): group.get("lr") for group in groups}
    assert groups[2]["lr"] == pytest.approx(0.07)
    assert len(groups[2]["params"]) == 3
    assert sum(len(group["params"]) for group in groups) == len(list(network(toy, "proxy_anchor").parameters()))
    assert None in rates.values()


def test_without_the_package_there_is_one_line(toy, monkeypatch):
    monkeypatch.setitem(sys.modules, "pytorch_metric_learning", None)
    with pytest.raises(ImportError, match="pip install pytorch-metric-learning") as caught:
        MetricLearning(**SMALL).build(toy.schema)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("change", "text"), [({"loss": "arcface"}, "loss is 'arcface'"), ({"temperature": 0.0}, "temperature is 0.0")])
def test_errors(change, text):
    with pytest.raises(ValueError, match=f"metric_learning: {text}"):
        MetricLearning(**change)
