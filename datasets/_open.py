"""Opens a data set by name: its real files where they are, a rendered stand-in in the same layout where that is allowed.

Light: describing a data set that was read before imports neither numpy nor the renderer."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from bench import registry
from bench.protocol import BadDataError, DataOptions, Dataset, NoDataError, Problem, Schema
from datasets._index import Index, image_paths, open_index, read_lists
from datasets._once import build_once, new_folder
from datasets._paths import LINK, leads_out

if TYPE_CHECKING:
    from datasets._dataset import OpenDataset

_ABOUT = "runway.json"  # what the renderer signs its folders with


@dataclass(frozen=True)
class DatasetInfo:
    """What planning needs to know of a data set."""

    name: str
    source: Literal["real", "synthetic"]
    data_hash: str
    schema: Schema
    num_images: Mapping[str, int]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Place:
    """Where a data set's files are."""

    name: str
    source: Literal["real", "synthetic"]
    root: Path
    entry: registry.Entry


def open_dataset(name: str, options: DataOptions) -> Dataset:
    """The data set of a name ("deepfashion", "darn", "folder:<path>").

    Raises NoDataError, BadDataError, UnknownNameError, or ValueError for a preset without a stand-in."""
    from datasets._dataset import OpenDataset

    place = _place(name, options)
    index = _sound_index(place, options)
    opened: OpenDataset = OpenDataset(name, place.source, place.root, _data_hash(place, index, options), index, options)
    return opened


def describe(name: str, options: DataOptions) -> DatasetInfo:
    """The facts of a data set without its rows; raises what open_dataset raises."""
    place = _place(name, options)
    index = _sound_index(place, options)
    return DatasetInfo(name, place.source, _data_hash(place, index, options), index.schema, index.num_images, index.notes)


def render(name: str, options: DataOptions, out: Path | None = None) -> Path:
    """Renders a data set's stand-in into out, an empty or absent folder, or where a sweep looks for it; returns the folder.

    Raises UnknownNameError, ValueError for a data set or a preset without a stand-in, FileExistsError for an out that is in use."""
    entry, _ = _known(name, options)
    if "STANDIN" not in entry.constants:
        raise ValueError(f"{name} has no stand-in")
    settings = _settings(name, entry.constants["STANDIN"], options)
    if out is None:
        return _rendered(name, settings, options)
    with new_folder(out) as folder:
        _render(folder, settings)
    return out


def check(name: str, options: DataOptions) -> list[Problem]:
    """Everything that is wrong with a data set's real files: missing ones, malformed lines, images missing, damaged or misspelled."""
    entry, root = _known(name, options)
    constants = entry.constants
    if not root.is_dir():
        return [Problem(str(root), 0, f"no such folder; {_advice(root, constants)}")]
    if missing := _missing(root, constants):
        return [Problem(file, 0, f"missing under {root}; {_advice(root, constants)}") for file in missing]
    if fault := _linked_out(root, _sources(entry, root)):
        return [fault]
    from datasets._images import damaged
    from datasets._schema import Problems

    problems = Problems()
    try:
        annotations = read_lists(entry, Path(os.path.realpath(root)), problems)
    except BadDataError:
        return problems.found  # the last of them is why reading ended
    left_out = problems.count - len(problems.found)
    more = [Problem(".", 0, f"{left_out} more lines are at fault; mend those named first")] if left_out else []
    return [*problems.found, *more, *damaged(root, annotations)]


def absent(name: str, options: DataOptions) -> list[str]:
    """One line for each file that a data set may be without, and is."""
    entry, root = _known(name, options)
    optional = [file.split("|") for file in entry.constants.get("OPTIONAL", ())] if root.is_dir() else []
    return [
        f"{' or '.join(files)}: absent, and the data set can do without"
        for files in optional
        if not any((root / f).exists() for f in files)
    ]


def _known(name: str, options: DataOptions) -> tuple[registry.Entry, Path]:
    """What is registered under a name, and the root of its real files."""
    key, colon, path = name.partition(":")
    if key == "folder" and not path:
        raise ValueError("folder needs a path: folder:/path/to/catalogue")
    if colon and key != "folder":
        registry.entry("datasets", name)  # unknown: raises with the nearest name
    entry = registry.entry("datasets", key)
    if entry.error:
        raise SyntaxError(entry.error)
    root = Path(path).expanduser() if key == "folder" else options.data_root.expanduser() / key
    return entry, root


def _place(name: str, options: DataOptions) -> _Place:
    entry, root = _known(name, options)
    stand_in = entry.constants.get("STANDIN")
    if stand_in is None and options.data == "synthetic":
        raise NoDataError(f"{name} has no stand-in, and --data synthetic allows nothing else")
    if name.startswith("folder:") and not root.is_dir():
        raise NoDataError(f"{name}: no such folder; give the path of a catalogue, folder:/path/to/catalogue")
    missing = _missing(root, entry.constants) or ([] if root.is_dir() else ["everything"])
    if stand_in is not None and (options.data == "synthetic" or (missing and options.data == "auto")):
        return _Place(name, "synthetic", _rendered(name, _settings(name, stand_in, options), options), entry)
    if missing:
        raise NoDataError(f"{name}: {missing[0]} is missing under {root}; run 'python -m bench doctor {name}'")
    return _there(name, root, entry, options)


def _there(name: str, root: Path, entry: registry.Entry, options: DataOptions) -> _Place:
    """Files that were found: real ones, unless the renderer has signed them."""
    if not (root / _ABOUT).is_file():
        return _Place(name, "real", root, entry)
    if options.data == "real":
        raise NoDataError(f"{name}: {root} holds a rendered stand-in ({_ABOUT}), and --data real allows none")
    return _Place(name, "synthetic", root, entry)


def _missing(root: Path, constants: Mapping[str, Any]) -> list[str]:
    """Required files that are absent; alternatives are written a|b."""
    wanted = [file.split("|") for file in constants.get("REQUIRED", ())]
    return [" or ".join(files) for files in wanted if not any((root / file).exists() for file in files)]


def _advice(root: Path, constants: Mapping[str, Any]) -> str:
    return f"ask {constants.get('REQUEST', 'its authors')} for the data and unpack it under {root}"


def _sound_index(place: _Place, options: DataOptions) -> Index:
    try:
        sources = _stand_in_sources(place) or _sources(place.entry, place.root)
        if place.source == "real" and (fault := _linked_out(place.root, sources)):
            raise BadDataError(str(fault))
        index = open_index(place.entry, sources, place.root, options.cache_dir)
    except BadDataError as failed:
        raise BadDataError(f"{place.name}: {failed}") from None
    if options.on_bad_data == "error" and index.num_problems:
        from datasets._schema import refuse

        refuse(place.name, index.problems, index.num_problems)
    return index


def _stand_in_sources(place: _Place) -> list[str]:
    """The one file that decides what is read of a stand-in in the generic layout: written last, and rendered files never change."""
    return [_ABOUT] if place.source == "synthetic" and place.entry.constants.get("GENERIC") else []


def _sources(entry: registry.Entry, root: Path) -> list[str]:
    """The files and folders that decide what is read: those of REQUIRED and OPTIONAL that are files, or what the loader of a generic
    layout says."""
    required = [file.split("|") for file in entry.constants.get("REQUIRED", ())]
    if not required or entry.constants.get("GENERIC"):
        found: list[str] = registry.load("datasets", entry.name).sources(root)
        return found
    optional = [file.split("|") for file in entry.constants.get("OPTIONAL", ())]
    there = [next((file for file in files if (root / file).exists()), files[0]) for files in [*required, *optional]]
    return [file for file in there if (root / file).is_file()]


def _linked_out(root: Path, sources: Sequence[str]) -> Problem | None:
    """The first of the lists that lies elsewhere, by a symbolic link: nothing outside a data set's folder is opened."""
    return next((Problem(name, 0, LINK) for name in sources if leads_out(root, name)), None)


def _data_hash(place: _Place, index: Index, options: DataOptions) -> str:
    """Of the rows and of what the pictures are: some of their file sizes, or what the renderer was told. Two catalogues with the same
    lists and other pictures are two data sets. Where damaged pictures may be left out it is another hash, of all sizes (10 us each), so
    that what was made without some of them stands neither for the whole nor for the mended."""
    if place.source == "real":
        from datasets._files import ImageFiles

        files = ImageFiles(place.root, index.image_folder)
        skips = options.on_bad_data == "skip"
        sizes = [files.size(path) for path in (image_paths(index) if skips else index.sample)]
        return hashlib.sha256(json.dumps([index.content_hash, sizes, *(["skip"] if skips else [])]).encode()).hexdigest()
    renderer = json.loads((place.root / _ABOUT).read_text(encoding="utf-8"))
    return hashlib.sha256(json.dumps([index.content_hash, renderer], sort_keys=True).encode()).hexdigest()


def _settings(name: str, stand_in: Mapping[str, Any], options: DataOptions) -> Mapping[str, Any]:
    """What the renderer is told."""
    if options.preset not in stand_in:
        raise ValueError(f"{name} has no stand-in for preset {options.preset!r}; there are {', '.join(stand_in)}")
    settings: Mapping[str, Any] = stand_in[options.preset]
    return settings


def _rendered(name: str, settings: Mapping[str, Any], options: DataOptions) -> Path:
    """The folder of a stand-in, rendered where it is not there yet."""
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:12]
    target = options.cache_dir / "runway" / f"{name}-{options.preset}-v{_renderer_version()}-{digest}"
    return build_once(target, lambda folder: _render(folder, settings))


def _render(folder: Path, settings: Mapping[str, Any]) -> None:
    registry.load_part("datasets.runway").render(folder, workers=os.cpu_count() or 1, **settings)


def _renderer_version() -> str:
    """As the renderer's source says it; importing the renderer takes a quarter of a second."""
    source = (Path(__file__).parent / "runway" / "stand_in.py").read_text(encoding="utf-8")
    found = re.search(r"^RENDERER_VERSION = (\d+)", source, re.MULTILINE)
    assert found is not None
    return found[1]
