"""Four models under many corruptions: what the fan-out costs, against its parts and against a loop over imagecorruptions.

In full, 75 conditions and 2,000 images of 64 pixels; otherwise the 15 corruptions at severity 3 and 200 images. The parts are one
pass of corruption and four forward passes over the same batches, so that a ratio of 1 means that scoring, copies and threads are free.
The loop corrupts image by image for each model, as one would write it; it is timed for one model on a few images, and the rest is
extrapolated; the fan-out beside it takes 100 images in either form."""

import time
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
import torch

from bench.evaluation import Candidate, evaluate
from bench.protocol import AttributeType, Examples, Schema
from datasets.corruptions import NAMES, corrupt, warm_up
from methods.parts.backbone import Backbone
from methods.parts.heads import TypeHeads

pytestmark = [pytest.mark.benchmark(timer=time.process_time), pytest.mark.usefixtures("one_core"), pytest.mark.timeout(3600)]
SIZE, BATCH, NUM_MODELS = 64, 256, 4
SOME, FEW = 100, 2  # images that the fan-out and the loop are timed on, beside each other
SCHEMA = Schema(tuple(AttributeType(f"type{index}", tuple(map(str, range(12))), exclusive=index < 3) for index in range(6)))
CPU = torch.device("cpu")


class Model(torch.nn.Module):
    def __init__(self, seed):
        super().__init__()
        torch.manual_seed(seed)
        self.backbone = Backbone("test_resnet", image_size=SIZE, shrink=2)
        self.heads = TypeHeads(self.backbone.num_features, {kind.name: len(kind.classes) for kind in SCHEMA})

    def forward(self, images):
        return self.heads(self.backbone(images))


@pytest.fixture(scope="module")
def models():
    return [Model(seed).eval() for seed in range(NUM_MODELS)]


@pytest.fixture(scope="module")
def examples(full):
    rng = np.random.default_rng(0)
    num_images = 2000 if full else 200
    rows, columns = np.mgrid[0:SIZE, 0:SIZE] / SIZE
    waves = np.sin(rng.uniform(1, 9, (num_images, 1, 1)) * rows) + np.cos(rng.uniform(1, 9, (num_images, 1, 1)) * columns)
    pixels = (127 + 50 * waves[..., None] + rng.normal(0, 8, (num_images, SIZE, SIZE, 3))).clip(0, 255).astype(np.uint8)
    labels = {kind.name: np.eye(12, dtype=np.int8)[rng.integers(0, 12, num_images)] for kind in SCHEMA}
    return Examples(pixels, np.arange(num_images), labels, np.arange(num_images, dtype=np.uint64))


@pytest.fixture(scope="module")
def conditions(full):
    warm_up(NAMES)
    return [(name, severity) for name in NAMES for severity in (range(1, 6) if full else (3,))]


def fan_out(models, examples, conditions):
    candidates = [Candidate(str(index), model) for index, model in enumerate(models)]
    for name, severity in conditions:
        outcomes = evaluate(candidates, examples, SCHEMA, name, severity, corrupt=corrupt, device=CPU, batch_size=BATCH)
        assert all(outcome.error is None for outcome in outcomes)


def corruption_pass(examples, conditions):
    for name, severity in conditions:
        for start in range(0, len(examples), BATCH):
            rows = slice(start, start + BATCH)
            corrupt(examples.images(rows), name, severity, examples.keys[rows])


def forward_pass(model, examples):
    images = torch.from_numpy(examples.images(slice(None))).permute(0, 3, 1, 2)
    with torch.inference_mode():
        for part in images.split(BATCH):
            model(part)


def test_fan_out_against_its_parts(ratio, models, examples, conditions):
    """A round is one condition, first its parts, then the fan-out."""
    passed = {"fan-out": np.zeros(2), "parts": np.zeros(2)}
    ours, theirs = iter(conditions), iter(conditions)

    def fan_out_once():
        with timed(passed["fan-out"]):
            fan_out(models, examples, [next(ours)])

    def parts_once():
        with timed(passed["parts"]):
            corruption_pass(examples, [next(theirs)])
            for model in models:
                forward_pass(model, examples)

    fan_out(models, examples, conditions[:1])
    ratio("evaluation/fan-out", fan_out_once, parts_once, rounds=len(conditions), warm_up=False)
    print(f"{len(conditions)} conditions, {len(examples)} images, {NUM_MODELS} models")
    for name, (cpu, wall) in passed.items():
        print(f"{name}: {cpu:.1f} s of CPU, {wall:.1f} s by the clock")


@contextmanager
def timed(total):
    """Adds CPU and wall time."""
    started = time.process_time(), time.perf_counter()
    yield
    total += time.process_time() - started[0], time.perf_counter() - started[1]


def test_fan_out_against_a_loop_over_imagecorruptions(ratio, models, examples, conditions):
    from datasets.corruptions._reference import corrupt_one

    some = replace(examples, rows=examples.rows[:SOME], keys=examples.keys[:SOME], labels={k: v[:SOME] for k, v in examples.labels.items()})

    def theirs():
        for name, severity in conditions:
            images = np.stack([corrupt_one(image, name, severity, [0]) for image in examples.pixels[:FEW]])
            with torch.inference_mode():
                models[0](torch.from_numpy(images).permute(0, 3, 1, 2))

    fan_out(models, some, conditions[:1])
    theirs()  # imports, and textures that are read once
    ratio("evaluation/loop", lambda: fan_out(models, some, conditions), theirs, rounds=1, warm_up=False, times=NUM_MODELS * SOME / FEW)
