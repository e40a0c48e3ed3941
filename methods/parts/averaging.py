"""Averages of a network's weights over training: exponential moving average and stochastic weight averaging.

Both are hooks of the training loop. Their updates run over lists of tensors at once, which for a ResNet-50 is a small multiple of the
time that reading and writing the weights takes."""

from __future__ import annotations

import copy
from collections.abc import Iterable

import torch
from torch import Tensor, nn


def ema_update_(average: nn.Module, module: nn.Module, decay: float) -> None:
    """average = decay * average + (1 - decay) * module over all parameters and buffers; integer buffers are copied.
    Both modules have the same layout; decay is in [0, 1]."""
    _lerp_(average, module, 1.0 - decay)


class EMA:
    """An exponential moving average that follows a module, its buffers (batch-norm statistics) included.

    decay in [0, 1], constant. state is the averaged network, in eval mode and without gradients."""

    def __init__(self, module: nn.Module, decay: float) -> None:
        if not 0.0 <= decay <= 1.0:
            raise ValueError(f"EMA: decay is {decay}; expected a value in [0, 1]")
        self.decay = decay
        self.state: nn.Module = _frozen_copy(module)

    def after_step(self, module: nn.Module, step: int, num_steps: int) -> None:
        """Follows the module by one step."""
        ema_update_(self.state, module, self.decay)


@torch.no_grad()
def recalibrate_batch_norm_(module: nn.Module, batches: Iterable[Tensor]) -> None:
    """Replaces the statistics of all batch norms by the plain mean over batches of inputs, in one pass through the module.

    Averaged weights produce other activations than those that the averaged statistics describe; without this pass a network with batch
    norm may collapse (Izmailov et al. 2018, Sec. 3.1). Momenta and modes are left as they were; only batch norms are in training mode
    meanwhile, so that dropout stays off. Raises ValueError where there are batch norms and no batches."""
    norms = [part for part in module.modules() if isinstance(part, nn.modules.batchnorm._BatchNorm) and part.track_running_stats]
    if not norms:
        return
    modes, momenta = {part: part.training for part in module.modules()}, [norm.momentum for norm in norms]
    module.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # cumulative: each batch counts the same
        norm.train()
    num_batches = 0
    for inputs in batches:
        module(inputs)
        num_batches += 1
    for part, mode in modes.items():
        part.training = mode
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    if not num_batches:
        raise ValueError("recalibrate_batch_norm_: no batches were given, and the statistics are lost")


class AveragedWeights(nn.Module):
    """A network that holds the mean of num_averaged sets of weights."""

    num_averaged: Tensor

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = _frozen_copy(module)
        self.register_buffer("num_averaged", torch.zeros((), dtype=torch.int64))


class SWA:
    """The mean of the weights after start_step, start_step + every, ... (Izmailov et al. 2018); the first one is copied.

    start_step and every are >= 1. state.module is the averaged network; its batch-norm statistics are averaged as well and are best
    computed anew from training images by recalibrate_batch_norm_."""

    def __init__(self, module: nn.Module, start_step: int, every: int) -> None:
        if start_step < 1 or every < 1:
            raise ValueError(f"SWA: start_step is {start_step} and every is {every}; expected both >= 1")
        self.start_step, self.every = start_step, every
        self.state: nn.Module = AveragedWeights(module)

    def after_step(self, module: nn.Module, step: int, num_steps: int) -> None:
        """Takes the weights into the mean where the step is one of those that count."""
        if step < self.start_step or (step - self.start_step) % self.every:
            return
        assert isinstance(self.state, AveragedWeights)
        self.state.num_averaged += 1
        _lerp_(self.state.module, module, 1.0 / int(self.state.num_averaged))


@torch.no_grad()
def _lerp_(average: nn.Module, module: nn.Module, weight: float) -> None:
    targets, sources = _tensors(average), _tensors(module)
    floating = [index for index, target in enumerate(targets) if target.is_floating_point()]
    torch._foreach_lerp_([targets[index] for index in floating], [sources[index] for index in floating], weight)
    for target, source in zip(targets, sources, strict=True):
        if not target.is_floating_point():
            target.copy_(source)


def _tensors(module: nn.Module) -> list[Tensor]:
    return [tensor.detach() for tensor in (*module.parameters(), *module.buffers())]


def _frozen_copy(module: nn.Module) -> nn.Module:
    return copy.deepcopy(module).requires_grad_(False).eval()
