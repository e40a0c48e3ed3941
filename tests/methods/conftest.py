"""Small labelled pictures for the methods, and a run that watches how they train."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from torch import nn

from bench.protocol import AttributeType, Examples, Schema, TrainingData
from bench.training import TrainingRun

SIDE = 64
SCHEMA = Schema(
    (
        AttributeType("color", ("red", "green", "blue"), exclusive=True),
        AttributeType("type", ("bar", "square", "cross"), exclusive=True),  # nn.Module has a method of that name
        AttributeType("marks", ("frame", "dots"), exclusive=False),
    )
)


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Sums depend on the number of threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


class NoLabels(dict):
    """An empty dict that fails the test when somebody asks it for labels by name."""

    def __getitem__(self, name: str) -> np.ndarray:
        raise AssertionError(f"the labels {name!r} of unlabelled images were read")

    def get(self, name: str, default: object = None) -> np.ndarray:
        return self[name]


def draw(rng: np.random.Generator, num_images: int) -> Examples:
    """Coloured shapes on a noisy ground, some with a frame, some with dots. One label in ten is unknown. Landmarks are left and right
    ends of four lines through the shape's square, visible where there is ink."""
    pixels = rng.integers(90, 150, (num_images, SIDE, SIDE, 3), dtype=np.uint8)
    colors, shapes = rng.integers(3, size=num_images), rng.integers(3, size=num_images)
    marks = rng.random((num_images, 2)) < 0.4
    landmarks = np.zeros((num_images, 8, 3), dtype=np.float32)
    for picture, points, color, shape, (frame, dots) in zip(pixels, landmarks, colors, shapes, marks, strict=True):
        ink = np.full(3, 20, dtype=np.uint8)
        ink[color] = 230
        top, left = rng.integers(12, 22, size=2)
        mask = np.zeros((SIDE, SIDE), dtype=bool)
        if shape in (0, 2):
            mask[top + 11 : top + 19, left : left + 30] = True
        if shape == 1:
            mask[top : top + 30, left : left + 30] = True
        if shape == 2:
            mask[top : top + 30, left + 11 : left + 19] = True
        picture[mask] = ink
        rows, columns = top + np.repeat([0, 12, 17, 29], 2), left + np.tile([0, 29], 4)
        points[mask[rows, columns]] = np.stack([np.ones(8), (columns + 0.5) / SIDE, (rows + 0.5) / SIDE], axis=1)[mask[rows, columns]]
        if frame:
            picture[:5], picture[-5:], picture[:, :5], picture[:, -5:] = 250, 250, 250, 250
        if dots:
            picture[8::16, 8::16] = picture[9::16, 8::16] = picture[8::16, 9::16] = picture[9::16, 9::16] = 255
    labels = {"color": np.eye(3, dtype=np.int8)[colors], "type": np.eye(3, dtype=np.int8)[shapes], "marks": marks.astype(np.int8)}
    for values in labels.values():
        values[rng.random(num_images) < 0.1] = -1
    keys = rng.integers(2**63, size=num_images, dtype=np.uint64)
    return Examples(pixels, np.arange(num_images), labels, keys, landmarks)


@pytest.fixture(scope="session")
def toy() -> TrainingData:
    """160 labelled and 80 unlabelled pictures, and 60 for validation."""
    rng = np.random.default_rng(7)
    pool = draw(rng, 80)
    unlabeled = Examples(pool.pixels, pool.rows, NoLabels(), pool.keys)
    return TrainingData(SCHEMA, draw(rng, 160), unlabeled, draw(rng, 60))


@pytest.fixture(scope="session")
def unseen() -> Examples:
    """200 pictures that no method sees while it trains."""
    return draw(np.random.default_rng(8), 200)


class _Watch:
    """Notes which parameters receive a gradient that is not zero."""

    def __init__(self, reached: set[str]) -> None:
        self.state, self.reached = nn.Module(), reached

    def after_step(self, module: nn.Module, step: int, num_steps: int) -> None:
        self.reached |= {name for name, value in module.named_parameters() if value.grad is not None and bool(value.grad.any())}


class WatchedRun(TrainingRun):
    """A run that remembers histories, and parameters without a gradient by phase."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__(seed=seed, device=torch.device("cpu"))
        self.histories: dict[str, list[dict[str, float]]] = {}
        self.unreached: dict[str, set[str]] = {}

    def train(self, name, module, loss, batches, recipe, *, hooks=(), **options):
        reached: set[str] = set()
        self.histories[name] = super().train(name, module, loss, batches, recipe, hooks=[*hooks, _Watch(reached)], **options)
        self.unreached[name] = {key for key, value in module.named_parameters() if value.requires_grad} - reached
        return self.histories[name]


@pytest.fixture(scope="session")
def watched_run() -> Callable[..., WatchedRun]:
    """Makes runs that watch."""
    return WatchedRun
