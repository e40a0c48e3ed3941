"""Mean Teacher: weight-averaged consistency targets (A. Tarvainen and H. Valpola, NeurIPS 2017).

The student answers one view of each image, labelled or not, as the average of its own past weights answers another view. A baseline that a
user would pick today; no table of the five papers has it.

    python -m bench run --methods mean_teacher --preset paper

Differences from the paper:
- Exclusive types as in the paper: the mean square of the difference of the softmaxes. In the others, ours: of the sigmoids. Losses are
  means over types.
- The weight of the consistency rises as exp(-5 (1 - t)^2) over rampup of the steps, as in the paper's image experiments, to 100 with the
  square's mean over classes; the average's decay is rampup_ema_decay until then and ema_decay afterwards.
- Both views are weak ones (mirror, shift), as in the paper. The teacher is in eval mode, with averaged batch-norm statistics.
- The network is a ResNet-50 from ImageNet's weights, like the other methods here. Epochs count images of the pool, labelled ones included.
- What answers is the teacher of the epoch with the best F1@1 on validation, pooled over types."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from bench.protocol import Recipe, Run, Schema, TrainingData
from methods.losses.classification import attribute_loss
from methods.losses.divergence import binary_square_loss, square_loss
from methods.parts.augment import weak_augment
from methods.parts.averaging import EMA
from methods.parts.classifier import OneNetwork, TypeClassifier, check_least, class_counts, exclusive_types
from methods.parts.recipes import cosine
from methods.parts.seeds import seed_weights
from methods.parts.semi import Clock, SemiBatches, mean_over_types
from methods.parts.weights import backbone_of

_SELECTION = "f1@1"


def ramp_up(share: Tensor, length: float) -> Tensor:
    """exp(-5 (1 - t)^2) with t = share / length, at most 1: the weight after a share of the steps, that rises over length of them."""
    rest = 1.0 - (share / max(length, 1e-9)).clamp(0.0, 1.0)
    return torch.exp(-5.0 * rest.square())


class RampedEMA(EMA):
    """An average of weights with one decay over the first part of the steps, and another one afterwards."""

    def __init__(self, module: nn.Module, first_decay: float, last_decay: float, length: float) -> None:
        super().__init__(module, last_decay)
        self.first_decay, self.last_decay, self.length = first_decay, last_decay, length

    def after_step(self, module: nn.Module, step: int, num_steps: int) -> None:
        """Follows the module by one step."""
        self.decay = self.first_decay if step < self.length * num_steps else self.last_decay
        super().after_step(module, step, num_steps)


@dataclass(kw_only=True)
class MeanTeacher(OneNetwork):
    """ratio: images without a label for each labelled one of a batch. draws: of such images an epoch, 0 for each once. rampup: the share of
    all steps over which the consistency's weight rises to consistency_weight. flip, shift: of both views."""

    backbone: str = "resnet50"
    pretrained: bool = True
    weights_file: str = ""
    image_size: int = 224
    shrink: int = 1
    consistency_weight: float = 100.0
    rampup: float = 0.4
    ratio: int = 7
    rampup_ema_decay: float = 0.99  # α while the weight rises
    ema_decay: float = 0.999  # α afterwards
    batch_size: int = 64
    draws: int = 0
    epochs: int = 30
    optimizer: str = "sgd"
    learning_rate: float = 0.03
    weight_decay: float = 5e-4
    warmup_steps: int = 0
    validate_every_epochs: int = 1
    flip: float = 0.5
    shift: float = 0.125

    PRESETS = {  # noqa: RUF012
        "tiny": {
            "backbone": "test_resnet",
            "pretrained": False,
            "image_size": 64,
            "shrink": 2,
            "consistency_weight": 5.0,
            "ratio": 1,
            "rampup_ema_decay": 0.95,
            "ema_decay": 0.97,
            "batch_size": 32,
            "draws": 1472,
            "epochs": 8,
            "optimizer": "adamw",
            "learning_rate": 3e-3,
            "weight_decay": 0.05,
            "warmup_steps": 20,
            "validate_every_epochs": 4,
            "flip": 0.5,
            "shift": 0.0,
        },
        "contract": {"epochs": 4, "draws": 512, "validate_every_epochs": 2, "rampup_ema_decay": 0.9, "ema_decay": 0.9},
    }
    SCORES = "logits"

    def __post_init__(self) -> None:
        least = {"ratio": 1, "epochs": 1, "batch_size": 1, "shrink": 1, "validate_every_epochs": 1, "consistency_weight": 0}
        check_least(self, "mean_teacher", **least)
        for name in ("rampup", "rampup_ema_decay", "ema_decay"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"mean_teacher: {name} is {getattr(self, name)}; expected a value in [0, 1]")

    def network(self, schema: Schema, *, pretrained: bool = False) -> nn.Module:
        """The network before it is trained; pretrained: with the backbone's weights."""
        return TypeClassifier(backbone_of(self, pretrained=pretrained), class_counts(schema))

    def fit(self, data: TrainingData, teachers: Mapping[str, nn.Module], run: Run) -> None:
        """Trains on labelled images, and on all of them without their labels."""
        seed_weights(run.rng("weights"))
        network = self.network(data.schema, pretrained=self.pretrained)
        teacher, clock = RampedEMA(network, self.rampup_ema_decay, self.ema_decay, self.rampup), Clock()
        exclusive = exclusive_types(data.schema)
        run.train(
            "mean_teacher",
            network,
            lambda module, batch: self.batch_loss(module, teacher.state, batch, clock.share(), exclusive),
            SemiBatches(data.labeled, data.unlabeled, self.batch_size, self.ratio, self.draws),
            Recipe(**cosine(self)),
            hooks=[teacher, clock],
            validate=lambda: run.score(teacher.state, data.validation, _SELECTION),
            validate_every_epochs=self.validate_every_epochs,
        )
        self.model = teacher.state

    def batch_loss(
        self, student: nn.Module, teacher: nn.Module, batch: tuple[Any, Tensor], share: Tensor, exclusive: frozenset[str]
    ) -> Tensor:
        """Cross-entropy plus the ramped weight times the consistency, over all images of the batch. share: of the steps, done."""
        known, others = batch
        images = torch.cat([known.images, others])
        answers = student(weak_augment(images, flip=self.flip, shift=self.shift))
        with torch.no_grad():
            targets = teacher(weak_augment(images, flip=self.flip, shift=self.shift))
        sure = attribute_loss({name: values[: len(known.images)] for name, values in answers.items()}, known.labels, exclusive)
        weight = self.consistency_weight * ramp_up(share, self.rampup)
        return sure + weight * mean_over_types(exclusive, square_loss, binary_square_loss, answers, targets)
