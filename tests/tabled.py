"""Four photos of plain colours and a table about them, and `bench data` with places of its own, for its tests."""

import numpy as np
from PIL import Image

from bench.cli import main
from bench.protocol import DataOptions

SHADES = {"red.jpg": (200, 20, 20), "sub/blue.jpg": (20, 20, 200), "green.jpg": (20, 200, 20), "grey.jpg": (128, 128, 128)}

TABLE = (
    "split\timage\tcolour\tdetails\n"
    "train\tred.jpg\tred\tzip; button\n"
    "train\tsub/blue.jpg\tblue\t;\n"
    "val\tgreen.jpg\t\tzip|zip\n"
    "test\tgrey.jpg\tred\t\n"
)


def command(tmp_path):
    """Runs `bench data` with a cache and a data root of its own."""

    def run(action, *words):
        places = [] if action == "import" else ["--cache", str(tmp_path / "cache"), "--data-root", str(tmp_path / "root")]
        return main(["data", action, *map(str, words), *places])

    return run


def shaded(folder):
    """The folder with its photos."""
    for name, colour in SHADES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 20), colour).save(folder / name)
    return folder


def options(tmp_path, **fields):
    return DataOptions(tmp_path / "root", tmp_path / "cache", **fields)


def labels(opened):
    """path -> type -> its classes, None where nothing is known."""
    table = {}
    for row, path in enumerate(opened.annotations.paths):
        marks = {kind.name: (kind, opened.annotations.labels[kind.name][row]) for kind in opened.schema}
        table[path] = {
            name: None if (values == -1).all() else [kind.classes[k] for k in np.flatnonzero(values == 1)]
            for name, (kind, values) in marks.items()
        }
    return table
