"""Photographs for the page: test images with what each method says of them, and corrupted copies. Nothing here imports torch.

Pixels come from the data sets, reached by name; a data set whose files are no longer those on record is left out with the reason."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from bench import registry
from bench.protocol import DataOptions, Examples, Schema
from bench.report.figures import Cell, Figures, Group
from bench.report.page_codec import pack
from bench.report.page_pictures import clean_groups, label_of, thumbnail, world_of

TOP = 3  # classes a type that are shown
NUM_CORRUPTED = 2  # photographs shown under every corruption
SEVERITIES = (1, 2, 3, 4, 5)


@dataclass(frozen=True)
class GalleryOptions:
    """How many photographs of each data set, and where data and pixel caches live."""

    num_images: int
    data_root: Path
    cache_dir: Path


def encode_gallery(figures: Figures, options: GalleryOptions) -> dict[str, Any]:
    """One entry a data set, source and preset: photographs with labels, the predictions of each method, corrupted copies."""
    worlds: dict[tuple, list[tuple[Cell, Group]]] = {}
    for cell, group in clean_groups(figures):
        worlds.setdefault(world_of(cell, group), []).append((cell, group))
    found: list[dict[str, Any]] = []
    problems: list[str] = []
    for (name, source, preset, data_hash, split), members in worlds.items():
        try:
            schema, examples = _open(name, source, preset, data_hash, split, _image_size(members), options)
        except Exception as error:  # photographs are an extra: whatever is wrong with them costs no figure
            problems.append(f"{name} ({source}): {error}")
            continue
        found.append({"dataset": name, "source": source, "preset": preset, **_encode(schema, examples, members, options.num_images)})
    return {"worlds": found, "problems": problems}


def _image_size(members: list[tuple[Cell, Group]]) -> int:
    """The resolution that most methods of a data set were given."""
    sizes = Counter(int(group.ok[0]["params"].get("image_size", 0)) for _, group in members)
    return next(size for size, _ in sizes.most_common() if size > 0 or len(sizes) == 1)


def _open(
    name: str, source: str, preset: str, data_hash: str, split: str, image_size: int, options: GalleryOptions
) -> tuple[Schema, Examples]:
    """The photographs that records were made of. Raises ValueError where the files have changed since."""
    data = DataOptions(options.data_root, options.cache_dir, "synthetic" if source == "synthetic" else "real", preset, "skip")
    for each in (data, replace(data, on_bad_data="error")):  # whichever the sweep was told; its hash says which
        opened = registry.load_part("datasets._open").open_dataset(name, each)
        if opened.data_hash == data_hash:
            return opened.schema, opened.examples(split, image_size=image_size)
    raise ValueError("the files found now are not those that the records were made of")


def _encode(schema: Schema, examples: Examples, members: list[tuple[Cell, Group]], num_images: int) -> dict[str, Any]:
    rows = np.unique(np.linspace(0, len(examples) - 1, min(num_images, len(examples))).round().astype(np.int64))  # spread evenly
    pixels = examples.images(rows)
    carried = {kind.name: examples.labels[kind.name][rows] == 1 for kind in schema}
    labels = [[np.flatnonzero(carried[kind.name][place]).tolist() for kind in schema] for place in range(len(rows))]
    methods = []
    for cell, group in members:
        entry = _predictions(group, rows, len(examples), len(schema))
        if entry is not None:
            methods.append({"method": label_of(cell), "fraction": cell.label_fraction, **entry})
    return {
        "types": [{"name": kind.name, "classes": list(kind.classes)} for kind in schema],
        "rows": rows.tolist(),
        "photos": [thumbnail(image) for image in pixels],
        "labels": labels,
        "top": TOP,
        "methods": methods,
        "corrupted": _corrupted(examples, rows[:: max(1, len(rows) // NUM_CORRUPTED)][:NUM_CORRUPTED]),
    }


def _predictions(group: Group, rows: np.ndarray, num_images: int, num_types: int) -> dict[str, Any] | None:
    """Of the first seed: the classes of each type with the highest scores, (images, types, 3), -1 beyond the last."""
    top = group.arrays[0].get("top_classes")
    if top is None or top.shape[:2] != (num_images, num_types):
        return None
    chosen = top[rows, :, :TOP].astype(np.int64)
    return {"seed": group.ok[0]["seed"], "classes": pack(np.where(chosen < 0, 65535, chosen), "u2")}


def _corrupted(examples: Examples, rows: np.ndarray) -> list[dict[str, Any]]:
    """Each corruption at each severity, as the sweep applies it."""
    engine = registry.load_part("datasets.corruptions")
    pixels, keys = examples.images(rows), examples.keys[rows]
    if min(pixels.shape[1:3]) < engine.MIN_SIZE:
        return []
    copies = {name: [engine.corrupt(pixels, name, severity, keys) for severity in SEVERITIES] for name in engine.NAMES}
    return [
        {
            "row": int(row),
            "clean": thumbnail(pixels[place]),
            "copies": [{"name": name, "photos": [thumbnail(batch[place]) for batch in batches]} for name, batches in copies.items()],
        }
        for place, row in enumerate(rows)
    ]
