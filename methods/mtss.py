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
- Images are mirrored and shifted by up to an eighth (augment, student_augment), but not at preset tiny; the paper names no augmentation.
  Teachers and student see the same view. Without student_augment the teachers run once over the pool, not once an epoch.
- "tuned" picks, for each type, the focusing exponent of tune_gammas whose teacher has the best F1@1 on validation.
- The BCE teacher (Table 3) classifies linearly with its dictionary and a bias, on the same draws; an unknown label counts as negative, in
  images with a positive of the type alone.
- Table 7's corrupted images are drawn anew with every batch: so many for each clean one, each under one of the 15 corruptions at a
  severity from 1 to 5. Teachers embed the corrupted image itself, as Eq. (4) has it.
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
from methods.parts.batches import CorruptedBatches, ImageBatches
from methods.parts.label_dictionary import LabelDictionary, Student, StudentSet, Teacher, TeacherSet
from methods.parts.pairs import LabeledPairBatches, PairBatches, PairSampler, top_classes
from methods.parts.seeds import seed_weights

_SELECTION = "f1@1"
_EMBED_BATCH = 256


@dataclass(kw_only=True)
class MTSS:
    """answer: "student", "students" (one a teacher) or "teacher", whose predictions count. Those named student_*, beta, pool_dataset and
    corrupted_per_image matter for the student alone. pool_dataset: a data set whose images join its pool. corrupted_per_image: corrupted
    images for each clean one of it. student_pool_share: the share of the pool that it learns from."""

    answer: str = "student"
    backbone: str = "resnet50"
    pretrained: bool = True
    weights_file: str = ""
    image_size: int = 224
    shrink: int = 1
    embedding_dim: int = 1024  # D
    gamma: float = 1.0  # γ, Eq. (2)
    tuned: bool = False
    tune_gammas: tuple[float, ...] = (0.0, 0.5, 1.0, 2.0)
    loss: str = "ranking"  # or "bce", Table 3
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
    pool_dataset: str = ""
    corrupted_per_image: float = 0.0
    student_pool_share: float = 1.0
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
            "student_epochs": 25,  # 2.5 times its teachers', as in the paper
            "student_warmup_images": 1280,
            "student_decay_every_epochs": 4,
        },
        "contract": {"images_per_epoch": 384, "epochs": 2, "student_images_per_epoch": 512, "student_epochs": 3, "tune_gammas": (0.0, 1.0)},
        "contract/student-pool-1k": {"student_pool_share": 0.7},  # of 240 pictures
        "contract/student-pool-5k": {"student_pool_share": 0.7},
        "contract/student-pool-10k": {"student_pool_share": 0.7},
        "contract/student-pool-50k": {"student_pool_share": 0.7},
    }
    ROWS = {  # noqa: RUF012
        "teacher": {"answer": "teacher"},
        "student": {"answer": "student"},
        "teacher-gamma0": {"answer": "teacher", "gamma": 0.0},
        "teacher-tune": {"answer": "teacher", "tuned": True},
        "teacher-bce": {"answer": "teacher", "loss": "bce"},
        "student-tune": {"tuned": True},
        "student-single": {"answer": "students"},
        "student-mixed-domain": {"pool_dataset": "darn"},
        "student-mixed-corrupted-1m": {"corrupted_per_image": 4.8},  # of 209,222 training images, Table 7
        "student-mixed-corrupted-10m": {"corrupted_per_image": 47.8},
        "student-mixed-corrupted-15m": {"corrupted_per_image": 71.7},
        "student-pool-1k": {"student_pool_share": 0.0019},  # of FiccY's 520,000 images, Table B.1
        "student-pool-5k": {"student_pool_share": 0.0096},
        "student-pool-10k": {"student_pool_share": 0.0192},
        "student-pool-50k": {"student_pool_share": 0.0962},
        "student-pool-100k": {"student_pool_share": 0.1923},
        "student-pool-500k": {"student_pool_share": 0.9615},
    }
    HEADLINE = ("teacher", "student")
    PAPER = "mtss"
    TEACHER_PARAMS = (
        "backbone",
        "pretrained",
        "weights_file",
        "image_size",
        "shrink",
        "embedding_dim",
        "loss",
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
        choices = {"answer": ("student", "students", "teacher"), "loss": ("ranking", "bce")}
        for name, known in choices.items():
            if getattr(self, name) not in known:
                raise ValueError(f"mtss: {name} is {getattr(self, name)!r}; expected {' or '.join(map(repr, known))}")
        at_least = {"gamma": 0, "beta": 0, "top_classes": 2, "embedding_dim": 1, "epochs": 1, "student_epochs": 1, "batch_size": 1}
        for name, least in {**at_least, "corrupted_per_image": 0}.items():
            if getattr(self, name) < least:
                raise ValueError(f"mtss: {name} is {getattr(self, name)}; expected >= {least}")
        if not 0 < self.student_pool_share <= 1:
            raise ValueError(f"mtss: student_pool_share is {self.student_pool_share}; expected more than 0 and at most 1")

    def teachers(self, schema: Schema) -> list[str]:
        """One for each attribute type and focusing exponent, such as texture@1."""
        return [f"{name}@{gamma:g}" for name in schema.names for gamma in self._gammas]

    def build(self, schema: Schema, teacher: str | None = None) -> nn.Module:
        """A teacher, or the network that answers, with random weights."""
        if teacher is not None:
            return self._teacher(schema, teacher.rpartition("@")[0])
        if self.answer == "teacher":
            return TeacherSet({name: self._teacher(schema, name) for name in schema.names})
        if self.answer == "students":
            return StudentSet({name: self._student(schema, (name,)) for name in schema.names})
        return self._student(schema, schema.names)

    def fit_teacher(self, teacher: str, data: TrainingData, run: Run) -> nn.Module:
        """Trains the expert of one type on the images with a positive label of it. Raises ValueError where fewer than two classes have
        labelled images."""
        kind, _, gamma = teacher.rpartition("@")
        examples, sampler = self._sampler(kind, data.labeled)
        seed_weights(run.rng("weights"))
        network = self._teacher(data.schema, kind, pretrained=self.pretrained)
        network.dictionary.trained[torch.from_numpy(sampler.classes)] = True
        batches = LabeledPairBatches if self.loss == "bce" else PairBatches
        run.train(
            "teacher",
            network,
            lambda module, batch: self._teacher_loss(module, batch, float(gamma)),
            batches(examples, sampler, self.batch_size, self.images_per_epoch, share_negatives=self.share_negatives),
            self._teacher_recipe(),
            validate=lambda: _f1(run, network, kind, data.validation),
            validate_every_epochs=self.validate_every_epochs,
        )
        return network

    def fit(self, data: TrainingData, teachers: Mapping[str, nn.Module], run: Run) -> None:
        """Takes the teachers as they are, or distils them into a student, or one student each, over labelled and unlabelled images."""
        if self.loss == "bce" and self.answer != "teacher":
            raise ValueError("mtss: loss is 'bce', whose embeddings lie at no angle to a dictionary; expected answer='teacher' with it")
        experts = self._experts(data, teachers, run)
        if self.answer == "teacher":
            self.model: nn.Module = TeacherSet(experts)
        elif self.answer == "student":
            self.model = self._fit_student("student", data, experts, run)
        else:
            self.model = StudentSet({name: self._fit_student(f"student {name}", data, {name: experts[name]}, run) for name in experts})

    def predict(self, images: Tensor) -> dict[str, Tensor]:
        """Cosines to the label embeddings, or logits of teachers trained with BCE."""
        scores: dict[str, Tensor] = self.model.scores(images)  # type: ignore[operator]
        return scores

    def embed(self, images: Tensor) -> dict[str, Tensor]:
        """Type -> embeddings (B, D), for pictures of them."""
        embeddings: dict[str, Tensor] = self.model.embed(images)  # type: ignore[operator]
        return embeddings

    @property
    def _gammas(self) -> tuple[float, ...]:
        return self.tune_gammas if self.tuned else (self.gamma,)

    def _experts(self, data: TrainingData, teachers: Mapping[str, nn.Module], run: Run) -> dict[str, nn.Module]:
        """The teacher of each type; of several, the one with the best F1@1 on validation."""
        chosen = {}
        for kind in data.schema.names:
            gamma = self._gammas[0]
            if self.tuned:
                scores = [_f1(run, teachers[f"{kind}@{each:g}"], kind, data.validation) for each in self._gammas]
                gamma = self._gammas[int(np.argmax(np.nan_to_num(scores, nan=-1.0)))]
                run.log(**{f"gamma/{kind}": gamma})
            chosen[kind] = teachers[f"{kind}@{gamma:g}"]
        return chosen

    def _fit_student(self, phase: str, data: TrainingData, experts: Mapping[str, nn.Module], run: Run) -> Student:
        seed_weights(run.rng("weights"))
        student = self._student(data.schema, tuple(experts), pretrained=self.pretrained)
        for dictionary, expert in zip(student.dictionaries, experts.values(), strict=True):
            dictionary.load_state_dict(expert.dictionary.state_dict())  # type: ignore[union-attr]
        teachers = list(experts.values())
        own = dataclasses.replace(data.validation, labels={name: data.validation.labels[name] for name in experts})
        run.train(
            phase,
            student,
            lambda module, batch: self._student_loss(module, teachers, batch),
            self._pool(data, teachers, run),
            self._student_recipe(),
            validate=lambda: run.score(student.scores, own, _SELECTION),
            validate_every_epochs=self.validate_every_epochs,
        )
        return student

    def _pool(self, data: TrainingData, experts: Sequence[nn.Module], run: Run) -> ImageBatches | CorruptedBatches:
        """The images that a student learns from. Where they are never altered, the teachers' embeddings lie beside them."""
        pool = [data.labeled, data.unlabeled, *data.extra]
        batches = ImageBatches(pool, self.student_batch_size, self.student_images_per_epoch)
        if self.student_pool_share < 1:
            batches.keep(np.sort(run.rng("pool").permutation(len(batches))[: max(1, round(self.student_pool_share * len(batches)))]))
        run.log(pool_images=len(batches))
        if self.corrupted_per_image:
            share = self.corrupted_per_image / (1 + self.corrupted_per_image)
            return CorruptedBatches(batches, share, run.corruptions, run.corrupt)
        if not self.student_augment:
            batches.extra = _embed_all(experts, batches, run.device)
        return batches

    def _teacher_loss(self, module: nn.Module, batch: tuple[Tensor, ...], gamma: float) -> Tensor:
        assert isinstance(module, Teacher)
        if self.loss == "bce":
            images, targets = batch
            logits = module.logits(module(weak_augment(images) if self.augment else images))
            kept = module.dictionary.trained
            return functional.binary_cross_entropy_with_logits(logits[:, kept], targets[:, kept].float())
        classes, images, *rest = batch
        embeddings = module(weak_augment(images) if self.augment else images)
        anchors = module.dictionary.weight[classes]
        if self.share_negatives:
            (carries,) = rest  # (B, B): whether image j carries the class of anchor i
            with torch.autocast(anchors.device.type, enabled=False):  # cosines are float32, as those of single pairs
                cosines = functional.normalize(anchors, dim=1) @ functional.normalize(embeddings.float(), dim=1).T  # (B, B)
            anchor, other = (~carries).nonzero(as_tuple=True)
            positive, negative = cosines.diagonal()[anchor], cosines[anchor, other]
        else:
            positive, negative = (cosine(anchors, part) for part in embeddings.chunk(2))
        return label_embedding_focal_loss(positive, negative, gamma, literal=self.literal)

    def _student_loss(self, module: nn.Module, experts: Sequence[nn.Module], batch: Tensor | tuple[Tensor, Tensor]) -> Tensor:
        """Eq. (4), summed over types."""
        assert isinstance(module, Student)
        if isinstance(batch, Tensor):
            images = weak_augment(batch) if self.student_augment else batch
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

    def _teacher(self, schema: Schema, kind: str, pretrained: bool = False) -> Teacher:
        return Teacher(self._backbone(pretrained), len(schema[kind].classes), self.embedding_dim, classifies=self.loss == "bce")

    def _student(self, schema: Schema, kinds: Sequence[str], pretrained: bool = False) -> Student:
        return Student(self._backbone(pretrained), {kind: len(schema[kind].classes) for kind in kinds}, self.embedding_dim)

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


def _f1(run: Run, teacher: nn.Module, kind: str, validation: Examples) -> float:
    """F1@1 of a teacher on validation, over its own type."""
    own = dataclasses.replace(validation, labels={kind: validation.labels[kind]})
    return run.score(lambda images: {kind: teacher.scores(images)}, own, _SELECTION)  # type: ignore[operator]


@torch.no_grad()
def embed(experts: Sequence[nn.Module], images: Tensor) -> Tensor:
    """The teachers' embeddings of a batch, (B, types, D) in float32."""
    return torch.stack([expert(images).float() for expert in experts], dim=1)


def _embed_all(experts: Sequence[nn.Module], batches: ImageBatches, device: torch.device) -> Tensor:
    """The teachers' embeddings of the whole pool, (N, types, D) on the CPU."""
    index = np.arange(len(batches))
    parts = [index[start : start + _EMBED_BATCH] for start in range(0, len(index), _EMBED_BATCH)]
    return torch.cat([embed(experts, batches.images(part).to(device)).cpu() for part in parts])
