"""A network with a linear head for each attribute type."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from methods.parts.heads import TypeHeads


class TypeClassifier(nn.Module):
    """A backbone and one linear head a type: images (B, 3, H, W) -> type -> logits (B, C).

    backbone: anything with num_features. sizes: type -> number of classes."""

    def __init__(self, backbone: Any, sizes: Mapping[str, int]) -> None:
        super().__init__()
        self.backbone = backbone
        self.heads = TypeHeads(backbone.num_features, sizes)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        logits: dict[str, Tensor] = self.heads(self.backbone(images))
        return logits


def class_counts(schema: Any) -> dict[str, int]:
    """type -> number of classes of a Schema."""
    return {kind.name: len(kind.classes) for kind in schema}


def exclusive_types(schema: Any) -> frozenset[str]:
    """The types of a Schema of which exactly one class holds."""
    return frozenset(kind.name for kind in schema if kind.exclusive)


class NoTeachers:
    """What a method without teachers answers."""

    def teachers(self, schema: Any) -> tuple[str, ...]:
        """There are none."""
        return ()

    def fit_teacher(self, teacher: str, data: Any, run: Any) -> nn.Module:
        """Raises ValueError: there are no teachers."""
        raise ValueError(f"{type(self).__module__.rpartition('.')[2]} has no teacher {teacher!r}; it has none at all")


class OneNetwork(NoTeachers, ABC):
    """A method whose only network, made by network(), answers with logits, uint8 (B, 3, H, W) -> type -> (B, C)."""

    model: nn.Module

    @abstractmethod
    def network(self, schema: Any, *, pretrained: bool = False) -> nn.Module:
        """The network before it is trained; pretrained: with the backbone's weights."""

    def build(self, schema: Any, teacher: str | None = None) -> nn.Module:
        """The network with random weights."""
        return self.network(schema)

    def predict(self, images: Tensor) -> dict[str, Tensor]:
        """Logits."""
        return {name: logits.float() for name, logits in self.model(images).items()}


def check_choice(method: str, name: str, value: Any, known: tuple[Any, ...]) -> None:
    """Raises ValueError where a hyper-parameter has a value that is not known."""
    if value not in known:
        raise ValueError(f"{method}: {name} is {value!r}; expected one of {', '.join(map(repr, known))}")


def check_least(method: Any, key: str, **least: float) -> None:
    """Raises ValueError where an attribute of the method is below its least value. key: the method's, for the text."""
    for name, bound in least.items():
        if getattr(method, name) < bound:
            raise ValueError(f"{key}: {name} is {getattr(method, name)}; expected >= {bound:g}")
