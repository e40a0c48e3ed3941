"""Tables of catalogues for the tests: written and read; and four photos of plain colours, a table about them, and `bench data` with
places of its own."""

import numpy as np
from PIL import Image

from bench.cli import main
from bench.protocol import DataOptions
from datasets import folder
from datasets._schema import Problems

SHADES = {"red.jpg": (200, 20, 20), "sub/blue.jpg": (20, 20, 200), "green.jpg": (20, 200, 20), "grey.jpg": (128, 128, 128)}

TABLE = (
    "split\timage\tcolour\tdetails\n"
    "train\tred.jpg\tred\tzip; button\n"
    "train\tsub/blue.jpg\tblue\t;\n"
    "val\tgreen.jpg\t\tzip|zip\n"
    "test\tgrey.jpg\tred\t\n"
)

CLASS_TREE = {f"{name}/{i}.jpg": "" for name in ("dress", "shirt") for i in range(9)}


def write(root, files: dict[str, str]):
    """root with these files in it."""
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def read(root):
    """What folder:PATH reads, and its problems as text."""
    problems = Problems()
    found = folder.read(root, problems)
    return found, [str(problem) for problem in problems.found]


def rows(found):
    """path -> split index and the names of its positive classes by type; None where nothing is known."""
    table = {}
    for i, path in enumerate(found.paths):
        marks = {}
        for kind in found.schema:
            values = found.labels[kind.name][i]
            assert (values == -1).all() or (values >= 0).all()
            marks[kind.name] = None if values[0] == -1 else [kind.classes[c] for c in range(len(values)) if values[c] == 1]
        table[path] = (int(found.splits[i]), marks)
    return table


def command(tmp_path):
    """Runs `bench data` with a cache and a data root of its own."""

    def run(action, *words):
        places = [] if action == "import" else ["--cache", str(tmp_path / "cache"), "--data-root", str(tmp_path / "root")]
        return main(["data", action, *map(str, words), *places])

    return run


def shaded(place):
    """The folder with its photos."""
    for name, colour in SHADES.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 20), colour).save(place / name)
    return place


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
