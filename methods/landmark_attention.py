"""Attentive fashion network (after J. Liu and H. Lu, ECCVW 2018), with landmarks and without.

The source is "Deep Fashion Analysis with Feature Map Upsampling and Landmark-Driven Attention".
A small U-Net on the conv4 maps says by a tanh where to look; (1 + A) * conv4 goes on to conv5 and the heads. The category's
cross-entropy and 20 times the attributes' weighted one train all of it. In row landmarks, transposed convolutions up-sample conv4 to a heat
map for each of eight landmarks, trained by squares on Gaussians around the visible ones; the largest of the maps, at conv4's size, is one
more channel for the U-Net. No landmark is read to predict. MTSS Table 1 prints the system's figures with landmarks; row no-landmarks runs
it without, which covers the category-driven attention of Wang et al. (CVPR 2018), too:
`python -m bench run --methods landmark_attention/* --datasets deepfashion --preset paper`.

Differences from the source:
- Row landmarks follows the authors' public code where the paper is brief: layers, the extra channel (Wang et al. add such a map to A
  instead), the loss's weight of 10 and its mean over all maps, those of unseen landmarks counting as 0. The code's bumps fall off as
  exp(-distance / 16) in pixels of 224; ours are Gaussians of 8 pixels.
- The landmarks' layers are batch-normalised. On the rendered stand-in (validation, one seed) heat maps miss as little without, and F1@1 is
  34.3 rather than 35.1: no difference to speak of.
- A landmark outside the box is not visible, nor is one that a shift moves out.
- The weights of positives and negatives are one pair for all attributes, the share of the other kind among known labels; the source says
  only that their numbers decide. The ranking within a type is then that of the probabilities.
- Exclusive types get the cross-entropy, each with weight 1, the others the weighted one together; the source has one exclusive type.
- The U-Net's width, optimiser, rate and length are ours. Images are mirrored and shifted, but not at preset tiny.
- Of the epochs the one with the best F1@1 on validation, pooled over types, is kept.
- At preset tiny the network is a small ResNet, attended to after conv3, where maps have 4 x 4 places; heat maps have 32 x 32, and wider
  bumps, which the largest map keeps at 4 x 4."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.protocol import Batch, NoDataError, Recipe, Run, Schema, TrainingData
from methods.losses.balanced import balanced_binary_cross_entropy, positive_share
from methods.losses.classification import known_cross_entropy
from methods.parts.attention import UNetMask
from methods.parts.augment import draw_moves, move_images, move_landmarks
from methods.parts.batches import LabeledBatches
from methods.parts.classifier import OneNetwork, check_least, class_counts
from methods.parts.heads import TypeHeads
from methods.parts.recipes import cosine
from methods.parts.seeds import seed_weights
from methods.parts.staged import StagedBackbone
from methods.parts.weights import backbone_of

_SELECTION = "f1@1"
_NUM_LANDMARKS = 8  # left and right collar, sleeve, waistline, hem


class Attending(nn.Module):
    """conv4 -> (1 + A) * conv4 -> conv5 -> heads: uint8 (B, 3, H, W) -> type -> logits (B, C). A comes from a U-Net on the conv4 maps,
    and on the largest of the landmarks' heat maps where landmark_width, the width of their branch, is not 0."""

    def __init__(self, backbone: StagedBackbone, sizes: Mapping[str, int], width: int, landmark_width: int = 0) -> None:
        super().__init__()
        self.landmarks = landmark_branch(backbone.num_channels, landmark_width) if landmark_width else None
        self.backbone, self.mask = backbone, UNetMask(backbone.num_channels, width, more=1 if landmark_width else 0)
        self.heads = TypeHeads(backbone.num_features, sizes)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        return self.both(images)[0]

    def both(self, images: Tensor) -> tuple[dict[str, Tensor], Tensor | None]:
        """The logits, and the heat maps (B, 8, 8 h, 8 w) over conv4 maps (h, w) where there is a branch for them."""
        maps = self.backbone.lower(images)
        seen, heat_maps = maps, None
        if self.landmarks is not None:
            heat_maps = self.landmarks(maps)
            largest = heat_maps.amax(dim=1, keepdim=True)
            largest = functional.interpolate(largest, size=maps.shape[-2:], mode="bilinear", align_corners=False)
            seen = torch.cat([largest, maps], dim=1)
        logits: dict[str, Tensor] = self.heads(self.backbone.upper((1.0 + self.mask(seen)) * maps))
        return logits, heat_maps


def landmark_branch(channels: int, width: int) -> nn.Sequential:
    """Maps (B, channels, h, w) -> a heat map for each landmark, (B, 8, 8 h, 8 w), by three transposed convolutions."""
    half, quarter = (max(width // part, 2 * _NUM_LANDMARKS) for part in (2, 4))
    layers = [nn.Conv2d(channels, width, 1, bias=False)]
    layers += [nn.Conv2d(width, outputs, 3, padding=1, bias=False) for outputs in (width, width, 2 * width)]
    for inputs, outputs, num_more in ((2 * width, width, 2), (width, half, 2), (half, quarter, 1)):
        layers.append(nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1, bias=False))
        layers += [nn.Conv2d(outputs, outputs, 3, padding=1, bias=False) for _ in range(num_more)]
    blocks = [nn.Sequential(layer, nn.BatchNorm2d(layer.out_channels), nn.ReLU(inplace=True)) for layer in layers]
    return nn.Sequential(*blocks, nn.Conv2d(quarter, _NUM_LANDMARKS, 1))


def heat_map_targets(landmarks: Tensor, height: int, width: int, sigma: float) -> Tensor:
    """Gaussians of height 1 around landmarks, float (B, L, 3) as bench.protocol.Batch has them -> (B, L, height, width), 0 where the
    landmark is not visible. sigma: their width as a part of the side."""
    visible, x, y = (values[:, :, None] for values in landmarks.unbind(2))
    rows, columns = ((torch.arange(side, device=landmarks.device) + 0.5) / side for side in (height, width))
    across, down = (torch.exp(-((places - at) ** 2) / (2 * sigma**2)) for places, at in ((columns, x), (rows, y)))
    return visible[..., None] * down[..., :, None] * across[..., None, :]


def heat_map_loss(heat_maps: Tensor, landmarks: Tensor, sigma: float) -> Tensor:
    """The mean of squares over all places of heat maps (B, L, H, W), those of landmarks (B, L, 3) that are not visible counting as 0."""
    missed = heat_maps.float() - heat_map_targets(landmarks, heat_maps.shape[2], heat_maps.shape[3], sigma)
    return (landmarks[..., 0, None, None] * missed).square().mean()


@dataclass(kw_only=True)
class LandmarkAttention(OneNetwork):
    """stage: the convolutions after which maps are attended to, 2 to 5. width: channels of the U-Net. attribute_weight: of the balanced
    loss beside the cross-entropy. landmarks: whether they are learned, too; landmark_width: channels of their branch; landmark_weight: of
    their loss; landmark_sigma: the Gaussians' width as a part of the side. images_per_epoch: 0 for each labelled image once."""

    backbone: str = "vgg16"
    pretrained: bool = True
    weights_file: str = ""
    image_size: int = 224
    shrink: int = 1
    stage: int = 4
    width: int = 128
    attribute_weight: float = 20.0
    landmarks: bool = False
    landmark_width: int = 64
    landmark_weight: float = 10.0
    landmark_sigma: float = 0.0357  # 8 / 224
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
            "landmark_sigma": 0.125,
            "augment": False,
            "batch_size": 32,
            "epochs": 10,
            "images_per_epoch": 2048,
            "learning_rate": 2e-3,
            "warmup_steps": 20,
            "validate_every_epochs": 5,
        },
        "contract": {"epochs": 4, "images_per_epoch": 512, "landmark_width": 16},
    }
    ROWS: ClassVar[dict[str, dict[str, bool]]] = {"no-landmarks": {"landmarks": False}, "landmarks": {"landmarks": True}}
    HEADLINE = ("no-landmarks",)
    SCORES = "logits"

    def __post_init__(self) -> None:
        check_least(self, "landmark_attention", width=1, attribute_weight=0, epochs=1, batch_size=1, shrink=1, validate_every_epochs=1)
        check_least(self, "landmark_attention", landmark_width=1, landmark_weight=0)
        if self.landmark_sigma <= 0:
            raise ValueError(f"landmark_attention: landmark_sigma is {self.landmark_sigma}; expected > 0")

    def network(self, schema: Schema, *, pretrained: bool = False) -> nn.Module:
        """The network before it is trained; pretrained: with the backbone's weights."""
        backbone = StagedBackbone(backbone_of(self, pretrained=pretrained), self.stage)
        return Attending(backbone, class_counts(schema), self.width, self.landmark_width if self.landmarks else 0)

    def fit(self, data: TrainingData, teachers: Mapping[str, nn.Module], run: Run) -> None:
        """Trains on the labelled images; the unlabelled ones are not used. Raises NoDataError where landmarks are to be learned and the
        data set has none, or not these eight."""
        found = 0 if data.labeled.landmarks is None else data.labeled.landmarks.shape[1]
        if self.landmarks and found != _NUM_LANDMARKS:
            expected = f"{found or 'no'} landmarks, expected {_NUM_LANDMARKS}"
            raise NoDataError(f"landmark_attention/landmarks: the data set has {expected}; use landmark_attention/no-landmarks")
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
        """The sum of the exclusive types' cross-entropies, attribute_weight times the balanced one of all other types together, and
        landmark_weight times the heat maps' squares. share: of positives among the known labels of the other types."""
        images, landmarks = batch.images, batch.landmarks
        if self.augment:
            moves, (height, width) = draw_moves(images), images.shape[-2:]
            images = move_images(images, moves)
            landmarks = None if landmarks is None else move_landmarks(landmarks, moves, height, width)
        logits, heat_maps = module.both(images)  # type: ignore[operator]
        terms = [known_cross_entropy(logits[kind.name], batch.labels[kind.name]) for kind in schema if kind.exclusive]
        others = [kind.name for kind in schema if not kind.exclusive]
        if others:
            answers, labels = (torch.cat([values[name] for name in others], dim=1) for values in (logits, batch.labels))
            terms.append(self.attribute_weight * balanced_binary_cross_entropy(answers, labels, share))
        if heat_maps is not None:
            assert landmarks is not None  # fit has seen to it
            terms.append(self.landmark_weight * heat_map_loss(heat_maps, landmarks, self.landmark_sigma))
        return torch.stack(terms).sum()
