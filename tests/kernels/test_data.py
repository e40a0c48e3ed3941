"""Training steps fed from the pixel cache, against the same steps fed from JPEG files by Pillow and a DataLoader.

JPEGs of 300 x 225 pixels, a small network at 64 pixels as preset tiny trains it, batches of 64. CPU time on one core: a DataLoader
with workers spends it elsewhere, but spends it, and a sweep keeps every core busy."""

import csv
import time

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset

from bench.protocol import DataOptions
from datasets._open import open_dataset
from methods.parts.augment import weak_augment
from methods.parts.backbone import Backbone
from methods.parts.batches import LabeledBatches

pytestmark = [pytest.mark.benchmark(timer=time.process_time), pytest.mark.usefixtures("one_core")]
NUM_IMAGES, BATCH, SIZE, CLASSES = 192, 64, 64, 4


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """A folder of pictures with what a camera leaves: slopes, edges and grain."""
    from PIL import Image

    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[0:300, 0:225] / 300
    lines = []
    for index in range(NUM_IMAGES + 2):
        waves = np.sin(rng.uniform(2, 20) * rows) + np.sign(np.sin(rng.uniform(5, 40) * columns))
        pixels = 120 + 30 * waves[..., None] + rng.uniform(-40, 40, 3) + rng.normal(0, 6, (300, 225, 3))
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / f"{index}.jpg", quality=90)
        split = "train" if index < NUM_IMAGES else ("val", "test")[index % 2]
        lines.append({"file_name": f"{index}.jpg", "split": split, "shade": "abcd"[index % CLASSES]})
    with (folder / "metadata.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(lines[0]))
        writer.writeheader()
        writer.writerows(lines)
    return folder


class Files(Dataset):
    """What one would write: open, convert, resize."""

    def __init__(self, folder):
        self.folder = folder

    def __len__(self):
        return NUM_IMAGES

    def __getitem__(self, index):
        from PIL import Image

        with Image.open(self.folder / f"{index}.jpg") as image:
            pixels = np.array(image.convert("RGB").resize((SIZE, SIZE), Image.Resampling.BILINEAR))
        return torch.from_numpy(pixels).permute(2, 0, 1), index % CLASSES


@pytest.fixture
def train_step():
    torch.manual_seed(0)
    backbone = Backbone("test_resnet", image_size=SIZE, shrink=2)
    network = nn.Sequential(backbone, nn.Linear(backbone.num_features, CLASSES))
    optimizer = torch.optim.AdamW(network.parameters(), 1e-3, fused=True)

    def step(images, classes):
        optimizer.zero_grad(set_to_none=True)
        functional.cross_entropy(network(weak_augment(images)), classes).backward()
        optimizer.step()

    return step


@pytest.fixture
def cached(photos, tmp_path):
    options = DataOptions(tmp_path, tmp_path)
    examples = open_dataset(f"folder:{photos}", options).examples("train", image_size=SIZE)
    assert isinstance(examples.pixels, np.memmap)
    return LabeledBatches(examples, BATCH)


def steps_from_cache(batches, step):
    for entry in batches.epoch(np.random.default_rng(0)):
        batch = batches.load(entry)
        step(batch.images, batch.labels["shade"].argmax(dim=1))


def test_steps_against_a_data_loader(ratio, photos, cached, train_step):
    loader = DataLoader(Files(photos), BATCH, shuffle=True, drop_last=True)

    def theirs():
        for images, classes in loader:
            train_step(images, classes)

    ratio("data/steps", lambda: steps_from_cache(cached, train_step), theirs)


def test_loading_against_a_tenth_of_a_step(ratio, cached, train_step):
    """A ratio of 1 would be a tenth of the time of training spent on data."""
    batch = cached.load(np.arange(BATCH))
    classes = batch.labels["shade"].argmax(dim=1)
    plan = cached.epoch(np.random.default_rng(0))

    def load():
        for entry in plan:
            cached.load(entry)

    ratio("data/tenth", load, lambda: train_step(batch.images, classes), rounds=9, repeat=5, times=0.1 * len(plan))
