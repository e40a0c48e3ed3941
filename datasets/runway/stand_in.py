"""Writes a stand-in for a data set: rendered photos and labels in that data set's own layout.

Every photo and its labels depend on (layout, seed, split, place in the split, long side) alone, so neither the number of
workers nor the size of another split changes a byte of it."""

from __future__ import annotations

import difflib
import importlib
import json
import multiprocessing
import random
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from types import ModuleType

from datasets.runway.garment import Garment, sample_garment
from datasets.runway.layouts import Item, Mark
from datasets.runway.photo import Shot, take_photo

RENDERER_VERSION = 1  # raised when any byte of a rendered data set changes
_CHUNK = 64  # photos a worker takes at a time


def layouts() -> list[str]:
    """Names of the layouts that can be written."""
    return sorted(path.stem for path in (Path(__file__).parent / "layouts").glob("*.py") if not path.stem.startswith("_"))


def render(root: Path, layout: str, *, num: Mapping[str, int], long_side: int, seed: int, workers: int = 1) -> None:
    """Writes one stand-in into an empty or absent folder.

    layout: one of layouts(). num: split -> number of photos >= 0, of the splits that the layout has; those left out are empty.
    long_side: of the photos, pixels, >= 32. workers: processes; the files do not depend on it.
    runway.json, which names what was rendered, is written last. Raises ValueError on anything else."""
    module = layout_module(layout)
    _check(root, layout, module, num, long_side)
    root.mkdir(parents=True, exist_ok=True)
    items = list(_items(module, layout, num, seed))
    paths = module.paths(items)
    for folder in sorted({(root / path).parent for path in paths}):
        folder.mkdir(parents=True, exist_ok=True)
    module.annotate(root, items, _take_all(root, layout, items, paths, long_side, workers))
    about = {"renderer_version": RENDERER_VERSION, "layout": layout, "num": dict(num), "long_side": long_side, "seed": seed}
    (root / "runway.json").write_text(json.dumps(about, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def layout_module(name: str) -> ModuleType:
    """The module of a layout. Raises ValueError with the nearest name."""
    if name not in layouts():
        near = difflib.get_close_matches(name, layouts(), n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ";"
        raise ValueError(f"no layout {name!r}{hint} there are {', '.join(layouts())}")
    return importlib.import_module(f"datasets.runway.layouts.{name}")


def sample_thing(module: ModuleType, split: str, index: int, rng: random.Random) -> Garment:
    """What a photo shows: what the layout's own sample draws, else a garment by its CATEGORIES and PATTERNS."""
    sample = getattr(module, "sample", None)
    garment: Garment = sample(split, index, rng) if sample else sample_garment(rng, module.CATEGORIES, module.PATTERNS)
    return garment


def take_thing(module: ModuleType, garment: Garment, long_side: int, seed: str) -> Shot:
    """A photo: what the layout's own take makes, else one of a garment in its DOMAIN."""
    take = getattr(module, "take", None)
    shot: Shot = take(garment, long_side, seed) if take else take_photo(garment, module.DOMAIN, long_side, seed)
    return shot


def _check(root: Path, layout: str, module: ModuleType, num: Mapping[str, int], long_side: int) -> None:
    for split, count in num.items():
        if split not in module.SPLITS:
            raise ValueError(f"layout {layout!r} has no split {split!r}; it has {', '.join(module.SPLITS)}")
        if count < 0:
            raise ValueError(f"num[{split!r}] is {count}, expected 0 or more")
    if long_side < 32:
        raise ValueError(f"long_side is {long_side}, expected 32 or more")
    if root.exists() and any(root.iterdir()):
        raise ValueError(f"{root} is not empty; render into a new folder")


def _items(module: ModuleType, layout: str, num: Mapping[str, int], seed: int) -> Iterator[Item]:
    for split in module.SPLITS:
        for index in range(num.get(split, 0)):
            key = f"{layout}/{seed}/{split}/{index}"
            garment = sample_thing(module, split, index, random.Random(f"{key}/garment"))
            yield Item(split, f"{key}/photo", garment, module.label(garment, random.Random(f"{key}/labels")))


def _take_all(root: Path, layout: str, items: Sequence[Item], paths: Sequence[str], long_side: int, workers: int) -> list[Mark]:
    jobs = [(str(root), layout, items[k : k + _CHUNK], paths[k : k + _CHUNK], long_side) for k in range(0, len(items), _CHUNK)]
    if workers <= 1 or len(jobs) <= 1:
        return [mark for job in jobs for mark in _take(*job)]
    context = multiprocessing.get_context("spawn")  # a fork would copy the threads of whoever calls
    with ProcessPoolExecutor(min(workers, len(jobs)), mp_context=context) as pool:
        return [mark for marks in pool.map(_take, *zip(*jobs, strict=True)) for mark in marks]


def _take(root: str, layout: str, items: Sequence[Item], paths: Sequence[str], long_side: int) -> list[Mark]:
    module = layout_module(layout)
    marks = []
    for item, path in zip(items, paths, strict=True):
        shot = take_thing(module, item.garment, long_side, item.seed)
        Path(root, path).write_bytes(shot.jpeg)
        height, width = shot.image.shape[:2]
        marks.append(Mark(width, height, shot.box, shot.landmarks))
    return marks
