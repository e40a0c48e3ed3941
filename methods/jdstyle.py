"""Multi-task Fashion Style Learning (X. Wang, Y. Zhong, 2019), a solution of the JD AI Fashion-Challenge.

A network with a sigmoid for each style, a loss that weighs rare styles up, and a threshold for each style that maximises F2 on validation;
weights averaged at the ends of learning-rate cycles, and a vote of five networks, raise it further. Table I prints .6000 mean F2 for
ResNet18 with weighted cross-entropy, Table II .6169 for DenseNet121, the text .6239 with averaged weights and .6498 for the vote;
`python -m bench run --methods 'jdstyle/*' --datasets jdstyle --preset paper` trains the same on the real files.

How rows and metrics belong together: f2 is at the thresholds of validation, f2@0.5 at a probability of .5 (the text's .40 of ResNet18).
A vote decides by its members' own thresholds, found on validation while it is fitted, and its score is (votes - quorum + .5) plus the mean
margin over the thresholds, squashed to within .49: at least 0 exactly where enough members vote, so f2@0.5 is the paper's vote, while f2
lets validation choose how many votes, and which margin, a style needs.

Differences from the paper:
- Eq. (2) is read with its signs mended; its weights (natural logarithm) are scaled to mean 1 unless normalize_weights is off.
- Optimiser, rates, batch, cycles and the length of averaging are not given: Adam, cycles of one epoch after the last epoch. Batch-norm
  statistics are computed anew from training images; the paper does not say so, and without it averaged networks collapse. A row with
  averaged weights has these epochs of training more behind it than the row without.
- Each member is a stage of its own (a teacher) that trains the network and then its average; rows take one or the other. As in the paper
  the DenseNets and InceptionV4 vote with averaged weights, the ResNeXts, where averaging failed, without.
- "Greater than 3" of five votes is literally four (row vote-literal); row vote takes the majority, three.
- Oversampling repeats the images of the rarest quarter of each type's classes: on JD's counts sports, japanese, british and national.
  They come on top of the others, and an epoch grows; with images_per_epoch, as at preset tiny, it does not, and they displace others.
- While the head learns alone, pretrained batch norms keep their statistics; the paper does not say. Those of a network from scratch, which
  describe no image yet, are a batch's.
- The last column of Table I ticks oversampling alone; row wbce-oversample10 reads it as added to the best loss.
- Test figures need a split that selects thresholds, so validation is carved from training (datasets/jdstyle.py).
- On exclusive types the labels are read as one-hot: each class has a sigmoid of its own.
- At preset tiny the networks are small relatives, trained from scratch, with a schedule of their own."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from bench.protocol import POSITIVE, Batch, Examples, Recipe, Run, Schema, TrainingData
from methods.losses.classification import (
    count_weights,
    focal_binary_cross_entropy,
    known_binary_cross_entropy,
    soft_f_beta_loss,
    weighted_binary_cross_entropy,
)
from methods.parts.augment import weak_augment
from methods.parts.averaging import SWA, AveragedWeights, recalibrate_batch_norm_
from methods.parts.backbone import Backbone
from methods.parts.frozen import with_backbone_in_eval
from methods.parts.heads import TypeHeads
from methods.parts.sampling import RepeatedBatches, repeated
from methods.parts.seeds import seed_weights
from methods.parts.small import make_backbone

NETWORKS = {  # member -> timm's name, and its small relative
    "resnet18": ("resnet18", "test_resnet"),
    "densenet121": ("densenet121", "small_densenet"),
    "densenet161": ("densenet161", "small_densenet_wide"),
    "inceptionv4": ("inception_v4", "test_byobnet"),
    "resnext101_32": ("resnext101_32x4d", "small_resnext8"),
    "resnext101_64": ("resnext101_64x4d", "small_resnext16"),
    "se_resnet101": ("legacy_seresnet101", "small_seresnet"),
}
_AVERAGED = "-swa"  # ends the name of a member that answers with its averaged weights
_LOSSES = ("bce", "wbce", "f2", "focal")
_SELECTION = "f2"
_BATCH = 256  # images scored at a time
_MARGIN = 0.49  # less than half a vote


class StyleNet(nn.Module):
    """A backbone and a linear layer: uint8 (B, 3, H, W) -> type -> logits (B, C), a sigmoid each."""

    def __init__(self, backbone: Backbone, schema: Schema) -> None:
        super().__init__()
        self.backbone = backbone
        self.heads = TypeHeads(backbone.num_features, {kind.name: len(kind.classes) for kind in schema})

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        logits: dict[str, Tensor] = self.heads(self.backbone(images))
        return logits


class Member(nn.Module):
    """What a stage trains: a network, and with averaging the network of averaged weights."""

    def __init__(self, network: StyleNet, averaged: StyleNet | None) -> None:
        super().__init__()
        self.network, self.averaged = network, averaged

    def answering(self, name: str) -> nn.Module:
        """A copy of the part that a row's member names. Raises ValueError where no average was trained."""
        part = self.averaged if name.endswith(_AVERAGED) else self.network
        if part is None:
            raise ValueError(f"jdstyle: member {name!r} needs averaged weights; expected swa_epochs >= 1")
        return copy.deepcopy(part)


class Vote(nn.Module):
    """Networks that each decide by their own thresholds: uint8 (B, 3, H, W) -> type -> scores (B, C), >= 0 where a quorum votes for it.

    thresholds: a buffer (members, classes of all types); +inf never votes."""

    thresholds: Tensor

    def __init__(self, networks: Sequence[nn.Module], schema: Schema, quorum: int) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)
        self.sizes = {kind.name: len(kind.classes) for kind in schema}
        self.quorum = quorum
        self.register_buffer("thresholds", torch.zeros(len(networks), sum(self.sizes.values())))

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        logits = torch.stack([torch.cat(list(network(images).values()), dim=1).float() for network in self.networks])  # (M, B, C)
        margins = logits - self.thresholds[:, None]
        scores = (margins >= 0).sum(dim=0) - self.quorum + 0.5 + _MARGIN * torch.tanh(margins.mean(dim=0))
        return dict(zip(self.sizes, scores.split(list(self.sizes.values()), dim=1), strict=True))


@dataclass(kw_only=True)
class JDStyle:
    """members: whose answer counts, names of NETWORKS, "-swa" behind one that answers with averaged weights; several of them vote.
    quorum: votes that make a style true. oversample: how often images of rare classes come up. weights_folder: a folder with
    <timm's name>.safetensors, "" for timm's hub. images_per_epoch: 0 for each labelled image once, oversampled ones as often as they come
    up. swa_epochs: 0 averages nothing."""

    members: tuple[str, ...] = ("resnet18",)
    quorum: int = 3
    small: bool = False
    pretrained: bool = True
    weights_folder: str = ""
    image_size: int = 224
    shrink: int = 1
    loss: str = "wbce"
    alpha: float = 1.5  # α, Eq. (3)
    normalize_weights: bool = True
    gamma: float = 2.0  # γ, Eq. (4)
    oversample: int = 1
    augment: bool = True
    optimizer: str = "adam"
    batch_size: int = 32
    images_per_epoch: int = 0
    head_epochs: int = 7
    head_learning_rate: float = 1e-3
    epochs: int = 24
    learning_rate: float = 1e-4
    weight_decay: float = 0.0
    schedule: str = "cosine"
    warmup_steps: int = 0
    validate_every_epochs: int = 1
    swa_epochs: int = 6
    swa_cycle_epochs: int = 1
    swa_learning_rate: float = 1e-4
    swa_final_learning_rate: float = 1e-6

    PRESETS = {  # noqa: RUF012
        "tiny": {
            "small": True,
            "pretrained": False,
            "image_size": 64,
            "shrink": 2,
            "images_per_epoch": 3072,
            "head_epochs": 1,
            "optimizer": "adamw",
            "weight_decay": 0.05,
            "epochs": 6,
            "learning_rate": 3e-3,
            "warmup_steps": 20,
            "validate_every_epochs": 2,
            "swa_epochs": 2,
            "swa_learning_rate": 1e-3,
            "swa_final_learning_rate": 1e-4,
        },
        "contract": {"images_per_epoch": 320, "epochs": 3, "augment": False, "swa_epochs": 1},
    }
    ROWS = {  # noqa: RUF012
        "bce": {"loss": "bce", "swa_epochs": 0},
        "bce-oversample10": {"loss": "bce", "oversample": 10, "swa_epochs": 0},
        "bce-oversample20": {"loss": "bce", "oversample": 20, "swa_epochs": 0},
        "bce-oversample100": {"loss": "bce", "oversample": 100, "swa_epochs": 0},
        "wbce": {},
        "f2": {"loss": "f2", "swa_epochs": 0},
        "focal": {"loss": "focal", "swa_epochs": 0},
        "wbce-oversample10": {"oversample": 10, "swa_epochs": 0},
        "resnet18": {"members": ("resnet18",)},
        "densenet121": {"members": ("densenet121",)},
        "densenet161": {"members": ("densenet161",)},
        "inceptionv4": {"members": ("inceptionv4",)},
        "resnext101_32": {"members": ("resnext101_32",)},
        "resnext101_64": {"members": ("resnext101_64",)},
        "se_resnet101": {"members": ("se_resnet101",)},
        "resnet18-swa": {"members": ("resnet18-swa",)},
        "densenet121-swa": {"members": ("densenet121-swa",)},
        "densenet161-swa": {"members": ("densenet161-swa",)},
        "inceptionv4-swa": {"members": ("inceptionv4-swa",)},
        "resnext101_32-swa": {"members": ("resnext101_32-swa",)},
        "resnext101_64-swa": {"members": ("resnext101_64-swa",)},
        "se_resnet101-swa": {"members": ("se_resnet101-swa",)},
        "vote": {"members": ("densenet121-swa", "densenet161-swa", "inceptionv4-swa", "resnext101_32", "resnext101_64")},
        "vote-literal": {
            "members": ("densenet121-swa", "densenet161-swa", "inceptionv4-swa", "resnext101_32", "resnext101_64"),
            "quorum": 4,
        },
    }
    HEADLINE = ("wbce",)
    TEACHER_PARAMS = (
        "small",
        "pretrained",
        "weights_folder",
        "image_size",
        "shrink",
        "loss",
        "alpha",
        "normalize_weights",
        "gamma",
        "oversample",
        "augment",
        "optimizer",
        "batch_size",
        "images_per_epoch",
        "head_epochs",
        "head_learning_rate",
        "epochs",
        "learning_rate",
        "weight_decay",
        "schedule",
        "warmup_steps",
        "validate_every_epochs",
        "swa_epochs",
        "swa_cycle_epochs",
        "swa_learning_rate",
        "swa_final_learning_rate",
    )
    SCORES = "logits"
    PAPER = "jdstyle"

    def __post_init__(self) -> None:
        if self.loss not in _LOSSES:
            raise ValueError(f"jdstyle: loss is {self.loss!r}; expected one of {', '.join(_LOSSES)}")
        for member in self.members:
            if member.removesuffix(_AVERAGED) not in NETWORKS:
                raise ValueError(f"jdstyle: no member {member!r}; expected {', '.join(NETWORKS)}, each with or without {_AVERAGED!r}")
        if not self.members or (len(self.members) > 1 and not 1 <= self.quorum <= len(self.members)):
            raise ValueError(f"jdstyle: quorum is {self.quorum} of {len(self.members)} members; expected 1 to their number")
        at_least = {"epochs": 1, "batch_size": 1, "oversample": 1, "shrink": 1, "head_epochs": 0, "swa_epochs": 0, "swa_cycle_epochs": 1}
        for name, least in at_least.items():
            if getattr(self, name) < least:
                raise ValueError(f"jdstyle: {name} is {getattr(self, name)}; expected >= {least}")

    def teachers(self, schema: Schema) -> tuple[str, ...]:
        """The networks behind the members."""
        return tuple(dict.fromkeys(member.removesuffix(_AVERAGED) for member in self.members))

    def build(self, schema: Schema, teacher: str | None = None) -> nn.Module:
        """A member's networks, or what answers, with random weights."""
        if teacher is not None:
            averaged = self._network(teacher, schema) if self.swa_epochs else None
            return Member(self._network(teacher, schema), averaged)
        networks = [self._network(member.removesuffix(_AVERAGED), schema) for member in self.members]
        return networks[0] if len(networks) == 1 else Vote(networks, schema, self.quorum)

    def fit_teacher(self, teacher: str, data: TrainingData, run: Run) -> nn.Module:
        """Trains the head, then the network, then further with averaging of its weights."""
        seed_weights(run.rng("weights"))
        network = self._network(teacher, data.schema, pretrained=self.pretrained)
        positions = repeated(data.labeled.labels, self.oversample)
        batches = RepeatedBatches(data.labeled, positions, self.batch_size, self.images_per_epoch)
        loss = _Loss(self, data)
        if self.head_epochs:
            network.backbone.requires_grad_(False)
            of_head = with_backbone_in_eval(loss) if self.pretrained else loss
            run.train("head", network, of_head, batches, self._recipe(self.head_epochs, self.head_learning_rate, "constant"))
            network.backbone.requires_grad_(True)
        run.train(
            "all",
            network,
            loss,
            batches,
            self._recipe(self.epochs, self.learning_rate, self.schedule, warmup_steps=self.warmup_steps),
            validate=lambda: run.score(network, data.validation, _SELECTION),
            validate_every_epochs=self.validate_every_epochs,
        )
        return Member(network, self._averaged(network, loss, batches, data, run) if self.swa_epochs else None)

    def fit(self, data: TrainingData, teachers: Mapping[str, nn.Module], run: Run) -> None:
        """Takes a member as it is, or finds each member's thresholds on validation for the vote."""
        networks = []
        for name in self.members:
            member = teachers[name.removesuffix(_AVERAGED)]
            assert isinstance(member, Member)
            networks.append(member.answering(name))
        if len(networks) == 1:
            self.model = networks[0]
            return
        self.model = Vote(networks, data.schema, self.quorum).to(run.device).eval()
        labels = np.concatenate([np.asarray(data.validation.labels[name]) for name in data.schema.names], axis=1)
        for row, network in zip(self.model.thresholds, networks, strict=True):
            row.copy_(torch.from_numpy(run.thresholds(_logits(network, data.validation, run.device), labels)))

    def predict(self, images: Tensor) -> dict[str, Tensor]:
        """Logits of one network; of several, votes as scores that are >= 0 where a quorum is reached."""
        return {name: scores.float() for name, scores in self.model(images).items()}

    def _averaged(self, network: StyleNet, loss: _Loss, batches: RepeatedBatches, data: TrainingData, run: Run) -> StyleNet:
        """Eq. (6): the mean of the weights at the end of each cycle, with batch-norm statistics of its own."""
        walker = copy.deepcopy(network)
        cycle_steps = self.swa_cycle_epochs * max(1, batches.images_per_epoch // self.batch_size)
        hook = SWA(walker, start_step=cycle_steps, every=cycle_steps)
        recipe = self._recipe(
            self.swa_epochs,
            self.swa_learning_rate,
            "cyclic",
            cycle_steps=cycle_steps,
            final_learning_rate=self.swa_final_learning_rate,
        )
        run.train("swa", walker, loss, batches, recipe, hooks=[hook])
        assert isinstance(hook.state, AveragedWeights)
        averaged = hook.state.module
        assert isinstance(averaged, StyleNet)
        recalibrate_batch_norm_(averaged.backbone, _image_batches(data.labeled, run))
        return averaged.requires_grad_(True)

    def _network(self, name: str, schema: Schema, pretrained: bool = False) -> StyleNet:
        full, small = NETWORKS[name]
        network = small if self.small else full
        weights_file = f"{self.weights_folder}/{network}.safetensors" if pretrained and self.weights_folder else ""
        options = {"image_size": self.image_size, "shrink": self.shrink}
        return StyleNet(make_backbone(network, pretrained=pretrained, weights_file=weights_file, **options), schema)

    def _recipe(self, epochs: int, learning_rate: float, schedule: str, **changes: float) -> Recipe:
        return Recipe(
            epochs=epochs,
            learning_rate=learning_rate,
            optimizer=self.optimizer,  # type: ignore[arg-type]
            weight_decay=self.weight_decay,
            schedule=schedule,  # type: ignore[arg-type]
            **changes,  # type: ignore[arg-type]
        )


class _Loss:
    """The mean over types of the chosen loss."""

    def __init__(self, method: JDStyle, data: TrainingData) -> None:
        self.method = method
        counts = {name: torch.from_numpy((np.asarray(values) == POSITIVE).sum(axis=0)) for name, values in data.labeled.labels.items()}
        self.weights = {name: count_weights(count, method.alpha, method.normalize_weights) for name, count in counts.items()}

    def __call__(self, module: nn.Module, batch: Batch) -> Tensor:
        images = weak_augment(batch.images, shift=0.0) if self.method.augment else batch.images
        return torch.stack([self._of_type(logits, batch.labels[name], name) for name, logits in module(images).items()]).mean()

    def _of_type(self, logits: Tensor, labels: Tensor, name: str) -> Tensor:
        if self.method.loss == "wbce":
            return weighted_binary_cross_entropy(logits, labels, self.weights[name].to(logits.device))
        if self.method.loss == "f2":
            return soft_f_beta_loss(logits, labels)
        if self.method.loss == "focal":
            return focal_binary_cross_entropy(logits, labels, self.method.gamma)
        return known_binary_cross_entropy(logits, labels)


def _image_batches(examples: Examples, run: Run, num_images: int = 4096) -> Iterator[Tensor]:
    """Batches of some thousand images, drawn without replacement; the last one may be smaller. A single image that is left over is left
    out: its maps of one pixel would have no variance, and where they have one, it would count as much as a batch."""
    order = run.rng("statistics").permutation(len(examples))[:num_images]
    for start in range(0, max(1, len(order) - 1), _BATCH):
        yield examples.batch(order[start : start + _BATCH]).images.to(run.device)


@torch.inference_mode()
def _logits(network: nn.Module, examples: Examples, device: torch.device) -> np.ndarray:
    """float32 (N, classes of all types)."""
    starts = range(0, len(examples), _BATCH)
    batches = [examples.batch(np.arange(start, min(start + _BATCH, len(examples)))).images.to(device) for start in starts]
    return torch.cat([torch.cat(list(network(images).values()), dim=1).float().cpu() for images in batches]).numpy()
