"""Attentive fashion network (after W. Liu and S. Lu, ECCVW 2018), labels only.

The source is "Deep Fashion Analysis with Feature Map Upsampling and Landmark-Driven Attention".
A small U-Net on the conv4 maps says by a tanh where to look; (1 + A) * conv4 goes on to conv5 and the heads. The category's
cross-entropy and 20 times the attributes' weighted one train all of it. MTSS Table 1 prints the system's figures with landmarks; row
no-landmarks runs it without, which covers the category-driven attention of Wang et al. (CVPR 2018), too:
`python -m bench run --methods landmark_attention --datasets deepfashion --preset paper`.

Differences from the source:
- No landmarks: the source adds a mask that is learned with landmarks, the largest of eight up-sampled heat maps, to A. The harness's
  examples carry pixels and labels alone. A row with landmarks needs them beside the labels of bench.protocol.Examples (visibility and
  place of each as float32 (N, 8, 3), in the frame of the cropped box), a loss of squares on heat maps of conv4's size, and the largest
  of these maps added to A here.
- The weights of positives and negatives are one pair for all attributes, the share of the other kind among known labels; the source says
  only that their numbers decide. The ranking within a type is then that of the probabilities.
- Exclusive types get the cross-entropy, each with weight 1, the others the weighted one together; the source has one exclusive type.
- The U-Net's width, optimiser, rate and length are ours. Images are mirrored and shifted.
- Of the epochs the one with the best F1@1 on validation, pooled over types, is kept.
- At preset tiny the network is a small ResNet, attended to after conv3, where maps have 4 x 4 places."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from bench.protocol import Batch, Recipe, Run, Schema, TrainingData
from methods.losses.balanced import balanced_binary_cross_entropy, positive_share
from methods.losses.classification import known_cross_entropy
from methods.parts.attention import UNetMask
from methods.parts.augment import weak_augment
from methods.parts.batches import LabeledBatches
from methods.parts.classifier import OneNetwork, check_least, class_counts
from methods.parts.heads import TypeHeads
from methods.parts.recipes import cosine
from methods.parts.seeds import seed_weights
from methods.parts.staged import StagedBackbone
from methods.parts.weights import backbone_of

_SELECTION = "f1@1"


class Attending(nn.Module):
    """conv4 -> (1 + A) * conv4 -> conv5 -> heads: uint8 (B, 3, H, W) -> type -> logits (B, C). A comes from a U-Net on the conv4 maps."""

    def __init__(self, backbone: StagedBackbone, sizes: Mapping[str, int], width: int) -> None:
        super().__init__()
        self.backbone, self.mask = backbone, UNetMask(backbone.num_channels, width)
        self.heads = TypeHeads(backbone.num_features, sizes)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        maps = self.backbone.lower(images)
        logits: dict[str, Tensor] = self.heads(self.backbone.upper((1.0 + self.mask(maps)) * maps))
        return logits


@dataclass(kw_only=True)
class LandmarkAttention(OneNetwork):
    """stage: the convolutions after which maps are attended to, 2 to 5. width: channels of the U-Net. attribute_weight: of the balanced
    loss beside the cross-entropy. images_per_epoch: 0 for each labelled image once."""

    backbone: str = "vgg16"
    pretrained: bool = True
    weights_file: str = ""
    image_size: int = 224
    shrink: int = 1
    stage: int = 4
    width: int = 128
    attribute_weight: float = 20.0
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
            "width": 16,
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
    ROWS: ClassVar[dict[str, dict[str, float]]] = {"no-landmarks": {}}
    SCORES = "logits"

    def __post_init__(self) -> None:
        check_least(self, "landmark_attention", width=1, attribute_weight=0, epochs=1, batch_size=1, shrink=1, validate_every_epochs=1)

    def network(self, schema: Schema, *, pretrained: bool = False) -> nn.Module:
        """The network before it is trained; pretrained: with the backbone's weights."""
        return Attending(StagedBackbone(backbone_of(self, pretrained=pretrained), self.stage), class_counts(schema), self.width)

    def fit(self, data: TrainingData, teachers: Mapping[str, nn.Module], run: Run) -> None:
        """Trains on the labelled images; the unlabelled ones are not used."""
        seed_weights(run.rng("weights"))
        self.model = self.network(data.schema, pretrained=self.pretrained)
        share = positive_share(data.labeled.labels[kind.name] for kind in data.schema if not kind.exclusive)
        run.train(
            "landmark_attention",
            self.model,
            lambda module, batch: self.batch_loss(module, batch, data.schema, share),
            LabeledBatches(data.labeled, self.batch_size, self.images_per_epoch),
            Recipe(**cosine(self)),
            validate=lambda: run.score(self.predict, data.validation, _SELECTION),
            validate_every_epochs=self.validate_every_epochs,
        )

    def batch_loss(self, module: nn.Module, batch: Batch, schema: Schema, share: float) -> Tensor:
        """The sum of the exclusive types' cross-entropies, and attribute_weight times the balanced one of all other types together. share:
        of positives among the known labels of these."""
        logits = module(weak_augment(batch.images) if self.augment else batch.images)
        terms = [known_cross_entropy(logits[kind.name], batch.labels[kind.name]) for kind in schema if kind.exclusive]
        others = [kind.name for kind in schema if not kind.exclusive]
        if others:
            answers, labels = (torch.cat([values[name] for name in others], dim=1) for values in (logits, batch.labels))
            terms.append(self.attribute_weight * balanced_binary_cross_entropy(answers, labels, share))
        return torch.stack(terms).sum()
