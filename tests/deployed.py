"""A store of small trained models and 200 rendered photos, for what deploys them; made once a session."""

import shutil
from functools import cache
from pathlib import Path

from planted import PLAIN, bench, plant

from bench import registry
from bench.cli import main

STEADY = PLAIN.replace("class Plain", "class Steady").replace("len(images)", "images.shape[0]")  # len() would fix the batch size
STUBBORN = PLAIN.replace("class Plain", "class Stubborn").replace(
    "    def predict(self, images):\n", "    def predict(self, images):\n        if images.float().mean() < 0:\n            return {}\n"
)
DRIFTING = STEADY.replace("class Steady", "class Drifting").replace("self.shift = shift", "self.shift, self.calls = shift, 0")
DRIFTING = DRIFTING.replace("    def predict(self, images):\n", "    def predict(self, images):\n        self.calls += 1\n")
DRIFTING = DRIFTING.replace("expand(images.shape[0], -1)", "expand(images.shape[0], -1) + 0.01 * self.calls")
SHORT = {
    "mtss": {"images_per_epoch": 256, "epochs": 3, "student_images_per_epoch": 1024, "student_epochs": 3, "student_warmup_images": 64},
    "supervised": {"images_per_epoch": 256, "epochs": 2},
}


@cache
def place(base: Path) -> Path:
    """A folder with photos/ (a catalogue with 200 test photos), plugins/ and results/store. base: where pytest keeps its folders."""
    folder = base / "deployed"
    folder.mkdir()
    renderer = registry.load_part("datasets.runway")
    renderer.render(folder / "photos", "catalogue", num={"train": 120, "val": 40, "test": 200}, long_side=72, seed=3)
    (folder / "photos" / "runway.json").unlink()  # it plays somebody's own photos: the renderer's name would make it synthetic
    plant(folder / "plugins", steady=STEADY, rigid=PLAIN.replace("class Plain", "class Rigid"), stubborn=STUBBORN, drifting=DRIFTING)
    _train(
        folder, "mtss/student,supervised", *(f"--set={method}.{name}={value}" for method in SHORT for name, value in SHORT[method].items())
    )
    _train(folder, "steady,rigid,stubborn,drifting", "--seeds", "0-1")
    return folder


def _train(folder: Path, methods: str, *words: str) -> None:
    conditions = ("--label-fractions", "0.5", "--severities", "0", "--preset", "tiny", "--launcher", "inline")
    done = bench(
        "run",
        "--methods",
        methods,
        "--datasets",
        f"folder:{folder / 'photos'}",
        *conditions,
        *words,
        cwd=folder,
        plugins=folder / "plugins",
    )
    assert done.returncode == 0, done.stderr


@cache
def exported(base: Path, selector: str) -> Path:
    """The folder of an exported model."""
    folder = place(base)
    out = folder / "exported" / selector.replace("/", "-")
    assert main(["export", selector, "--out", str(out), "--store", str(folder / "results" / "store")]) == 0
    return out


def copy(folder: Path, target: Path) -> Path:
    """An exported folder's copy, to be damaged."""
    return Path(shutil.copytree(folder, target))
