"""The gate goes red where a method or a kernel is made worse on purpose."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from planted import ROOT, bench, catalogue, plant

SIZES = {"image_size": 64, "shrink": 2, "backbone": "test_resnet", "pretrained": "false", "augment": "false"}
LENGTH = {"epochs": 3, "images_per_epoch": 256, "batch_size": 16, "learning_rate": 0.005, "warmup_steps": 2}
SUPERVISED = (ROOT / "methods" / "supervised.py").read_text()


def run(folder: Path, photos: Path, source: str):
    """The supervised method under another name, as the source says, on a catalogue; its store and how the command ended."""
    plugins, store = plant(folder / "plugins", mine=source), folder / "store"
    settings = [word for name, value in (SIZES | LENGTH).items() for word in ("--set", f"mine.{name}={value}")]
    where = ("--datasets", f"folder:{photos}", "--label-fractions", 1, "--severities", 0, "--launcher", "inline", "--store", store)
    found = bench("run", "--methods", "mine", "--preset", "paper", *where, *settings, cwd=folder, plugins=plugins)
    return store, found


def check(folder: Path, baseline: Path, store: Path):
    words = ("check", "--metrics", "--baseline", baseline, "--store", store)
    return bench(*words, cwd=folder, plugins=folder / "plugins")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A catalogue, and an archive of the method as it is."""
    folder = tmp_path_factory.mktemp("before")
    photos, baseline = catalogue(folder / "photos", 240), folder / "reference"
    store, found = run(folder, photos, SUPERVISED)
    assert found.returncode == 0, found.stderr
    assert bench("check", "--update", "--baseline", baseline, "--store", store, cwd=folder, plugins=folder / "plugins").returncode == 0
    return photos, baseline


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("    def network(", "    # of course\n    def network(", ""),
        ("return attribute_loss(", "return -0.01 * attribute_loss(", "f1@1 fell by "),
        ("_SELECTION =", "raise RuntimeError('planted')\n_SELECTION =", "was ok, now failed: "),
    ],
    ids=["a comment", "ascends its loss", "does not load"],
)
def test_a_method_made_worse(trained, tmp_path, old, new, said):
    photos, baseline = trained
    assert old in SUPERVISED
    store, found = run(tmp_path, photos, SUPERVISED.replace(old, new))
    assert found.returncode == ("failed" in said), found.stderr
    checked = check(tmp_path, baseline, store)
    assert checked.returncode == (3 if said else 0), checked.stdout + checked.stderr
    assert not said or re.search(rf"^regression: mine.*: {said}", checked.stdout, re.MULTILINE)


@pytest.mark.slow
def test_a_kernel_made_slower(tmp_path):
    """In a copy of the sources where each threshold is looked for thirty times."""
    for name in ("bench", "methods", "datasets", "slurm", "tests"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__", "golden"))
    shutil.copyfile(ROOT / "pyproject.toml", tmp_path / "pyproject.toml")
    (tmp_path / "results").mkdir()
    shutil.copyfile(ROOT / "results" / "kernels.json", tmp_path / "results" / "kernels.json")
    kernel = tmp_path / "bench" / "thresholds.py"
    text = kernel.read_text()
    slower = text.replace("found = [best(*_known(", "found = [[best(*_known(").replace(
        ", beta * beta) for column", ", beta * beta) for _ in range(30)][0] for column"
    )
    assert slower != text
    kernel.write_text(slower)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("BENCH_")} | {"PYTHONPATH": str(tmp_path)}

    def python(*words: str):
        return subprocess.run([sys.executable, "-m", *words], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=200)

    measured = python("pytest", "-q", "tests/kernels/test_thresholds.py", "-k", "curve", "-p", "no:cacheprovider")
    assert measured.returncode == 1, measured.stdout
    checked = python("bench", "check", "--kernels")
    assert checked.returncode == 3, checked.stdout + checked.stderr
    assert re.search(r"regression: thresholds/curve: [\d.]+ times its peer, below the floor of 12", checked.stdout), checked.stdout
