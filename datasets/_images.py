"""Decodes, crops and resizes the images of a data set once, into a memory map that all workers share."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from bench.protocol import BadDataError, Problem
from datasets._decode import crop_and_resize, decode, part_seen
from datasets._files import ImageError, ImageFiles
from datasets._index import sample_rows
from datasets._once import build_once
from datasets._schema import Annotations, printable, refuse

_VERSION = 1  # raised when any pixel changes
_CHUNK = 64  # images a thread takes at a time
_RETRIED = 256  # damaged images that are tried again when a finished cache is opened


class PixelCache(NamedTuple):
    """pixels: uint8 (N, S, S, 3), RGB. valid: bool (N,), False where the image is damaged. problems: what is damaged.
    crops: int32 (N, 4), the half-open x1, y1, x2, y2 of each image that its pixels show; None where the rows have no landmarks."""

    pixels: np.memmap
    valid: np.ndarray
    problems: tuple[Problem, ...]
    crops: np.ndarray | None = None


def pixel_cache(
    root: Path,
    annotations: Annotations,
    *,
    name: str,
    image_size: int,
    cache_dir: Path,
    content_hash: str,
    on_bad: Literal["error", "skip"] = "error",
) -> PixelCache:
    """The pixels of every row at image_size, built where they are not there yet.

    Images are cut to their box (clipped to the image) and squashed to a square. content_hash: of the lists. A finished cache is
    built anew where one of its damaged images can be read, or where file sizes have changed: of the sample that is part of the data's
    identity, or of all images where on_bad is "skip", as it is then. Damaged images raise BadDataError, or are marked where on_bad is
    "skip"; if all are damaged, BadDataError is raised in any case. OSError if the disk has no room."""
    identity = json.dumps([_VERSION, os.path.realpath(root), content_hash])
    target = cache_dir / "pixels" / f"{slug(name)}-{image_size}-{hashlib.sha256(identity.encode()).hexdigest()[:16]}"
    files = ImageFiles(root, annotations.folder)
    build_once(
        target,
        lambda folder: _build(folder, files, annotations, name, image_size),
        stale=lambda folder: _stale(folder, files, annotations, whole=on_bad == "skip"),
    )
    faults = json.loads((target / "faults.json").read_text(encoding="utf-8"))
    problems = tuple(_problem(annotations, row, message) for row, message in faults)
    if on_bad == "error":
        refuse(name, problems, len(problems))
    valid = np.ones(len(annotations), bool)
    valid[[row for row, _ in faults]] = False
    crops = None if annotations.landmarks is None else np.load(target / "crops.npy", allow_pickle=False)
    return PixelCache(np.load(target / "pixels.npy", mmap_mode="r"), valid, problems, crops)


def landmarks_seen(landmarks: np.ndarray, crops: np.ndarray) -> np.ndarray:
    """Landmarks int32 (N, L, 3) of whole images -> float32 (N, L, 3) as bench.protocol.Examples has them, in the parts crops (N, 4) of
    the images. A pixel's landmark lies at its centre; one outside the part is not visible."""
    corner, size = crops[:, None, :2], np.maximum(crops[:, None, 2:] - crops[:, None, :2], 1)
    places = (landmarks[..., 1:] + (0.5 - corner)) / size  # (N, L, 2)
    visible = (landmarks[..., :1] == 1) & ((places > 0) & (places < 1)).all(axis=2, keepdims=True)
    return np.concatenate([visible, np.where(visible, places, 0)], axis=2, dtype=np.float32)


def damaged(root: Path, annotations: Annotations) -> Iterator[Problem]:
    """Decodes every image and yields what is wrong, and where the disk spells a path in another letter case."""
    files = ImageFiles(root, annotations.folder)

    def look(row: int) -> str:
        path = annotations.paths[row]
        decode(files.read(path), path)
        other = files.case_fault(path)
        return f"{path} is spelled {other} on the disk; rename it, other systems tell them apart" if other else ""

    for row, message in _each(len(annotations), look):
        if message:
            yield _problem(annotations, row, message)


def slug(name: str) -> str:
    """A name as part of a file's name."""
    return re.sub(r"[^A-Za-z0-9]+", "-", name.rpartition("/")[2]).strip("-")[:40] or "data"


def _build(folder: Path, files: ImageFiles, annotations: Annotations, name: str, image_size: int) -> None:
    shape = (len(annotations), image_size, image_size, 3)
    pixels = np.lib.format.open_memmap(folder / "pixels.npy", mode="w+", dtype=np.uint8, shape=shape)
    _reserve(folder / "pixels.npy")
    sizes, crops = np.full(len(annotations), -1, np.int64), np.zeros((len(annotations), 4), np.int32)

    def fill(row: int) -> str:
        path = annotations.paths[row]
        sizes[row] = files.size(path)
        box = None if annotations.boxes is None else annotations.boxes[row]
        image = decode(files.read(path), path)
        pixels[row], crops[row] = crop_and_resize(image, box, image_size), part_seen(image, box)
        return ""

    faults = [(row, message) for row, message in _each(len(annotations), fill) if message]
    if len(faults) == len(annotations):
        first = "; ".join(str(_problem(annotations, row, message)) for row, message in faults[:3])
        raise BadDataError(f"{name}: none of its {len(annotations)} images can be read: {first}")
    pixels.flush()
    np.save(folder / "sizes.npy", sizes)
    if annotations.landmarks is not None:
        np.save(folder / "crops.npy", crops)
    (folder / "faults.json").write_text(json.dumps(faults), encoding="utf-8")


def _reserve(path: Path) -> None:
    """Takes the room on the disk now: a full disk met through a memory map kills the process without a word."""
    size = path.stat().st_size
    with open(path, "r+b") as file:
        try:
            if hasattr(os, "posix_fallocate"):  # not on macOS
                os.posix_fallocate(file.fileno(), 0, size)
        except OSError as failed:
            raise OSError(
                failed.errno, f"no room for {size / 2**30:.1f} GiB of pixels: {failed.strerror}", str(path.parent.parent)
            ) from None


def _each(num_rows: int, work: Callable[[int], str]) -> Iterator[tuple[int, str]]:
    """(row, what work returns or the text of its ImageError) of every row in order, in threads."""

    def chunk(start: int) -> list[tuple[int, str]]:
        found = []
        for row in range(start, min(start + _CHUNK, num_rows)):
            try:
                found.append((row, work(row)))
            except ImageError as failed:
                found.append((row, printable(str(failed))))
        return found

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with ThreadPoolExecutor(cores) as pool:
        for found in pool.map(chunk, range(0, num_rows, _CHUNK)):
            yield from found


def _stale(folder: Path, files: ImageFiles, annotations: Annotations, *, whole: bool) -> bool:
    sizes = np.load(folder / "sizes.npy")
    faults = [row for row, _ in json.loads((folder / "faults.json").read_text(encoding="utf-8"))]
    rows = range(len(sizes)) if whole else sample_rows(len(sizes))
    if any(files.size(annotations.paths[row]) != sizes[row] for row in rows):
        return True
    return any(_reads(files, annotations.paths[row]) for row in faults[:: max(1, len(faults) // _RETRIED)])


def _reads(files: ImageFiles, path: str) -> bool:
    """Whether an image can be read: a file restored may be as long as the damaged one, and a disk may have failed for a moment."""
    try:
        decode(files.read(path), path)
    except ImageError:
        return False
    return True


def _problem(annotations: Annotations, row: int, message: str) -> Problem:
    file, line = annotations.where(row)
    return Problem(printable(file), line, message)
