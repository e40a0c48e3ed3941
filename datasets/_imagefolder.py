"""Reads the generic layout, an image folder with metadata or a folder per class; datasets/folder.py says what it looks like."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from bench.protocol import SPLITS
from datasets import _tables
from datasets._annotate import Row, annotate, described
from datasets._paths import LINK, leads_out, path_fault
from datasets._schema import Annotations, Problems, printable

FOLDERS = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing"),
    "unlabeled": ("unlabeled", "unlabelled"),
}
SPLIT_OF = {name: split for split, names in FOLDERS.items() for name in names}
IMAGES = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".gif")
_UNREAD = (".heic", ".heif", ".avif", ".tif", ".tiff", ".jp2")  # photos of formats that nothing here decodes


def sources(root: Path) -> list[str]:
    """What read depends on, relative to root: files, and the folders that it lists. A split's folder that lies elsewhere is not entered."""
    folders = _split_folders(root)
    if any(leads_out(root, folder) for folder in folders):
        return list(folders)
    tables = [path for folder in (*folders, ".") if (path := _tables.find(root / folder))]
    listed = [folder for folder, split in folders.items() if split == "unlabeled"] if tables else ["."]
    deep = [Path(parent).relative_to(root).as_posix() for folder in listed for parent, _, _ in os.walk(root / folder)]
    found = [".", *folders, *sorted(deep), *(path.relative_to(root).as_posix() for path in tables)]
    return list(dict.fromkeys([*found, *(["attributes.json"] if (root / "attributes.json").is_file() else [])]))


def read(root: Path, problems: Problems, *, only: Sequence[str] = (), prepare: Callable[[Row], Row] | None = None) -> Annotations:
    """Every image of the catalogue.

    only: the attribute types of a published set, which are read in this order and each of which must be there; where it is empty, every
    column that looks like one. prepare: changes a row before its cells are looked at."""
    rows = [prepare(row) if prepare else row for row in rows_of(root, problems)]
    return annotate(rows, described(root, problems), only, problems, settled=bool(only))


def rows_of(root: Path, problems: Problems) -> list[Row]:
    """Every listed image, each once."""
    return list(unique(_rows(root, problems), problems))


def _split_folders(root: Path) -> dict[str, str]:
    """Name of each split's folder -> split."""
    return {path.name: SPLIT_OF[path.name.lower()] for path in sorted(root.iterdir()) if path.name.lower() in SPLIT_OF and path.is_dir()}


def _rows(root: Path, problems: Problems) -> Iterator[Row]:
    folders = _split_folders(root)
    for folder in folders:
        if leads_out(root, folder):
            problems.fatal(folder, 0, LINK)
    tables = {folder: table for folder in folders if (table := _tables.find(root / folder))}
    table = _tables.find(root)
    if tables or not table:
        _note_others(root, folders, problems)
    if tables:
        for folder, split in folders.items():
            yield from _folder_rows(root, folder, split, tables.get(folder), problems)
    elif table:
        rows = list(listed(_tables.rows(table, table.name, problems), table.name, problems))
        named = {os.path.normpath(row.path) for row in rows}
        more = (row for folder, split in folders.items() if split == "unlabeled" for row in _images(root, folder, split, {}, problems))
        yield from rows
        yield from (row for row in more if row.path not in named)
    else:
        yield from _class_tree(root, folders, problems)


def _note_others(root: Path, folders: Mapping[str, str], problems: Problems) -> None:
    """Notes the folders beside those of splits that seem to be meant for one. Looks at what lies in them and one level below."""
    for path in _class_folders(root) if folders else ():
        if path.name in folders or leads_out(root, path.name) or not os.access(path, os.R_OK | os.X_OK):
            continue
        looked_at = [path, *(each for each in _class_folders(path) if not each.is_symlink() and os.access(each, os.R_OK))]
        if _tables.find(path) or any(is_image(file) for folder in looked_at for file in os.listdir(folder)):
            problems.note(f"{path.name} is no split's name and is not read; train, val, test and unlabeled are")


def _folder_rows(root: Path, folder: str, split: str, table: Path | None, problems: Problems) -> Iterator[Row]:
    """A split folder with metadata; its split column, if any, does not count."""
    if table is None:
        images = list(_images(root, folder, split, {}, problems))
        if images and split != "unlabeled":
            problems.fatal(folder, 0, "holds images but no metadata.csv, .jsonl or .parquet, which the other folders have")
        yield from images
        return
    name = f"{folder}/{table.name}"
    for line, cells in _tables.rows(table, name, problems):
        if fault := path_fault(cells["file_name"]):
            problems.add(name, line, fault)
        else:
            yield Row(f"{folder}/{cells['file_name']}", split, name, line, cells)


def listed(lines: Iterable[tuple[int, dict[str, str]]], name: str, problems: Problems) -> Iterator[Row]:
    """The rows of one table for all splits, with its name in messages. Where no row has a column split, the folders of the photos say it,
    if each lies in one of a split and some are for training."""
    rows = []
    for line, cells in lines:
        if fault := path_fault(cells["file_name"]):
            problems.add(name, line, fault)
        else:
            rows.append((line, cells))
    folders = [] if any("split" in cells for _, cells in rows) else [_folder_split(cells["file_name"]) for _, cells in rows]
    by_folder = "train" in folders and all(folders)
    if "train" in folders and not by_folder and len(set(folders)) > 2:  # "" and another split than train
        stray = rows[folders.index("")][1]["file_name"]
        problems.note(f"{stray} lies in no split's folder, so the folders say no splits; add a column split")
    for place, (line, cells) in enumerate(rows):
        split = folders[place] if by_folder else cells.get("split") or "train"
        if split.lower() not in SPLIT_OF:
            problems.add(name, line, f"split {split!r}, expected {', '.join(SPLITS)}")
        else:
            yield Row(cells["file_name"], SPLIT_OF[split.lower()], name, line, cells)


def _folder_split(path: str) -> str:
    """The split whose folder a path begins with, or an empty text."""
    folder, _, rest = os.path.normpath(path).partition("/")
    return SPLIT_OF.get(folder.lower(), "") if rest else ""


def _class_tree(root: Path, folders: Mapping[str, str], problems: Problems) -> Iterator[Row]:
    """A folder a class; a table of another name, or a single class, says that the photos are described otherwise."""
    for folder in (".", *folders):
        for name in sorted(os.listdir(root / folder)):
            suffix = Path(name).suffix.lower()
            if suffix in _tables.SUFFIXES and not name.startswith(".") and (root / folder / name).is_file():
                advice = f"name it metadata{'.csv' if suffix == '.tsv' else suffix}, or use data import"
                problems.fatal(os.path.normpath(f"{folder}/{name}"), 0, f"is not read; {advice}")
    before = problems.count
    rows = [row for folder, split in (folders or {".": "train"}).items() for row in _class_rows(root, folder, split, problems)]
    classes = {row.cells["class"] for row in rows if row.cells}
    if len(classes) == 1 and problems.count == before:  # a folder at fault may be another class
        problems.fatal(".", 0, f"photos lie in one class folder, {classes.pop()}: describe them in metadata.csv")
    yield from rows


def _class_rows(root: Path, folder: str, split: str, problems: Problems) -> Iterator[Row]:
    classes = _class_folders(root / folder)
    loose = list(_images(root, folder, split, {}, problems, deep=False))
    if split == "unlabeled":
        yield from loose
    elif loose:
        problems.add(folder, 0, f"{len(loose)} images, such as {loose[0].path}, lie in no class folder; describe them in metadata.csv")
    for path in classes:
        name = str(path.relative_to(root))
        if leads_out(root, name):
            problems.add(name, 0, LINK)
            continue
        yield from _images(root, name, split, {} if split == "unlabeled" else {"class": printable(path.name)}, problems)


def _class_folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _images(root: Path, folder: str, split: str, cells: dict[str, str], problems: Problems, *, deep: bool = True) -> Iterator[Row]:
    """The image files below a folder, sorted; folders that are symbolic links are not entered."""
    found, unread = [], []
    for parent, folders, names in os.walk(root / folder):
        folders[:] = sorted(name for name in folders if deep and not name.startswith("."))
        for name in folders:
            if os.path.islink(os.path.join(parent, name)):
                problems.add(Path(parent, name).relative_to(root).as_posix(), 0, "is a symbolic link to a folder, which is not entered")
        found += [Path(parent, name) for name in names if is_image(name)]
        unread += [Path(parent, name) for name in names if name.lower().endswith(_UNREAD) and not name.startswith(".")]
    if unread:
        example = min(unread).relative_to(root).as_posix()
        problems.add(folder, 0, f"{len(unread)} files such as {example} are not read; convert them to JPEG")
    for path in sorted(found):
        yield Row(path.relative_to(root).as_posix(), split, folder, 0, cells)


def is_image(path: str) -> bool:
    """Whether an image is found by its name, without a table."""
    return path.lower().endswith(IMAGES) and not any(part.startswith(".") for part in path.split("/"))


def unique(rows: Iterable[Row], problems: Problems) -> Iterator[Row]:
    """The rows whose image no earlier one lists."""
    seen: dict[str, Row] = {}
    for row in rows:
        first = seen.setdefault(os.path.normpath(row.path), row)
        if first is row:
            yield row
        else:
            problems.add(row.file, row.line, f"{row.path} is listed twice, first in {first.file}:{first.line}")
