"""Reads metadata.csv, .jsonl and .parquet into rows of text cells."""

from __future__ import annotations

import codecs
import csv
import json
import math
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from datasets._schema import Problems, printable
from datasets._stream import said

RESERVED = ("file_name", "split")  # columns that are no attribute types
NAMES = ("metadata.csv", "metadata.jsonl", "metadata.parquet")
SEPARATOR = "|"
SUFFIXES = (".csv", ".tsv", ".jsonl", ".parquet")  # of files that look like tables
_NO_UTF8 = "is no UTF-8; save the table as UTF-8"
_LONGEST = 2**20  # characters of a first line that are looked at


def find(folder: Path) -> Path | None:
    """The metadata file of a folder, if it has one: exactly so named, or else in other letter case."""
    for name in NAMES:
        if (folder / name).is_file():
            return folder / name
    others = {name.lower(): name for name in sorted(os.listdir(folder), reverse=True)} if folder.is_dir() else {}
    return next((folder / others[name] for name in NAMES if name in others and (folder / others[name]).is_file()), None)


def rows(path: Path, name: str, problems: Problems) -> Iterator[tuple[int, dict[str, str]]]:
    """(line, column -> cell) of each row; name is the file's in messages. Every row has file_name; an empty cell is not annotated.

    Cells but file_name are text that any terminal takes."""
    reader = {".csv": delimited, ".jsonl": _jsonl, ".parquet": _parquet}[path.suffix.lower()]
    yield from sound(reader(path, name, problems), name, problems)


def sound(lines: Iterable[tuple[int, dict[str, str]]], name: str, problems: Problems) -> Iterator[tuple[int, dict[str, str]]]:
    """The rows that have a file_name and are otherwise text; the name of a file may be any bytes."""
    for line, cells in lines:
        text = "".join([*cells, *(cell for column, cell in cells.items() if column != "file_name")])
        if not cells.get("file_name"):
            problems.add(name, line, "no file_name")
        elif printable(text) != text:
            problems.add(name, line, _NO_UTF8)
        else:
            yield line, cells


def delimited(
    path: Path, name: str, problems: Problems, *, delimiter: str = "", file_column: str = "file_name", advice: str = ""
) -> Iterator[tuple[int, dict[str, str]]]:
    """(line, column -> cell) of each row of a text table, in which file_column becomes file_name; a column that had this name is dropped.
    delimiter: what parts columns, as the first line shows where it is empty. advice: what to do without file_column."""
    delimiter = delimiter or parted_by(path)
    _refuse_utf16(path, name, problems)
    with open(path, encoding="utf-8-sig", errors="surrogateescape", newline="") as stream:
        reader = csv.reader(stream, strict=True, delimiter=delimiter)
        try:
            header = _spelled([column.strip() for column in next(reader, [])], file_column)
        except csv.Error as failed:
            problems.fatal(name, 1, f"{failed}; a quotation mark may be missing")
        if printable("".join(header)) != "".join(header):
            problems.fatal(name, 1, _NO_UTF8)
        _check(header, name, problems, file_column, advice)
        header = _renamed(header, file_column)
        while True:
            line = reader.line_num + 1
            try:
                fields = next(reader)
            except StopIteration:
                return
            except csv.Error as failed:
                problems.fatal(name, line, f"{failed}; a quotation mark may be missing")
            if not fields:
                continue
            if len(fields) != len(header):
                problems.add(name, line, f"{len(fields)} cells, expected {len(header)}")
                continue
            yield line, {column: cell.strip() for column, cell in zip(header, fields, strict=True) if column is not None}


def parted_by(path: Path) -> str:
    """What parts the columns of a text table by its first line: a comma, or else a tab or semicolon."""
    with open(path, encoding="utf-8-sig", errors="surrogateescape") as stream:
        first = stream.readline(_LONGEST)
    return next((mark for mark in ",\t;" if mark in first), ",")


def _refuse_utf16(path: Path, name: str, problems: Problems) -> None:
    with open(path, "rb") as stream:
        if stream.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
            problems.fatal(name, 1, "is UTF-16; save the table as UTF-8")


def _jsonl(path: Path, name: str, problems: Problems) -> Iterator[tuple[int, dict[str, str]]]:
    _refuse_utf16(path, name, problems)
    with open(path, encoding="utf-8-sig", errors="surrogateescape") as stream:
        for line, text in enumerate(stream, start=1):
            if not text.strip():
                continue
            try:
                row = json.loads(text)
                cells = dict(zip(_spelled(row), map(_cell, row.values()), strict=True)) if isinstance(row, dict) else None
            except (ValueError, RecursionError) as failed:
                problems.add(name, line, f"is no JSON: {said(failed)}")
                continue
            if cells is None:
                problems.add(name, line, f"a {type(row).__name__}, expected an object with file_name")
                continue
            yield line, cells


def _parquet(path: Path, name: str, problems: Problems) -> Iterator[tuple[int, dict[str, str]]]:
    try:
        import pandas as pd

        table = pd.read_parquet(path)
    except ImportError:
        problems.fatal(name, 0, "reading parquet needs pyarrow: pip install pyarrow, or write metadata.csv instead")
    except (OSError, ValueError) as failed:
        problems.fatal(name, 0, f"is no parquet file: {failed}")
    columns = _spelled(list(map(str, table.columns)))
    _check(columns, name, problems)
    table = table.astype(object).where(table.notna(), None)  # NaT and pd.NA are no text
    for line, values in enumerate(table.itertuples(index=False, name=None), start=1):
        yield line, {column: _cell(value) for column, value in zip(columns, values, strict=True) if column}


def _check(columns: list[str], name: str, problems: Problems, file_column: str = "file_name", advice: str = "") -> None:
    if file_column not in columns:
        problems.fatal(name, 1, f"no column {file_column}; there are {', '.join(map(str, columns)) or 'none'}{advice}")
    named = [column for column in columns if column]
    if len(set(named)) < len(named):
        problems.fatal(name, 1, f"a column name occurs twice in {', '.join(map(str, columns))}")


def _spelled(columns: Iterable[str], file_column: str = "") -> list[str]:
    """The columns, with a reserved name as it should be where one alone, and not file_column, has it in other letter case."""
    columns = list(columns)
    for name in RESERVED:
        others = [place for place, column in enumerate(columns) if column.lower() == name and column != file_column]
        if name not in columns and len(others) == 1:
            columns[others[0]] = name
    return columns


def _renamed(header: Sequence[str], file_column: str) -> list[str | None]:
    """The columns, file_column under the name file_name; None for one without a name, and for another one of that name, which the user
    did not choose."""
    names = {"": None, file_column: "file_name", **({"file_name": None} if file_column != "file_name" else {})}
    return [names.get(column, column) for column in header]


def _cell(value: Any) -> str:
    """Text of a value; a list keeps a separator even where it has fewer than two items."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if not isinstance(value, str) and hasattr(value, "__iter__"):
        items = [_cell(item) for item in value]
        return SEPARATOR.join(items) + (SEPARATOR if len(items) < 2 else "")
    return str(value).strip()
