"""A small network that is trained for its features, where no foundation model's weights are at hand."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from methods.losses.classification import attribute_loss
from methods.losses.contrastive import nt_xent
from methods.parts.augment_strong import strong_augment
from methods.parts.batches import ImageBatches, LabeledBatches
from methods.parts.classifier import class_counts, exclusive_types
from methods.parts.heads import TypeHeads
from methods.parts.seeds import seed_weights
from methods.parts.weights import backbone_of

STAGES = ("supervised", "simclr")
_SIMCLR_DIM = 128


class FeatureNetwork(nn.Module):
    """A backbone with what it is trained with: linear heads (supervised) or a projection (simclr)."""

    def __init__(self, backbone: Any, kind: str, sizes: Mapping[str, int]) -> None:
        super().__init__()
        self.backbone = backbone
        width = backbone.num_features
        self.head = (
            TypeHeads(width, sizes)
            if kind == "supervised"
            else nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, _SIMCLR_DIM))
        )

    def forward(self, images: Tensor) -> Any:
        return self.head(self.backbone(images))


def stage_network(backbone: Any, kind: str, schema: Any) -> FeatureNetwork:
    """The untrained network of a stage. Raises ValueError for a kind that is not in STAGES."""
    if kind not in STAGES:
        raise ValueError(f"no feature stage {kind!r}; there are {', '.join(STAGES)}")
    return FeatureNetwork(backbone, kind, class_counts(schema))


def train_stage(
    network: FeatureNetwork, kind: str, data: Any, run: Any, recipe: Any, *, batch_size: int, draws: int, temperature: float = 0.2
) -> None:
    """Trains a stage's network in place: "supervised" with the known labels of the labelled images, "simclr" (Chen et al. 2020) with two
    views of each image, labelled or not, and no label. draws: images an epoch. temperature: of simclr alone."""
    if kind == "supervised":
        exclusive = exclusive_types(data.schema)
        batches: Any = LabeledBatches(data.labeled, batch_size, draws)
        run.train("features", network, lambda module, batch: attribute_loss(module(batch.images), batch.labels, exclusive), batches, recipe)
        return

    def loss(module: nn.Module, images: Tensor) -> Tensor:
        views = strong_augment(torch.cat([images, images]), scale=(0.5, 1.0), jitter=0.2, blur=0.0)
        first, second = module(views).chunk(2)
        return nt_xent(first, second, temperature)

    pool = [examples for examples in (data.labeled, data.unlabeled) if len(examples)]
    run.train("features", network, loss, ImageBatches(pool, batch_size, draws), recipe)


class FrozenFeatures(ABC):
    """A method that answers from a backbone's features: those of its pretrained weights, or of a stage trained for them.

    It has backbone, features ("pretrained" or one of STAGES), weights_file, image_size, shrink and the stage's stage_epochs,
    stage_draws, stage_batch_size and stage_learning_rate, and defines answering()."""

    features: str
    model: nn.Module

    @abstractmethod
    def answering(self, backbone: Any, schema: Any) -> nn.Module:
        """What answers with this backbone, before it has learned."""

    def teachers(self, schema: Any) -> tuple[str, ...]:
        """The stage whose features are used, or none."""
        return () if self.features == "pretrained" else (self.features,)

    def build(self, schema: Any, teacher: str | None = None) -> nn.Module:
        """The stage's network, or what answers, with random weights."""
        backbone = backbone_of(self)
        return self.answering(backbone, schema) if teacher is None else stage_network(backbone, teacher, schema)

    def predict(self, images: Tensor) -> dict[str, Tensor]:
        """The model's scores."""
        return {name: scores.float() for name, scores in self.model(images).items()}

    def trained_stage(self, teacher: str, data: Any, run: Any, recipe: Any) -> nn.Module:
        """The network of a stage, trained by the recipe."""
        method: Any = self
        seed_weights(run.rng("weights"))
        network: Any = self.build(data.schema, teacher)
        train_stage(network, teacher, data, run, recipe, batch_size=method.stage_batch_size, draws=method.stage_draws)
        return network  # type: ignore[no-any-return]

    def frozen_backbone(self, teachers: Mapping[str, nn.Module]) -> Any:
        """The backbone with its pretrained weights, or with those of the stage."""
        backbone = backbone_of(self, pretrained=self.features == "pretrained")
        for network in teachers.values():
            backbone.load_state_dict(network.backbone.state_dict())  # type: ignore[union-attr]
        return backbone
