# ruff: noqa: E402
"""How the cost of an evaluation grows with images, models and classes, as a plot: python tests/kernels/growth.py docs/images/growth.svg

CPU milliseconds of one thread, the mean of three rounds after one that does not count."""

import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from bench.compat import fix_torchvision

fix_torchvision()

import timm

from bench.evaluation import Candidate, evaluate
from bench.metrics import summarize
from bench.protocol import AttributeType, Examples, Schema
from bench.ranking import rank
from bench.report.svg import draw_figure
from datasets.corruptions import corrupt

CORRUPTIONS = ("gaussian_noise", "motion_blur", "jpeg_compression")
CPU = torch.device("cpu")
Curve = list[tuple[int, float]]


def main(path: Path) -> None:
    """Measures, prints and draws."""
    torch.set_num_threads(1)
    fan_out = {
        "images, 4 models": grown((250, 500, 1000, 2000), lambda count: evaluation(count, 4)),
        "models, 500 images": grown((1, 2, 4, 8), lambda count: evaluation(500, count)),
    }
    metrics = {
        "ranking, 4,000 images": grown((10, 100, 1000), lambda count: scoring(count, every=False)),
        "every metric, 4,000 images": grown((10, 100, 1000), lambda count: scoring(count, every=True)),
    }

    def draw(figure) -> None:
        for axes, curves, label in zip(figure.subplots(1, 2), (fan_out, metrics), ("images or models", "classes"), strict=True):
            for name, points in curves.items():
                print(name, ", ".join(f"{x}: {y:.3g} ms" for x, y in points))
                axes.plot(*zip(*points, strict=True), marker="o", markersize=4, label=name)
            axes.set(xscale="log", yscale="log", xlabel=label, ylabel="CPU ms")
            axes.legend(fontsize=7, frameon=False)
        figure.suptitle("A condition shown to all models (mean of three corruptions, 64 px), and its figures", fontsize=9)

    path.write_text(draw_figure(draw, (7.2, 3.4)))


def grown(sizes: Iterable[int], prepare: Callable[[int], Callable[[], None]]) -> Curve:
    """CPU milliseconds at each size. prepare(size) returns what is timed."""
    return [(size, 1000 * mean_of(prepare(size))) for size in sizes]


def mean_of(work: Callable[[], None], rounds: int = 3) -> float:
    """CPU seconds."""
    work()
    started = time.process_time()
    for _ in range(rounds):
        work()
    return (time.process_time() - started) / rounds


def evaluation(num_images: int, num_models: int) -> Callable[[], None]:
    """One of three corruptions at severity 3, in turn, shown to some models."""
    rng = np.random.default_rng(0)
    schema = Schema((AttributeType("type", tuple(map(str, range(20))), True),))
    labels = np.eye(20, dtype=np.int8)[rng.integers(20, size=num_images)]
    pixels = rng.integers(0, 256, (num_images, 64, 64, 3), dtype=np.uint8)
    examples = Examples(pixels, np.arange(num_images), {"type": labels}, np.arange(num_images, dtype=np.uint64))
    models = [timm.create_model("test_resnet", num_classes=20).eval() for _ in range(num_models)]
    shown = [Candidate(str(index), lambda images, model=model: {"type": model(images.float())}) for index, model in enumerate(models)]
    turn = iter(range(10**6))

    def work() -> None:
        name = CORRUPTIONS[next(turn) % 3]
        evaluate(shown, examples, schema, name, 3, corrupt=corrupt, device=CPU)

    return work


def scoring(num_classes: int, *, every: bool) -> Callable[[], None]:
    """The ranks of 4,000 images, or all that a record says of them."""
    rng = np.random.default_rng(0)
    schema = Schema((AttributeType("type", tuple(map(str, range(num_classes))), False),))
    scores = rng.normal(size=(4000, num_classes)).astype(np.float32)
    labels = (rng.random((4000, num_classes)) < 3 / num_classes).astype(np.int8)
    if not every:
        return lambda: void(rank(scores, labels))
    return lambda: void(summarize({"type": scores}, {"type": labels}, schema, logits=True))


def void(_: object) -> None:
    """What a timed piece of work returns."""


if __name__ == "__main__":
    main(Path(sys.argv[1]))
