"""DeepFashion Attribute Prediction Challenge Report (X. Li, 2021).

A pretrained network, fine-tuned, with one softmax head for each of six attribute groups on its 1000 ImageNet outputs; focal loss and a
weight for each group keep those that learn slowly from being drowned out. Table 2 prints .8235 mean accuracy for SE-ResNet-50 without
further layers, the text .8265 with weighted focal loss (row seresnet50-0fc-weighted);
`python -m bench run --methods 'challenge26/*' --datasets deepfashion26 --preset paper` trains the same on the real files.

Differences from the paper:
- The columns of Table 2 look swapped: the author's logs name SE-ResNeXt-50 32x4d as the winner. Rows here are named as printed.
- The names of the SE networks are timm's legacy ones. With pretrained=false the layer of 1000 outputs is new as well.
- Each head is dropout .1 and a linear layer; two further layers are 1000-512-256 and four 1000-512-256-128-64, with ReLU; the text says
  neither. Adam, 1e-3, batch 32 and 30 epochs, from the author's code.
- Boxes are cropped and squashed to a square by the data set; images are mirrored (augment), nothing else.
- Types that are not exclusive, which the challenge has not, get sigmoid focal heads, or sigmoid cross-entropy under loss "ce".
- The weights belong to the challenge's groups by name, in the order texture, sleeve, length, neckline, fabric, fit; other types weigh 1.
- Of the epochs the one with the best accuracy@1 on validation is kept, or F1@1 where no type is exclusive.
- At preset tiny the networks are small relatives of the three, trained from scratch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bench.protocol import Batch, Recipe, Run, Schema, TrainingData
from methods.losses.classification import focal_binary_cross_entropy, focal_cross_entropy
from methods.parts.augment import weak_augment
from methods.parts.backbone import Backbone
from methods.parts.batches import LabeledBatches
from methods.parts.heads import TypeHeads
from methods.parts.imagenet import pretrained_classifier
from methods.parts.seeds import seed_weights
from methods.parts.small import make_backbone

NUM_OUTPUTS = 1000  # ImageNet's classes
WIDTHS = {0: (), 2: (512, 256), 4: (512, 256, 128, 64)}  # of the fully connected layers after the 1000
WEIGHTS = {"texture": 0.95, "sleeve": 0.85, "length": 0.85, "neckline": 0.9, "fabric": 1.0, "fit": 0.9}  # w, Eq. (7)
_LOSSES = ("ce", "focal", "weighted")


class AttributeHeads(nn.Module):
    """A network with its 1000 outputs, fully connected layers, and a head a type: uint8 (B, 3, H, W) -> type -> logits (B, C)."""

    def __init__(self, backbone: Backbone, schema: Schema, num_fc: int, dropout: float) -> None:
        super().__init__()
        self.backbone = backbone
        self.classifier = nn.Linear(backbone.num_features, NUM_OUTPUTS)
        layers: list[nn.Module] = []
        width = NUM_OUTPUTS
        for wider in WIDTHS[num_fc]:
            layers += [nn.Linear(width, wider), nn.ReLU()]
            width = wider
        self.layers = nn.Sequential(*layers)
        self.dropout = nn.Dropout(dropout)
        self.heads = TypeHeads(width, {kind.name: len(kind.classes) for kind in schema})

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        features = self.layers(self.classifier(self.backbone(images)))
        logits: dict[str, Tensor] = self.heads(self.dropout(features))
        return logits


@dataclass(kw_only=True)
class Challenge26:
    """loss: "ce", "focal" or "weighted" (focal). num_fc: 0, 2 or 4 layers between the 1000 outputs and the heads. images_per_epoch: 0 for
    each labelled image once; a larger number repeats them, so that every label fraction trains for as many steps."""

    backbone: str = "legacy_seresnet50"
    pretrained: bool = True
    weights_file: str = ""
    image_size: int = 224
    shrink: int = 1
    num_fc: int = 0
    dropout: float = 0.1
    loss: str = "focal"
    gamma: float = 2.0  # γ of the focal loss
    augment: bool = True
    optimizer: str = "adam"
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    schedule: str = "constant"
    warmup_steps: int = 0
    batch_size: int = 32
    images_per_epoch: int = 0
    epochs: int = 30
    validate_every_epochs: int = 1

    PRESETS = {  # noqa: RUF012
        "tiny": {
            "backbone": "small_seresnet",
            "pretrained": False,
            "image_size": 64,
            "shrink": 2,
            "learning_rate": 2e-3,
            "schedule": "cosine",
            "warmup_steps": 20,
            "images_per_epoch": 2048,
            "epochs": 10,
            "validate_every_epochs": 2,
        },
        "tiny/resnet50-0fc": {"backbone": "test_resnet"},
        "tiny/resnet50-2fc": {"backbone": "test_resnet"},
        "tiny/resnet50-4fc": {"backbone": "test_resnet"},
        "tiny/seresnet50-0fc": {"backbone": "small_seresnet"},
        "tiny/seresnet50-2fc": {"backbone": "small_seresnet"},
        "tiny/seresnet50-4fc": {"backbone": "small_seresnet"},
        "tiny/seresnext50-0fc": {"backbone": "small_seresnext"},
        "tiny/seresnext50-2fc": {"backbone": "small_seresnext"},
        "tiny/seresnext50-4fc": {"backbone": "small_seresnext"},
        "tiny/seresnet50-0fc-ce": {"backbone": "small_seresnet"},
        "tiny/seresnet50-0fc-weighted": {"backbone": "small_seresnet"},
        "contract": {"epochs": 4, "images_per_epoch": 512, "augment": False},
    }
    ROWS = {  # noqa: RUF012
        "resnet50-0fc": {"backbone": "resnet50"},
        "resnet50-2fc": {"backbone": "resnet50", "num_fc": 2},
        "resnet50-4fc": {"backbone": "resnet50", "num_fc": 4},
        "seresnet50-0fc": {"backbone": "legacy_seresnet50"},
        "seresnet50-2fc": {"backbone": "legacy_seresnet50", "num_fc": 2},
        "seresnet50-4fc": {"backbone": "legacy_seresnet50", "num_fc": 4},
        "seresnext50-0fc": {"backbone": "legacy_seresnext50_32x4d"},
        "seresnext50-2fc": {"backbone": "legacy_seresnext50_32x4d", "num_fc": 2},
        "seresnext50-4fc": {"backbone": "legacy_seresnext50_32x4d", "num_fc": 4},
        "seresnet50-0fc-ce": {"backbone": "legacy_seresnet50", "loss": "ce"},
        "seresnet50-0fc-weighted": {"backbone": "legacy_seresnet50", "loss": "weighted"},
    }
    HEADLINE = ("seresnet50-0fc-weighted",)
    SCORES = "logits"
    PAPER = "challenge26"

    def __post_init__(self) -> None:
        if self.loss not in _LOSSES:
            raise ValueError(f"challenge26: loss is {self.loss!r}; expected one of {', '.join(_LOSSES)}")
        if self.num_fc not in WIDTHS:
            raise ValueError(f"challenge26: num_fc is {self.num_fc}; expected 0, 2 or 4")
        for name in ("epochs", "batch_size", "image_size", "shrink", "validate_every_epochs"):
            if getattr(self, name) < 1:
                raise ValueError(f"challenge26: {name} is {getattr(self, name)}; expected >= 1")

    def teachers(self, schema: Schema) -> tuple[str, ...]:
        """There are none."""
        return ()

    def build(self, schema: Schema, teacher: str | None = None) -> nn.Module:
        """The network with random weights."""
        return AttributeHeads(self._backbone(), schema, self.num_fc, self.dropout)

    def fit_teacher(self, teacher: str, data: TrainingData, run: Run) -> nn.Module:
        """Raises ValueError: there are no teachers."""
        raise ValueError(f"challenge26 has no teacher {teacher!r}; it has none at all")

    def fit(self, data: TrainingData, teachers: Mapping[str, nn.Module], run: Run) -> None:
        """Trains on the labelled images; the unlabelled ones are not used."""
        seed_weights(run.rng("weights"))
        self.model = AttributeHeads(self._backbone(pretrained=self.pretrained), data.schema, self.num_fc, self.dropout)
        if self.pretrained:
            self.model.classifier = pretrained_classifier(self.backbone, self.weights_file)
        metric = "accuracy@1" if any(kind.exclusive for kind in data.schema) else "f1@1"
        run.train(
            "challenge26",
            self.model,
            lambda module, batch: self.batch_loss(module, batch, data.schema),
            LabeledBatches(data.labeled, self.batch_size, self.images_per_epoch),
            self._recipe(),
            validate=lambda: run.score(self.predict, data.validation, metric),
            validate_every_epochs=self.validate_every_epochs,
        )

    def predict(self, images: Tensor) -> dict[str, Tensor]:
        """Logits."""
        return {name: logits.float() for name, logits in self.model(images).items()}

    def batch_loss(self, module: nn.Module, batch: Batch, schema: Schema) -> Tensor:
        """Eq. (6), or Eq. (7) with focal losses: the sum over types of a mean over images."""
        images = weak_augment(batch.images, shift=0.0) if self.augment else batch.images
        logits = module(images)
        gamma = 0.0 if self.loss == "ce" else self.gamma
        terms = []
        for kind in schema:
            loss = focal_cross_entropy if kind.exclusive else focal_binary_cross_entropy
            weight = WEIGHTS.get(kind.name, 1.0) if self.loss == "weighted" else 1.0
            terms.append(weight * loss(logits[kind.name], batch.labels[kind.name], gamma))
        return torch.stack(terms).sum()

    def _backbone(self, pretrained: bool = False) -> Backbone:
        weights_file = self.weights_file if pretrained else ""
        return make_backbone(
            self.backbone, pretrained=pretrained, weights_file=weights_file, image_size=self.image_size, shrink=self.shrink
        )

    def _recipe(self) -> Recipe:
        return Recipe(
            epochs=self.epochs,
            learning_rate=self.learning_rate,
            optimizer=self.optimizer,  # type: ignore[arg-type]
            weight_decay=self.weight_decay,
            schedule=self.schedule,  # type: ignore[arg-type]
            warmup_steps=self.warmup_steps,
        )
