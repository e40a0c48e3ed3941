"""FixMatch: Simplifying Semi-Supervised Learning with Consistency and Confidence (K. Sohn et al., NeurIPS 2020).

The class that the network is sure of on a weakly augmented image without a label is the label of a strongly augmented view of it. A
baseline that a user would pick today; no table of the five papers has it.

    python -m bench run --methods fixmatch --preset paper

Differences from the paper:
- Exclusive types as in the paper. In the others, ours: each class is a choice between yes and no whose likelier side is the label where
  its probability reaches 0.5 + threshold / 2, since half is trivial there. Losses are means over types, each type sure or not by itself.
- Labels are hard, as Eq. (4) has them; hard=False sharpens the weak answer by temperature instead, which the paper mentions.
- Strong views are SimCLR's (crop, colour, grey, blur) with Cutout, in place of RandAugment or CTAugment with Cutout.
- Weak views of images without a label pass the network first and alone, without gradients, in training mode: batch norms see them as a
  batch of their own, where the paper's one pass mixes all three parts.
- The network is a ResNet-50 from ImageNet's weights, like the other methods here; the paper trains WRN-28-2 anew for 2^20 steps. Epochs
  count images of the pool, labelled ones included as in the paper's footnote. Momentum is not Nesterov's.
- The rate is to fall as cos(7 pi k / 16 K) over K steps. Ours falls to the same end, .195 of the start, by half a turn of a cosine, the
  training loop's: it is lower on the way, .60 where the paper has .77 halfway.
- What answers is the average of the weights (EMA, .999) of the epoch with the best F1@1 on validation, pooled over types; preset tiny
  validates the last epoch alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from bench.protocol import Recipe, Run, Schema, TrainingData
from methods.losses.classification import attribute_loss
from methods.losses.pseudo_label import binary_pseudo_label_loss, pseudo_label_loss
from methods.parts.augment import weak_augment
from methods.parts.augment_strong import strong_augment
from methods.parts.averaging import EMA
from methods.parts.classifier import OneNetwork, TypeClassifier, check_least, class_counts, exclusive_types
from methods.parts.cutout import cutout
from methods.parts.recipes import cosine
from methods.parts.seeds import seed_weights
from methods.parts.semi import SemiBatches, mean_over_types, pseudo_classes, weak_answers
from methods.parts.weights import backbone_of

_SELECTION = "f1@1"
_LAST_RATE = 0.195  # cos(7 pi / 16), as a part of the first


@dataclass(kw_only=True)
class FixMatch(OneNetwork):
    """ratio: images without a label for each labelled one of a batch. draws: of such images an epoch, 0 for each once. flip, shift: of
    weak views. least_scale, jitter, gray, blur, cutout: of strong views. temperature: matters with hard=False alone."""

    backbone: str = "resnet50"
    pretrained: bool = True
    weights_file: str = ""
    image_size: int = 224
    shrink: int = 1
    threshold: float = 0.95  # τ
    unlabeled_weight: float = 1.0  # λ_u
    ratio: int = 7  # μ
    hard: bool = True
    temperature: float = 0.5  # T
    ema_decay: float = 0.999
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
    least_scale: float = 0.5
    jitter: float = 0.5
    gray: float = 0.2
    blur: float = 0.5
    cutout: float = 0.5

    PRESETS = {  # noqa: RUF012
        "tiny": {
            "backbone": "test_resnet",
            "pretrained": False,
            "image_size": 64,
            "shrink": 2,
            "threshold": 0.8,
            "ratio": 1,
            "ema_decay": 0.97,
            "batch_size": 32,
            "draws": 1792,
            "epochs": 7,
            "optimizer": "adamw",
            "learning_rate": 3e-3,
            "weight_decay": 0.05,
            "warmup_steps": 20,
            "validate_every_epochs": 7,
            "flip": 0.0,
            "shift": 0.0,
            "least_scale": 0.7,
            "jitter": 0.2,
            "gray": 0.0,
            "blur": 0.0,
            "cutout": 0.25,
        },
        "contract": {"epochs": 4, "draws": 512, "validate_every_epochs": 2, "ema_decay": 0.9},
    }
    SCORES = "logits"

    def __post_init__(self) -> None:
        least = {"ratio": 1, "epochs": 1, "batch_size": 1, "shrink": 1, "validate_every_epochs": 1, "unlabeled_weight": 0}
        check_least(self, "fixmatch", **least)
        if not 0.0 <= self.threshold <= 1.0 or self.temperature <= 0.0:
            raise ValueError(f"fixmatch: threshold is {self.threshold} and temperature {self.temperature}; expected [0, 1] and > 0")

    def network(self, schema: Schema, *, pretrained: bool = False) -> nn.Module:
        """The network before it is trained; pretrained: with the backbone's weights."""
        return TypeClassifier(backbone_of(self, pretrained=pretrained), class_counts(schema))

    def fit(self, data: TrainingData, teachers: Mapping[str, nn.Module], run: Run) -> None:
        """Trains on labelled images, and on all of them without their labels."""
        seed_weights(run.rng("weights"))
        network = self.network(data.schema, pretrained=self.pretrained)
        average = EMA(network, self.ema_decay)
        exclusive = exclusive_types(data.schema)
        run.train(
            "fixmatch",
            network,
            lambda module, batch: self.batch_loss(module, batch, exclusive),
            SemiBatches(data.labeled, data.unlabeled, self.batch_size, self.ratio, self.draws),
            Recipe(**cosine(self), final_learning_rate=_LAST_RATE * self.learning_rate),
            hooks=[average],
            validate=lambda: run.score(average.state, data.validation, _SELECTION),
            validate_every_epochs=self.validate_every_epochs,
        )
        self.model = average.state
        if len(data.unlabeled) and exclusive:
            run.audit("pseudo", pseudo_classes(self.model, data.unlabeled, exclusive, self.threshold, run.device))

    def batch_loss(self, module: nn.Module, batch: tuple[Any, Tensor], exclusive: frozenset[str]) -> Tensor:
        """Eq. (3) plus unlabeled_weight times Eq. (4)."""
        known, others = batch
        views = strong_augment(others, scale=(self.least_scale, 1.0), jitter=self.jitter, gray=self.gray, blur=self.blur, flip=self.flip)
        weak = weak_answers(module, weak_augment(others, flip=self.flip, shift=self.shift))
        images = weak_augment(known.images, flip=self.flip, shift=self.shift)
        logits = module(torch.cat([images.to(views.dtype), cutout(views, self.cutout)]))
        parts = {name: values.split([len(images), len(views)]) for name, values in logits.items()}
        temperature = None if self.hard else self.temperature
        unsure = mean_over_types(
            exclusive,
            partial(pseudo_label_loss, threshold=self.threshold, temperature=temperature),
            partial(binary_pseudo_label_loss, threshold=0.5 + self.threshold / 2, temperature=temperature),
            weak,
            {name: strong for name, (_, strong) in parts.items()},
        )
        sure = attribute_loss({name: first for name, (first, _) in parts.items()}, known.labels, exclusive)
        return sure + self.unlabeled_weight * unsure
