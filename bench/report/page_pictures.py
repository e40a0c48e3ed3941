"""What the page draws from per-image arrays: hits of each class, embeddings and attention maps, within a limit of bytes each."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from bench.protocol import Schema
from bench.report.figures import Cell, Figures, Group
from bench.report.page_codec import pack, pack_bits

KS = (1, 3)  # of the recall of classes
MAX_GROUPS = 80  # cells whose arrays are read
MAX_DIM = 24  # principal axes of an embedding that the page gets
MIN_POINTS = 10  # of a map
NUM_COLOURS = 8  # classes that a map of embeddings tells apart
MAX_ATTENTION = 6, 32  # images a method, and points a side
ATTENTION = "attention/"
MAX_SIDE = 128  # pixels of a thumbnail
_QUALITY = 72
_EMBEDDING = "embedding/"


def clean_groups(figures: Figures) -> Iterator[tuple[Cell, Group]]:
    """The clean cells with records that are ok, whole label sets first: what is looked at until a limit is reached."""
    cells = [cell for cell, group in figures.groups.items() if not cell.severity and group.ok and "->" not in cell.dataset]
    order = sorted(cells, key=lambda each: (each.source, -each.label_fraction, each.pool != "1", each.dataset, each.method, each.preset))
    for cell in order[:MAX_GROUPS]:
        yield cell, figures.groups[cell]


def label_of(cell: Cell) -> str:
    """A method's name, with its pool where that is not the usual one."""
    return cell.method if cell.pool in ("", "1") else f"{cell.method}, pool {cell.pool}"


def world_of(cell: Cell, group: Group) -> tuple[str, str, str, str, str]:
    """What cells must share to be compared image by image."""
    record = group.ok[0]
    return cell.dataset, cell.source, cell.preset, record["data_hash"], record["split"]


def encode_classes(figures: Figures, max_bytes: int) -> dict[str, Any]:
    """By data set: its classes with how many test images carry each, and for each method which of these it finds among its first k.

    hits[k] is a bit for each (class, image that carries it), in the order of types, classes and images, a string a seed. Methods that
    max_bytes have no room for are counted in `left_out`."""
    worlds: dict[tuple, dict[str, Any]] = {}
    carried: dict[tuple, tuple[np.ndarray, np.ndarray, np.ndarray]] = {}
    left_out = 0
    for cell, group in clean_groups(figures):
        place = world_of(cell, group)
        if max_bytes <= 0:
            left_out += 1
            continue
        if place not in worlds:
            if group.split is None:
                continue
            schema, positives = group.split
            carried[place] = _carried(schema, positives)
            worlds[place] = _described(cell, schema, positives)
            max_bytes -= 12 * sum(len(kind.classes) for kind in schema)
        entry = _hits(cell, group, carried[place])
        if entry is not None:
            worlds[place]["methods"].append(entry)
            max_bytes -= sum(len(text) for texts in entry["hits"].values() for text in texts) + 80
    return {"worlds": [world for world in worlds.values() if len(world["methods"]) > 1], "left_out": left_out}


def _described(cell: Cell, schema: Schema, positives: Mapping[str, np.ndarray]) -> dict[str, Any]:
    types = [{"name": kind.name, "classes": list(kind.classes), "counts": positives[kind.name].sum(axis=0).tolist()} for kind in schema]
    return {"dataset": cell.dataset, "source": cell.source, "preset": cell.preset, "types": types, "methods": []}


def _carried(schema: Schema, positives: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Type, class and image of every positive label, sorted so."""
    parts = []
    for place, kind in enumerate(schema):
        classes, images = np.nonzero(positives[kind.name].T)
        parts.append(np.stack([np.full(len(classes), place), classes, images]))
    types, classes, images = np.concatenate(parts, axis=1)
    return types, classes, images


def _hits(cell: Cell, group: Group, carried: tuple[np.ndarray, np.ndarray, np.ndarray]) -> dict[str, Any] | None:
    types, classes, images = carried
    found: dict[str, list[str]] = {str(k): [] for k in KS}
    for arrays in group.arrays:
        top = arrays.get("top_classes")
        if top is None or not len(images) or len(top) <= images.max() or top.shape[1] <= types.max():
            return None
        right = top[images, types] == classes[:, None]  # (positives, 5)
        for k in KS:
            found[str(k)].append(pack_bits(right[:, :k].any(axis=1)))
    return {"method": label_of(cell), "fraction": cell.label_fraction, "hits": found}


def encode_maps(figures: Figures, max_bytes: int) -> dict[str, Any]:
    """Embeddings of the first images of a data set, for t-SNE: int8 along the axes of largest variance, and the class that colours
    each; of every method under its largest share of labels, one attribute type after the other while max_bytes last."""
    wanted: list[tuple[int, dict[str, Any]]] = []
    seen: set[tuple[str, ...]] = set()
    for cell, group in clean_groups(figures):
        place = cell.dataset, cell.source, cell.preset, label_of(cell)
        arrays = group.arrays[0]
        if place in seen or group.split is None or not any(name.startswith(_EMBEDDING) for name in arrays):
            continue
        seen.add(place)
        schema, positives = group.split
        names = {"dataset": cell.dataset, "source": cell.source, "method": label_of(cell), "fraction": cell.label_fraction}
        for number, kind in enumerate(schema):
            values = arrays.get(_EMBEDDING + kind.name)
            if values is not None and len(values) >= MIN_POINTS:
                wanted.append((number, {**names, "type": kind.name, **_map(values, positives[kind.name], kind.classes)}))
    found = []
    for _, entry in sorted(wanted, key=lambda each: each[0]):
        max_bytes -= len(entry["points"]) + len(entry["colours"]) + 300
        if max_bytes < 0:
            break
        found.append(entry)
    return {"maps": found, "left_out": len(wanted) - len(found)}


def _map(values: np.ndarray, positives: np.ndarray, classes: Sequence[str]) -> dict[str, Any]:
    points = np.nan_to_num(values[:, :MAX_DIM].astype(np.float32))
    points -= points.mean(axis=0)
    largest = float(np.abs(points).max()) or 1.0
    carried = positives[: len(points)]
    frequent = [int(index) for index in np.argsort(-carried.sum(axis=0), kind="stable")[:NUM_COLOURS] if carried[:, index].any()]
    colours = np.full(len(points), 255, dtype=np.uint8)
    for colour, index in reversed(list(enumerate(frequent))):
        colours[carried[:, index]] = colour
    whole = np.rint(points * (127 / largest)).astype(np.int8)
    names = [classes[index] for index in frequent]
    return {"size": list(points.shape), "points": pack(whole, "i1"), "colours": pack(colours, "u1"), "classes": names}


def encode_attention(figures: Figures, max_bytes: int) -> list[dict[str, Any]]:
    """Arrays named `attention/<map>`, (M, H, W), of the first images of the test split, and these images (`attention/image`)."""
    found: list[dict[str, Any]] = []
    for cell, group in clean_groups(figures):
        arrays = group.arrays[0]
        names = sorted(name for name, values in arrays.items() if name.startswith(ATTENTION) and values.ndim == 3 and values.size)
        if not names:
            continue
        images = arrays.get(f"{ATTENTION}image", np.zeros((0, 1, 1, 3), dtype=np.uint8))
        entry: dict[str, Any] = {
            **{"dataset": cell.dataset, "source": cell.source, "method": label_of(cell), "fraction": cell.label_fraction},
            "images": [thumbnail(image) for image in images[: MAX_ATTENTION[0]]],
            "maps": [_attention(name.removeprefix(ATTENTION), arrays[name]) for name in names],
        }
        max_bytes -= sum(len(each) for each in entry["images"]) + sum(len(each["pixels"]) + 80 for each in entry["maps"]) + 200
        if max_bytes < 0:
            break
        found.append(entry)
    return found


def _attention(name: str, values: np.ndarray) -> dict[str, Any]:
    """Scaled to its own range over all of the images."""
    num_images, side = MAX_ATTENTION
    chosen = np.nan_to_num(values[:num_images].astype(np.float32))
    rows, columns = (np.linspace(0, size - 1, min(size, side)).round().astype(int) for size in chosen.shape[1:])
    chosen = chosen[:, rows][:, :, columns]
    low, high = float(chosen.min()), float(chosen.max())
    whole = np.rint((chosen - low) * (255 / ((high - low) or 1.0)))
    return {"name": name, "size": list(chosen.shape), "low": round(low, 3), "high": round(high, 3), "pixels": pack(whole, "u1")}


def thumbnail(image: np.ndarray) -> str:
    """A WebP data URI of a uint8 (H, W, 3) image, its longer side 128 pixels at most."""
    from PIL import Image

    picture = Image.fromarray(image)
    picture.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.LANCZOS)
    out = io.BytesIO()
    picture.save(out, "WEBP", quality=_QUALITY, method=4)
    return f"data:image/webp;base64,{base64.b64encode(out.getvalue()).decode('ascii')}"
