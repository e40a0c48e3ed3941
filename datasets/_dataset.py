"""A data set that was opened: its label sets, pools and pixels."""

from __future__ import annotations

import hashlib
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np

from bench import registry
from bench.protocol import SPLITS, DataOptions, Examples, Problem, TrainingData
from datasets import _index, _splits
from datasets._decode import crop, decode
from datasets._files import ImageFiles
from datasets._images import PixelCache, landmarks_seen, pixel_cache
from datasets._schema import Annotations


class OpenDataset:
    """Implements bench.protocol.Dataset. num_images counts the rows of the lists; images found damaged later still count."""

    def __init__(
        self, name: str, source: Literal["real", "synthetic"], root: Path, data_hash: str, index: _index.Index, options: DataOptions
    ):
        self.name, self.source, self.data_hash = name, source, data_hash
        self.schema, self.num_images = index.schema, index.num_images
        self._root, self._index, self._options = root, index, options
        self._pixels: dict[int, PixelCache] = {}
        self._rankings: dict[int, np.ndarray] = {}

    def training(self, *, image_size: int, label_fraction: float, unlabeled: float, seed: int) -> TrainingData:
        """Labelled part at a fraction in (0, 1], unlabelled pool and validation.

        The pool has round(unlabeled * number of training images) images, or all there are: training images outside the label set
        first, then the data set's own unlabelled split. Labelled images are not in it."""
        labeled, pool = self._label_set(label_fraction, unlabeled, seed)
        return TrainingData(
            schema=self.schema,
            labeled=self._examples(labeled, image_size),
            unlabeled=self._examples(pool, image_size, labels=False),
            validation=self.examples("val", image_size=image_size),
        )

    def hidden_labels(self, *, image_size: int, label_fraction: float, unlabeled: float, seed: int) -> dict[str, np.ndarray]:
        """What the lists know of the labels of training(...).unlabeled, type -> int8 (N, C); for diagnostics alone."""
        _, pool = self._label_set(label_fraction, unlabeled, seed)
        return dict(self._examples(pool, image_size).labels)

    def _label_set(self, label_fraction: float, unlabeled: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Rows with their labels shown, ascending, and rows of the pool."""
        train, ranking, extra = self._rows("train"), self._ranking(seed), self._rows("unlabeled")
        num_labeled = _splits.num_shown(label_fraction, len(train))
        outside, more = _splits.unlabeled_pool(ranking, num_labeled, len(extra), unlabeled)
        return train[np.sort(ranking[:num_labeled])], np.concatenate([train[outside], extra[more]])

    def examples(self, split: str, *, image_size: int) -> Examples:
        """One split with its labels; the split "unlabeled" has none. Raises KeyError."""
        return self._examples(self._rows(split), image_size, labels=split != "unlabeled")

    def label_index(self, *, label_fraction: float, seed: int) -> tuple[np.ndarray, str]:
        """Positions within the train split whose labels are shown, ascending int64, and sha256 of them as little-endian bytes."""
        ranking = self._ranking(seed)
        rows = np.sort(ranking[: _splits.num_shown(label_fraction, len(ranking))])
        return rows, hashlib.sha256(rows.astype("<i8").tobytes()).hexdigest()

    def groups(self, examples: Examples) -> dict[str, list[str]]:
        """column -> the group of each of a split's examples, "" where it is in none, of a data set whose loader names groups."""
        paths = self.annotations.paths
        return {column: [found.get(paths[row], "") for row in examples.rows.tolist()] for column, found in self._groups.items()}

    def photo(self, row: int) -> np.ndarray:
        """uint8 (H, W, 3): the image of a row of the lists, cut to its box, unscaled. Raises ImageError."""
        path = self.annotations.paths[row]
        image = decode(self._files.read(path), path)
        return image if self.annotations.boxes is None else crop(image, self.annotations.boxes[row])

    @property
    def problems(self) -> tuple[Problem, ...]:
        """The first of the rows left out because of their line, and the images found damaged so far."""
        return (*self._index.problems, *(next(iter(self._pixels.values())).problems if self._pixels else ()))

    @property
    def notes(self) -> tuple[str, ...]:
        """What reading the lists found that a person should know and that is no fault."""
        return self._index.notes

    @cached_property
    def annotations(self) -> Annotations:
        """Everything that the lists say."""
        return _index.read_annotations(self._index)

    @cached_property
    def _files(self) -> ImageFiles:
        return ImageFiles(self._root, self.annotations.folder)

    @cached_property
    def _groups(self) -> dict[str, dict[str, str]]:
        loader = registry.load("datasets", self.name.partition(":")[0])
        found: dict[str, dict[str, str]] = loader.groups(self._root) if hasattr(loader, "groups") else {}
        return found

    @cached_property
    def _keys(self) -> np.ndarray:
        keys: np.ndarray = np.load(self._index.folder / "keys.npy", allow_pickle=False)
        return keys

    def _rows(self, split: str) -> np.ndarray:
        if split not in SPLITS:
            raise KeyError(f"no split {split!r}; there are {', '.join(SPLITS)}")
        return np.flatnonzero(self.annotations.splits == SPLITS.index(split))

    def _ranking(self, seed: int) -> np.ndarray:
        def make() -> np.ndarray:
            rows = self._rows("train")
            return _splits.label_ranking({name: values[rows] for name, values in self.annotations.labels.items()}, seed)

        if seed not in self._rankings:
            self._rankings[seed] = _index.kept_array(self._index, f"ranking-{seed}", make)
        return self._rankings[seed]

    def _examples(self, rows: np.ndarray, image_size: int, *, labels: bool = True) -> Examples:
        if image_size not in self._pixels:
            self._pixels[image_size] = pixel_cache(
                self._root,
                self.annotations,
                name=self.name,
                image_size=image_size,
                cache_dir=self._options.cache_dir,
                content_hash=self._index.content_hash,
                on_bad=self._options.on_bad_data,
            )
        cache = self._pixels[image_size]
        rows = rows[cache.valid[rows]]
        shown = {name: values[rows] for name, values in self.annotations.labels.items()} if labels else {}
        points = self.annotations.landmarks if labels else None
        landmarks = None if points is None or cache.crops is None else landmarks_seen(points[rows], cache.crops[rows])
        return Examples(cache.pixels, rows, shown, self._keys[rows], landmarks)
