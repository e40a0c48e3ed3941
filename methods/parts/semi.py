"""What semi-supervised methods share: batches of labelled images beside any images, answers to learn from, and pseudo-labels of a pool."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from methods.parts.batches import ImageBatches, epoch_order, steps_of

_BATCH = 256


class SemiBatches:
    """Labelled images with their labels, and as many times ratio images with or without labels, whose labels are not looked at.

    An epoch goes through draws images of the second kind (0: each once). They are the labelled and the unlabelled ones together, as in
    FixMatch (Sohn et al. 2020), so that there is something to learn from where no image is unlabelled."""

    def __init__(self, labeled: Any, unlabeled: Any, batch_size: int, ratio: int, draws: int = 0) -> None:
        self.labeled, self.batch_size, self.num_others = labeled, batch_size, ratio * batch_size
        self.pool = ImageBatches([examples for examples in (labeled, unlabeled) if len(examples)], self.num_others)
        self.draws = draws or len(self.pool)

    def epoch(self, rng: np.random.Generator) -> list[tuple[np.ndarray, np.ndarray]]:
        """One (labelled, others) pair of index arrays a step."""
        steps = steps_of(epoch_order(rng, len(self.pool), self.draws), self.num_others)
        known = epoch_order(rng, len(self.labeled), len(steps) * self.batch_size).reshape(len(steps), self.batch_size)
        return list(zip(known, steps, strict=True))

    def load(self, step: tuple[np.ndarray, np.ndarray]) -> tuple[Any, Tensor]:
        """The Batch of labelled images, and uint8 (B, 3, H, W) of the others."""
        known, others = step
        return self.labeled.batch(known), self.pool.images(others)


class Clock:
    """A hook that knows how far a phase has come. share(): the steps done as a share of all, in [0, 1], on the phase's device."""

    def __init__(self) -> None:
        self.state: nn.Module = nn.Module()
        self.state.register_buffer("share", torch.zeros(()))

    def share(self) -> Tensor:
        """A scalar; 0 while the first step is on its way."""
        found = self.state.share
        assert isinstance(found, Tensor)
        return found

    def after_step(self, module: nn.Module, step: int, num_steps: int) -> None:
        """Moves on."""
        self.share().fill_(step / num_steps)


def mean_over_types(
    exclusive: frozenset[str],
    one: Callable[[Tensor, Tensor], Tensor],
    any_number: Callable[[Tensor, Tensor], Tensor],
    first: Mapping[str, Tensor],
    second: Mapping[str, Tensor],
) -> Tensor:
    """The mean over types of a loss of two views' logits: `one` where one class holds, `any_number` elsewhere."""
    terms = [(one if name in exclusive else any_number)(values, second[name]) for name, values in first.items()]
    return torch.stack(terms).mean()


@torch.no_grad()
def weak_answers(module: nn.Module, images: Tensor) -> dict[str, Tensor]:
    """What a network in training says of weak views, without gradients, before it learns from them in a second pass.

    Under autocast torch keeps the weights that it has cast, older versions also those cast here, which have no gradient: the second pass
    would take them, and nothing would reach the parameters (pytorch issues 65766 and 112583). So they are forgotten."""
    found: dict[str, Tensor] = module(images)
    torch.clear_autocast_cache()
    return found


@torch.no_grad()
def pseudo_classes(predict: Callable[[Tensor], Mapping[str, Tensor]], pool: Any, names: Any, threshold: float, device: Any) -> Any:
    """type -> int64 (N,), the likeliest class of each image of the pool, -1 where its probability does not reach the threshold.

    predict: uint8 images -> type -> logits. names: exclusive types."""
    images = ImageBatches([pool], _BATCH)
    index = np.arange(len(images))
    found: dict[str, list[Tensor]] = {name: [] for name in names}
    for start in range(0, len(index), _BATCH):
        logits = predict(images.images(index[start : start + _BATCH]).to(device))
        for name, parts in found.items():
            chance, classes = logits[name].float().softmax(dim=1).max(dim=1)
            parts.append(torch.where(chance >= threshold, classes, -1).cpu())
    return {name: torch.cat(parts).numpy() for name, parts in found.items()}
