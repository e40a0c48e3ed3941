"""Training on one data set and testing on another, over the classes that both know (MTSS, Table 6).

A data set's file says in SHARED = (type, {shared class: (its own names, ...)}) which of its classes have a counterpart elsewhere. The
test images are those that show exactly one shared class; a method's score of a shared class is its highest over the names that its own
data set has for it. The paper's wording leaves open whether training images were chosen so as well; here all of them train."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from bench import registry
from bench.protocol import NEGATIVE, POSITIVE, AttributeType, Examples, Schema
from bench.spec import UsageError

if TYPE_CHECKING:
    from torch import Tensor

SHARED_TYPE = "shared"  # the attribute type of such a test
Shared = tuple[str, dict[str, tuple[str, ...]]]


@dataclass(frozen=True)
class Transfer:
    """Shared classes with their columns in the type of the data set trained on, and in that of the one tested on."""

    classes: tuple[str, ...]
    source_type: str
    source_columns: tuple[tuple[int, ...], ...]
    target_type: str
    target_columns: tuple[tuple[int, ...], ...]

    @property
    def schema(self) -> Schema:
        return Schema((AttributeType(SHARED_TYPE, self.classes, exclusive=True),))

    def examples(self, examples: Examples) -> Examples:
        """The test images with exactly one shared class, labelled with it."""
        shown = np.asarray(examples.labels[self.target_type]) == POSITIVE
        carries = np.stack([shown[:, list(columns)].any(axis=1) for columns in self.target_columns], axis=1)  # (N, shared)
        kept = np.flatnonzero(carries.sum(axis=1) == 1)
        labels = np.where(carries[kept], POSITIVE, NEGATIVE).astype(np.int8)
        landmarks = None if examples.landmarks is None else examples.landmarks[kept]
        rows, keys = examples.rows[kept], examples.keys[kept]
        return replace(examples, rows=rows, keys=keys, labels={SHARED_TYPE: labels}, landmarks=landmarks)

    def predict(self, predict: Callable[[Tensor], dict[str, Tensor]]) -> Callable[[Tensor], dict[str, Tensor]]:
        """The method's prediction over the shared classes."""
        import torch

        def shared(images: Tensor) -> dict[str, Tensor]:
            scores = predict(images)[self.source_type]
            return {SHARED_TYPE: torch.stack([scores[:, list(columns)].amax(dim=1) for columns in self.source_columns], dim=1)}

        return shared


def make_transfer(source: str, source_schema: Schema, target: str, target_schema: Schema) -> Transfer:
    """What two data sets share. Raises ValueError where it is fewer than two classes."""
    (source_type, here), (target_type, there) = shared_classes(source), shared_classes(target)
    ours, theirs = _columns(source_schema, source_type, here), _columns(target_schema, target_type, there)
    classes = tuple(name for name in here if ours.get(name) and theirs.get(name))
    if len(classes) < 2:
        raise ValueError(f"{source} and {target} share {len(classes)} classes; expected at least two")
    return Transfer(classes, source_type, tuple(ours[name] for name in classes), target_type, tuple(theirs[name] for name in classes))


def shared_classes(dataset: str) -> Shared:
    """SHARED of a data set's file. Raises UsageError where it has none."""
    constants: Mapping[str, Any] = registry.entry("datasets", dataset.partition(":")[0]).constants
    if "SHARED" not in constants:
        known = [entry.name for entry in registry.entries("datasets") if "SHARED" in entry.constants]
        raise UsageError(f"--transfer: {dataset} says nothing of shared classes (SHARED in its file); these do: {', '.join(known)}")
    found: Shared = constants["SHARED"]
    return found


def parse_transfers(text: str) -> list[tuple[str, str]]:
    """`deepfashion:darn,imatfashion:darn` -> pairs. Raises UsageError or UnknownNameError."""
    pairs = []
    for part in (piece.strip() for piece in text.split(",") if piece.strip()):
        source, colon, target = part.partition(":")
        if not (source and colon and target) or source == target:
            raise UsageError(f"--transfer {part!r} given, TRAINED:TESTED expected, for example --transfer deepfashion:darn")
        for name in (source, target):
            shared_classes(name)
        pairs.append((source, target))
    return pairs


def _columns(schema: Schema, kind: str, names: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[int, ...]]:
    classes = schema[kind].classes if kind in schema.names else ()
    return {shared: tuple(classes.index(name) for name in own if name in classes) for shared, own in names.items()}
