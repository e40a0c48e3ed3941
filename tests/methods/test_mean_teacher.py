"""Mean Teacher: its ramp, its average's two decays, and its loss."""

import math

import numpy as np
import pytest
import torch

from methods.losses.classification import attribute_loss
from methods.losses.divergence import square_loss
from methods.mean_teacher import MeanTeacher, RampedEMA, ramp_up
from methods.parts.semi import SemiBatches

SMALL = {"backbone": "test_resnet", "pretrained": False, "image_size": 64, "shrink": 2, "batch_size": 16, "ratio": 1, "optimizer": "adamw"}
STILL = {"flip": 0.0, "shift": 0.0}
EXCLUSIVE = frozenset({"color", "type"})


@pytest.mark.parametrize(("share", "weight"), [(0.0, math.exp(-5)), (0.2, math.exp(-1.25)), (0.4, 1.0), (0.9, 1.0)])
def test_the_ramp_by_hand(share, weight):
    assert ramp_up(torch.tensor(share), 0.4).item() == pytest.approx(weight, rel=1e-5)


def test_the_ramp_rises_and_ends_and_may_be_left_out():
    values = [ramp_up(torch.tensor(step / 100), 0.5).item() for step in range(101)]
    assert values == sorted(values)
    assert values[50:] == [1.0] * 51
    assert ramp_up(torch.tensor(0.5), 0.0).item() == 1.0


def test_the_average_follows_at_two_decays():
    """A weight of 1 against an average of 0: after steps at .5 until half, and at .9 from there on."""
    network = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.zeros_(network.weight)
    average = RampedEMA(network, 0.5, 0.9, 0.5)
    torch.nn.init.ones_(network.weight)
    found = []
    for step in (1, 2, 3, 4):
        average.after_step(network, step, 4)
        found.append(average.state.weight.item())
    assert found == pytest.approx([0.5, 0.55, 0.595, 0.6355])


@pytest.fixture(scope="module")
def batch(toy):
    batches = SemiBatches(toy.labeled, toy.unlabeled, 16, 1)
    return batches.load(batches.epoch(np.random.default_rng(0))[0])


def networks(toy):
    found = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        found.append(MeanTeacher(**SMALL).build(toy.schema).eval())
    return found


def test_the_loss_is_the_labels_and_the_ramped_square_over_all_images(toy, batch):
    student, teacher = networks(toy)
    known, others = batch
    images = torch.cat([known.images, others])
    method = MeanTeacher(**SMALL, **STILL, consistency_weight=7.0, rampup=0.4)
    found = method.batch_loss(student, teacher, batch, torch.tensor(0.2), EXCLUSIVE)
    answers, targets = student(images), teacher(images)
    squares = [square_loss(answers[name], targets[name]) for name in ("color", "type")]
    squares.append((answers["marks"].sigmoid() - targets["marks"].sigmoid()).square().mean())
    labels = attribute_loss(student(known.images), known.labels, EXCLUSIVE)
    torch.testing.assert_close(found, labels + 7.0 * math.exp(-1.25) * torch.stack(squares).mean(), rtol=1e-4, atol=1e-5)


def test_only_the_student_learns(toy, batch):
    student, teacher = networks(toy)
    MeanTeacher(**SMALL).batch_loss(student, teacher, batch, torch.tensor(1.0), EXCLUSIVE).backward()
    assert all(value.grad is None for value in teacher.parameters())
    assert all(value.grad is not None for value in student.parameters())


@pytest.mark.parametrize(
    ("change", "text"), [({"rampup": 1.5}, "rampup is 1.5"), ({"ema_decay": -0.1}, "ema_decay is -0.1"), ({"ratio": 0}, "ratio is 0")]
)
def test_errors(change, text):
    with pytest.raises(ValueError, match=f"mean_teacher: {text}"):
        MeanTeacher(**change)
