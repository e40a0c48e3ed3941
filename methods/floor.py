"""What scores without looking at the picture: the floor of every table.

prior ranks the classes of each type by their frequency among labelled training images, majority names the most frequent class alone,
all_positive claims every class (the F-beta of doing so is the floor of multi-label tables). A method that is not above its floor has
learned nothing that its labels' counts do not say. Nothing is trained. An image without a known label of a type does not count for that
type; in one that has some, a class that is unknown counts as one that is not there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from bench.protocol import POSITIVE, UNKNOWN, AttributeType, Run, Schema, TrainingData

_RULES = ("prior", "majority", "all_positive")
_SURE = 10.0  # a logit whose sigmoid is within 5e-5 of certain


class ConstantScores(nn.Module):
    """The same scores for every image: type -> (C,), kept in one buffer."""

    scores: Tensor

    def __init__(self, schema: Schema) -> None:
        super().__init__()
        self.sizes = {attribute_type.name: len(attribute_type.classes) for attribute_type in schema}
        self.register_buffer("scores", torch.zeros(sum(self.sizes.values())))

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        parts = self.scores.expand(len(images), -1).split(list(self.sizes.values()), dim=1)
        return dict(zip(self.sizes, parts, strict=True))


@dataclass(kw_only=True)
class Floor:
    """rule: "prior" (log frequency), "majority" or "all_positive"."""

    rule: str = "prior"
    image_size: int = 224  # unused but for reading the same pixels as the methods beside it

    PRESETS = {"tiny": {"image_size": 64}}  # noqa: RUF012
    ROWS = {"prior": {"rule": "prior"}, "majority": {"rule": "majority"}, "all_positive": {"rule": "all_positive"}}  # noqa: RUF012
    HEADLINE = ("prior",)
    SCORES = "logits"

    def __post_init__(self) -> None:
        if self.rule not in _RULES:
            raise ValueError(f"floor: rule is {self.rule!r}; expected one of {', '.join(_RULES)}")

    def teachers(self, schema: Schema) -> tuple[str, ...]:
        """There are none."""
        return ()

    def build(self, schema: Schema, teacher: str | None = None) -> nn.Module:
        """Scores of zero for every class."""
        return ConstantScores(schema)

    def fit_teacher(self, teacher: str, data: TrainingData, run: Run) -> nn.Module:
        """Raises ValueError: there are no teachers."""
        raise ValueError(f"floor has no teacher {teacher!r}; it has none at all")

    def fit(self, data: TrainingData, teachers: Mapping[str, nn.Module], run: Run) -> None:
        """Counts labels."""
        self.model = ConstantScores(data.schema)
        parts = [self._scores(data.labeled.labels[attribute_type.name], attribute_type) for attribute_type in data.schema]
        self.model.scores.copy_(torch.from_numpy(np.concatenate(parts)))
        self.model.to(run.device).eval()

    def predict(self, images: Tensor) -> dict[str, Tensor]:
        """The same scores for every image."""
        scores: dict[str, Tensor] = self.model(images)
        return scores

    def _scores(self, labels: np.ndarray, attribute_type: AttributeType) -> np.ndarray:
        positives = (labels == POSITIVE).sum(axis=0).astype(np.float64)
        if self.rule == "all_positive":
            return np.full(len(positives), _SURE)
        if self.rule == "majority":
            return np.where(np.arange(len(positives)) == positives.argmax(), _SURE, -_SURE)
        others = (labels != UNKNOWN).any(axis=1).sum() - positives  # not negatives alone: a class without any would come first
        positives, others = positives + 0.5, others + 0.5  # a class that was never seen is rare, not impossible
        if attribute_type.exclusive:
            return np.log(positives / positives.sum())
        return np.log(positives / others)  # log p / (1 - p)
