"""Keeps what was read from a data set's lists, so that opening it again takes milliseconds. Light: numpy waits until arrays are read."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from bench import registry
from bench.protocol import SPLITS, UNKNOWN, AttributeType, Problem, Schema
from datasets._once import build_once

if TYPE_CHECKING:
    import numpy as np

    from datasets._schema import Annotations, Problems


_SAMPLE = 256


def sample_rows(num_rows: int) -> range:
    """The rows, evenly spread, whose images' file sizes are part of a data set's identity: some 256."""
    return range(0, num_rows, max(1, num_rows // _SAMPLE))


@dataclass(frozen=True)
class Index:
    """The facts of a data set, and the folder in which its rows are kept."""

    folder: Path
    content_hash: str
    schema: Schema
    num_images: Mapping[str, int]
    problems: tuple[Problem, ...]  # the first of them
    num_problems: int
    image_folder: str
    sample: tuple[str, ...]  # paths of some images, evenly spread, whose file sizes are part of the data's identity
    notes: tuple[str, ...] = ()  # what a person should know that is no fault


def open_index(entry: registry.Entry, sources: Sequence[str], root: Path, cache_dir: Path) -> Index:
    """The index of the lists (sources) under root, read by a data set's loader where no index of these very files is there.

    Lists are told apart by root, names, sizes and times of change; the loader's own code counts too."""
    root = Path(os.path.realpath(root))
    stats = [(name, status.st_size, status.st_mtime_ns) for name in sources for status in [(root / name).stat()]]
    identity = json.dumps([str(root), _code_hash(str(entry.path)), stats])
    target = cache_dir / "index" / f"{entry.name}-{hashlib.sha256(identity.encode()).hexdigest()[:24]}"
    return load(build_once(target, lambda folder: _build(folder, entry, root)))


def read_lists(entry: registry.Entry, root: Path, problems: Problems) -> Annotations:
    """What a data set's loader reads under root. Raises BadDataError where nothing can be learnt from it or measured on it.

    Of a published layout, whose test labels may be kept back, a val or test without labels is noted alone."""
    found: Annotations = registry.load("datasets", entry.name).read(root, problems)
    if not len(found):
        problems.fatal(".", 0, f"no sound row; the first problem: {problems.found[0] if problems.found else 'the lists are empty'}")
    if not (found.splits == SPLITS.index("train")).any():
        reason = f"the first problem: {problems.found[0]}" if problems.found else "the lists put every row into another split"
        problems.fatal(".", 0, f"no training images; {reason}")
    for split in ("val", "test"):
        rows = (found.splits == SPLITS.index(split)).nonzero()[0]
        if len(rows) and not any((values[rows] != UNKNOWN).any() for values in found.labels.values()):
            fault = f"none of the {len(rows)} images of {split} has a label"
            if entry.constants.get("REQUIRED") and not entry.constants.get("GENERIC"):
                problems.note(f"{fault}; nothing can be measured on it")
            else:
                problems.fatal(".", 0, f"{fault}; label some, or put them into unlabeled")
    return found


def load(folder: Path) -> Index:
    """An index that is there."""
    meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
    kinds = tuple(AttributeType(kind["name"], tuple(kind["classes"]), kind["exclusive"]) for kind in meta["schema"])
    problems = tuple(Problem(*fields) for fields in meta["problems"])
    facts = (meta["content_hash"], Schema(kinds), meta["num_images"], problems, meta["num_problems"], meta["folder"])
    return Index(folder, *facts, tuple(meta["sample"]), tuple(meta["notes"]))


def image_paths(index: Index) -> Sequence[str]:
    """The path of each row's image, below the data set's folder of images."""
    from datasets._schema import split_paths

    return split_paths((index.folder / "paths.bin").read_bytes())


def read_annotations(index: Index) -> Annotations:
    """The rows of an index; labels stay on the disk until they are looked at."""
    import numpy as np

    from datasets._schema import Annotations

    def array(name: str) -> np.ndarray:
        values: np.ndarray = np.load(index.folder / f"{name}.npy", allow_pickle=False)
        return values

    meta = json.loads((index.folder / "meta.json").read_text(encoding="utf-8"))
    labels = {kind.name: np.load(index.folder / f"labels-{place}.npy", mmap_mode="r") for place, kind in enumerate(index.schema)}
    return Annotations(
        schema=index.schema,
        paths=image_paths(index),
        splits=array("splits"),
        labels=labels,
        files=tuple(meta["files"]),
        where_file=array("where_file"),
        where_line=array("where_line"),
        boxes=array("boxes") if meta["boxes"] else None,
        folder=meta["folder"],
        landmarks=array("landmarks") if meta["landmarks"] else None,
        ignored=tuple(meta["ignored"]),
    )


def kept_array(index: Index, name: str, make: Callable[[], np.ndarray]) -> np.ndarray:
    """An array that depends on the index alone, kept beside it once it was made."""
    import numpy as np

    def build(folder: Path) -> None:
        np.save(folder / "array.npy", make())

    values: np.ndarray = np.load(build_once(index.folder.with_name(f"{index.folder.name}-{name}"), build) / "array.npy", allow_pickle=False)
    return values


def _build(folder: Path, entry: registry.Entry, root: Path) -> None:
    import numpy as np

    from datasets._schema import Problems, content_hash, image_keys, joined, schema_to_json

    problems = Problems()
    found = read_lists(entry, root, problems)
    arrays = {"splits": found.splits, "where_file": found.where_file, "where_line": found.where_line, "keys": image_keys(found.paths)}
    arrays |= {} if found.boxes is None else {"boxes": found.boxes}
    arrays |= {} if found.landmarks is None else {"landmarks": found.landmarks}
    arrays |= {f"labels-{place}": found.labels[kind.name] for place, kind in enumerate(found.schema)}
    for name, values in arrays.items():
        np.save(folder / f"{name}.npy", values, allow_pickle=False)
    (folder / "paths.bin").write_bytes(joined(found.paths))
    counts = np.bincount(found.splits, minlength=len(SPLITS)).tolist()
    meta = {
        "content_hash": content_hash(found),
        "schema": schema_to_json(found.schema),
        "num_images": dict(zip(SPLITS, counts, strict=True)),
        "files": list(found.files),
        "folder": found.folder,
        "boxes": found.boxes is not None,
        "landmarks": found.landmarks is not None,
        "ignored": list(found.ignored),
        "sample": [found.paths[row] for row in sample_rows(len(found))],
        "problems": [(problem.file, problem.line, problem.message) for problem in problems.found],
        "num_problems": problems.count,
        "notes": problems.notes,
    }
    (folder / "meta.json").write_text(json.dumps(meta), encoding="utf-8")


@cache
def _code_hash(loader_file: str) -> str:
    """Of the loader and of the modules that it may use, so that no index outlives the code that wrote it."""
    files = [Path(loader_file), *sorted(Path(__file__).parent.glob("_*.py"))]
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()
