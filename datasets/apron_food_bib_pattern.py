"""Apron Food Bib Pattern (Lagunas et al., 2023): 39,000 labelled and 284,000 (later 1,139,000) unlabelled photos of aprons and bibs, by
the pattern.

One exclusive type, "class", labelled by a crowd; `other` is neither. The set is private, so it comes in the generic layout of `folder:`;
datasets/_crowd.py says how answers become labels. As in the paper, train and validation are long-tailed, and the test set has as many
images of each class; so does the stand-in."""

from __future__ import annotations

from datasets._crowd import groups, read
from datasets._imagefolder import sources

__all__ = ["groups", "read", "sources"]

REQUIRED = ("train|training|metadata.csv|metadata.jsonl|metadata.parquet",)
REQUEST = "the authors of 'Transfer Learning for Fine-grained Classification ...' (arXiv 2305.10018); the set is private"
GENERIC = True  # sources says what reading depends on
STANDIN = {
    "tiny": {
        "layout": "apron_food_bib_pattern",
        "num": {"train": 1200, "val": 300, "test": 600, "unlabeled": 4800},
        "long_side": 80,
        "seed": 0,
    },
    "paper": {
        "layout": "apron_food_bib_pattern",
        "num": {"train": 6000, "val": 1200, "test": 1200, "unlabeled": 24000},
        "long_side": 300,
        "seed": 0,
    },
}
