"""EMA and SWA against loops in float64."""

import pytest
import torch
from torch import nn

from methods.parts.averaging import EMA, SWA, ema_update_, recalibrate_batch_norm_


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


@pytest.mark.parametrize(("start_step", "every", "steps"), [(3, 2, (3, 5, 7, 9)), (4, 3, (4, 7))])
def test_swa_against_the_loop(start_step, every, steps):
    moments = histories(9)
    hook = SWA(network(99), start_step, every)
    for step, module in enumerate(moments, start=1):
        hook.after_step(module, step, 9)
    taken = [moments[step - 1] for step in steps]
    assert hook.state.num_averaged == len(steps)
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


def test_recalibrated_statistics_are_the_mean_over_batches():
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, momentum=0.1), nn.Dropout(0.5), nn.Flatten()).eval()
    module[1].running_mean.fill_(9.0)
    batches = [torch.randn(5, 3, 6, 6) for _ in range(3)]
    weights = module[0].weight.clone()
    recalibrate_batch_norm_(module, iter(batches))
    inputs = [module[0](batch).double() for batch in batches]
    torch.testing.assert_close(
        module[1].running_mean.double(), slow_mean([part.mean(dim=(0, 2, 3)) for part in inputs]), rtol=1e-5, atol=1e-6
    )
    torch.testing.assert_close(
        module[1].running_var.double(), slow_mean([part.var(dim=(0, 2, 3)) for part in inputs]), rtol=1e-5, atol=1e-6
    )
    assert module[1].num_batches_tracked == 3
    assert module[1].momentum == 0.1
    assert not any(part.training for part in module.modules())
    assert torch.equal(module[0].weight, weights)


def test_recalibration_keeps_modes_and_needs_batches_only_for_batch_norms():
    module = network(0)[:2].train()
    module[0].eval()
    recalibrate_batch_norm_(module, [torch.randn(4, 3, 5, 5)])
    assert [part.training for part in module.modules()] == [True, False, True]
    recalibrate_batch_norm_(nn.Linear(2, 2), [])
    with pytest.raises(ValueError, match="no batches were given"):
        recalibrate_batch_norm_(module, [])


def blobs(rng, num):
    """Points around four centres."""
    labels = torch.randint(4, (num,), generator=rng)
    centres = torch.randn(4, 16, generator=torch.Generator().manual_seed(9))
    return centres[labels] + 0.4 * torch.randn(num, 16, generator=rng), labels


def accuracy(module, inputs, labels):
    with torch.no_grad():
        return (module.eval()(inputs).argmax(dim=1) == labels).float().mean().item()


def rescaled_(module, factor):
    """The same function with larger weights: what comes before a batch norm has no scale of its own."""
    with torch.no_grad():
        for layer, norm in zip(module[:-1:3], module[1:-1:3], strict=True):
            layer.weight *= factor
            layer.bias *= factor
            norm.running_mean *= factor
            norm.running_var *= factor**2


def test_averaged_weights_collapse_without_recalibration_and_work_with_it():
    """Four times the same function at other scales: the mean of the weights is that function again, but a mean of variances is no
    variance of means, and what is lost in each layer multiplies."""
    rng = torch.Generator().manual_seed(0)
    (inputs, labels), unseen = blobs(rng, 512), blobs(rng, 2000)
    torch.manual_seed(0)
    layers = [part for k in range(8) for part in (nn.Linear(32 if k else 16, 32), nn.BatchNorm1d(32), nn.ReLU())]
    module = nn.Sequential(*layers, nn.Linear(32, 4))
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1, momentum=0.9)
    for _ in range(60):
        index = torch.randint(len(labels), (64,), generator=rng)
        optimizer.zero_grad()
        nn.functional.cross_entropy(module.train()(inputs[index]), labels[index]).backward()
        optimizer.step()
    hook = SWA(module, start_step=1, every=1)
    for step, factor in enumerate((1.0, 10.0, 10.0, 10.0), start=1):
        rescaled_(module, factor)
        assert accuracy(module, *unseen) > 0.95
        hook.after_step(module, step, 4)
    averaged = hook.state.module
    assert accuracy(averaged, *unseen) < 0.5
    recalibrate_batch_norm_(averaged, inputs.split(64))
    assert accuracy(averaged, *unseen) > 0.95


def test_errors():
    with pytest.raises(ValueError, match=r"decay is 1.5; expected a value in \[0, 1\]"):
        EMA(network(0), 1.5)
    with pytest.raises(ValueError, match="start_step is 0 and every is 1; expected both >= 1"):
        SWA(network(0), 0, 1)
