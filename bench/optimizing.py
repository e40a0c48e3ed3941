"""What a recipe asks for: its optimiser, the learning rate of each step, and the precision of a forward pass."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

from bench import registry
from bench.protocol import Recipe


def learning_rate_factor(recipe: Recipe, step: int, epoch_steps: int, num_steps: int) -> float:
    """What the peak learning rate is multiplied with at a step, counted from 1.

    Warm-up: step / warmup_steps. step: decay_factor ^ (epochs done // decay_every_epochs). exponential: decay_factor ^ epochs done.
    cosine: from 1 right after the warm-up to final_learning_rate / learning_rate past the last step. cyclic: falls linearly from
    almost 1 to that over each cycle_steps (Izmailov et al. 2018, Eq. 1)."""
    warmup = min(1.0, step / recipe.warmup_steps) if recipe.warmup_steps else 1.0
    if recipe.schedule == "constant":
        return warmup
    if recipe.schedule == "step":
        return float(warmup * recipe.decay_factor ** ((step - 1) // epoch_steps // recipe.decay_every_epochs))
    if recipe.schedule == "exponential":
        return float(warmup * recipe.decay_factor ** ((step - 1) // epoch_steps))
    if recipe.schedule == "cyclic":
        if recipe.cycle_steps < 1:
            raise ValueError(f"schedule 'cyclic' with cycle_steps {recipe.cycle_steps}; expected at least 1")
        along = ((step - 1) % recipe.cycle_steps + 1) / recipe.cycle_steps  # the lowest rate is that of a cycle's last step
        final = recipe.final_learning_rate / recipe.learning_rate
        return warmup * (1 - along * (1 - final))
    if recipe.schedule == "cosine":
        progress = max(0, step - 1 - recipe.warmup_steps) / max(1, num_steps - recipe.warmup_steps)
        final = recipe.final_learning_rate / recipe.learning_rate
        return warmup * (final + (1 - final) * 0.5 * (1 + math.cos(math.pi * progress)))
    raise ValueError(f"schedule is {recipe.schedule!r}; expected 'constant', 'cosine', 'step', 'exponential' or 'cyclic'")


def make_optimizer(module: nn.Module, recipe: Recipe, *, fused: bool = True) -> torch.optim.Optimizer:
    """The optimiser of a recipe over the module's trainable parameters, or over recipe.param_groups(module), whose "lr" is a peak too.

    fused: a third of foreach's time; False with a gradient scaler, since torch's fused SGD starts from a momentum that was never set
    where the first steps were left out (2.13)."""
    groups = recipe.param_groups(module) if recipe.param_groups is not None else _default_groups(module, recipe)
    common: dict[str, Any] = {"lr": recipe.learning_rate, "weight_decay": recipe.weight_decay, "fused": fused}
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(groups, momentum=recipe.momentum, **common)
    if recipe.optimizer == "adam":
        return torch.optim.Adam(groups, betas=recipe.betas, **common)
    if recipe.optimizer == "adamw":
        return torch.optim.AdamW(groups, betas=recipe.betas, **common)
    if recipe.optimizer == "lars":
        lars = registry.load_part("methods.parts.lars")
        if recipe.param_groups is None:
            groups = lars.param_groups(module, recipe.weight_decay)
        optimizer: torch.optim.Optimizer = lars.LARS(groups, lr=recipe.learning_rate, momentum=recipe.momentum)
        return optimizer
    raise ValueError(f"optimizer is {recipe.optimizer!r}; expected 'sgd', 'adam', 'adamw' or 'lars'")


def _default_groups(module: nn.Module, recipe: Recipe) -> list[dict[str, Any]]:
    parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
    if recipe.optimizer != "adamw":
        return [{"params": parameters}]
    decayed = [parameter for parameter in parameters if parameter.ndim > 1]
    others = [parameter for parameter in parameters if parameter.ndim <= 1]
    groups: list[dict[str, Any]] = [{"params": decayed}, {"params": others, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]


def autocast_type(precision: str, device: torch.device) -> torch.dtype | None:
    """What a forward pass is cast to, None for nothing. "auto": float32 on the CPU; on CUDA bfloat16, or float16 where the device has no
    units for bfloat16 (before Ampere). float16 needs its loss scaled, bfloat16 does not. Raises ValueError for another precision."""
    kinds = {"float32": None, "bfloat16": torch.bfloat16, "float16": torch.float16}
    if precision == "auto":
        if device.type != "cuda":
            return None
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    if precision not in kinds:
        raise ValueError(f"precision is {precision!r}; expected 'auto', {', '.join(map(repr, kinds))}")
    return kinds[precision]
