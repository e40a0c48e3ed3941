"""Moving averages of a ResNet-50's weights against torch's AveragedModel as it comes, and against the memory itself.

The bound is what reading two lists of weights and writing one takes at the rate of a plain copy of as many bytes: half as much again
as copying the weights once, which reads one and writes one. No update can be faster than this."""

import time

import pytest
import torch
from torch.optim.swa_utils import AveragedModel

from methods.parts.averaging import EMA, SWA

pytestmark = [pytest.mark.benchmark(timer=time.process_time), pytest.mark.usefixtures("one_core")]


@pytest.fixture(scope="module")
def network():
    import timm

    return timm.create_model("resnet50")


@pytest.fixture(scope="module")
def theirs(network):
    found = AveragedModel(network)
    found.update_parameters(network)  # the first call only copies
    return found


def test_swa_against_averaged_model(ratio, network, theirs):
    ours = SWA(network, 1, 1)
    ours.after_step(network, 1, 10)
    with torch.no_grad():
        first = {name: value.clone() for name, value in network.named_parameters()}
        for value in network.parameters():
            value += 1.0
    for hook in (lambda: ours.after_step(network, 2, 10), lambda: theirs.update_parameters(network)):
        hook()
    for name, value in ours.state.module.named_parameters():
        torch.testing.assert_close(value, first[name] + 0.5)
        torch.testing.assert_close(value, theirs.module.get_parameter(name))
    ratio("averaging/swa", lambda: ours.after_step(network, 3, 10), lambda: theirs.update_parameters(network), rounds=9)


def test_ema_against_averaged_model(ratio, network, theirs):
    ours = EMA(network, 0.999)
    ratio("averaging/ema", lambda: ours.after_step(network, 1, 10), lambda: theirs.update_parameters(network), rounds=9)


def test_ema_against_the_memory(ratio, network):
    ours = EMA(network, 0.999)
    source = torch.cat([tensor.detach().flatten() for tensor in (*network.parameters(), *network.buffers())])
    target = torch.empty_like(source)
    ratio("averaging/memory", lambda: ours.after_step(network, 1, 10), lambda: target.copy_(source), rounds=15, times=1.5)
