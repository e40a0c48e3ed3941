"""The types that methods, data sets and the harness share. No logic, and nothing heavy is imported."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

if TYPE_CHECKING:
    import numpy as np
    import torch
    from torch import Tensor, nn

PROTOCOL_VERSION = 1  # raised when a split, label set or metric changes its meaning: every key changes with it
POSITIVE, NEGATIVE, UNKNOWN = 1, 0, -1  # the three values of a label
SPLITS = ("train", "val", "test", "unlabeled")


class NoDataError(FileNotFoundError):
    """A data set's files are absent, and no stand-in was allowed."""


class BadDataError(ValueError):
    """A file of a data set is damaged; the text names file and line."""


@dataclass(frozen=True)
class AttributeType:
    """A group of classes predicted together, such as texture or neckline."""

    name: str
    classes: tuple[str, ...]
    exclusive: bool  # True: exactly one class holds; False: any number of them


@dataclass(frozen=True)
class Schema:
    """The attribute types of a data set, in a fixed order."""

    types: tuple[AttributeType, ...]

    def __iter__(self) -> Iterator[AttributeType]:
        return iter(self.types)

    def __len__(self) -> int:
        return len(self.types)

    def __getitem__(self, name: str) -> AttributeType:
        for attribute_type in self.types:
            if attribute_type.name == name:
                return attribute_type
        raise KeyError(f"no attribute type {name!r}; there are {', '.join(self.names)}")

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(attribute_type.name for attribute_type in self.types)


class Batch(NamedTuple):
    """Images with their labels. images: uint8 (B, 3, H, W). labels: type -> int8 (B, C), empty where unlabelled.
    positions: int64 (B,), into the examples that the batch came from. landmarks: as in Examples, (B, L, 3), or None."""

    images: Tensor
    labels: dict[str, Tensor]
    positions: Tensor
    landmarks: Tensor | None = None


@dataclass(frozen=True)
class Examples:
    """Some rows of a pixel cache. pixels: uint8 (M, H, W, 3), usually a memory map. rows: int64 (N,) into pixels.
    labels: type -> int8 (N, C), an empty dict for unlabelled examples. keys: uint64 (N,), stable over runs and machines.
    landmarks: float32 (N, L, 3), or None where the data set has none, and for unlabelled examples. Each is visibility (1, or 0 where it
    is occluded, outside or absent, with 0 for x and y, too), and x and y in [0, 1] of the image as it is seen, from its left and upper
    edge. They come in pairs: left, then right."""

    pixels: np.ndarray
    rows: np.ndarray
    labels: Mapping[str, np.ndarray]
    keys: np.ndarray
    landmarks: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.rows)

    def images(self, index: np.ndarray | slice) -> np.ndarray:
        """uint8 (B, H, W, 3) of the examples at the given positions."""
        import numpy as np

        return np.ascontiguousarray(self.pixels[self.rows[index]])

    def batch(self, index: np.ndarray) -> Batch:
        """The examples at the given positions (B,), as tensors on the CPU."""
        import torch

        images = torch.from_numpy(self.images(index)).permute(0, 3, 1, 2)  # (B, H, W, 3) -> (B, 3, H, W), channels last in memory
        labels = {name: torch.from_numpy(values[index]) for name, values in self.labels.items()}
        landmarks = None if self.landmarks is None else torch.from_numpy(self.landmarks[index])
        return Batch(images, labels, torch.from_numpy(index), landmarks)


@dataclass(frozen=True)
class TrainingData:
    """All that a method may see while it trains; the test split is not in it."""

    schema: Schema
    labeled: Examples
    unlabeled: Examples  # carries no labels: those outside the label fraction, and the data set's unlabelled images
    validation: Examples
    extra: tuple[Examples, ...] = ()  # images of the data set that a method's pool_dataset names, without labels


@dataclass(frozen=True)
class DataOptions:
    """Where data lives and what may stand in for it."""

    data_root: Path
    cache_dir: Path
    data: Literal["auto", "real", "synthetic"] = "auto"
    preset: str = "tiny"
    on_bad_data: Literal["error", "skip"] = "error"


@dataclass(frozen=True)
class Problem:
    """Something wrong with a data set's files, for a person to mend. line is 1-based, 0 where it is about the whole file."""

    file: str
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.message}" if self.line else f"{self.file}: {self.message}"


class Dataset(Protocol):
    """An opened data set."""

    name: str
    source: Literal["real", "synthetic"]
    data_hash: str  # of schema, splits, labels, boxes, landmarks and paths (and of the renderer, where synthetic)
    schema: Schema
    num_images: Mapping[str, int]  # split -> count

    def training(self, *, image_size: int, label_fraction: float, unlabeled: float, seed: int) -> TrainingData:
        """Labelled part at a fraction in (0, 1], unlabelled pool scaled by a multiple >= 0, and validation."""

    def examples(self, split: str, *, image_size: int) -> Examples:
        """One split with its labels."""

    def label_index(self, *, label_fraction: float, seed: int) -> tuple[np.ndarray, str]:
        """Rows of the train split whose labels are shown, ascending, and their sha256."""

    def hidden_labels(self, *, image_size: int, label_fraction: float, unlabeled: float, seed: int) -> dict[str, np.ndarray]:
        """What is known of the labels of training(...).unlabeled, type -> int8 (N, C): for the harness's diagnostics alone."""


class Batches(Protocol):
    """What training reads, as pure functions, so that it can stop after any step and go on bit for bit."""

    def epoch(self, rng: np.random.Generator) -> Sequence[Any]:
        """The steps of one epoch, drawn from rng: one entry (usually an index array) a step."""

    def load(self, step: Any) -> Any:
        """The batch of one entry: a Batch, or a (nested) tuple of batches and tensors, on the CPU."""


@dataclass(frozen=True)
class Recipe:
    """How a module is optimised. Defaults are PyTorch's SGD at a constant rate."""

    epochs: int
    learning_rate: float
    optimizer: Literal["sgd", "adam", "adamw", "lars"] = "sgd"
    momentum: float = 0.0
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.0  # not applied to one-dimensional parameters (biases, norms) under adamw
    schedule: Literal["constant", "cosine", "step", "exponential", "cyclic"] = "constant"
    warmup_steps: int = 0  # learning rate grows linearly from 0 over these steps
    decay_every_epochs: int = 10  # schedule "step": times decay_factor every so many epochs
    decay_factor: float = 0.5  # schedule "exponential": once an epoch
    final_learning_rate: float = 0.0  # schedule "cosine" ends here, and each cycle of "cyclic"
    cycle_steps: int = 0  # schedule "cyclic": falls linearly within each cycle
    clip_norm: float | None = None
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"  # auto: autocast to bfloat16 on CUDA (float16 with a scaled loss
    # where the device lacks it), float32 on the CPU
    param_groups: Callable[[nn.Module], list[dict[str, Any]]] | None = field(default=None, compare=False)


class Hook(Protocol):
    """Something that follows a module while it trains, such as a moving average of its weights."""

    state: nn.Module  # saved in checkpoints and restored from them

    def after_step(self, module: nn.Module, step: int, num_steps: int) -> None:
        """Called after each optimiser step; step counts from 1."""


class Run(Protocol):
    """What the harness hands to a method: the only training loop, seeds and the validation score."""

    seed: int
    device: torch.device
    corruptions: Sequence[str]  # names that corrupt understands: the 15 of Hendrycks & Dietterich (2019)

    def train(
        self,
        name: str,
        module: nn.Module,
        loss: Callable[[nn.Module, Any], Tensor],
        batches: Batches,
        recipe: Recipe,
        *,
        hooks: Sequence[Hook] = (),
        validate: Callable[[], float] | None = None,
        validate_every_epochs: int = 1,
    ) -> list[dict[str, float]]:
        """Trains module in place and returns one row an epoch (loss, learning_rate and, with validate, validation).

        name: unique within the stage. loss(module, batch) -> scalar tensor; the batch is on the device, and torch's global
        generator is seeded anew from (seed, name, step) before every call. With validate (higher is better) the module ends
        with the weights, and the hooks with the state, of the best epoch."""

    def rng(self, *parts: str | int) -> np.random.Generator:
        """A generator that depends on the run's seed and the named parts alone."""

    def score(self, predict: Callable[[Tensor], dict[str, Tensor]], examples: Examples, metric: str) -> float:
        """A metric of bench.metrics over examples, pooled over their types; for selection on validation."""

    def thresholds(self, scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """For a method that decides while it predicts, such as a vote: the threshold of each class (C,) with the best F2 of
        `score >= t`. scores (N, C), labels int8 (N, C); +inf, never, for a class without a positive."""

    def log(self, **values: float) -> None:
        """Figures worth keeping beside the model (mask rate, pool size); never used for selection."""

    def audit(self, name: str, labels: Mapping[str, np.ndarray]) -> None:
        """Compares pseudo-labels of the whole unlabelled pool, type -> int64 (N,) class or -1 for none, with the labels that the
        data set hides, and logs the share that is right. A diagnostic: nothing comes back, so nothing can be selected by it."""

    def corrupt(self, images: np.ndarray, name: str, severity: int, keys: np.ndarray) -> np.ndarray:
        """Corrupted copies: uint8 (N, H, W, 3) in and out, severity 1 to 5, keys uint64 (N,) that decide the noise."""


class Method(Protocol):
    """A way to learn attributes. A method is a class whose keyword-only, typed constructor arguments are its hyper-parameters."""

    model: nn.Module  # set by fit, and by the harness from build() and saved weights; all that predict needs

    def teachers(self, schema: Schema) -> Sequence[str]:
        """Names of the networks that are trained first, as stages of their own; () if none."""

    def build(self, schema: Schema, teacher: str | None = None) -> nn.Module:
        """The untrained network, of the named teacher or of the method itself."""

    def fit_teacher(self, teacher: str, data: TrainingData, run: Run) -> nn.Module:
        """Trains one teacher. The method was made from the parameters named in TEACHER_PARAMS alone."""

    def fit(self, data: TrainingData, teachers: Mapping[str, nn.Module], run: Run) -> None:
        """Trains the method and sets self.model; the teachers are on the device, in eval mode and frozen."""

    def predict(self, images: Tensor) -> dict[str, Tensor]:
        """uint8 (B, 3, H, W) -> type -> float32 scores (B, classes); higher is likelier, -inf is never ranked.
        Called in inference mode with self.model in eval mode on the images' device."""
