"""Transfer Learning for Fine-grained Classification Using Semi-supervised Learning and Visual Transformers (M. Lagunas, B. Impata,
V. Martinez, V. Fernandez, C. Georgakis, S. Braun and F. Bertrand, 2023), with Semi-ViT (Z. Cai et al., NeurIPS 2022).

A vision transformer is fine-tuned on the labels; then its moving average labels weak views of images without labels, which the
transformer learns from as strong views, mixed in proportion to how sure the average is. Table 2 prints accuracies of 85.3, 81.5 and
81.8 for Semi-ViT on necklines of vests, phone cases and aprons, all labels shown, and 81.2, 79.0 and 78 for the fine-tuned transformer
alone; `python -m bench run --table semivit-2 --preset paper` trains the same where the three private sets are at hand.

The paper names neither rates nor batches; defaults are those that Semi-ViT was published with for a tenth of ImageNet's labels (for a
hundredth: threshold 0.6, no drop path, erasing, mixup or cutmix in the second stage). What is ours:
- Several attribute types: a softmax and a head each; an image's share in a mixture follows the mean over types of the average's largest
  probability, and each type has a mask of its own. Losses are averaged over types.
- Types whose classes do not exclude each other: a softmax too. Positives share the target; every other class competes with them, also
  one whose label is unknown. An image without a positive of a type teaches nothing of that type. Their scores are log p / (1 - p).
- The moving average starts from the fine-tuned weights. At decay .9999 it stays there for thousands of steps; ema_half_life, in steps,
  sets the decay where training is short. Average and transformer are both scored on validation after each epoch, and of all epochs the
  better of both is kept (`answers_ema` beside the model says which).
- Mixup and cutmix are drawn for each image, not once a batch. Crops are resized linearly, and changes of RandAugment interpolate so.
- ResNet18, of which the paper says nothing but its name, is fine-tuned by the same recipe without layer-wise decay and drop path.
- Without unlabelled images the labelled ones stand in for them.
- Preset tiny has a small transformer with a stem of three convolutions, trained from scratch, and no change of colours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.protocol import Batch, Examples, Recipe, Run, Schema, TrainingData
from methods.losses.soft_targets import label_shares, soft_cross_entropy
from methods.parts.augment import weak_augment
from methods.parts.augment_strong import crop_augment
from methods.parts.averaging import EMA
from methods.parts.backbone import Backbone
from methods.parts.batches import LabeledBatches
from methods.parts.finetuning import layer_decay_groups, make_finetuned_backbone
from methods.parts.heads import TypeHeads
from methods.parts.mixup import mix, probabilistic_pseudo_mixup
from methods.parts.pool_batches import PoolBatches
from methods.parts.rand_augment import rand_augment, random_erase
from methods.parts.seeds import seed_weights

_TEACHER = "finetuned"
_BATCH = 256  # images that are labelled at a time for the audit
_SURE = -1e-6  # a log-probability closer to 0 has no finite odds


class Classifier(nn.Module):
    """A backbone and one linear head a type: (B, 3, H, W) -> type -> logits (B, C)."""

    def __init__(self, backbone: Backbone, schema: Schema, head_std: float) -> None:
        super().__init__()
        self.backbone = backbone
        self.heads = TypeHeads(backbone.num_features, {kind.name: len(kind.classes) for kind in schema})
        self.exclusive = frozenset(kind.name for kind in schema if kind.exclusive)
        nn.init.trunc_normal_(self.heads.linear.weight, std=head_std)
        nn.init.zeros_(self.heads.linear.bias)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        logits: dict[str, Tensor] = self.heads(self.backbone(images))
        return logits

    def scores(self, images: Tensor) -> dict[str, Tensor]:
        """Logits of exclusive types, log-odds of the softmax's probabilities for the others."""
        return {name: values.float() if name in self.exclusive else _log_odds(values) for name, values in self(images).items()}


@dataclass(kw_only=True)
class SemiViT:
    """answer: "semi", or "finetuned" for the network before it sees unlabelled images. base_learning_rate: for 256 labelled images a
    batch. Those named semi_*, threshold, unlabeled_weight and ema_* matter for "semi" alone. *images_per_epoch, semi_draws: images an
    epoch, 0 for each once. ema_half_life: steps after which half of the average is new, 0 for ema_decay as it is. weak_view: "crop"
    (and mirror) or "shift". rand_changes: RandAugment's, 0 for none. pool_patches: a transformer answers with its mean patch token."""

    answer: str = "semi"
    backbone: str = "vit_base_patch16_224.mae"
    pretrained: bool = True
    weights_file: str = ""
    image_size: int = 224
    shrink: int = 1
    pool_patches: bool = True
    head_std: float = 2e-5
    least_scale: float = 0.08
    rand_changes: int = 2
    rand_magnitude: float = 9.0
    smoothing: float = 0.1
    weight_decay: float = 0.05
    final_learning_rate: float = 1e-6
    validate_every_epochs: int = 1
    base_learning_rate: float = 2.5e-4
    layer_decay: float = 0.65
    drop_path: float = 0.1
    erase: float = 0.25
    mixup: float = 0.8
    cutmix: float = 1.0
    batch_size: int = 512
    images_per_epoch: int = 0
    epochs: int = 100
    warmup_epochs: float = 5.0
    weak_view: str = "crop"
    semi_base_learning_rate: float = 1e-3
    semi_layer_decay: float = 0.75
    semi_drop_path: float = 0.1
    semi_erase: float = 0.25
    semi_mixup: float = 0.8
    semi_cutmix: float = 1.0
    semi_labeled: int = 128
    semi_unlabeled: int = 640
    semi_draws: int = 0
    semi_epochs: int = 100
    semi_warmup_epochs: float = 5.0
    threshold: float = 0.5  # τ
    unlabeled_weight: float = 5.0  # λ_u
    ema_decay: float = 0.9999
    ema_half_life: float = 0.0

    PRESETS = {  # noqa: RUF012
        "tiny": {
            "backbone": "small_vit",
            "pretrained": False,
            "image_size": 64,
            "shrink": 2,
            "head_std": 0.02,
            "least_scale": 0.8,
            "rand_changes": 0,
            "smoothing": 0.0,
            "validate_every_epochs": 4,
            "base_learning_rate": 0.024,
            "layer_decay": 1.0,
            "drop_path": 0.0,
            "erase": 0.0,
            "mixup": 0.0,
            "cutmix": 0.0,
            "batch_size": 32,
            "images_per_epoch": 2048,
            "epochs": 20,
            "warmup_epochs": 1.0,
            "weak_view": "shift",
            "semi_base_learning_rate": 0.004,
            "semi_layer_decay": 1.0,
            "semi_drop_path": 0.0,
            "semi_erase": 0.0,
            "semi_mixup": 0.0,
            "semi_cutmix": 0.0,
            "semi_labeled": 32,
            "semi_unlabeled": 64,
            "semi_draws": 3072,
            "semi_epochs": 6,
            "semi_warmup_epochs": 0.5,
            "threshold": 0.7,
            "unlabeled_weight": 2.0,
            "ema_half_life": 30.0,
        },
        "tiny/resnet18": {"backbone": "test_resnet", "base_learning_rate": 0.016},
        "contract": {"images_per_epoch": 512, "epochs": 6, "semi_draws": 192, "semi_epochs": 3},
    }
    ROWS = {  # noqa: RUF012
        "resnet18": {"answer": "finetuned", "backbone": "resnet18", "layer_decay": 1.0, "drop_path": 0.0},
        "vit": {"answer": "finetuned"},
        "semivit": {"answer": "semi"},
    }
    HEADLINE = ("vit", "semivit")
    TEACHER_PARAMS = (
        "backbone",
        "pretrained",
        "weights_file",
        "image_size",
        "shrink",
        "pool_patches",
        "head_std",
        "least_scale",
        "rand_changes",
        "rand_magnitude",
        "smoothing",
        "weight_decay",
        "final_learning_rate",
        "validate_every_epochs",
        "base_learning_rate",
        "layer_decay",
        "drop_path",
        "erase",
        "mixup",
        "cutmix",
        "batch_size",
        "images_per_epoch",
        "epochs",
        "warmup_epochs",
    )
    SCORES = "logits"
    PAPER = "semivit"

    def __post_init__(self) -> None:
        for name, choices in {"answer": ("semi", _TEACHER), "weak_view": ("crop", "shift")}.items():
            if getattr(self, name) not in choices:
                raise ValueError(f"semivit: {name} is {getattr(self, name)!r}; expected {' or '.join(map(repr, choices))}")
        for name in (
            "epochs",
            "semi_epochs",
            "batch_size",
            "semi_labeled",
            "semi_unlabeled",
            "image_size",
            "shrink",
            "validate_every_epochs",
        ):
            if getattr(self, name) < 1:
                raise ValueError(f"semivit: {name} is {getattr(self, name)}; expected >= 1")
        for name in ("threshold", "ema_decay", "drop_path", "semi_drop_path", "smoothing"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"semivit: {name} is {getattr(self, name)}; expected a value in [0, 1]")
        if self.ema_half_life < 0:
            raise ValueError(f"semivit: ema_half_life is {self.ema_half_life}; expected >= 0")

    def teachers(self, schema: Schema) -> tuple[str, ...]:
        """The fine-tuned network, which rows with the same recipe share."""
        return (_TEACHER,)

    def build(self, schema: Schema, teacher: str | None = None) -> nn.Module:
        """The network with random weights; that of the teacher and that which answers are alike."""
        return self._network(schema, self.drop_path if teacher else self.semi_drop_path if self.answer == "semi" else self.drop_path)

    def fit_teacher(self, teacher: str, data: TrainingData, run: Run) -> nn.Module:
        """Fine-tunes on the labels. Raises FileNotFoundError where pretrained weights are absent."""
        seed_weights(run.rng("weights"))
        network = self._network(data.schema, self.drop_path, pretrained=self.pretrained)
        batches = LabeledBatches(data.labeled, self.batch_size, self.images_per_epoch)
        steps = max(1, batches.images_per_epoch // self.batch_size)
        recipe = self._recipe(self.epochs, self.base_learning_rate, self.batch_size, round(self.warmup_epochs * steps), self.layer_decay)

        def loss(module: nn.Module, batch: Batch) -> Tensor:
            images, targets = self._mixed(module, batch, self.erase, self.mixup, self.cutmix)
            return _mean_loss(module(images), targets, self.smoothing)

        run.train(
            "finetuned",
            network,
            loss,
            batches,
            recipe,
            validate=lambda: run.score(network.scores, data.validation, _metric(data.schema)),
            validate_every_epochs=self.validate_every_epochs,
        )
        return network

    def fit(self, data: TrainingData, teachers: Mapping[str, nn.Module], run: Run) -> None:
        """Takes the fine-tuned network as it is, or goes on with unlabelled images."""
        if self.answer == _TEACHER:
            self.model = teachers[_TEACHER]
            return
        student = self._network(data.schema, self.semi_drop_path)
        student.load_state_dict(teachers[_TEACHER].state_dict())
        average = EMA(student, half_life_decay(self.ema_half_life) if self.ema_half_life else self.ema_decay)
        batches = PoolBatches(data.labeled, data.unlabeled, self.semi_labeled, self.semi_unlabeled, self.semi_draws)
        steps = batches.steps_per_epoch
        rates = MaskRates(data.schema.names, self.semi_epochs, steps)
        warmup = round(self.semi_warmup_epochs * steps)
        metric = _metric(data.schema)

        def score(network: nn.Module) -> float:
            return run.score(network.scores, data.validation, metric)  # type: ignore[arg-type]

        run.train(
            "semi",
            student,
            lambda module, batch: self._semi_loss(module, average.state, rates, batch),
            batches,
            self._recipe(self.semi_epochs, self.semi_base_learning_rate, self.semi_labeled, warmup, self.semi_layer_decay),
            hooks=[average, rates],
            validate=lambda: float(np.fmax(score(student), score(average.state))),
            validate_every_epochs=self.validate_every_epochs,
        )
        values = {"student": score(student), "ema": score(average.state)}
        averaged = not values["student"] > values["ema"]
        self.model = average.state if averaged else student
        run.log(answers_ema=float(averaged), **{f"validation_{name}": value for name, value in values.items()}, **rates.logged())
        if len(data.unlabeled):
            run.audit("pseudo", self._pseudo_labels(average.state, data.unlabeled, run.device))

    def predict(self, images: Tensor) -> dict[str, Tensor]:
        """Logits of exclusive types, log-odds for the others."""
        scores: dict[str, Tensor] = self.model.scores(images)  # type: ignore[operator]
        return scores

    def _semi_loss(self, module: nn.Module, average: nn.Module, rates: MaskRates, batch: tuple[Batch, Tensor]) -> Tensor:
        """L_x + λ_u * mean(CE * mask), the mean over all unlabelled images."""
        labeled, unlabeled = batch
        with torch.no_grad():
            sure = {name: logits.float().softmax(dim=1) for name, logits in average(self._weak(unlabeled)).items()}
        strong = self._strong(module, unlabeled, self.semi_erase)
        partner = torch.randperm(len(strong)).to(strong.device)
        mixture = probabilistic_pseudo_mixup(strong, sure, partner, self.threshold)
        rates.pending = mixture.masks
        images, targets = self._mixed(module, labeled, self.semi_erase, self.semi_mixup, self.semi_cutmix)
        logits = module(torch.cat([images, mixture.images]))
        known = {name: values[: len(images)] for name, values in logits.items()}
        terms = [
            soft_cross_entropy(values[len(images) :], mixture.targets[name] * mixture.masks[name][:, None], divisor=len(strong))
            for name, values in logits.items()
        ]
        return _mean_loss(known, targets, self.smoothing) + self.unlabeled_weight * torch.stack(terms).mean()

    def _mixed(self, module: nn.Module, batch: Batch, erase: float, mixup: float, cutmix: float) -> tuple[Tensor, Mapping[str, Tensor]]:
        """Strong views of labelled images, mixed with each other, and what they are to answer."""
        targets = {name: label_shares(labels) for name, labels in batch.labels.items()}
        return mix(self._strong(module, batch.images, erase), targets, mixup=mixup, cutmix=cutmix)

    def _strong(self, module: nn.Module, images: Tensor, erase: float) -> Tensor:
        backbone: Any = module.backbone
        views = crop_augment(images, scale=(self.least_scale, 1.0))
        if self.rand_changes:
            views = rand_augment(views, num_changes=self.rand_changes, magnitude=self.rand_magnitude)
        return random_erase(views, backbone.mean, backbone.std, probability=erase) if erase else views

    def _weak(self, images: Tensor) -> Tensor:
        return weak_augment(images) if self.weak_view == "shift" else crop_augment(images, scale=(self.least_scale, 1.0))

    @torch.no_grad()
    def _pseudo_labels(self, network: nn.Module, pool: Examples, device: torch.device) -> dict[str, np.ndarray]:
        """type -> int64 (N,), the class of each image of the pool that the network is sure of, or -1."""
        found: dict[str, list[Tensor]] = {}
        for start in range(0, len(pool), _BATCH):
            images = pool.batch(np.arange(start, min(start + _BATCH, len(pool)))).images.to(device)
            for name, logits in network(images).items():
                certain, classes = logits.float().softmax(dim=1).max(dim=1)
                found.setdefault(name, []).append(torch.where(certain >= self.threshold, classes, -1).cpu())
        return {name: torch.cat(parts).numpy() for name, parts in found.items()}

    def _network(self, schema: Schema, drop_path: float, pretrained: bool = False) -> Classifier:
        backbone = make_finetuned_backbone(
            self.backbone,
            pretrained=pretrained,
            weights_file=self.weights_file if pretrained else "",
            image_size=self.image_size,
            shrink=self.shrink,
            drop_path=drop_path,
            pool_patches=self.pool_patches,
        )
        return Classifier(backbone, schema, self.head_std)

    def _recipe(self, epochs: int, base_learning_rate: float, num_labeled: int, warmup_steps: int, layer_decay: float) -> Recipe:
        rate = base_learning_rate * num_labeled / 256
        options = {"learning_rate": rate, "weight_decay": self.weight_decay, "layer_decay": layer_decay}
        return Recipe(
            epochs=epochs,
            learning_rate=rate,
            optimizer="adamw",
            weight_decay=self.weight_decay,
            schedule="cosine",
            warmup_steps=warmup_steps,
            final_learning_rate=self.final_learning_rate,
            param_groups=lambda module: layer_decay_groups(module.backbone, module.heads, **options),  # type: ignore[arg-type]
        )


class MaskRates:
    """A hook that counts, by epoch and type, the share of unlabelled images whose pseudo-label counts. pending: type -> bool (B,), the
    masks of the present step."""

    def __init__(self, names: tuple[str, ...], epochs: int, epoch_steps: int) -> None:
        self.names, self.epoch_steps = names, epoch_steps
        self.pending: Mapping[str, Tensor] = {}
        self.state = nn.Module()
        self.state.register_buffer("sums", torch.zeros(epochs, len(names), dtype=torch.float64))
        self.state.register_buffer("steps", torch.zeros(epochs, dtype=torch.int64))

    def after_step(self, module: nn.Module, step: int, num_steps: int) -> None:
        """Takes a step's masks into its epoch's mean."""
        epoch = (step - 1) // self.epoch_steps
        sums, steps = self.state.get_buffer("sums"), self.state.get_buffer("steps")
        sums[epoch] += torch.stack([self.pending[name].double().mean() for name in self.names])
        steps[epoch] += 1

    def logged(self) -> dict[str, float]:
        """mask_rate of the first epoch, and of the last one up to the weights that were kept, also by type."""
        steps = self.state.get_buffer("steps").cpu()
        rates = (self.state.get_buffer("sums").cpu()[steps > 0] / steps[steps > 0][:, None]).tolist()
        found = {"mask_rate_first": float(np.mean(rates[0])), "mask_rate": float(np.mean(rates[-1]))}
        return found | {f"mask_rate/{name}": rate for name, rate in zip(self.names, rates[-1], strict=True)}


def half_life_decay(steps: float) -> float:
    """The decay at which half of an average is new after so many steps, > 0."""
    return float(0.5 ** (1.0 / steps))


def _mean_loss(logits: Mapping[str, Tensor], targets: Mapping[str, Tensor], smoothing: float) -> Tensor:
    return torch.stack([soft_cross_entropy(values, targets[name], smoothing=smoothing) for name, values in logits.items()]).mean()


def _metric(schema: Schema) -> str:
    return "accuracy@1" if all(kind.exclusive for kind in schema) else "f1@1"


def _log_odds(logits: Tensor) -> Tensor:
    log_p = functional.log_softmax(logits.float(), dim=1).clamp_max(_SURE)
    return log_p - torch.log(-torch.expm1(log_p))
