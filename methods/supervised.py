"""One network with a linear head for each attribute type, trained on the labels alone: what a semi-supervised method has to beat.

Cross-entropy on exclusive types and sigmoid cross-entropy on the others, each over known labels only and averaged over types; images are
mirrored and shifted, but not at preset tiny. Of the epochs, the one with the best F1@1 on validation, pooled over types, is kept. No table
of a paper is reproduced; MTSS compares itself with such a network in Tables 2 and 3."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from bench.protocol import Batch, Recipe, Run, Schema, TrainingData
from methods.losses.classification import attribute_loss
from methods.parts.augment import weak_augment
from methods.parts.batches import LabeledBatches
from methods.parts.classifier import OneNetwork, TypeClassifier, check_choice, check_least, class_counts, exclusive_types
from methods.parts.recipes import cosine
from methods.parts.seeds import seed_weights
from methods.parts.weights import backbone_of

_SELECTION = "f1@1"


@dataclass(kw_only=True)
class Supervised(OneNetwork):
    """loss: "auto", or "bce" for sigmoid cross-entropy on exclusive types too. images_per_epoch: 0 for each labelled image once; a
    larger number repeats them, so that every label fraction trains for as many steps."""

    backbone: str = "resnet50"
    pretrained: bool = True
    weights_file: str = ""
    image_size: int = 224
    shrink: int = 1
    loss: str = "auto"
    augment: bool = True
    epochs: int = 30
    images_per_epoch: int = 0
    batch_size: int = 64
    optimizer: str = "adamw"
    learning_rate: float = 3e-4
    weight_decay: float = 0.05
    warmup_steps: int = 100
    validate_every_epochs: int = 1

    PRESETS = {  # noqa: RUF012
        "tiny": {
            "backbone": "test_resnet",
            "pretrained": False,
            "image_size": 64,
            "shrink": 2,
            "augment": False,
            "batch_size": 32,
            "epochs": 10,
            "images_per_epoch": 2048,
            "learning_rate": 2e-3,
            "warmup_steps": 20,
            "validate_every_epochs": 2,
        },
        "contract": {"epochs": 4, "images_per_epoch": 512, "batch_size": 32},
    }
    SCORES = "logits"

    def __post_init__(self) -> None:
        check_choice("supervised", "loss", self.loss, ("auto", "bce"))
        check_least(self, "supervised", epochs=1, batch_size=1, image_size=1, shrink=1, validate_every_epochs=1)

    def network(self, schema: Schema, *, pretrained: bool = False) -> nn.Module:
        """The network before it is trained; pretrained: with the backbone's weights."""
        return TypeClassifier(backbone_of(self, pretrained=pretrained), class_counts(schema))

    def fit(self, data: TrainingData, teachers: Mapping[str, nn.Module], run: Run) -> None:
        """Trains on the labelled images; the unlabelled ones are not used."""
        seed_weights(run.rng("weights"))
        self.model = self.network(data.schema, pretrained=self.pretrained)
        exclusive = exclusive_types(data.schema) if self.loss == "auto" else frozenset()

        def loss(module: nn.Module, batch: Batch) -> Tensor:
            images = weak_augment(batch.images) if self.augment else batch.images
            return attribute_loss(module(images), batch.labels, exclusive)

        run.train(
            "supervised",
            self.model,
            loss,
            LabeledBatches(data.labeled, self.batch_size, self.images_per_epoch),
            Recipe(**cosine(self)),
            validate=lambda: run.score(self.predict, data.validation, _SELECTION),
            validate_every_epochs=self.validate_every_epochs,
        )
