"""LARS: layer-wise adaptive rates for large batches (You, Gitman & Ginsburg 2017)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn


class LARS(torch.optim.Optimizer):
    """Each parameter moves by a share of its own length: with a = trust * |p| / (|g| + weight_decay * |p| + eps), 1 where a length is 0,

        v = momentum * v + lr * a * (g + weight_decay * p),   p = p - v.

    A group with adapt=False has a = 1; that is for biases and norms, see param_groups. Raises ValueError for negative values."""

    def __init__(
        self,
        params: Iterable[Any],
        lr: float,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        *,
        trust: float = 0.001,
        eps: float = 1e-8,
        adapt: bool = True,
    ) -> None:
        values = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "trust": trust, "eps": eps}
        for name, value in values.items():
            if value < 0.0:
                raise ValueError(f"LARS: {name} is {value}; expected >= 0")
        super().__init__(params, {**values, "adapt": adapt})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step; parameters without a gradient stay."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            parameters = [parameter for parameter in group["params"] if parameter.grad is not None]
            if parameters:
                self._move(parameters, group)
        return loss

    def _move(self, parameters: list[Tensor], group: dict[str, Any]) -> None:
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        updates = list(torch._foreach_add(gradients, parameters, alpha=group["weight_decay"]))
        if group["adapt"]:
            torch._foreach_mul_(updates, _ratios(parameters, gradients, group))
        torch._foreach_mul_(updates, group["lr"])
        for parameter in parameters:
            if "momentum_buffer" not in self.state[parameter]:
                self.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
        buffers = [self.state[parameter]["momentum_buffer"] for parameter in parameters]
        torch._foreach_mul_(buffers, group["momentum"])
        torch._foreach_add_(buffers, updates)
        torch._foreach_sub_(parameters, buffers)


def _ratios(parameters: list[Tensor], gradients: list[Tensor], group: dict[str, Any]) -> list[Tensor]:
    lengths = torch.stack(torch._foreach_norm(parameters))
    slopes = torch.stack(torch._foreach_norm(gradients))
    ratios = group["trust"] * lengths / (slopes + group["weight_decay"] * lengths + group["eps"])
    return list(torch.where((lengths > 0) & (slopes > 0), ratios, 1.0).unbind())


def param_groups(module: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """The trainable parameters in two groups: those of one dimension, biases and norms, without decay or adaptation, and the others."""
    trainable = [parameter for parameter in module.parameters() if parameter.requires_grad]
    groups: list[dict[str, Any]] = [
        {"params": [parameter for parameter in trainable if parameter.ndim > 1], "weight_decay": weight_decay, "adapt": True},
        {"params": [parameter for parameter in trainable if parameter.ndim <= 1], "weight_decay": 0.0, "adapt": False},
    ]
    return [group for group in groups if group["params"]]
