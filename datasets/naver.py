"""The Naver fashion set of the CS492(I) challenge (2020): 60,060 product photos, 265 exclusive classes, about five labels a class.

Reads `train/train_label` (a header, then `instance_id<TAB>label<TAB>file_name`; label -1 is unlabelled), `train/train_data/`, and
`test_data/test_meta.txt` with the same columns beside its images. One labelled image in five of each class, chosen by the hash of its
name, is for validation: 265 of the 1,325; the challenge's own split was drawn at random. Unlabelled images are the split "unlabeled".
Classes have numbers alone. Test images whose label is -1 stay unknown. Where `train/hidden_label` is there, as in the stand-in, it says
what unlabelled images show: no split hands these labels out, they are for judging pseudo-labels."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bench.protocol import NEGATIVE, POSITIVE, SPLITS, AttributeType, Schema
from datasets import _lists
from datasets._paths import LINK, leads_out, path_fault
from datasets._schema import MAX_CLASSES, Annotations, Problems, image_keys, integer, unknown_labels

REQUIRED = (
    "train/train_data",
    "train/train_label",
    "test_data/test_meta.txt|test/test_data/test_meta.txt",
)
REQUEST = "the organisers of the CS492(I) challenge (KAIST and Naver, 2020)"
STANDIN = {
    "tiny": {"layout": "naver", "num": {"train": 10200, "test": 800}, "long_side": 64, "seed": 0},
    "paper": {"layout": "naver", "num": {"train": 20400, "test": 3000}, "long_side": 300, "seed": 0},
}
_, TRAIN, TEST = REQUIRED
HIDDEN = "train/hidden_label"
VALIDATION_SHARE = 0.2


class _Row(NamedTuple):
    line: int
    label: int
    path: str


def read(root: Path, problems: Problems) -> Annotations:
    """Every listed image with its class, if that is known."""
    test = _lists.existing(root, TEST)
    files = (TRAIN, test)
    found = [list(_rows(root, TRAIN, "train/train_data", problems)), list(_rows(root, test, str(Path(test).parent), problems))]
    labels = [np.array([row.label for row in rows], np.int64) for rows in found]
    paths = [row.path for rows in found for row in rows]
    num_train = len(found[0])
    splits = np.full(len(paths), SPLITS.index("test"), np.int8)
    splits[:num_train] = np.where(labels[0] < 0, SPLITS.index("unlabeled"), SPLITS.index("train"))
    splits[validation_rows(labels[0], image_keys(paths[:num_train]))] = SPLITS.index("val")
    known = np.concatenate(labels)
    known[:num_train] = _with_hidden(root, paths[:num_train], labels[0], problems)
    schema = Schema((AttributeType("class", tuple(map(str, range(int(known.max(initial=0)) + 1))), exclusive=True),))
    values = unknown_labels(schema, len(paths))
    rows = np.flatnonzero(known >= 0)
    values["class"][rows] = NEGATIVE
    values["class"][rows, known[rows]] = POSITIVE
    where_file = np.repeat(np.arange(2, dtype=np.int16), [len(rows) for rows in found])
    where_line = np.array([row.line for rows in found for row in rows], np.int32)
    return Annotations(schema, paths, splits, values, files, where_file, where_line)


def validation_rows(labels: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """int64, ascending: of each class round(a fifth) of its labelled rows, those with the smallest keys.

    labels: int64 (N,), -1 for none. keys: uint64 (N,), which depend on an image's name alone."""
    order = np.lexsort((keys, labels))
    order = order[labels[order] >= 0]
    classes, starts, counts = np.unique(labels[order], return_index=True, return_counts=True)
    taken = (VALIDATION_SHARE * counts + 0.5).astype(np.int64)
    chosen = [order[start : start + num] for start, num in zip(starts, taken, strict=True)]
    return np.sort(np.concatenate(chosen)) if len(classes) else np.empty(0, np.int64)


def _rows(root: Path, file: str, folder: str, problems: Problems) -> Iterator[_Row]:
    """The sound rows of a list, each image once."""
    seen: dict[str, int] = defaultdict(int)
    with open(root / file, encoding="utf-8-sig", errors="surrogateescape") as stream:
        for line, text in enumerate(stream, start=1):
            fields = text.strip().split("\t") if "\t" in text else text.split()
            label = integer(fields[1].strip()) if len(fields) > 1 else None
            if not fields or (line == 1 and label is None):
                continue
            if label is not None and label >= MAX_CLASSES:
                problems.add(file, line, f"label {label}, expected less than {MAX_CLASSES}")
                continue
            if len(fields) != 3 or label is None or label < -1:
                problems.add(file, line, f"{text.strip()!r}, expected instance_id, label (-1 or a class) and file_name")
                continue
            path = f"{folder}/{fields[2].strip()}"
            fault = path_fault(fields[2].strip()) or (f"{path} is listed twice, first in line {seen[path]}" if seen[path] else "")
            if fault:
                problems.add(file, line, fault)
                continue
            seen[path] = line
            yield _Row(line, label, path)


def _with_hidden(root: Path, paths: list[str], labels: np.ndarray, problems: Problems) -> np.ndarray:
    """labels, those of unlabelled images from the file of hidden labels where there is one."""
    if not (root / HIDDEN).is_file():
        return labels
    if leads_out(root, HIDDEN):
        problems.fatal(HIDDEN, 0, LINK)
    hidden = {row.path: row.label for row in _rows(root, HIDDEN, "train/train_data", problems)}
    return np.where(labels < 0, [hidden.get(path, -1) for path in paths], labels)
