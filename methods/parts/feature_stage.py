"""A small network that is trained for its features, where no foundation model's weights are at hand."""

from __future__ import annotations

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
