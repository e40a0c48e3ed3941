"""Makes a catalogue that folder:PATH reads out of a folder of photos and a table that lies or looks otherwise: another name or place, tabs
for commas, `;` for `|`, another column for the photo. What the table says is checked by the reader of catalogues itself."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from bench.protocol import BadDataError
from datasets import _annotate, _imagefolder, _tables
from datasets._annotate import Row
from datasets._files import ImageFiles
from datasets._images import damaged
from datasets._once import new_folder
from datasets._paths import leads_out
from datasets._schema import Annotations, Problems

PHOTOS = "photos"  # the folder of the catalogue that holds the photos where all are of one split; it is the name of none
_TABS = (".tsv", ".tab")
_ADVICE = "; --file-column NAME says which one names the photo"


class NoColumnError(ValueError):
    """A column that the command names and the table lacks; the text names the option and the columns there."""


def import_catalogue(
    photos: Path,
    table: Path,
    out: Path,
    problems: Problems,
    *,
    file_column: str = "file_name",
    columns: Sequence[str] = (),
    group: str = "",
    link: bool = False,
    skip: bool = False,
) -> Annotations:
    """Writes photos, metadata.csv and attributes.json into out, all or nothing, and returns what they say. Where the table says splits,
    each has a folder with photos and metadata.csv, as Hugging Face's imagefolder needs it.

    photos: the folder to which the table's paths are relative; nothing outside it is read. problems: gets every row and photo at fault,
    by the table's lines. columns: the attribute types; where it is empty, every column that looks like one. group: the column whose values
    stay in one split each, no type unless columns names it. link: hard links instead of copies. skip: leave rows at fault out. Raises
    NoColumnError where the table lacks one of columns or group; BadDataError where there are rows at fault otherwise, or nothing is left;
    FileExistsError for an out that is in use, OSError where a photo cannot be copied or linked."""
    said = _annotate.Described(None, group)
    with new_folder(out) as folder:
        listed = list(_imagefolder.listed(_lines(table, file_column, problems), table.name, problems))
        rows = list(_imagefolder.unique(_named_in_full(photos, listed), problems))
        _check_columns(rows, columns, group)
        annotations = _annotate.annotate(_moved(rows), said, columns, problems)
        good = set(annotations.where_line.tolist())
        for problem in damaged(photos, replace(annotations, paths=[row.path for row in rows if row.line in good])):
            problems.add(problem.file, problem.line, problem.message)
            good.discard(problem.line)
        if problems.count and not skip:
            raise BadDataError(f"{table}: {problems.count} rows at fault")
        rows = [row for row in rows if row.line in good]
        moved = _moved(rows)
        annotations = _annotate.annotate(moved, said, columns, problems)
        _describe(folder, moved, annotations, group)
        _place(ImageFiles(photos), folder, [row.path for row in rows], moved, link)
    return annotations


def _lines(table: Path, file_column: str, problems: Problems) -> Iterator[tuple[int, dict[str, str]]]:
    """The table's rows as metadata.csv would have them: | joins values, and ; where it does not part columns."""
    delimiter = "\t" if table.suffix.lower() in _TABS else _tables.parted_by(table)
    found = _tables.delimited(table, table.name, problems, delimiter=delimiter, file_column=file_column, advice=_ADVICE)
    for line, cells in _tables.sound(found, table.name, problems):
        if delimiter == ";":
            yield line, cells
        else:
            yield line, {name: cell if name == "file_name" else cell.replace(";", _tables.SEPARATOR) for name, cell in cells.items()}


def _named_in_full(photos: Path, rows: Sequence[Row]) -> Iterator[Row]:
    """The rows, the name of a photo with its suffix where the table leaves it out and exactly one photo of that name is there."""
    there: dict[str, dict[str, list[str]]] = {}  # folder -> name without suffix -> names of photos
    for row in rows:
        folder, name = os.path.split(row.path)
        if row.path.lower().endswith(_imagefolder.IMAGES) or os.path.isfile(photos / row.path):
            yield row
            continue
        if folder not in there:
            there[folder] = _by_stem(photos, folder)
        found = there[folder].get(name, [])
        yield replace(row, path=os.path.join(folder, found[0])) if len(found) == 1 else row


def _by_stem(photos: Path, folder: str) -> dict[str, list[str]]:
    """The names of the photos in a folder by their names without suffix; none where it is no folder, or leads elsewhere."""
    found: dict[str, list[str]] = {}
    if os.path.isdir(photos / folder) and not leads_out(photos, folder):
        for name in filter(_imagefolder.is_image, os.listdir(photos / folder)):
            found.setdefault(os.path.splitext(name)[0], []).append(name)
    return found


def _check_columns(rows: Sequence[Row], columns: Sequence[str], group: str) -> None:
    """Raises NoColumnError for the first column that the command names and no row has."""
    there = dict.fromkeys(name for row in rows for name in row.cells if name not in _tables.RESERVED)
    for option, name in (*(("--columns", name) for name in columns), *([("--group-column", group)] if group else [])):
        if rows and name not in there:
            raise NoColumnError(f"{option} {name!r} given, but the table has the columns {', '.join(there) or 'none'}")


def _moved(rows: Sequence[Row]) -> list[Row]:
    """The rows with their paths in the catalogue: a folder a split where there are several, or all in one."""
    if all(row.split == "train" for row in rows):
        return [replace(row, path=f"{PHOTOS}/{row.path}") for row in rows]
    there = all(row.path.startswith(f"{row.split}/") for row in rows)
    return [row if there else replace(row, path=f"{row.split}/{row.path}") for row in rows]


def _describe(folder: Path, rows: Sequence[Row], annotations: Annotations, group: str) -> None:
    """A metadata.csv with the columns that are types and the one that groups, for each split that has a folder, and attributes.json with
    kinds and classes, so that nothing is inferred again. rows: as _moved gives them."""
    names = list(dict.fromkeys([*annotations.schema.names, *([group] if group else [])]))
    splits = list(dict.fromkeys(row.split for row in rows))
    for split in splits:
        found = [row for row in rows if row.split == split]
        if splits == ["train"]:
            _write_table(folder, "", found, names)
        elif split != "unlabeled":
            _write_table(folder, f"{split}/", found, names)
        elif group or not all(_imagefolder.is_image(row.path) for row in found):  # others are found without a table
            _write_table(folder, f"{split}/", found, [group] if group else [])
    types = {kind.name: {"kind": "single" if kind.exclusive else "multi", "values": kind.classes} for kind in annotations.schema}
    facts = {**({"group": group} if group else {}), "attribute_types": types}
    (folder / "attributes.json").write_text(json.dumps(facts, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def _write_table(folder: Path, below: str, rows: Sequence[Row], names: Sequence[str]) -> None:
    """The metadata.csv of a folder of the catalogue."""
    (folder / below).mkdir(exist_ok=True)
    with open(folder / below / "metadata.csv", "w", encoding="utf-8", errors="surrogateescape", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["file_name", *names])
        for row in rows:
            writer.writerow([row.path.removeprefix(below), *(row.cells.get(name, "") for name in names)])


def _place(files: ImageFiles, folder: Path, sources: Sequence[str], rows: Sequence[Row], link: bool) -> None:
    """Puts the photos, at their sources, where rows say."""
    for source, row in zip(sources, rows, strict=True):
        target = folder / row.path
        target.parent.mkdir(parents=True, exist_ok=True)
        if link:
            os.link(files.located(source), target)
        else:
            target.write_bytes(files.read(source))
