"""MTSS: Semi-supervised Learning with a Teacher-student Network for Generalized Attribute Prediction (M. Shin, 2020).

One teacher for each attribute type learns a vector for each class (a label dictionary) and embeds images close to the vectors of their
classes; one student then learns to point where all teachers do, on images whose labels nobody needs to know. Table 1 prints R@3 57.85
for the student on DeepFashion, all types pooled; `python -m bench run --methods mtss --datasets deepfashion --preset paper` trains the
same on the real files. On the rendered stand-in at preset tiny, another task, results/LOG.md has our figures.

Differences from the paper:
- Eq. (2) is read as p = 1 - l'/2 with l' of Eq. (1), equal to the print where the cosines differ by at most 1; literal=True is the print.
- The weight of Eq. (4) is clamped at 0 and detached: a negative cosine would turn the student away from its teacher.
- A negative that also carries the anchor's class is drawn again. One whose label for that class is unknown counts as a negative.
- Classes beyond the 40 most frequent ones, and those without a labelled image, have no trained vector: they are never ranked, and count
  as misses. Nor may such a vector be the closest one of Eq. (4).
- Label vectors start at unit length, since their gradient shrinks with their length and only their direction is used.
- Images are mirrored and shifted by up to an eighth (augment, student_augment); the paper names no augmentation. Teachers and student
  see the same view. Without student_augment the teachers run once over the pool, not once an epoch.
- share_negatives takes a batch's positives of other classes as negatives, all of them, for half the images; only preset tiny does.
- Selection is the best F1@1 on validation (of the teacher's type, or pooled); the paper's wording suggests the test split."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.protocol import POSITIVE, Examples, Recipe, Run, Schema, TrainingData
from methods.losses.distillation import certainty, distillation_loss
from methods.losses.label_embedding import cosine, label_embedding_focal_loss
from methods.parts.augment import weak_augment
from methods.parts.backbone import Backbone
from methods.parts.batches import ImageBatches
from methods.parts.heads import TypeHeads
from methods.parts.pairs import PairBatches, PairSampler, top_classes
from methods.parts.seeds import seed_weights

_SELECTION = "f1@1"
_EMBED_BATCH = 256


class LabelDictionary(nn.Module):
    """A vector for each class of a type, Sec. 3.2. weight: (N, D), learned or a buffer. trained: bool (N,), which rows mean something."""

    weight: Tensor
    trained: Tensor

    def __init__(self, num_classes: int, dim: int, *, learned: bool) -> None:
        super().__init__()
        weight = functional.normalize(torch.randn(num_classes, dim), dim=1)
        if learned:
            self.weight = nn.Parameter(weight)
        else:
            self.register_buffer("weight", weight)
        self.register_buffer("trained", torch.zeros(num_classes, dtype=torch.bool))

    def scores(self, embeddings: Tensor) -> Tensor:
        """Cosines (B, N) to embeddings (B, D), Sec. 3.4; -inf for untrained rows."""
        cosines = functional.normalize(embeddings.float(), dim=1) @ functional.normalize(self.weight.float(), dim=1).T
        return cosines.masked_fill(~self.trained, -torch.inf)


class Teacher(nn.Module):
    """The expert of one attribute type: uint8 (B, 3, H, W) -> embeddings (B, D), and the dictionary learned with it."""

    def __init__(self, backbone: Backbone, num_classes: int, dim: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.projection = nn.Linear(backbone.num_features, dim)
        self.dictionary = LabelDictionary(num_classes, dim, learned=True)

    def forward(self, images: Tensor) -> Tensor:
        embeddings: Tensor = self.projection(self.backbone(images))
        return embeddings

    def scores(self, images: Tensor) -> Tensor:
        """(B, N), cosines to the label embeddings."""
        return self.dictionary.scores(self(images))


class TeacherSet(nn.Module):
    """All teachers, each for its own type: uint8 (B, 3, H, W) -> type -> scores."""

    def __init__(self, teachers: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.names = tuple(teachers)
        self.experts = nn.ModuleList(teachers.values())

    def scores(self, images: Tensor) -> dict[str, Tensor]:
        """Cosines of each teacher's embedding to its dictionary."""
        return {name: expert.scores(images) for name, expert in zip(self.names, self.experts, strict=True)}  # type: ignore[operator]


class Student(nn.Module):
    """A shared backbone with one linear branch a type: uint8 (B, 3, H, W) -> type -> embeddings (B, D). It keeps the dictionaries."""

    def __init__(self, backbone: Backbone, num_classes: Mapping[str, int], dim: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.branches = TypeHeads(backbone.num_features, dict.fromkeys(num_classes, dim))
        self.dictionaries = nn.ModuleList(LabelDictionary(count, dim, learned=False) for count in num_classes.values())

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        embeddings: dict[str, Tensor] = self.branches(self.backbone(images))
        return embeddings

    def scores(self, images: Tensor) -> dict[str, Tensor]:
        """Cosines of each branch's embedding to its teacher's dictionary."""
        pairs = zip(self(images).items(), self.dictionaries, strict=True)
        return {name: dictionary.scores(embeddings) for (name, embeddings), dictionary in pairs}  # type: ignore[operator]


@dataclass(kw_only=True)
class MTSS:
    """answer: "student" or "teacher", whose predictions count. Those named student_* and beta matter for the student alone."""

    answer: str = "student"
    backbone: str = "resnet50"
    pretrained: bool = True
    weights_file: str = ""
    image_size: int = 224
    shrink: int = 1
    embedding_dim: int = 1024  # D
    gamma: float = 1.0  # γ, Eq. (2)
    literal: bool = False
    top_classes: int = 40
    share_negatives: bool = False
    augment: bool = True
    optimizer: str = "sgd"
    learning_rate: float = 0.2
    weight_decay: float = 0.0
    batch_size: int = 128
    images_per_epoch: int = 300_000
    epochs: int = 40
    decay_every_epochs: int = 10
    validate_every_epochs: int = 1
    beta: float = 1.0  # β, Eq. (4)
    student_augment: bool = True
    student_learning_rate: float = 0.4
    student_batch_size: int = 128
    student_images_per_epoch: int = 300_000
    student_epochs: int = 100
    student_warmup_images: int = 1_000_000
    student_decay_every_epochs: int = 10

    PRESETS = {  # noqa: RUF012
        "tiny": {
            "backbone": "test_resnet",
            "pretrained": False,
            "image_size": 64,
            "shrink": 2,
            "embedding_dim": 128,
            "share_negatives": True,
            "augment": False,
            "optimizer": "adamw",
            "learning_rate": 3e-3,
            "batch_size": 32,
            "images_per_epoch": 2048,
            "epochs": 10,
            "decay_every_epochs": 4,
            "validate_every_epochs": 2,
            "student_augment": False,
            "student_learning_rate": 3e-3,
            "student_batch_size": 32,
            "student_images_per_epoch": 2048,
            "student_epochs": 10,
            "student_warmup_images": 1280,
            "student_decay_every_epochs": 3,
        },
        "contract": {"images_per_epoch": 384, "epochs": 2, "student_images_per_epoch": 512, "student_epochs": 3},
    }
    ROWS = {"teacher": {"answer": "teacher"}, "student": {"answer": "student"}}  # noqa: RUF012
    HEADLINE = ("teacher", "student")
    TEACHER_PARAMS = (
        "backbone",
        "pretrained",
        "weights_file",
        "image_size",
        "shrink",
        "embedding_dim",
        "gamma",
        "literal",
        "top_classes",
        "share_negatives",
        "augment",
        "optimizer",
        "learning_rate",
        "weight_decay",
        "batch_size",
        "images_per_epoch",
        "epochs",
        "decay_every_epochs",
        "validate_every_epochs",
    )
    SCORES = "similarity"

    def __post_init__(self) -> None:
        if self.answer not in ("student", "teacher"):
            raise ValueError(f"mtss: answer is {self.answer!r}; expected 'student' or 'teacher'")
        at_least = {"gamma": 0, "beta": 0, "top_classes": 2, "embedding_dim": 1, "epochs": 1, "student_epochs": 1, "batch_size": 1}
        for name, least in at_least.items():
            if getattr(self, name) < least:
                raise ValueError(f"mtss: {name} is {getattr(self, name)}; expected >= {least}")

    def teachers(self, schema: Schema) -> tuple[str, ...]:
        """One for each attribute type, by its name."""
        return schema.names

    def build(self, schema: Schema, teacher: str | None = None) -> nn.Module:
        """A teacher, or the network that answers, with random weights."""
        if teacher is not None:
            return Teacher(self._backbone(), len(schema[teacher].classes), self.embedding_dim)
        if self.answer == "teacher":
            return TeacherSet({name: self.build(schema, name) for name in schema.names})
        return self._student(schema)

    def fit_teacher(self, teacher: str, data: TrainingData, run: Run) -> nn.Module:
        """Trains the expert of one type on the images with a positive label of it. Raises ValueError where fewer than two classes have
        labelled images."""
        examples, sampler = self._sampler(teacher, data.labeled)
        seed_weights(run.rng("weights"))
        backbone = self._backbone(pretrained=self.pretrained)
        network = Teacher(backbone, len(data.schema[teacher].classes), self.embedding_dim)
        network.dictionary.trained[torch.from_numpy(sampler.classes)] = True
        own = dataclasses.replace(data.validation, labels={teacher: data.validation.labels[teacher]})
        run.train(
            "teacher",
            network,
            self._teacher_loss,
            PairBatches(examples, sampler, self.batch_size, self.images_per_epoch, share_negatives=self.share_negatives),
            self._teacher_recipe(),
            validate=lambda: run.score(lambda images: {teacher: network.scores(images)}, own, _SELECTION),
            validate_every_epochs=self.validate_every_epochs,
        )
        return network

    def fit(self, data: TrainingData, teachers: Mapping[str, nn.Module], run: Run) -> None:
        """Takes the teachers as they are, or distils them into the student over labelled and unlabelled images alike."""
        experts = [teachers[name] for name in data.schema.names]
        if self.answer == "teacher":
            self.model: nn.Module = TeacherSet(teachers)
            return
        seed_weights(run.rng("weights"))
        student = self._student(data.schema, pretrained=self.pretrained)
        for dictionary, expert in zip(student.dictionaries, experts, strict=True):
            dictionary.load_state_dict(expert.dictionary.state_dict())  # type: ignore[union-attr]
        self.model = student
        batches = ImageBatches([data.labeled, data.unlabeled], self.student_batch_size, self.student_images_per_epoch)
        if not self.student_augment:
            batches.extra = _embed_all(experts, batches, run.device)
        run.train(
            "student",
            student,
            lambda module, batch: self._student_loss(module, experts, batch),
            batches,
            self._student_recipe(),
            validate=lambda: run.score(self.predict, data.validation, _SELECTION),
            validate_every_epochs=self.validate_every_epochs,
        )

    def predict(self, images: Tensor) -> dict[str, Tensor]:
        """Cosines to the label embeddings."""
        scores: dict[str, Tensor] = self.model.scores(images)  # type: ignore[operator]
        return scores

    def _teacher_loss(self, module: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
        assert isinstance(module, Teacher)
        classes, images, *rest = batch
        embeddings = module(weak_augment(images) if self.augment else images)
        anchors = module.dictionary.weight[classes]
        if self.share_negatives:
            (carries,) = rest  # (B, B): whether image j carries the class of anchor i
            cosines = functional.normalize(anchors, dim=1) @ functional.normalize(embeddings.float(), dim=1).T  # (B, B)
            anchor, other = (~carries).nonzero(as_tuple=True)
            positive, negative = cosines.diagonal()[anchor], cosines[anchor, other]
        else:
            positive, negative = (cosine(anchors, part) for part in embeddings.chunk(2))
        return label_embedding_focal_loss(positive, negative, self.gamma, literal=self.literal)

    def _student_loss(self, module: nn.Module, experts: Sequence[nn.Module], batch: Tensor | tuple[Tensor, Tensor]) -> Tensor:
        """Eq. (4), summed over types."""
        assert isinstance(module, Student)
        if isinstance(batch, Tensor):
            images = weak_augment(batch)
            targets = embed(experts, images)
        else:
            images, targets = batch
        terms = []
        for embeddings, dictionary, target in zip(module(images).values(), module.dictionaries, targets.unbind(1), strict=True):
            assert isinstance(dictionary, LabelDictionary)
            terms.append(distillation_loss(embeddings, target, certainty(target, dictionary.weight, self.beta, dictionary.trained)))
        return torch.stack(terms).sum()

    def _backbone(self, pretrained: bool = False) -> Backbone:
        weights_file = self.weights_file if pretrained else ""
        options = {"image_size": self.image_size, "shrink": self.shrink}
        return Backbone(self.backbone, pretrained=pretrained, weights_file=weights_file, **options)

    def _student(self, schema: Schema, pretrained: bool = False) -> Student:
        counts = {attribute_type.name: len(attribute_type.classes) for attribute_type in schema}
        return Student(self._backbone(pretrained), counts, self.embedding_dim)

    def _sampler(self, teacher: str, labeled: Examples) -> tuple[Examples, PairSampler]:
        """The labelled images with a positive of the type among its most frequent classes, and the draws of their pairs."""
        positive = np.asarray(labeled.labels[teacher]) == POSITIVE
        classes = top_classes(positive, self.top_classes)
        kept = np.flatnonzero(positive[:, classes].any(axis=1))
        examples = dataclasses.replace(labeled, rows=labeled.rows[kept], keys=labeled.keys[kept], labels={})
        try:
            return examples, PairSampler(positive[kept], classes)
        except ValueError as error:
            raise ValueError(f"mtss: no pairs can be drawn for attribute type {teacher!r}: {error}") from error

    def _teacher_recipe(self) -> Recipe:
        return Recipe(
            epochs=self.epochs,
            learning_rate=self.learning_rate,
            optimizer=self.optimizer,  # type: ignore[arg-type]
            weight_decay=self.weight_decay,
            schedule="step",
            decay_every_epochs=self.decay_every_epochs,
        )

    def _student_recipe(self) -> Recipe:
        return Recipe(
            epochs=self.student_epochs,
            learning_rate=self.student_learning_rate,
            optimizer=self.optimizer,  # type: ignore[arg-type]
            weight_decay=self.weight_decay,
            schedule="step",
            warmup_steps=self.student_warmup_images // self.student_batch_size,
            decay_every_epochs=self.student_decay_every_epochs,
        )


@torch.no_grad()
def embed(experts: Sequence[nn.Module], images: Tensor) -> Tensor:
    """The teachers' embeddings of a batch, (B, types, D) in float32."""
    return torch.stack([expert(images).float() for expert in experts], dim=1)


def _embed_all(experts: Sequence[nn.Module], batches: ImageBatches, device: torch.device) -> Tensor:
    """The teachers' embeddings of the whole pool, (N, types, D) on the CPU."""
    index = np.arange(len(batches))
    parts = [index[start : start + _EMBED_BATCH] for start in range(0, len(index), _EMBED_BATCH)]
    return torch.cat([embed(experts, batches.images(part).to(device)).cpu() for part in parts])
