"""FiccY, the private set of MTSS (Shin, 2020): 520,000 photos of clothes by sellers and by wearers, with four attribute types.

It is in nobody's official layout, so it comes in the generic one of `folder:`, from which the columns category, color, pattern and texture
are read; attributes.json may give another column for a type, the kinds and the classes. Any further column does not count."""

from __future__ import annotations

from pathlib import Path

from datasets import _imagefolder
from datasets._imagefolder import sources
from datasets._schema import Annotations, Problems

__all__ = ["read", "sources"]

REQUIRED = ("train|training|metadata.csv|metadata.jsonl|metadata.parquet",)
REQUEST = "the author of 'Semi-supervised Learning with a Teacher-student Network for Generalized Attribute Prediction'; the set is private"
GENERIC = True  # sources says what reading depends on
STANDIN = {
    "tiny": {"layout": "ficcy", "num": {"train": 6000, "val": 600, "test": 1200}, "long_side": 80, "seed": 0},
    "paper": {"layout": "ficcy", "num": {"train": 20000, "val": 2000, "test": 4000}, "long_side": 300, "seed": 0},
}
TYPES = ("category", "color", "pattern", "texture")


def read(root: Path, problems: Problems) -> Annotations:
    """Every image of the catalogue with its four types."""
    return _imagefolder.read(root, problems, only=TYPES)
