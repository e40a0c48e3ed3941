"""EMA and SWA against loops in float64."""

import pytest
import torch
from torch import nn

from methods.parts.averaging import EMA, SWA, ema_update_


def network(seed):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(5, 2))


def histories(steps=7):
    """A network at several moments, buffers and counters included."""
    moments = []
    for step in range(steps):
        module = network(step)
        module[1].running_mean.normal_()
        module[1].num_batches_tracked.fill_(10 * step)
        moments.append(module)
    return moments


def slow_mean(values):
    return sum(value.double() for value in values) / len(values)


@pytest.mark.parametrize("decay", [0.0, 0.9, 0.999, 1.0])
def test_ema_against_the_loop(decay):
    start, moments = network(99), histories()
    expected = {name: value.double().clone() for name, value in start.state_dict().items()}
    hook = EMA(start, decay)
    for step, module in enumerate(moments, start=1):
        hook.after_step(module, step, len(moments))
        for name, value in module.state_dict().items():
            expected[name] = decay * expected[name] + (1 - decay) * value.double()
    found = hook.state.state_dict()
    for name, value in expected.items():
        if found[name].is_floating_point():
            torch.testing.assert_close(found[name].double(), value, rtol=1e-5, atol=1e-6)
    assert found["1.num_batches_tracked"] == 60  # counters are copied


def test_ema_leaves_the_module_alone():
    module, other = network(0), network(1)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    ema_update_(other, module, 0.5)
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert all(value.grad is None for value in module.parameters())


def test_averages_are_frozen_copies_in_eval_mode():
    module = network(0).train()
    for state in (EMA(module, 0.9).state, SWA(module, 1, 1).state.module):
        assert not state.training
        assert not any(value.requires_grad for value in state.parameters())
        assert state[0].weight.data_ptr() != module[0].weight.data_ptr()
    assert module.training


def test_swa_against_the_loop():
    moments = histories(9)
    hook = SWA(network(99), start_step=3, every=2)  # steps 3, 5, 7, 9
    for step, module in enumerate(moments, start=1):
        hook.after_step(module, step, 9)
    taken = [moments[index] for index in (2, 4, 6, 8)]
    assert hook.state.num_averaged == 4
    for name, value in hook.state.module.named_parameters():
        torch.testing.assert_close(
            value.double(), slow_mean([module.get_parameter(name) for module in taken]).detach(), rtol=1e-5, atol=1e-6
        )
    mean = slow_mean([module[1].running_mean for module in taken])
    torch.testing.assert_close(hook.state.module[1].running_mean.double(), mean, rtol=1e-5, atol=1e-6)


def test_the_first_average_of_swa_is_a_copy():
    hook, module = SWA(network(99), 1, 1), network(4)
    hook.after_step(module, 1, 1)
    assert all(torch.equal(value, hook.state.module.state_dict()[name]) for name, value in module.state_dict().items())


def test_the_count_of_swa_survives_a_checkpoint():
    first, second = SWA(network(99), 1, 1), SWA(network(98), 1, 1)
    moments = histories(4)
    for step, module in enumerate(moments[:2], start=1):
        first.after_step(module, step, 4)
    second.state.load_state_dict(first.state.state_dict())
    for step, module in enumerate(moments[2:], start=3):
        first.after_step(module, step, 4)
        second.after_step(module, step, 4)
    assert all(torch.equal(value, second.state.state_dict()[name]) for name, value in first.state.state_dict().items())


def test_errors():
    with pytest.raises(ValueError, match=r"decay is 1.5; expected a value in \[0, 1\]"):
        EMA(network(0), 1.5)
    with pytest.raises(ValueError, match="start_step is 0 and every is 1; expected both >= 1"):
        SWA(network(0), 0, 1)
