"""DARN-style: one network with a branch of two layers for each attribute type (after J. Huang et al., ICCV 2015), labels only.

The tree of the dual attribute-aware ranking network's attribute half: shared convolutions, then for each type two fully connected layers
and a softmax, trained where the type is known. MTSS Table 1 prints DARN's figures from Liu et al. (2016); this is a runnable relative of
it, not that system: `python -m bench run --methods darn_style --datasets deepfashion --preset paper`.

Differences from the source:
- Attributes alone: the ranking half, its second network for street photos and its triplets are left out, hence "style" in the name.
- The backbone is a ResNet-50 from ImageNet's weights, where the source has a network in network. A branch is hidden units, ReLU and a
  linear layer; their number, optimiser, rate and length are ours.
- Exclusive types get a masked softmax cross-entropy, the others, ours, a masked sigmoid one; the loss is the mean over types.
- Images are mirrored and shifted, but not at preset tiny. Of the epochs the one with the best F1@1 on validation, pooled over types, is
  kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from bench.protocol import Batch, Recipe, Run, Schema, TrainingData
from methods.losses.classification import attribute_loss
from methods.parts.augment import weak_augment
from methods.parts.batches import LabeledBatches
from methods.parts.classifier import OneNetwork, check_least, class_counts, exclusive_types
from methods.parts.recipes import cosine
from methods.parts.seeds import seed_weights
from methods.parts.weights import backbone_of

_SELECTION = "f1@1"


class Tree(nn.Module):
    """A backbone and a branch of two layers a type: uint8 (B, 3, H, W) -> type -> logits (B, C)."""

    def __init__(self, backbone: Any, sizes: Mapping[str, int], hidden: int) -> None:
        super().__init__()
        self.backbone, self.names = backbone, tuple(sizes)
        width = backbone.num_features
        self.branches = nn.ModuleList(
            nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, size)) for size in sizes.values()
        )

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        features = self.backbone(images)
        return {name: branch(features) for name, branch in zip(self.names, self.branches, strict=True)}


@dataclass(kw_only=True)
class DARNStyle(OneNetwork):
    """hidden: units between the two layers of a branch. images_per_epoch: 0 for each labelled image once."""

    backbone: str = "resnet50"
    pretrained: bool = True
    weights_file: str = ""
    image_size: int = 224
    shrink: int = 1
    hidden: int = 128
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
            "hidden": 64,
            "augment": False,
            "batch_size": 32,
            "epochs": 10,
            "images_per_epoch": 2048,
            "learning_rate": 2e-3,
            "warmup_steps": 20,
            "validate_every_epochs": 5,
        },
        "contract": {"epochs": 4, "images_per_epoch": 512},
    }
    SCORES = "logits"

    def __post_init__(self) -> None:
        check_least(self, "darn_style", hidden=1, epochs=1, batch_size=1, shrink=1, validate_every_epochs=1)

    def network(self, schema: Schema, *, pretrained: bool = False) -> nn.Module:
        """The network before it is trained; pretrained: with the backbone's weights."""
        return Tree(backbone_of(self, pretrained=pretrained), class_counts(schema), self.hidden)

    def fit(self, data: TrainingData, teachers: Mapping[str, nn.Module], run: Run) -> None:
        """Trains on the labelled images; the unlabelled ones are not used."""
        seed_weights(run.rng("weights"))
        self.model = self.network(data.schema, pretrained=self.pretrained)
        exclusive = exclusive_types(data.schema)

        def loss(module: nn.Module, batch: Batch) -> Tensor:
            images = weak_augment(batch.images) if self.augment else batch.images
            return attribute_loss(module(images), batch.labels, exclusive)

        run.train(
            "darn_style",
            self.model,
            loss,
            LabeledBatches(data.labeled, self.batch_size, self.images_per_epoch),
            Recipe(**cosine(self)),
            validate=lambda: run.score(self.predict, data.validation, _SELECTION),
            validate_every_epochs=self.validate_every_epochs,
        )
