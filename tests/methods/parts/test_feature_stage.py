"""Stages that are trained for their features."""

import pytest
import torch

from bench.protocol import Recipe
from bench.training import TrainingRun
from methods.parts.backbone import Backbone
from methods.parts.feature_stage import STAGES, stage_network, train_stage

RECIPE = Recipe(epochs=2, learning_rate=2e-3, optimizer="adamw")


def network(kind, toy):
    torch.manual_seed(0)
    return stage_network(Backbone("test_resnet", image_size=64, shrink=2), kind, toy.schema)


@pytest.mark.parametrize("kind", STAGES)
def test_a_stage_learns_and_moves_its_backbone(kind, toy):
    stage = network(kind, toy)
    before = [value.clone() for value in stage.backbone.parameters()]
    run = TrainingRun(seed=0, device=torch.device("cpu"))
    train_stage(stage, kind, toy, run, RECIPE, batch_size=32, draws=256)  # the pool's labels raise when they are asked for
    losses = [row["loss"] for row in run.history["features"]]
    assert losses[1] < losses[0]
    assert all(not torch.equal(first, second) for first, second in zip(before, stage.backbone.parameters(), strict=True))


def test_an_unknown_stage_is_refused(toy):
    with pytest.raises(ValueError, match="no feature stage 'vae'; there are supervised, simclr"):
        network("vae", toy)
