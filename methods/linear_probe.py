"""Linear probe: frozen features of a foundation model, and a logistic head for each attribute type.

What somebody with few labels tries first today. Features as in DINOv2 (Oquab et al. 2023; row frozen), CLIP (Radford et al. 2021) or
SigLIP (Zhai et al. 2023), through timm; the heads as in CLIP's evaluation, logistic regression whose regularisation is swept on
validation. No table of the five papers has it.

    python -m bench run --methods linear_probe/frozen --set linear_probe.weights_file=DINOV2.safetensors --preset paper

Differences from the sources:
- AdamW on standardised features in place of L-BFGS: the harness has one training loop. All strengths of the sweep are trained side by
  side, each with heads of its own, and the one with the best F1@1 on validation, pooled over types, is kept.
- Exclusive types get a softmax, the others a sigmoid a class; unknown labels take no part. The sources have one exclusive type.
- Images are seen once, without augmentation.
- Heads start at random, bias and all, where a prior would be the better start: with features of mean zero the bias alone can say how often
  a class occurs, and in the 320 steps of preset tiny it moves by .16 at most. On sets of very unequal classes the probe is behind the
  prior.
- At preset tiny no foundation model's weights are at hand. Every row's features are then those of a small network, trained as a stage of
  its own on the labelled images ("supervised") or on all images without labels ("simclr"): a probe of these says nothing about the
  foundation models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from bench.protocol import Batch, Recipe, Run, Schema, TrainingData
from methods.losses.classification import attribute_loss
from methods.parts.batches import LabeledBatches
from methods.parts.classifier import check_choice, check_least, class_counts, exclusive_types
from methods.parts.feature_stage import STAGES, FrozenFeatures
from methods.parts.frozen import Standardize, as_examples, features_of, flat
from methods.parts.heads import TypeHeads
from methods.parts.recipes import stage
from methods.parts.seeds import seed_weights

_SELECTION = "f1@1"


class Heads(nn.Module):
    """Standardised features and linear heads: (B, D) -> type -> logits (B, C)."""

    def __init__(self, num_features: int, schema: Schema) -> None:
        super().__init__()
        self.standardize = Standardize(num_features)
        self.heads = TypeHeads(num_features, class_counts(schema))
        nn.init.zeros_(self.heads.linear.weight)  # convex: any start will do, and this one needs no decay to forget it

    def forward(self, features: Tensor) -> dict[str, Tensor]:
        logits: dict[str, Tensor] = self.heads(self.standardize(features))
        return logits


class Probe(nn.Module):
    """A frozen backbone and heads: uint8 (B, 3, H, W) -> type -> logits (B, C)."""

    def __init__(self, backbone: nn.Module, heads: Heads) -> None:
        super().__init__()
        self.backbone, self.heads = backbone.requires_grad_(False), heads

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        logits: dict[str, Tensor] = self.heads(self.backbone(images).float())
        return logits


@dataclass(kw_only=True)
class LinearProbe(FrozenFeatures):
    """features: "pretrained" (backbone's weights, from weights_file or where they are looked for), or a stage: "supervised", "simclr".
    weight_decays: strengths to choose from. images_per_epoch: 0 for each labelled image once. Those named stage_* matter for stages."""

    backbone: str = "vit_base_patch14_dinov2.lvd142m"
    features: str = "pretrained"
    weights_file: str = ""
    image_size: int = 224
    shrink: int = 1
    weight_decays: tuple[float, ...] = (0.01, 0.1, 1.0)
    learning_rate: float = 1e-3
    epochs: int = 50
    batch_size: int = 256
    images_per_epoch: int = 0
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
            "epochs": 10,
            "batch_size": 128,
            "images_per_epoch": 4096,
            "stage_epochs": 8,
            "stage_draws": 2048,
            "stage_batch_size": 32,
        },
        "tiny/clip": {"backbone": "test_resnet"},
        "tiny/siglip": {"backbone": "test_resnet"},
        "contract": {"stage_epochs": 4, "stage_draws": 512},
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
        check_choice("linear_probe", "features", self.features, ("pretrained", *STAGES))
        check_least(self, "linear_probe", epochs=1, batch_size=1, stage_epochs=1, stage_batch_size=1, shrink=1)
        if not self.weight_decays or min(self.weight_decays) < 0:
            raise ValueError(f"linear_probe: weight_decays is {self.weight_decays}; expected at least one number, each >= 0")

    def answering(self, backbone: Any, schema: Schema) -> nn.Module:
        """The probe, untrained."""
        return Probe(backbone, Heads(backbone.num_features, schema))

    def fit_teacher(self, teacher: str, data: TrainingData, run: Run) -> nn.Module:
        """Trains a small network for its features."""
        return self.trained_stage(teacher, data, run, Recipe(**stage(self)))

    def fit(self, data: TrainingData, teachers: Mapping[str, nn.Module], run: Run) -> None:
        """Trains heads on the labelled images' features; the unlabelled images are not used, except by a stage."""
        seed_weights(run.rng("weights"))
        backbone = self.frozen_backbone(teachers)
        known, checked = (
            as_examples(features_of(backbone, examples, run.device), examples) for examples in (data.labeled, data.validation)
        )
        candidates = nn.ModuleList(Heads(backbone.num_features, data.schema) for _ in self.weight_decays)
        for heads in candidates:
            heads.standardize.fit(torch.from_numpy(known.pixels[:, 0, 0]))  # type: ignore[union-attr,operator]
        exclusive = exclusive_types(data.schema)

        def loss(module: nn.Module, batch: Batch) -> Tensor:
            features = flat(batch.images)
            return torch.stack([attribute_loss(heads(features), batch.labels, exclusive) for heads in module.children()]).sum()

        run.train("heads", candidates, loss, LabeledBatches(known, self.batch_size, self.images_per_epoch), self._recipe())
        with torch.inference_mode():
            scores = [run.score(lambda images, heads=heads: heads(flat(images)), checked, _SELECTION) for heads in candidates]  # type: ignore[misc]
        best = max(range(len(scores)), key=scores.__getitem__)
        run.log(weight_decay=self.weight_decays[best])
        chosen: Any = candidates[best]
        self.model = Probe(backbone, chosen)

    def _recipe(self) -> Recipe:
        """AdamW; each candidate's weights, not its biases, decay by its own strength."""

        def groups(module: nn.Module) -> list[dict[str, Any]]:
            found: list[dict[str, Any]] = []
            for heads, decay in zip(module.children(), self.weight_decays, strict=True):
                for parameter in heads.parameters():
                    found.append({"params": [parameter], "weight_decay": decay if parameter.ndim > 1 else 0.0})
            return found

        return Recipe(epochs=self.epochs, learning_rate=self.learning_rate, optimizer="adamw", schedule="cosine", param_groups=groups)
