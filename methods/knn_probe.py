"""k-nearest-neighbour probe: frozen features, and a vote of the most similar labelled images; nothing is trained.

The other standard question to a foundation model's features (Wu et al. 2018; DINO, Caron et al. 2021, whose k = 20 and temperature .07 are
the defaults): a neighbour's vote weighs exp(cosine / temperature). No table of the five papers has it.

    python -m bench run --methods knn_probe/frozen --set knn_probe.weights_file=DINOV2.safetensors --preset paper

Differences from the sources:
- Attribute types vote one by one over the same neighbours. Those whose label is unknown have no vote. In exclusive types classes share
  the votes; in the others a class is a choice between yes and no. The sources have one exclusive type.
- The shares of all labelled images count as prior_weight of a vote of the nearest image, so that ties, and images whose neighbours'
  labels are all unknown, are decided by them.
- At preset tiny no foundation model's weights are at hand. Every row's features are then those of a small network, trained as a stage of
  its own on the labelled images ("supervised") or on all images without labels ("simclr"), with more neighbours and a warmer vote."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from bench.protocol import Recipe, Run, Schema, TrainingData
from methods.parts.classifier import check_choice, check_least, class_counts, exclusive_types
from methods.parts.feature_stage import STAGES, FrozenFeatures
from methods.parts.frozen import Standardize, features_of
from methods.parts.neighbor_vote import NeighborVote
from methods.parts.recipes import stage


class KNN(nn.Module):
    """A frozen backbone and its memory: uint8 (B, 3, H, W) -> type -> scores (B, C)."""

    def __init__(self, backbone: nn.Module, standardize: Standardize, vote: NeighborVote) -> None:
        super().__init__()
        self.backbone, self.standardize, self.vote = backbone.requires_grad_(False), standardize, vote

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        scores: dict[str, Tensor] = self.vote(self.standardize(self.backbone(images).float()))
        return scores


@dataclass(kw_only=True)
class KNNProbe(FrozenFeatures):
    """k: neighbours that vote. features: "pretrained" (backbone's weights, from weights_file or where they are looked for), or a stage:
    "supervised", "simclr". standardize: features to mean 0 and variance 1 first. Those named stage_* matter for stages."""

    backbone: str = "vit_base_patch14_dinov2.lvd142m"
    features: str = "pretrained"
    weights_file: str = ""
    image_size: int = 224
    shrink: int = 1
    k: int = 20
    temperature: float = 0.07
    standardize: bool = False
    prior_weight: float = 0.01
    stage_epochs: int = 10
    stage_draws: int = 0
    stage_batch_size: int = 64
    stage_learning_rate: float = 2e-3

    PRESETS = {  # noqa: RUF012
        "tiny": {
            "backbone": "test_resnet",
            "features": "supervised",
            "image_size": 64,
            "shrink": 2,
            "k": 100,
            "temperature": 0.1,
            "stage_epochs": 8,
            "stage_draws": 2048,
            "stage_batch_size": 32,
        },
        "tiny/clip": {"backbone": "test_resnet"},
        "tiny/siglip": {"backbone": "test_resnet"},
        "contract": {"stage_epochs": 4, "stage_draws": 512, "k": 10},
    }
    ROWS = {  # noqa: RUF012
        "frozen": {},
        "clip": {"backbone": "vit_base_patch16_clip_quickgelu_224.openai"},
        "siglip": {"backbone": "vit_base_patch16_siglip_224.webli"},
    }
    HEADLINE = ("frozen",)
    TEACHER_PARAMS = (
        "backbone",
        "features",
        "image_size",
        "shrink",
        "stage_epochs",
        "stage_draws",
        "stage_batch_size",
        "stage_learning_rate",
    )
    SCORES = "logits"

    def __post_init__(self) -> None:
        check_choice("knn_probe", "features", self.features, ("pretrained", *STAGES))
        check_least(self, "knn_probe", k=1, prior_weight=0, stage_epochs=1, stage_batch_size=1, shrink=1)
        if self.temperature <= 0:
            raise ValueError(f"knn_probe: temperature is {self.temperature}; expected > 0")

    def fit_teacher(self, teacher: str, data: TrainingData, run: Run) -> nn.Module:
        """Trains a small network for its features."""
        return self.trained_stage(teacher, data, run, Recipe(**stage(self)))

    def fit(self, data: TrainingData, teachers: Mapping[str, nn.Module], run: Run) -> None:
        """Remembers the labelled images' features; validation and unlabelled images are not used, except by a stage."""
        backbone = self.frozen_backbone(teachers)
        model = self.answering(backbone, data.schema)
        features = features_of(backbone, data.labeled, run.device)
        if self.standardize:
            model.standardize.fit(features)
        labels = {name: torch.from_numpy(data.labeled.labels[name][:]) for name in data.schema.names}
        model.vote.remember(model.standardize(features), labels)
        self.model = model.to(run.device).eval()

    def answering(self, backbone: Any, schema: Schema) -> KNN:
        """The probe with nothing remembered."""
        vote = NeighborVote(
            backbone.num_features,
            class_counts(schema),
            exclusive_types(schema),
            k=self.k,
            temperature=self.temperature,
            prior_weight=self.prior_weight,
        )
        return KNN(backbone, Standardize(backbone.num_features), vote)
