"""One network with a linear head for each attribute type, trained on the labels alone: what a semi-supervised method has to beat.

Cross-entropy on exclusive types and sigmoid cross-entropy on the others, each over known labels only and averaged over types; images are
mirrored and shifted. Of the epochs, the one with the best F1@1 on validation, pooled over types, is kept. No table of a paper is
reproduced; MTSS compares itself with such a network in Tables 2 and 3."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from bench.protocol import Batch, Recipe, Run, Schema, TrainingData
from methods.losses.classification import attribute_loss
from methods.parts.augment import weak_augment
from methods.parts.backbone import Backbone
from methods.parts.batches import LabeledBatches
from methods.parts.heads import TypeHeads
from methods.parts.seeds import seed_weights

_SELECTION = "f1@1"


class Classifier(nn.Module):
    """A backbone and one linear head a type: uint8 (B, 3, H, W) -> type -> logits (B, C)."""

    def __init__(self, backbone: Backbone, schema: Schema) -> None:
        super().__init__()
        self.backbone = backbone
        self.heads = TypeHeads(backbone.num_features, {attribute_type.name: len(attribute_type.classes) for attribute_type in schema})

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        logits: dict[str, Tensor] = self.heads(self.backbone(images))
        return logits


@dataclass(kw_only=True)
class Supervised:
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
        if self.loss not in ("auto", "bce"):
            raise ValueError(f"supervised: loss is {self.loss!r}; expected 'auto' or 'bce'")
        for name in ("epochs", "batch_size", "image_size", "shrink", "validate_every_epochs"):
            if getattr(self, name) < 1:
                raise ValueError(f"supervised: {name} is {getattr(self, name)}; expected >= 1")

    def teachers(self, schema: Schema) -> tuple[str, ...]:
        """There are none."""
        return ()

    def build(self, schema: Schema, teacher: str | None = None) -> nn.Module:
        """The network with random weights."""
        return Classifier(self._backbone(), schema)

    def fit_teacher(self, teacher: str, data: TrainingData, run: Run) -> nn.Module:
        """Raises ValueError: there are no teachers."""
        raise ValueError(f"supervised has no teacher {teacher!r}; it has none at all")

    def fit(self, data: TrainingData, teachers: Mapping[str, nn.Module], run: Run) -> None:
        """Trains on the labelled images; the unlabelled ones are not used."""
        seed_weights(run.rng("weights"))
        self.model = Classifier(self._backbone(pretrained=self.pretrained), data.schema)
        exclusive = frozenset(kind.name for kind in data.schema if kind.exclusive) if self.loss == "auto" else frozenset()

        def loss(module: nn.Module, batch: Batch) -> Tensor:
            images = weak_augment(batch.images) if self.augment else batch.images
            return attribute_loss(module(images), batch.labels, exclusive)

        run.train(
            "supervised",
            self.model,
            loss,
            LabeledBatches(data.labeled, self.batch_size, self.images_per_epoch),
            self._recipe(),
            validate=lambda: run.score(self.predict, data.validation, _SELECTION),
            validate_every_epochs=self.validate_every_epochs,
        )

    def predict(self, images: Tensor) -> dict[str, Tensor]:
        """Logits."""
        return {name: logits.float() for name, logits in self.model(images).items()}

    def _backbone(self, pretrained: bool = False) -> Backbone:
        weights_file = self.weights_file if pretrained else ""
        options = {"image_size": self.image_size, "shrink": self.shrink}
        return Backbone(self.backbone, pretrained=pretrained, weights_file=weights_file, **options)

    def _recipe(self) -> Recipe:
        return Recipe(
            epochs=self.epochs,
            learning_rate=self.learning_rate,
            optimizer=self.optimizer,  # type: ignore[arg-type]
            momentum=0.9 if self.optimizer == "sgd" else 0.0,
            weight_decay=self.weight_decay,
            schedule="cosine",
            warmup_steps=self.warmup_steps,
        )
