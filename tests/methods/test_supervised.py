"""The supervised baseline: which loss a type gets, and what it refuses."""

import math

import pytest
import torch

from bench.training import TrainingRun
from methods.supervised import Supervised

SMALL = {"backbone": "test_efficientnet", "pretrained": False, "image_size": 64, "shrink": 2, "epochs": 1, "batch_size": 160}


class FirstLoss(TrainingRun):
    """Keeps the loss of the first batch, before anything is learned."""

    def train(self, name, module, loss, batches, recipe, **options):
        torch.manual_seed(0)
        for value in module.heads.parameters():
            torch.nn.init.zeros_(value)
        self.value = loss(module, batches.load(batches.epoch(self.rng("first"))[0])).item()


@pytest.mark.parametrize(("loss", "expected"), [("auto", (2 * math.log(3) + math.log(2)) / 3), ("bce", math.log(2))])
def test_the_loss_of_logits_of_zero(toy, loss, expected):
    run = FirstLoss(seed=0, device=torch.device("cpu"))
    Supervised(**SMALL, loss=loss).fit(toy, {}, run)
    assert run.value == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("change", [{"loss": "mse"}, {"epochs": 0}, {"batch_size": 0}, {"shrink": 0}])
def test_errors(change):
    (name,) = change
    with pytest.raises(ValueError, match=f"supervised: {name} is {change[name]!r}; expected"):
        Supervised(**SMALL | change)


def test_there_are_no_teachers(toy):
    assert Supervised(**SMALL).teachers(toy.schema) == ()
    with pytest.raises(ValueError, match="supervised has no teacher 'color'"):
        Supervised(**SMALL).fit_teacher("color", toy, None)
