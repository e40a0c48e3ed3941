"""What a person should know of a data set that is no fault of it."""

from __future__ import annotations

from collections.abc import Sequence

from datasets._dataset import OpenDataset


def notes(opened: OpenDataset) -> list[str]:
    """A line each."""
    return left_out(opened.annotations.ignored)


def left_out(ignored: Sequence[str]) -> list[str]:
    """A line on the columns that might have been types and are not, or none."""
    return [f"left out: {', '.join(ignored)}; attributes.json (or --columns of data import) makes them types"] if ignored else []
