"""Proxies in place of label embeddings: NormalizedSoftmax (A. Zhai and H.-Y. Wu, BMVC 2019) and ProxyAnchor (S. Kim et al., CVPR 2020).

Controls of MTSS's label-embedding teacher: like it they learn a vector for each class and embed images near those of their classes, by
losses that metric learning settled on, here those of the package pytorch-metric-learning. No table of the five papers has them.

    python -m bench run --methods metric_learning --preset paper

What differs from MTSS's teacher beside the loss: one network for all types with a linear branch each, where MTSS trains a network a type;
images drawn as often as they are, where MTSS draws classes equally often; all classes in place of the 40 most frequent ones.

Differences from the sources:
- Sources have one exclusive type. Here each attribute type has proxies of its own, and losses are means over types. In a type that is not
  exclusive, ours: each step draws one positive class of an image (preset tiny: four times), as MTSS counts an image in each of its
  classes; the others that it carries are among the negatives of that draw. Unknown labels are read as negatives beside a known positive.
- Images without a positive of a type take no part in its loss. Classes without a labelled image are never ranked.
- Batches are drawn at random, where ProxyAnchor's authors do the same and NormalizedSoftmax's balance classes.
- Proxies learn at proxy_rate times the rate of the network (ProxyAnchor's authors: 100). Embedding size is MTSS's; optimiser and length are
  ours. Images are mirrored and shifted, but not at preset tiny. Of the epochs the one with the best F1@1 on validation, pooled over types,
  is kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.protocol import POSITIVE, Batch, Recipe, Run, Schema, TrainingData
from methods.parts.augment import weak_augment
from methods.parts.batches import LabeledBatches
from methods.parts.classifier import OneNetwork, check_choice, check_least, class_counts
from methods.parts.heads import TypeHeads
from methods.parts.recipes import cosine
from methods.parts.seeds import seed_weights
from methods.parts.weights import backbone_of

_SELECTION = "f1@1"
_LOSSES = ("normalized_softmax", "proxy_anchor")


class ProxyNetwork(nn.Module):
    """A backbone, a linear branch a type, and proxies of its classes: uint8 (B, 3, H, W) -> type -> embeddings (B, D).

    losses: one a type, of pytorch-metric-learning, which hold the proxies. trained: bool, a class after another, which proxies mean
    something."""

    trained: Tensor

    def __init__(self, backbone: Any, sizes: Mapping[str, int], dim: int, losses: list[nn.Module]) -> None:
        super().__init__()
        self.backbone, self.sizes = backbone, dict(sizes)
        self.branches = TypeHeads(backbone.num_features, dict.fromkeys(sizes, dim))
        self.losses = nn.ModuleList(losses)
        self.register_buffer("trained", torch.zeros(sum(self.sizes.values()), dtype=torch.bool))

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        embeddings: dict[str, Tensor] = self.branches(self.backbone(images))
        return embeddings

    def scores(self, images: Tensor) -> dict[str, Tensor]:
        """Cosines to the proxies, (B, C) a type; -inf where a class had no image."""
        kept = torch.split(self.trained, list(self.sizes.values()))
        found = {}
        for (name, embeddings), loss, known in zip(self(images).items(), self.losses, kept, strict=True):
            cosines = functional.normalize(embeddings.float(), dim=1) @ functional.normalize(proxies_of(loss), dim=1).T
            found[name] = cosines.masked_fill(~known, -torch.inf)
        return found


def proxies_of(loss: nn.Module) -> Tensor:
    """(C, D), with gradient."""
    return loss.proxies if hasattr(loss, "proxies") else loss.W.T  # type: ignore[return-value]


def drawn_class(labels: Tensor) -> tuple[Tensor, Tensor]:
    """labels int8 (B, C) -> int64 (B,) one of each image's positive classes, drawn from torch's global generator, and bool (B,) whether
    it has any."""
    positive = labels == 1
    draws = torch.rand(labels.shape, device=labels.device).masked_fill(~positive, -1.0)
    return draws.argmax(dim=1), positive.any(dim=1)


@dataclass(kw_only=True)
class MetricLearning(OneNetwork):
    """loss: "normalized_softmax" or "proxy_anchor". draws: classes drawn of each image and type in a step. temperature: of the
    first. margin, alpha: of the second. images_per_epoch: 0 for each labelled image once."""

    loss: str = "normalized_softmax"
    backbone: str = "resnet50"
    pretrained: bool = True
    weights_file: str = ""
    image_size: int = 224
    shrink: int = 1
    embedding_dim: int = 1024
    draws: int = 1
    temperature: float = 0.05
    margin: float = 0.1  # δ
    alpha: float = 32.0  # α
    proxy_rate: float = 100.0
    augment: bool = True
    epochs: int = 30
    images_per_epoch: int = 0
    batch_size: int = 128
    optimizer: str = "adamw"
    learning_rate: float = 1e-4
    weight_decay: float = 1e-4
    warmup_steps: int = 100
    validate_every_epochs: int = 1

    PRESETS = {  # noqa: RUF012
        "tiny": {
            "backbone": "test_resnet",
            "pretrained": False,
            "image_size": 64,
            "shrink": 2,
            "embedding_dim": 128,
            "draws": 4,
            "temperature": 0.1,
            "proxy_rate": 5.0,
            "augment": False,
            "batch_size": 32,
            "epochs": 10,
            "images_per_epoch": 2048,
            "learning_rate": 2e-3,
            "weight_decay": 0.01,
            "warmup_steps": 20,
            "validate_every_epochs": 5,
        },
        "contract": {"epochs": 4, "images_per_epoch": 512},
    }
    ROWS = {  # noqa: RUF012
        "normalized-softmax": {"loss": "normalized_softmax"},
        "proxy-anchor": {"loss": "proxy_anchor"},
    }
    HEADLINE = ("normalized-softmax",)
    SCORES = "similarity"

    def __post_init__(self) -> None:
        check_choice("metric_learning", "loss", self.loss, _LOSSES)
        check_least(self, "metric_learning", embedding_dim=1, draws=1, epochs=1, batch_size=1, shrink=1, validate_every_epochs=1)
        if self.temperature <= 0 or self.proxy_rate <= 0:
            raise ValueError(f"metric_learning: temperature is {self.temperature} and proxy_rate {self.proxy_rate}; expected both > 0")

    def network(self, schema: Schema, *, pretrained: bool = False) -> nn.Module:
        """The network before it is trained; pretrained: with the backbone's weights. Its proxies are random."""
        sizes = class_counts(schema)
        losses = [self._loss(size) for size in sizes.values()]
        return ProxyNetwork(backbone_of(self, pretrained=pretrained), sizes, self.embedding_dim, losses)

    def fit(self, data: TrainingData, teachers: Mapping[str, nn.Module], run: Run) -> None:
        """Trains on the labelled images; the unlabelled ones are not used."""
        seed_weights(run.rng("weights"))
        model = self.network(data.schema, pretrained=self.pretrained)
        assert isinstance(model, ProxyNetwork)
        self.model = model
        present = [(np.asarray(data.labeled.labels[name]) == POSITIVE).any(axis=0) for name in data.schema.names]
        model.trained.copy_(torch.from_numpy(np.concatenate(present)))
        run.train(
            "metric_learning",
            self.model,
            self.batch_loss,
            LabeledBatches(data.labeled, self.batch_size, self.images_per_epoch),
            self._recipe(),
            validate=lambda: run.score(self.predict, data.validation, _SELECTION),
            validate_every_epochs=self.validate_every_epochs,
        )

    def predict(self, images: Tensor) -> dict[str, Tensor]:
        """Cosines to the proxies."""
        scores: dict[str, Tensor] = self.model.scores(images)
        return scores

    def embed(self, images: Tensor) -> dict[str, Tensor]:
        """Type -> embeddings (B, D), for pictures of them."""
        embeddings: dict[str, Tensor] = self.model(images)
        return embeddings

    def batch_loss(self, module: nn.Module, batch: Batch) -> Tensor:
        """The mean over types of the package's loss, over images with a positive of the type."""
        assert isinstance(module, ProxyNetwork)
        terms = []
        embedded = module(weak_augment(batch.images) if self.augment else batch.images)
        for (name, embeddings), loss in zip(embedded.items(), module.losses, strict=True):
            classes, known = drawn_class(batch.labels[name].repeat(self.draws, 1))
            seen = embeddings.repeat(self.draws, 1)[known].float()
            terms.append(loss(seen, classes[known]) if bool(known.any()) else 0.0 * embeddings.sum())
        return torch.stack(terms).mean()

    def _loss(self, num_classes: int) -> nn.Module:
        """Raises ImportError, in one line, where the package is missing."""
        try:
            from pytorch_metric_learning import losses  # seconds to import, and only where a network is built
        except ImportError as error:
            raise ImportError("metric_learning needs the package pytorch-metric-learning: pip install pytorch-metric-learning") from error
        if self.loss == "proxy_anchor":
            found: nn.Module = losses.ProxyAnchorLoss(num_classes, self.embedding_dim, margin=self.margin, alpha=self.alpha)
        else:
            found = losses.NormalizedSoftmaxLoss(num_classes, self.embedding_dim, temperature=self.temperature)
        return found

    def _recipe(self) -> Recipe:
        def groups(module: nn.Module) -> list[dict[str, Any]]:
            assert isinstance(module, ProxyNetwork)
            proxies = list(module.losses.parameters())
            mine = {id(parameter) for parameter in proxies}
            others = [parameter for parameter in module.parameters() if id(parameter) not in mine]
            decayed, kept = ([value for value in others if (value.ndim > 1) is wide] for wide in (True, False))
            rate = self.proxy_rate * self.learning_rate
            return [{"params": decayed}, {"params": kept, "weight_decay": 0.0}, {"params": proxies, "lr": rate, "weight_decay": 0.0}]

        return Recipe(**cosine(self), param_groups=groups)
