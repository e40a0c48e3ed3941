"""UDA: what counts in its loss."""

import numpy as np
import pytest
import torch

from methods import uda
from methods.losses.classification import attribute_loss
from methods.losses.divergence import divergence_loss
from methods.parts.semi import SemiBatches
from methods.uda import UDA

SMALL = {"backbone": "test_resnet", "pretrained": False, "image_size": 64, "shrink": 2, "batch_size": 16, "ratio": 1, "optimizer": "adamw"}
PLAIN = {"flip": 0.0, "shift": 0.0, "least_scale": 1.0, "jitter": 0.0, "gray": 0.0, "blur": 0.0, "cutout": 0.0}
EXCLUSIVE = frozenset({"color", "type"})


@pytest.fixture(autouse=True)
def same_views(monkeypatch):
    """Strong views that are the images: even a whole crop draws its aspect."""
    monkeypatch.setattr(uda, "strong_augment", lambda images, **options: images.float())


@pytest.fixture(scope="module")
def batch(toy):
    batches = SemiBatches(toy.labeled, toy.unlabeled, 16, 1)
    return batches.load(batches.epoch(np.random.default_rng(0))[0])


@pytest.fixture(scope="module")
def network(toy):
    torch.manual_seed(0)
    found = UDA(**SMALL).build(toy.schema).eval()
    with torch.no_grad():
        found.heads.linear.weight.mul_(30.0)  # answers that are sure
    return found


def test_without_confidence_the_labels_alone_count(batch, network):
    found = UDA(**SMALL, **PLAIN, threshold=0.999999).batch_loss(network, batch, EXCLUSIVE)
    known = attribute_loss(network(batch[0].images), batch[0].labels, EXCLUSIVE)
    torch.testing.assert_close(found, known, rtol=1e-3, atol=1e-3)


def test_the_divergence_of_equal_views_is_that_of_sharpening(batch, network):
    """With views that are not augmented only the temperature makes the two sides differ."""
    only_color = {"color"}
    known, others = batch
    logits = network(others)["color"]
    expected = divergence_loss(logits, logits, threshold=0.5, temperature=0.4)
    method = UDA(**SMALL, **PLAIN, threshold=0.5)

    class Colors(torch.nn.Module):
        def forward(self, images):
            return {"color": network(images)["color"]}

    both = method.batch_loss(Colors(), (known, others), frozenset(only_color))
    sure = attribute_loss({"color": network(known.images)["color"]}, known.labels, frozenset(only_color))
    torch.testing.assert_close(both - sure, expected, rtol=1e-3, atol=1e-4)
    assert expected > 0


def test_at_the_least_divergence_nothing_is_learned(batch, network):
    """Equal views at temperature 1 are at the divergence's minimum, whose gradient by the strong side is zero."""
    method = UDA(**SMALL, **PLAIN, threshold=0.0, temperature=1.0)
    network.zero_grad()
    known, others = batch
    silent = known._replace(labels={name: torch.full_like(values, -1) for name, values in known.labels.items()})
    method.batch_loss(network, (silent, others), EXCLUSIVE).backward()
    largest = max(float(value.grad.abs().max()) for value in network.heads.parameters())
    assert largest < 1e-4


def test_under_autocast_every_parameter_learns(toy, batch, monkeypatch):
    """Weights that were cast for the weak views, without gradients, are forgotten before the pass that learns."""
    order, forget = [], torch.clear_autocast_cache
    monkeypatch.setattr(torch, "clear_autocast_cache", lambda: (order.append("forget"), forget()))
    network = UDA(**SMALL).build(toy.schema).train()
    network.register_forward_hook(lambda *arguments: order.append(torch.is_grad_enabled()))
    with torch.autocast("cpu", torch.bfloat16):
        loss = UDA(**SMALL, threshold=0.0).batch_loss(network, batch, EXCLUSIVE)
        assert order[:3] == [False, "forget", True]
    loss.backward()
    assert all(value.grad is not None for value in network.parameters())


@pytest.mark.parametrize(
    ("change", "text"), [({"threshold": 1.0}, "threshold is 1.0"), ({"temperature": 0.0}, "threshold is 0.8 and temperature 0.0")]
)
def test_errors(change, text):
    with pytest.raises(ValueError, match=f"uda: {text}"):
        UDA(**change)
