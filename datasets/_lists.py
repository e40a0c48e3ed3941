"""Reads the official lists: line 1 a count, line 2 a header, then one blank-padded row a line."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from bench.protocol import NEGATIVE, POSITIVE, UNKNOWN
from datasets._schema import Problems, integer

_CHUNK = 4096  # lines whose labels are decoded together
_PATH_WITH_BLANKS = re.compile(rb"(.+?\.(?:jpe?g|png|webp|bmp|gif))[ \t]+(.*)$", re.IGNORECASE | re.DOTALL)
_CODES = np.full(256, UNKNOWN, np.int8)
_CODES[ord("1")], _CODES[ord("2")] = POSITIVE, NEGATIVE  # "-1" is rewritten to "2" first; "0" stays unknown


def existing(root: Path, spelling: str) -> str:
    """The first of the alternatives, written a|b, that is there; the first of all where none is."""
    alternatives = spelling.split("|")
    return next((name for name in alternatives if (root / name).exists()), alternatives[0])


def rows(root: Path, file: str, problems: Problems, *, num_fields: int) -> Iterator[tuple[int, list[str]]]:
    """(line, fields) of each row with the right number of fields; the first field, a path or a name, may hold blanks."""
    for line, raw in _lines(root, file, problems):
        fields = raw.decode("utf-8", "surrogateescape").strip().rsplit(None, num_fields - 1)
        if len(fields) == num_fields:
            yield line, fields
        else:
            problems.add(file, line, f"{len(fields)} fields, expected {num_fields}")


def numbered(root: Path, file: str, problems: Problems, *, num_fields: int) -> Iterator[tuple[int, list[str]]]:
    """As rows, of a list that others refer to by the numbers of its rows: raises BadDataError where a row is at fault, since all behind it
    would have another name."""
    before = problems.count
    for line, fields in rows(root, file, problems, num_fields=num_fields):
        if problems.count > before:
            break
        yield line, fields
    if problems.count > before:
        problems.fatal(file, 0, f"its rows go by their numbers, so that none can be left out; {problems.found[-1]}")


def ragged_rows(root: Path, file: str, problems: Problems) -> Iterator[tuple[int, list[str]]]:
    """(line, fields) of each row, however many; the first field is a path, which may hold blanks."""
    for line, raw in _lines(root, file, problems):
        parts = _PATH_WITH_BLANKS.match(raw.strip())
        fields = [parts[1], *parts[2].split()] if parts else raw.split()
        yield line, _texts(fields)


def label_rows(root: Path, file: str, problems: Problems, num_labels: int) -> Iterator[tuple[list[int], list[str], np.ndarray]]:
    """(lines, paths, int8 (L, num_labels)) of the well-formed rows, some thousands at a time.

    A file's 1, -1 and 0 come back as positive, negative and unknown."""
    lines: list[int] = []
    paths: list[bytes] = []
    codes: list[bytes] = []
    for line, raw in _lines(root, file, problems):
        path, _, tail = raw.partition(b" ")
        digits = _digits(tail, num_labels)
        if digits is None:
            path, digits, fault = _careful(raw, num_labels)
            if fault:
                problems.add(file, line, fault)
                continue
        lines.append(line)
        paths.append(path)
        codes.append(digits)
        if len(lines) == _CHUNK:
            yield lines, _texts(paths), _values(codes, num_labels)
            lines, paths, codes = [], [], []
    if lines:
        yield lines, _texts(paths), _values(codes, num_labels)


def _lines(root: Path, file: str, problems: Problems) -> Iterator[tuple[int, bytes]]:
    """Numbered rows without the two first lines and without empty ones. Compares their number with line 1."""
    found = 0
    with open(root / file, "rb") as stream:
        first = stream.readline().removeprefix(codecs.BOM_UTF8).strip()
        announced = integer(first.decode("latin-1"))
        if announced is None:
            problems.fatal(file, 1, f"{first[:40]!r}, expected the number of rows")
        stream.readline()
        for line, raw in enumerate(stream, start=3):
            if raw.isspace():
                continue
            found += 1
            yield line, raw
    if found != announced:
        problems.add(file, 1, f"{announced} rows announced, {found} found; the file may be cut off, fetch it again")


def _digits(tail: bytes, num_labels: int) -> bytes | None:
    """One of 0, 1, 2 a label, or None where the row needs a careful look."""
    spaced = b" " + tail.replace(b"-1", b" 2")
    digits = spaced.translate(None, b" \r\n")
    # each digit stands alone: as many as there are blanks with a digit behind
    alone = spaced.count(b" 0") + spaced.count(b" 1") + spaced.count(b" 2")
    return digits if len(digits) == alone == num_labels and b"2" not in tail else None


def _careful(raw: bytes, num_labels: int) -> tuple[bytes, bytes, str]:
    """Path, digits and fault of a row with tabs, a path with blanks, or something wrong."""
    parts = _PATH_WITH_BLANKS.match(raw.strip())
    path, *fields = [parts[1], *parts[2].split()] if parts else raw.split()
    if len(fields) != num_labels:
        return path, b"", f"{len(fields)} labels, expected {num_labels}"
    known = {b"0": b"0", b"1": b"1", b"+1": b"1", b"-1": b"2"}
    for position, value in enumerate(fields, start=1):
        if value not in known:
            return path, b"", f"label {position} is {value.decode('utf-8', 'backslashreplace')!r}, expected 1, -1 or 0"
    return path, b"".join(known[value] for value in fields), ""


def _texts(paths: list[bytes]) -> list[str]:
    return [path.decode("utf-8", "surrogateescape") for path in paths]


def _values(codes: list[bytes], num_labels: int) -> np.ndarray:
    return _CODES[np.frombuffer(b"".join(codes), np.uint8)].reshape(-1, num_labels)
