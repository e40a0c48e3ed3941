"""WTBI-style control: frozen features and a linear support vector machine for each class, labels only.

What attribute prediction was before networks were trained for it, and what Liu et al. (2016) compare DeepFashion's network with under the
name of WTBI (Where To Buy It, M. H. Kiapour et al., ICCV 2015). MTSS Table 1 prints those figures; this is a runnable relative of them:
`python -m bench run --methods wtbi --datasets deepfashion --preset paper`.

Differences from the source:
- The features are a ResNet-50's from ImageNet's weights, where the source has an AlexNet's; they are standardised.
- scikit-learn's LinearSVC (squared hinge, C as given), one against the rest among images whose label of the class is known. A class
  without both kinds among them has no machine: it is never ranked, and counts as a miss.
- Scores are distances to the planes. They rank the classes of an exclusive type, too, each by its own machine.
- At preset tiny no pretrained weights are at hand: features are those of a small network, trained as a stage of its own on the labelled
  images ("supervised") or on all images without labels ("simclr")."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bench.protocol import POSITIVE, UNKNOWN, Recipe, Run, Schema, TrainingData
from methods.parts.classifier import check_choice, check_least, class_counts
from methods.parts.feature_stage import STAGES, FrozenFeatures
from methods.parts.frozen import Standardize, features_of
from methods.parts.recipes import stage


class Machines(nn.Module):
    """A frozen backbone and a plane a class: uint8 (B, 3, H, W) -> type -> distances (B, C), -inf for classes without a plane."""

    planes: Tensor
    offsets: Tensor
    trained: Tensor

    def __init__(self, backbone: Any, sizes: Mapping[str, int]) -> None:
        super().__init__()
        self.backbone, self.sizes = backbone.requires_grad_(False), dict(sizes)
        self.standardize = Standardize(backbone.num_features)
        total = sum(self.sizes.values())
        self.register_buffer("planes", torch.zeros(total, backbone.num_features))
        self.register_buffer("offsets", torch.zeros(total))
        self.register_buffer("trained", torch.zeros(total, dtype=torch.bool))

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        features = self.standardize(self.backbone(images).float())
        distances = (features @ self.planes.T + self.offsets).masked_fill(~self.trained, -torch.inf)
        return dict(zip(self.sizes, distances.split(list(self.sizes.values()), dim=1), strict=True))


@dataclass(kw_only=True)
class WTBI(FrozenFeatures):
    """features: "pretrained" (backbone's weights, from weights_file or where they are looked for), or a stage: "supervised", "simclr".
    regularization: C, the weight of errors. balanced: errors on rare kinds weigh more. Those named stage_* matter for stages."""

    backbone: str = "resnet50"
    features: str = "pretrained"
    weights_file: str = ""
    image_size: int = 224
    shrink: int = 1
    regularization: float = 1.0  # C
    balanced: bool = False
    max_iterations: int = 1000
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
            "regularization": 0.003,
            "stage_epochs": 8,
            "stage_draws": 2048,
            "stage_batch_size": 32,
        },
        "contract": {"stage_epochs": 4, "stage_draws": 512},
    }
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
    SCORES = "similarity"

    def __post_init__(self) -> None:
        check_choice("wtbi", "features", self.features, ("pretrained", *STAGES))
        check_least(self, "wtbi", max_iterations=1, stage_epochs=1, stage_batch_size=1, shrink=1)
        if self.regularization <= 0:
            raise ValueError(f"wtbi: regularization is {self.regularization}; expected > 0")

    def answering(self, backbone: Any, schema: Schema) -> nn.Module:
        """Planes of zeros."""
        return Machines(backbone, class_counts(schema))

    def fit_teacher(self, teacher: str, data: TrainingData, run: Run) -> nn.Module:
        """Trains a small network for its features."""
        return self.trained_stage(teacher, data, run, Recipe(**stage(self)))

    def fit(self, data: TrainingData, teachers: Mapping[str, nn.Module], run: Run) -> None:
        """Separates the labelled images' features, class by class; validation and unlabelled images are not used, except by a stage."""
        backbone = self.frozen_backbone(teachers)
        model = Machines(backbone, class_counts(data.schema))
        features = features_of(backbone, data.labeled, run.device)
        model.standardize.fit(features)
        rows = model.standardize.cpu()(features).numpy().astype(np.float64)
        columns = np.concatenate([np.asarray(data.labeled.labels[name]) for name in data.schema.names], axis=1).T  # (all C, N)
        seed = int(run.rng("svm").integers(2**31))
        for index, labels in enumerate(columns):
            plane = separate(rows, labels, self.regularization, self.balanced, self.max_iterations, seed)
            if plane is not None:
                model.planes[index], model.offsets[index], model.trained[index] = torch.from_numpy(plane[:-1]), float(plane[-1]), True
        self.model = model.to(run.device).eval()


def separate(
    rows: np.ndarray, labels: np.ndarray, regularization: float, balanced: bool, max_iterations: int, seed: int
) -> np.ndarray | None:
    """float64 (D + 1,): the plane between rows (N, D) with label 1 and those with 0, and its offset behind it; rows of label -1 take no
    part. None where one of the kinds is absent."""
    from sklearn.svm import LinearSVC  # a second to import, and only where it is fitted

    known = labels != UNKNOWN
    targets = labels[known] == POSITIVE
    if targets.all() or not targets.any():
        return None
    options = {"class_weight": "balanced"} if balanced else {}
    machine = LinearSVC(C=regularization, dual=False, max_iter=max_iterations, random_state=seed, **options)
    machine.fit(rows[known], targets)
    return np.concatenate([machine.coef_[0], machine.intercept_])
