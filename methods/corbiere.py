"""Bags of words under one softmax (after C. Corbiere et al., ICCVW 2017), labels only.

The source is "Leveraging Weakly Annotated Data for Fashion Image Retrieval and Label Prediction".
All classes of all types are one vocabulary, and an image's positive labels its bag of words. Each step draws one word from the bag of an
image and asks a softmax to prefer it to words drawn from outside; the last layer learns first, then all. MTSS Table 1 prints the source's
figures, which was trained on a shop's own descriptions; this learns from the data set's labels:
`python -m bench run --methods corbiere --datasets deepfashion --preset paper`.

Differences from the source:
- Labels of the data set in place of words of product descriptions, and no weak data beside them.
- Words outside the bag are drawn uniformly, num_negatives of them; with unknown_negative, as in the source, a word counts as outside
  where its label is unknown: unknown is then read as negative. Images with an empty bag take no part.
- Exclusive types and others are alike: a score is a logit of the one vocabulary, and ranks the classes within its type.
- Optimiser, rates, lengths and num_negatives are ours. Images are mirrored and shifted, but not at preset tiny, which draws several words
  of an image in each step, which costs nothing beside its pass through the network, and takes part of the noise out of so few steps.
- While the last layer learns alone, pretrained batch norms keep their statistics; those of a network from scratch, which describe no image
  yet, are a batch's.
- Of the epochs of the second part, the one with the best F1@1 on validation, pooled over types, is kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bench.protocol import Batch, Recipe, Run, Schema, TrainingData
from methods.losses.bag import bag_loss
from methods.parts.augment import weak_augment
from methods.parts.batches import LabeledBatches
from methods.parts.classifier import OneNetwork, TypeClassifier, check_least, class_counts
from methods.parts.frozen import with_backbone_in_eval
from methods.parts.recipes import cosine
from methods.parts.seeds import seed_weights
from methods.parts.weights import backbone_of

_SELECTION = "f1@1"


@dataclass(kw_only=True)
class Corbiere(OneNetwork):
    """num_negatives: classes drawn for each positive one. words: positive ones drawn of each image and step. unknown_negative: a class
    whose label is unknown may be drawn as a negative one.
    head_epochs: of the last layer alone, at head_learning_rate, before all. images_per_epoch: 0 for each labelled image once."""

    backbone: str = "resnet50"
    pretrained: bool = True
    weights_file: str = ""
    image_size: int = 224
    shrink: int = 1
    num_negatives: int = 100
    words: int = 1
    unknown_negative: bool = True
    augment: bool = True
    head_epochs: int = 5
    head_learning_rate: float = 1e-3
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
            "words": 16,
            "augment": False,
            "batch_size": 32,
            "head_epochs": 1,
            "head_learning_rate": 1e-2,
            "epochs": 10,
            "images_per_epoch": 2048,
            "learning_rate": 3e-3,
            "warmup_steps": 20,
            "validate_every_epochs": 5,
        },
        "contract": {"epochs": 4, "images_per_epoch": 512},
    }
    SCORES = "logits"

    def __post_init__(self) -> None:
        check_least(self, "corbiere", num_negatives=1, words=1, head_epochs=0, epochs=1, batch_size=1, shrink=1, validate_every_epochs=1)

    def network(self, schema: Schema, *, pretrained: bool = False) -> nn.Module:
        """The network before it is trained; pretrained: with the backbone's weights."""
        return TypeClassifier(backbone_of(self, pretrained=pretrained), class_counts(schema))

    def fit(self, data: TrainingData, teachers: Mapping[str, nn.Module], run: Run) -> None:
        """Trains on the labelled images; the unlabelled ones are not used."""
        seed_weights(run.rng("weights"))
        self.model = self.network(data.schema, pretrained=self.pretrained)
        batches = LabeledBatches(data.labeled, self.batch_size, self.images_per_epoch)
        if self.head_epochs:
            self.model.backbone.requires_grad_(False)
            of_head = with_backbone_in_eval(self.batch_loss) if self.pretrained else self.batch_loss
            head = Recipe(epochs=self.head_epochs, learning_rate=self.head_learning_rate, optimizer=self.optimizer)  # type: ignore[arg-type]
            run.train("last layer", self.model, of_head, batches, head)
            self.model.backbone.requires_grad_(True)
        run.train(
            "all",
            self.model,
            self.batch_loss,
            batches,
            Recipe(**cosine(self)),
            validate=lambda: run.score(self.predict, data.validation, _SELECTION),
            validate_every_epochs=self.validate_every_epochs,
        )

    def batch_loss(self, module: nn.Module, batch: Batch) -> Tensor:
        """Words of each image's bag, one at a time, each against some that are not in it."""
        logits = module(weak_augment(batch.images) if self.augment else batch.images)
        words, bags = (torch.cat([values[name] for name in logits], dim=1).repeat(self.words, 1) for values in (logits, batch.labels))
        return bag_loss(words, bags, self.num_negatives, unknown_negative=self.unknown_negative)
