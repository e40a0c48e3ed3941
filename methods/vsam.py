"""VSAM gate: a network that looks where a gate says (after B. Quintino Ferreira et al., ICCVW 2019), labels only.

The visual semantic attention module weighs the places of the feature maps; here its gate is CBAM's spatial one (Woo et al. 2018): mean and
maximum over channels, a 7 x 7 convolution, a sigmoid. With the focal loss, the source's "VSAM + FL". MTSS Table 1 prints that system's
figures, which learns its gate from poses; this is a runnable relative of it: `python -m bench run --methods vsam --datasets deepfashion
--preset paper`.

Differences from the source:
- No pose: neither its landmarks nor its loss, which supervise the source's attention. The gate learns from the labels alone.
- Exclusive types get a softmax focal loss and the others a sigmoid one, both with γ = 2; the loss is the mean over types.
- The backbone is a ResNet-50 from ImageNet's weights, gated after conv5. Optimiser, rate and length are ours.
- Images are mirrored and shifted, but not at preset tiny. Of the epochs the one with the best F1@1 on validation, pooled over types, is
  kept.
- At preset tiny maps after conv5 have one place, so that those after conv3 (4 x 4) are gated, by a 3 x 3 convolution."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bench.protocol import Batch, Recipe, Run, Schema, TrainingData
from methods.losses.classification import focal_binary_cross_entropy, focal_cross_entropy
from methods.parts.attention import SpatialGate
from methods.parts.augment import weak_augment
from methods.parts.batches import LabeledBatches
from methods.parts.classifier import OneNetwork, check_least, class_counts
from methods.parts.heads import TypeHeads
from methods.parts.recipes import cosine
from methods.parts.seeds import seed_weights
from methods.parts.staged import StagedBackbone
from methods.parts.weights import backbone_of

_SELECTION = "f1@1"


class Gated(nn.Module):
    """A network whose maps after a stage are gated: uint8 (B, 3, H, W) -> type -> logits (B, C)."""

    def __init__(self, backbone: StagedBackbone, sizes: Mapping[str, int], kernel: int) -> None:
        super().__init__()
        self.backbone, self.gate = backbone, SpatialGate(kernel)
        self.heads = TypeHeads(backbone.num_features, sizes)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        maps = self.gate(self.backbone.lower(images))
        logits: dict[str, Tensor] = self.heads(self.backbone.upper(maps))
        return logits


@dataclass(kw_only=True)
class VSAM(OneNetwork):
    """stage: the convolutions after which maps are gated, 2 to 5 as papers count them. kernel: of the gate's convolution. images_per_epoch:
    0 for each labelled image once."""

    backbone: str = "resnet50"
    pretrained: bool = True
    weights_file: str = ""
    image_size: int = 224
    shrink: int = 1
    stage: int = 5
    kernel: int = 7
    gamma: float = 2.0  # γ of the focal loss
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
            "stage": 3,
            "kernel": 3,
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
        check_least(self, "vsam", gamma=0, epochs=1, batch_size=1, shrink=1, validate_every_epochs=1)

    def network(self, schema: Schema, *, pretrained: bool = False) -> nn.Module:
        """The network before it is trained; pretrained: with the backbone's weights."""
        return Gated(StagedBackbone(backbone_of(self, pretrained=pretrained), self.stage), class_counts(schema), self.kernel)

    def fit(self, data: TrainingData, teachers: Mapping[str, nn.Module], run: Run) -> None:
        """Trains on the labelled images; the unlabelled ones are not used."""
        seed_weights(run.rng("weights"))
        self.model = self.network(data.schema, pretrained=self.pretrained)
        run.train(
            "vsam",
            self.model,
            lambda module, batch: self.batch_loss(module, batch, data.schema),
            LabeledBatches(data.labeled, self.batch_size, self.images_per_epoch),
            Recipe(**cosine(self)),
            validate=lambda: run.score(self.predict, data.validation, _SELECTION),
            validate_every_epochs=self.validate_every_epochs,
        )

    def batch_loss(self, module: nn.Module, batch: Batch, schema: Schema) -> Tensor:
        """The mean over types of focal losses."""
        logits = module(weak_augment(batch.images) if self.augment else batch.images)
        terms = [
            (focal_cross_entropy if kind.exclusive else focal_binary_cross_entropy)(logits[kind.name], batch.labels[kind.name], self.gamma)
            for kind in schema
        ]
        return torch.stack(terms).mean()
