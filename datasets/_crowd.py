"""Data sets of one exclusive type, "class", whose labels come from a crowd (Lagunas et al., 2023), in the generic layout of `folder:`.

- metadata has the class itself, in a column `class`, or what several people answered, in columns `answer_1`, `answer_2`, `answer_3` ...
- An image is labelled if one answer has at least two votes and more than any other; that is its class. Otherwise its answers are dropped,
  as in the paper: in `train` it joins the unlabelled images, in `val` and `test` its class is unknown. Where a row fills in `class`, that
  counts and the answers do not.
- A column `marketplace` groups the images; it is no attribute type. Any further column does not count either.
- A folder per class is read too."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from datasets import _imagefolder
from datasets._annotate import Row
from datasets._schema import Annotations, Problems

TYPE = "class"
GROUPS = ("marketplace",)  # columns by which accuracy may be reported
_ANSWER = re.compile(r"answer_\d+")
_VOTES = 2  # that a class needs


def read(root: Path, problems: Problems) -> Annotations:
    """Every image with the class that the crowd agreed on."""
    return _imagefolder.read(root, problems, only=(TYPE,), prepare=_settled)


def groups(root: Path) -> dict[str, dict[str, str]]:
    """column of GROUPS -> path of an image -> its group; images that name none are left out."""
    rows = [row for row in _imagefolder.rows_of(root, Problems()) if row.split != "unlabeled"]
    return {column: {row.path: group for row in rows if (group := row.cells.get(column))} for column in GROUPS}


def majority(answers: Iterable[str]) -> str:
    """The answer with at least two votes and more than any other, or an empty text. Empty answers are no votes."""
    ranked = Counter(answer for answer in answers if answer).most_common(2)
    if not ranked or ranked[0][1] < _VOTES or (len(ranked) > 1 and ranked[0][1] == ranked[1][1]):
        return ""
    return ranked[0][0]


def _settled(row: Row) -> Row:
    """The row with its class; without one, a training image is unlabelled."""
    answers = [cell for column, cell in row.cells.items() if _ANSWER.fullmatch(column)]
    if TYPE not in row.cells and not answers:
        return row
    found = row.cells.get(TYPE) or majority(answers)
    if not found and row.split == "train":
        return replace(row, split="unlabeled", cells={})
    return replace(row, cells={**row.cells, TYPE: found})
