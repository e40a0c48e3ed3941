"""A small problem, network and run for tests of the training loop."""

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from bench.protocol import Recipe
from bench.training import TrainingRun

CPU = torch.device("cpu")


class Regression:
    """Noisy batches of a fixed linear problem."""

    def __init__(self, num_items=24, batch_size=8, width=6):
        generator = np.random.default_rng(5)
        self.inputs = torch.from_numpy(generator.normal(size=(num_items, width)).astype(np.float32))
        self.targets = self.inputs.sum(dim=1, keepdim=True)
        self.batch_size = batch_size

    def epoch(self, rng):
        order = rng.permutation(len(self.inputs))
        return [order[start : start + self.batch_size] for start in range(0, len(order), self.batch_size)]

    def load(self, step):
        index = torch.from_numpy(step)
        return {"inputs": self.inputs[index], "pair": (self.targets[index], step)}


class Mean:
    """A hook with a state: the running sum of the first weight."""

    def __init__(self):
        self.state = nn.Module()
        self.state.register_buffer("total", torch.zeros(()))

    def after_step(self, module, step, num_steps):
        self.state.total += module[0].weight.detach().sum() * step / num_steps


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 12), nn.BatchNorm1d(12), nn.ReLU(), nn.Dropout(0.3), nn.Linear(12, 1))


def noisy_loss(module, batch):
    inputs = batch["inputs"] + 0.1 * torch.randn_like(batch["inputs"])
    return functional.mse_loss(module(inputs), batch["pair"][0])


def recipe(optimizer="adamw", **changes):
    return Recipe(**{"epochs": 3, "learning_rate": 0.05, "optimizer": optimizer, "momentum": 0.9 if optimizer == "sgd" else 0.0,
                     "weight_decay": 0.01, "schedule": "cosine", "warmup_steps": 2, "clip_norm": 1.0} | changes)  # fmt: skip


def train(folder=None, stop=None, optimizer="adamw", seconds=0.0, phases=("only",)):
    """All that a run leaves behind: weights and hook of the best epoch, the second of three, those of the last, and the histories."""
    run = TrainingRun(seed=3, device=CPU, checkpoint_dir=folder, checkpoint_seconds=seconds, stop=stop)
    module, hook, results, last = network(), Mean(), [], {}

    def validate():
        last.update({f"last {name}": value.clone() for name, value in module.state_dict().items()})
        return -abs(int(module[1].num_batches_tracked) % 9 - 6) + module[0].weight.sum().item() * 1e-3  # 6 after the second epoch

    for phase in phases:
        results.append(run.train(phase, module, noisy_loss, Regression(), recipe(optimizer), hooks=[hook], validate=validate))
    return {**module.state_dict(), **last, "hook": hook.state.total}, results


def assert_same(first, second):
    assert first[1] == second[1]
    assert first[0].keys() == second[0].keys()
    for name, value in first[0].items():
        assert torch.equal(value, second[0][name]), name
