"""Half precision: which device trains in which, losses scaled where gradients would vanish, and the scale in checkpoints."""

import pytest
import torch
from torch import nn
from torch.nn import functional
from trainable import CPU, Regression, network, recipe

from bench.optimizing import autocast_type
from bench.training import TrainingRun, TrainingStopped

CUDA = torch.device("cuda")


@pytest.mark.parametrize(("device", "newer", "expected"), [(CPU, True, None), (CUDA, True, torch.bfloat16), (CUDA, False, torch.float16)])
def test_auto_asks_the_device(monkeypatch, device, newer, expected):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: newer and not including_emulation)
    assert autocast_type("auto", device) is expected


def test_a_named_precision_is_taken_on_any_device_and_another_refused():
    assert autocast_type("float32", CUDA) is None
    assert autocast_type("float16", CPU) is torch.float16
    assert autocast_type("bfloat16", CPU) is torch.bfloat16
    with pytest.raises(ValueError, match="precision is 'half'; expected 'auto', 'float32', 'bfloat16', 'float16'"):
        autocast_type("half", CPU)


def small_loss(module, batch):
    """So small that its gradient by float16 activations is zero unless it is scaled."""
    output = module(batch["inputs"])
    assert output.dtype == torch.float16
    return 1e-7 * functional.mse_loss(output.float(), batch["pair"][0])


def linear():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 12), nn.Linear(12, 1))


@pytest.mark.parametrize("optimizer", ["sgd", "adamw", "lars"])
def test_a_loss_is_scaled_in_float16(optimizer):
    """Steps are those of float32, within half precision's error, where unscaled gradients would be none."""
    changes = {
        "precision": "float16",
        "clip_norm": None,
        "weight_decay": 0.0,
        "learning_rate": {"sgd": 1e4, "adamw": 0.01, "lars": 1.0}[optimizer],
    }
    half, start = linear(), linear()
    TrainingRun(seed=0, device=CPU).train("p", half, small_loss, Regression(), recipe(optimizer, **changes))
    whole = linear()
    TrainingRun(seed=0, device=CPU).train(
        "p",
        whole,
        lambda module, batch: 1e-7 * functional.mse_loss(module(batch["inputs"]), batch["pair"][0]),
        Regression(),
        recipe(optimizer, **{**changes, "precision": "float32"}),
    )
    moved = (half[0].weight - start[0].weight).norm()
    assert moved > 1e-3
    assert (half[0].weight - whole[0].weight).norm() < 0.1 * moved


def test_steps_that_overflow_are_left_out_until_the_scale_has_fallen():
    """65536 times a loss of some thousands has no gradient in float16."""
    weights = []

    def loss(module, batch):
        weights.append(module[0].weight.detach().clone())
        return 1e3 * functional.mse_loss(module(batch["inputs"]), batch["pair"][0].half())

    TrainingRun(seed=0, device=CPU).train(
        "p", linear(), loss, Regression(), recipe("sgd", epochs=8, precision="float16", learning_rate=1e-6, clip_norm=None)
    )
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[1], weights[-1])
    assert all(torch.isfinite(each).all() for each in weights)


@pytest.mark.parametrize("steps", [1, 4, 7])
def test_stopping_changes_nothing(tmp_path, steps):
    def loss(module, batch):
        return 1e3 * functional.mse_loss(module(batch["inputs"]), batch["pair"][0].half())

    changes = {"precision": "float16", "learning_rate": 1e-4}
    whole = network()
    TrainingRun(seed=0, device=CPU).train("p", whole, loss, Regression(), recipe(**changes))
    count = iter(range(1, 100))
    stopping = TrainingRun(seed=0, device=CPU, checkpoint_dir=tmp_path, stop=lambda: next(count) == steps)
    with pytest.raises(TrainingStopped):
        stopping.train("p", network(), loss, Regression(), recipe(**changes))
    resumed = network()
    TrainingRun(seed=0, device=CPU, checkpoint_dir=tmp_path).train("p", resumed, loss, Regression(), recipe(**changes))
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name
