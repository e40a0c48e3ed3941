"""FixMatch: what counts in its loss, and which weights answer."""

import numpy as np
import pytest
import torch

from bench.training import TrainingRun
from methods.fixmatch import FixMatch
from methods.losses.classification import attribute_loss
from methods.parts.semi import SemiBatches

SMALL = {"backbone": "test_resnet", "pretrained": False, "image_size": 64, "shrink": 2, "batch_size": 16, "ratio": 1, "optimizer": "adamw"}
PLAIN = {"flip": 0.0, "shift": 0.0, "least_scale": 1.0, "jitter": 0.0, "gray": 0.0, "blur": 0.0, "cutout": 0.0}
CPU = torch.device("cpu")
EXCLUSIVE = frozenset({"color", "type"})


def batch(toy):
    batches = SemiBatches(toy.labeled, toy.unlabeled, 16, 1)
    return batches.load(batches.epoch(np.random.default_rng(0))[0])


class Fixed(torch.nn.Module):
    """Logits that depend on nothing: sure of colour, not of the others."""

    def __init__(self):
        super().__init__()
        self.color = torch.nn.Parameter(torch.tensor([5.0, 0.0, 0.0]))
        self.rest = torch.nn.Parameter(torch.zeros(5))

    def forward(self, images):
        rows = (len(images), -1)
        return {"color": self.color.expand(*rows), "type": self.rest[:3].expand(*rows), "marks": self.rest[3:].expand(*rows)}


def test_the_loss_by_hand():
    """Colour is answered at .987: its pseudo-labels count, at -log of that; a third and a half are below each threshold."""
    known, others = (
        type("Batch", (), {"images": torch.zeros(2, 3, 8, 8, dtype=torch.uint8), "labels": {}})(),
        torch.zeros(4, 3, 8, 8, dtype=torch.uint8),
    )
    known.labels = {name: torch.full((2, size), -1, dtype=torch.int8) for name, size in (("color", 3), ("type", 3), ("marks", 2))}
    method = FixMatch(**SMALL, **PLAIN)
    found = method.batch_loss(Fixed(), (known, others), EXCLUSIVE)
    expected = -torch.log_softmax(torch.tensor([5.0, 0.0, 0.0]), dim=0)[0] / 3
    torch.testing.assert_close(found, expected)


def test_without_confidence_the_labels_alone_count(toy):
    known, others = batch(toy)
    torch.manual_seed(0)
    method = FixMatch(**SMALL, **PLAIN, threshold=1.0)
    network = method.build(toy.schema).eval()
    found = method.batch_loss(network, (known, others), EXCLUSIVE)
    torch.testing.assert_close(found, attribute_loss(network(known.images), known.labels, EXCLUSIVE), rtol=1e-4, atol=1e-5)


def test_the_weight_of_what_has_no_label(toy):
    torch.manual_seed(0)
    network = FixMatch(**SMALL).build(toy.schema).eval()
    values = []
    for weight in (0.0, 1.0, 2.0):
        torch.manual_seed(1)  # the same views
        method = FixMatch(**SMALL, **PLAIN, threshold=0.0, unlabeled_weight=weight)
        values.append(method.batch_loss(network, batch(toy), EXCLUSIVE))
    torch.testing.assert_close(values[2] - values[1], values[1] - values[0])
    assert values[1] > values[0]


@pytest.mark.parametrize("ema_decay", [0.0, 1.0])
def test_the_average_answers(toy, ema_decay):
    """Which at a decay of 1 is the network that was built, and at 0 the trained one."""
    method = FixMatch(**SMALL, ema_decay=ema_decay, epochs=1, draws=64)
    run = TrainingRun(seed=0, device=CPU)
    method.fit(toy, {}, run)
    torch.manual_seed(int(TrainingRun(seed=0, device=CPU).rng("weights").integers(2**63)))
    start = method.build(toy.schema).state_dict()
    same = [torch.equal(value, start[name]) for name, value in method.model.state_dict().items() if value.is_floating_point()]
    assert all(same) if ema_decay == 1.0 else not any(same)
    assert not any(value.requires_grad for value in method.model.parameters())


def test_under_autocast_every_parameter_learns(toy, monkeypatch):
    """Weights that were cast for the weak views, without gradients, are forgotten before the pass that learns."""
    order, forget = [], torch.clear_autocast_cache
    monkeypatch.setattr(torch, "clear_autocast_cache", lambda: (order.append("forget"), forget()))
    network = FixMatch(**SMALL).build(toy.schema).train()
    network.register_forward_hook(lambda *arguments: order.append(torch.is_grad_enabled()))
    with torch.autocast("cpu", torch.bfloat16):
        loss = FixMatch(**SMALL, threshold=0.0).batch_loss(network, batch(toy), EXCLUSIVE)
        assert order[:3] == [False, "forget", True]
    loss.backward()
    assert all(value.grad is not None for value in network.parameters())


@pytest.mark.parametrize(
    ("change", "text"),
    [({"ratio": 0}, "ratio is 0; expected >= 1"), ({"threshold": 1.5}, "threshold is 1.5"), ({"epochs": 0}, "epochs is 0")],
)
def test_errors(change, text):
    with pytest.raises(ValueError, match=f"fixmatch: {text}"):
        FixMatch(**change)


def test_there_are_no_teachers(toy):
    assert FixMatch(**SMALL).teachers(toy.schema) == ()
