"""Networks of MTSS (Shin, 2020): experts that learn a vector for each class, and students that learn to point where the experts do."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from methods.parts.backbone import Backbone
from methods.parts.heads import TypeHeads


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
    """The expert of one attribute type: uint8 (B, 3, H, W) -> embeddings (B, D), and the dictionary learned with it. classifies: it is
    trained with binary cross-entropy (Table 3), and its logits rank."""

    def __init__(self, backbone: Backbone, num_classes: int, dim: int, *, classifies: bool = False) -> None:
        super().__init__()
        self.backbone = backbone
        self.projection = nn.Linear(backbone.num_features, dim)
        self.dictionary = LabelDictionary(num_classes, dim, learned=True)
        self.bias = nn.Parameter(torch.zeros(num_classes)) if classifies else None

    def forward(self, images: Tensor) -> Tensor:
        embeddings: Tensor = self.projection(self.backbone(images))
        return embeddings

    def logits(self, embeddings: Tensor) -> Tensor:
        """(B, N) for binary cross-entropy: the dictionary as a linear classifier of the embeddings."""
        assert self.bias is not None
        return functional.linear(embeddings.float(), self.dictionary.weight.float(), self.bias)

    def scores(self, images: Tensor) -> Tensor:
        """(B, N), cosines to the label embeddings, or the logits of one that classifies; -inf for untrained rows."""
        embeddings = self(images)
        if self.bias is None:
            return self.dictionary.scores(embeddings)
        return self.logits(embeddings).masked_fill(~self.dictionary.trained, -torch.inf)


class TeacherSet(nn.Module):
    """All teachers, each for its own type: uint8 (B, 3, H, W) -> type -> scores."""

    def __init__(self, teachers: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.names = tuple(teachers)
        self.experts = nn.ModuleList(teachers.values())

    def scores(self, images: Tensor) -> dict[str, Tensor]:
        """Cosines of each teacher's embedding to its dictionary."""
        return {name: expert.scores(images) for name, expert in zip(self.names, self.experts, strict=True)}  # type: ignore[operator]

    def embed(self, images: Tensor) -> dict[str, Tensor]:
        """Each teacher's embeddings (B, D)."""
        return {name: expert(images) for name, expert in zip(self.names, self.experts, strict=True)}


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

    def embed(self, images: Tensor) -> dict[str, Tensor]:
        """Each branch's embeddings (B, D)."""
        embeddings: dict[str, Tensor] = self(images)
        return embeddings


class StudentSet(nn.Module):
    """Students of one teacher each, Table 5: uint8 (B, 3, H, W) -> type -> scores."""

    def __init__(self, students: Mapping[str, Student]) -> None:
        super().__init__()
        self.students = nn.ModuleList(students.values())

    def scores(self, images: Tensor) -> dict[str, Tensor]:
        """Each student's cosines to its teacher's dictionary."""
        return {name: found for student in self.students for name, found in student.scores(images).items()}  # type: ignore[operator]

    def embed(self, images: Tensor) -> dict[str, Tensor]:
        """Each student's embeddings (B, D)."""
        return {name: found for student in self.students for name, found in student(images).items()}
