"""What a data set's lists say, held in memory: paths, boxes, splits and labels, with the line that each row came from."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, NoReturn

import numpy as np

from bench.protocol import UNKNOWN, AttributeType, BadDataError, Problem, Schema

MAX_KEPT = 1000  # problems are all counted, but no more than these are kept
_MAX_NOTES = 50
MAX_CLASSES = 10_000  # of a type whose classes are numbers alone, or inferred: a slip of the pen must not fill the memory
_INTEGER = re.compile(r"-?[0-9]{1,18}")


@dataclass(frozen=True)
class Annotations:
    """All rows of a data set.

    paths: as the lists spell them, relative to the folder `folder` of the data set's root. boxes: int32 (N, 4), half-open
    x1, y1, x2, y2 counted from 0; x2 <= x1 or y2 <= y1 means the whole image; None where no row has a box.
    landmarks: int32 (N, L, 3): 1 or 0 for visible or not, x and y in pixels of the whole image, counted from 0; None where there are none.
    splits: int8 (N,), an index into SPLITS. labels: type -> int8 (N, C). where_file: int16 (N,) into files, where_line: int32 (N,).
    ignored: columns that might have been types and are not, to be told to a person; no part of the content."""

    schema: Schema
    paths: Sequence[str]
    splits: np.ndarray
    labels: Mapping[str, np.ndarray]
    files: tuple[str, ...]
    where_file: np.ndarray
    where_line: np.ndarray
    boxes: np.ndarray | None = None
    folder: str = ""
    landmarks: np.ndarray | None = None
    ignored: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.splits)

    def where(self, row: int) -> tuple[str, int]:
        """File and 1-based line (0: no line) that name the image of a row."""
        return self.files[int(self.where_file[row])], int(self.where_line[row])

    def take(self, rows: np.ndarray) -> Annotations:
        """The given rows alone, in the given order."""
        return replace(
            self,
            paths=[self.paths[row] for row in rows],
            splits=self.splits[rows],
            labels={name: values[rows] for name, values in self.labels.items()},
            where_file=self.where_file[rows],
            where_line=self.where_line[rows],
            boxes=None if self.boxes is None else self.boxes[rows],
            landmarks=None if self.landmarks is None else self.landmarks[rows],
        )


class Problems:
    """Collects what is wrong with a data set's files. The row at fault is left out; who reads decides whether that is allowed.

    notes: what a person should know of them that is no fault, a line each."""

    def __init__(self) -> None:
        self.found: list[Problem] = []
        self.notes: list[str] = []
        self.count = 0
        self.ended = False  # whether reading was given up

    def add(self, file: str, line: int, message: str) -> None:
        """Notes a problem that costs one row, or none."""
        self.count += 1
        if len(self.found) < MAX_KEPT:
            self.found.append(Problem(printable(file), line, printable(message)))

    def note(self, text: str) -> None:
        """Keeps a line on what is no fault, once, and no more than 50 of them."""
        if printable(text) not in self.notes and len(self.notes) < _MAX_NOTES:
            self.notes.append(printable(text))

    def fatal(self, file: str, line: int, message: str) -> NoReturn:
        """Gives up: nothing sensible can be read on. Raises BadDataError."""
        self.count, self.ended = self.count + 1, True
        self.found.append(Problem(printable(file), line, printable(message)))
        raise BadDataError(str(self.found[-1]))


def refuse(name: str, found: Sequence[Problem], count: int, shown: int = 5) -> None:
    """Raises BadDataError with the first problems and their number; does nothing where there are none."""
    if count:
        more = [f"and {count - shown} more"] if count > shown else []
        advice = f"mend them ('python -m bench doctor {name}' lists all) or leave these rows out with --on-bad-data skip"
        raise BadDataError("\n".join([f"{name}: {count} damaged", *map(str, found[:shown]), *more, advice]))


def printable(text: str) -> str:
    """Text that any terminal takes: bytes that are no UTF-8 are shown by their numbers."""
    return text.encode("utf-8", "backslashreplace").decode()


def integer(text: str) -> int | None:
    """The number that a text of ASCII digits says; None for any other text, and where it needs more than 63 bits."""
    return int(text) if _INTEGER.fullmatch(text) else None


def attribute_type(name: str, classes: Sequence[str], *, exclusive: bool, file: str, problems: Problems) -> AttributeType:
    """A type as a file describes it, with names that any terminal takes. Raises BadDataError where a class occurs twice."""
    found = AttributeType(printable(name), tuple(map(printable, classes)), exclusive)
    if len(set(found.classes)) < len(found.classes):
        twice = next(each for place, each in enumerate(found.classes) if each in found.classes[:place])
        problems.fatal(file, 0, f"{found.name!r} has the class {twice!r} twice")
    return found


def unknown_labels(schema: Schema, num_rows: int) -> dict[str, np.ndarray]:
    """type -> int8 (num_rows, C), nothing known yet."""
    return {kind.name: np.full((num_rows, len(kind.classes)), UNKNOWN, np.int8) for kind in schema}


def joined(paths: Sequence[str]) -> bytes:
    """Paths as one run of bytes, each ended by a zero byte."""
    return "".join(f"{path}\0" for path in paths).encode("utf-8", "surrogateescape")


def split_paths(data: bytes) -> list[str]:
    """The inverse of joined."""
    return data.decode("utf-8", "surrogateescape").split("\0")[:-1]


def image_keys(paths: Sequence[str]) -> np.ndarray:
    """uint64 (N,): depends on the path alone, and is the same on every machine."""
    keys = b"".join(hashlib.blake2b(path.encode("utf-8", "surrogateescape"), digest_size=8).digest() for path in paths)
    return np.frombuffer(keys, "<u8").astype(np.uint64)


def schema_to_json(schema: Schema) -> list[dict[str, Any]]:
    """A schema as plain lists and dicts."""
    return [asdict(kind) for kind in schema]


def schema_from_json(types: list[dict[str, Any]]) -> Schema:
    """The inverse of schema_to_json."""
    return Schema(tuple(AttributeType(kind["name"], tuple(kind["classes"]), bool(kind["exclusive"])) for kind in types))


def content_hash(annotations: Annotations) -> str:
    """sha256 hex of schema, paths, splits, boxes, labels and landmarks; where they were written down does not count."""
    digest = hashlib.sha256(json.dumps([schema_to_json(annotations.schema), annotations.folder], sort_keys=True).encode())
    digest.update(joined(annotations.paths))
    arrays = [annotations.splits.astype(np.int8)]
    arrays += [] if annotations.boxes is None else [annotations.boxes.astype("<i4")]
    arrays += [annotations.labels[kind.name].astype(np.int8, copy=False) for kind in annotations.schema]
    arrays += [] if annotations.landmarks is None else [annotations.landmarks.astype("<i4", copy=False)]
    for array in arrays:
        digest.update(f"{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
