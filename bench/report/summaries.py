"""What tables and figures over whole data sets share: which methods stand side by side, how text and files are made."""

from __future__ import annotations

import csv
import io
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from bench.report.cache import Cache, fingerprint
from bench.report.figures import Cell, Figures, Group
from bench.report.origins import of_newest
from bench.store import write_whole

BANNER = "**SYNTHETIC: rendered stand-ins in this data set's layout, not its photographs; comparable only among themselves.**"
BANNERS = "**SYNTHETIC: rendered stand-ins in the data sets' layouts, not their photographs; comparable only among themselves.**"
FLOOR = "floor/"


@dataclass
class World:
    """The records of one data set under one source and preset. name: fit for a file, and no other world's."""

    dataset: str
    source: str
    preset: str
    name: str
    figures: Figures
    cells: list[Cell] = field(default_factory=list)

    @property
    def title(self) -> str:
        return f"{self.dataset} ({self.source}, preset {self.preset})"

    @cached_property
    def stamp(self) -> str:
        """Another one where any record of it changed."""
        return fingerprint([self.title, self.figures.stamps(self.cells)])

    def clean(self) -> dict[tuple[str, float], Group]:
        """(method, label fraction) -> its clean group, with any result."""
        found = {(label(cell), cell.label_fraction): self.figures.groups[cell] for cell in self.cells if not cell.severity}
        return {place: group for place, group in sorted(found.items()) if group.ok}

    def by_fraction(self) -> dict[str, dict[float, Group]]:
        """method -> label fraction -> its clean group, with any result, all of the origin of the newest."""
        found: dict[str, dict[float, Group]] = defaultdict(dict)
        for (name, fraction), group in self.clean().items():
            found[name][fraction] = group
        return {name: of_newest(own) for name, own in found.items()}


@dataclass(frozen=True)
class Text:
    """A table as text: lines of CSV, and what Markdown shows of each world."""

    lines: list[list[Any]]
    markdown: str


def worlds(figures: Figures) -> list[World]:
    """Every data set under each source and preset, real before synthetic."""
    cells: dict[tuple[str, str, str], list[Cell]] = defaultdict(list)
    for cell in figures.groups:
        cells[cell.dataset, cell.source, cell.preset].append(cell)
    found, taken = [], set()
    for (dataset, source, preset), own in sorted(cells.items()):
        name = re.sub(r"[^\w.]+", "-", dataset.replace("->", "-to-")).strip("-")
        name = name if name not in taken else f"{name}-{source}-{preset}"
        taken.add(name)
        found.append(World(dataset, source, preset, name, figures, sorted(own)))
    return found


def label(cell: Cell) -> str:
    """A method, with the multiple of the unlabelled pool where that is not one."""
    return cell.method if cell.pool in ("", "1") else f"{cell.method}, pool ×{cell.pool}"


def write_table(out: Path, cache: Cache, name: str, title: str, heads: Sequence[str], texts: Iterable[Text], notes: Sequence[str]) -> None:
    """tables/NAME.csv and .md of all worlds; nothing where there is nothing to say."""
    found = [text for text in texts if text.lines]
    if not found:
        return
    shown = "\n\n".join([f"# {title}", *(text.markdown for text in found), "\n".join(f"- {note}" for note in notes)])
    cache.write(out / "tables" / f"{name}.md", shown + "\n")
    cache.write(out / "tables" / f"{name}.csv", to_csv(heads, [line for text in found for line in text.lines]))


def to_csv(heads: Sequence[str], lines: Iterable[Sequence[Any]]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(heads)
    writer.writerows([_plain(value) for value in line] for line in lines)
    return out.getvalue()


def _plain(value: Any) -> Any:
    if not isinstance(value, float):
        return value
    return f"{value:.6g}" if value == value else ""


def section(world: World, *parts: str) -> str:
    """A world's part of a Markdown file."""
    return "\n\n".join([f"## {world.title}", *([BANNER] if world.source == "synthetic" else []), *(part for part in parts if part)])


def draw(out: Path, cache: Cache, name: str, stamp: object, make: Callable[[], str | None]) -> None:
    """figures/NAME.svg, made again only where its stamp changed or the file is gone."""
    path = out / "figures" / f"{name}.svg"

    def write() -> bool:
        text = make()
        if text is not None:
            write_whole(path, text.encode())
        return text is not None

    if cache.of(f"figure {name}", stamp, write):
        cache.has(path)
        if not path.exists():
            write()


def points(value: float | None, half: float | None = None, digits: int = 1) -> str:
    """A share in percent, with half its interval."""
    if value is None or value != value:
        return ""
    tail = "" if half is None or half != half else f" ± {100 * half:.{digits}f}"
    return f"{round(100 * value, digits) + 0.0:.{digits}f}{tail}"  # + 0: no minus before a zero


def half(ends: tuple[float, float]) -> float:
    return (ends[1] - ends[0]) / 2


def left_out(names: Mapping[str, str]) -> str:
    """A sentence on methods that a table leaves out, by the reason."""
    reasons: dict[str, list[str]] = {}
    for name, why in sorted(names.items()):
        reasons.setdefault(why, []).append(name)
    parts = [f"{', '.join(own)} ({why})" for why, own in reasons.items()]
    return f"Left out: {'; '.join(parts)}." if parts else ""
