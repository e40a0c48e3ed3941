"""Methods that the sweep's tests plant, and a small catalogue for them to run on."""

import csv
import os
import subprocess
import sys
from pathlib import Path

from bench import registry

ROOT = Path(__file__).resolve().parent.parent

PLAIN = '''"""Class frequencies: learns at once."""

import torch
from torch import nn


class Plain:
    PRESETS = {"tiny": {}}

    def __init__(self, *, image_size: int = 32, shift: float = 0.0):
        self.shift = shift

    def teachers(self, schema):
        return ()

    def build(self, schema, teacher=None):
        module = nn.Module()
        module.names = schema.names
        for place, kind in enumerate(schema):
            module.register_buffer(f"scores_{place}", torch.zeros(len(kind.classes)))
        return module

    def fit(self, data, teachers, run):
        self.model = self.build(data.schema)
        for place, kind in enumerate(data.schema):
            counts = torch.from_numpy((data.labeled.labels[kind.name] == 1).sum(0))
            getattr(self.model, f"scores_{place}").copy_(counts + self.shift)

    def predict(self, images):
        return {name: getattr(self.model, f"scores_{place}").expand(len(images), -1) for place, name in enumerate(self.model.names)}
'''

UNLUCKY = PLAIN.replace("class Plain", "class Unlucky").replace(
    "    def fit(self, data, teachers, run):\n",
    """    def fit(self, data, teachers, run):
        import os, pathlib, signal, time
        from bench.seeding import derive_seed

        bad = {derive_seed("fit", "unlucky", seed): seed for seed in (3, 7, 11)}.get(run.seed)
        mended = pathlib.Path(__file__).with_name("mended").exists()
        if bad == 3 and not mended:
            raise RuntimeError("three is unlucky")
        if bad == 7 and not mended:
            os.kill(os.getpid(), signal.SIGKILL)
        if bad == 11 and pathlib.Path(__file__).with_name("slow").exists():
            time.sleep(600)
""",
)

TAUGHT = PLAIN.replace("class Plain:", 'class Taught:\n    TEACHER_PARAMS = ("image_size",)').replace(
    "        return ()\n",
    """        return ("good", "bad")

    def fit_teacher(self, teacher, data, run):
        if teacher == "bad":
            raise RuntimeError("cannot teach")
        return self.build(data.schema)
""",
)

DEADLY = PLAIN.replace("class Plain", "class Deadly").replace(
    "    def predict(self, images):\n",
    """    def predict(self, images):
        import os, signal

        if (images == 255).float().mean() > 0.05:  # impulses of a corrupted batch
            os.kill(os.getpid(), signal.SIGKILL)
""",
)

SLOW = PLAIN.replace("class Plain", "class Slow").replace(
    "    def fit(self, data, teachers, run):\n",
    """    def fit(self, data, teachers, run):
        import pathlib, time
        from bench.protocol import Recipe

        def loss(module, batch):
            pathlib.Path(__file__).with_name("training").touch()
            time.sleep(0.05)
            return (module.weight * batch).sum()

        class Steps:
            def epoch(self, rng):
                return [1.0] * 200

            def load(self, step):
                return torch.full((1, 1), step)

        run.train("slow", nn.Linear(1, 1, bias=False), loss, Steps(), Recipe(epochs=1, learning_rate=0.1))
""",
)


def forget():
    """What this process knows of planted files is nothing to those of the next test, which may have the same names."""
    registry._imported.clear()
    reread()


def reread():
    """The registry looks at all files again, as another process would, but for what is imported."""
    for cached in (registry.source_hash, registry._imported_hash, registry._imports, registry._module_hash, registry._read):
        cached.cache_clear()


def plant(folder: Path, **sources: str) -> Path:
    """Writes methods into a plugin folder and returns it."""
    (folder / "methods").mkdir(parents=True, exist_ok=True)
    for name, source in sources.items():
        (folder / "methods" / f"{name}.py").write_text(source)
    return folder


def catalogue(folder: Path, num: int = 24) -> Path:
    """A folder of photographs with a split column: grey squares of two shades, 32 px, no two files alike."""
    from PIL import Image

    folder.mkdir(parents=True)
    rows = []
    for index in range(num):
        split = ("train", "train", "val", "test")[index % 4]
        Image.new("RGB", (32, 32), (60 + 100 * (index % 3 == 0),) * 3).save(folder / f"{index}.jpg", comment=f"{index:04}")
        rows.append({"file_name": f"{index}.jpg", "split": split, "shade": "light" if index % 3 == 0 else "dark"})
    with (folder / "metadata.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return folder


def bench(*words: object, cwd: Path, plugins: Path, timeout: float = 240) -> subprocess.CompletedProcess:
    """Runs `python -m bench` as a user would, with planted methods and a cache of its own."""
    return subprocess.run(command(*words), cwd=cwd, env=environment(cwd, plugins), capture_output=True, text=True, timeout=timeout)


def command(*words: object) -> list[str]:
    return [sys.executable, "-m", "bench", *map(str, words)]


def environment(cwd: Path, plugins: Path) -> dict[str, str]:
    own = {"BENCH_PLUGINS": plugins, "BENCH_CACHE": cwd / "cache", "BENCH_DATA": cwd / "cache/data", "PYTHONPATH": ROOT, "COLUMNS": 200}
    return {**os.environ, **{name: str(value) for name, value in own.items()}}
