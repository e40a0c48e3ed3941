"""Writes the generic layout: metadata.csv in each split and attributes.json at the root."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from datasets.runway.layouts import Item
from datasets.runway.layouts.catalogue import paths

__all__ = ["annotate", "paths"]


def annotate(
    root: Path, items: Sequence[Item], cells: Sequence[Mapping[str, str]], columns: Sequence[str], about: Mapping[str, object]
) -> None:
    """cells: column -> cell of each item; the unlabelled split gets none of them. about: what attributes.json says of each type."""
    names = [Path(path).name for path in paths(items)]
    for split in dict.fromkeys(item.split for item in items):
        shown = [] if split == "unlabeled" else columns
        with (root / split / "metadata.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["file_name", *shown])
            rows = zip(names, items, cells, strict=True)
            writer.writerows([name, *(row[column] for column in shown)] for name, item, row in rows if item.split == split)
    (root / "attributes.json").write_text(json.dumps({"attribute_types": about}, indent=1) + "\n", encoding="utf-8")
