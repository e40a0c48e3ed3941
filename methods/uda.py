"""UDA: Unsupervised Data Augmentation for Consistency Training (Q. Xie et al., NeurIPS 2020).

A strong view of an image is to be answered as the weak view is, whose answer is sharpened first and counts only where it was sure enough
before. A baseline that a user would pick today, and half of the Naver report; no table of the five papers has it.

    python -m bench run --methods uda --preset paper

Differences from the paper:
- Exclusive types as in the paper: KL(stopgrad softmax(z_weak / T) || softmax(z_strong)), masked by the largest probability before it is
  sharpened, mean over all images. In the others, ours: each class is a choice between yes and no with a divergence and a mask of its own,
  at 0.5 + threshold / 2. Losses are means over types.
- Strong views are SimCLR's (crop, colour, grey, blur) with Cutout, in place of RandAugment with Cutout.
- Weak views of images without a label pass the network first and alone, without gradients, in training mode.
- Training signal annealing, which releases labels slowly, is left out, as are filters by domain: the pool is what the data set has.
- The network is a ResNet-50 from ImageNet's weights, like the other methods here. Epochs count images of the pool, labelled ones included.
- Of the epochs the one with the best F1@1 on validation, pooled over types, is kept (preset tiny validates the last one alone); its weights
  are not averaged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from bench.protocol import Recipe, Run, Schema, TrainingData
from methods.losses.classification import attribute_loss
from methods.losses.divergence import binary_divergence_loss, divergence_loss
from methods.parts.augment import weak_augment
from methods.parts.augment_strong import strong_augment
from methods.parts.classifier import OneNetwork, TypeClassifier, check_least, class_counts, exclusive_types
from methods.parts.cutout import cutout
from methods.parts.recipes import cosine
from methods.parts.seeds import seed_weights
from methods.parts.semi import SemiBatches, mean_over_types, pseudo_classes, weak_answers
from methods.parts.weights import backbone_of

_SELECTION = "f1@1"


@dataclass(kw_only=True)
class UDA(OneNetwork):
    """ratio: images without a label for each labelled one of a batch. draws: of such images an epoch, 0 for each once. flip, shift: of
    weak views. least_scale, jitter, gray, blur, cutout: of strong views."""

    backbone: str = "resnet50"
    pretrained: bool = True
    weights_file: str = ""
    image_size: int = 224
    shrink: int = 1
    threshold: float = 0.8  # β
    unlabeled_weight: float = 1.0  # λ
    ratio: int = 7
    temperature: float = 0.4  # τ
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
            "threshold": 0.5,
            "ratio": 1,
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
        "contract": {"epochs": 4, "draws": 512, "validate_every_epochs": 2},
    }
    SCORES = "logits"

    def __post_init__(self) -> None:
        least = {"ratio": 1, "epochs": 1, "batch_size": 1, "shrink": 1, "validate_every_epochs": 1, "unlabeled_weight": 0}
        check_least(self, "uda", **least)
        if not 0.0 <= self.threshold < 1.0 or self.temperature <= 0.0:
            raise ValueError(f"uda: threshold is {self.threshold} and temperature {self.temperature}; expected [0, 1) and > 0")

    def network(self, schema: Schema, *, pretrained: bool = False) -> nn.Module:
        """The network before it is trained; pretrained: with the backbone's weights."""
        return TypeClassifier(backbone_of(self, pretrained=pretrained), class_counts(schema))

    def fit(self, data: TrainingData, teachers: Mapping[str, nn.Module], run: Run) -> None:
        """Trains on labelled images, and on all of them without their labels."""
        seed_weights(run.rng("weights"))
        self.model = self.network(data.schema, pretrained=self.pretrained)
        exclusive = exclusive_types(data.schema)
        run.train(
            "uda",
            self.model,
            lambda module, batch: self.batch_loss(module, batch, exclusive),
            SemiBatches(data.labeled, data.unlabeled, self.batch_size, self.ratio, self.draws),
            Recipe(**cosine(self)),
            validate=lambda: run.score(self.predict, data.validation, _SELECTION),
            validate_every_epochs=self.validate_every_epochs,
        )
        if len(data.unlabeled) and exclusive:
            run.audit("pseudo", pseudo_classes(self.model, data.unlabeled, exclusive, self.threshold, run.device))

    def batch_loss(self, module: nn.Module, batch: tuple[Any, Tensor], exclusive: frozenset[str]) -> Tensor:
        """Eq. (1): cross-entropy plus unlabeled_weight times the divergence."""
        known, others = batch
        views = strong_augment(others, scale=(self.least_scale, 1.0), jitter=self.jitter, gray=self.gray, blur=self.blur, flip=self.flip)
        weak = weak_answers(module, weak_augment(others, flip=self.flip, shift=self.shift))
        images = weak_augment(known.images, flip=self.flip, shift=self.shift)
        logits = module(torch.cat([images.to(views.dtype), cutout(views, self.cutout)]))
        parts = {name: values.split([len(images), len(views)]) for name, values in logits.items()}
        unsure = mean_over_types(
            exclusive,
            partial(divergence_loss, threshold=self.threshold, temperature=self.temperature),
            partial(binary_divergence_loss, threshold=0.5 + self.threshold / 2, temperature=self.temperature),
            weak,
            {name: strong for name, (_, strong) in parts.items()},
        )
        sure = attribute_loss({name: first for name, (first, _) in parts.items()}, known.labels, exclusive)
        return sure + self.unlabeled_weight * unsure
