"""Figures of groups of images, such as the marketplace that a photo was found in: which images are in which group, kept beside what was
predicted for them, and any metric over one group alone. A group is written column=value; nothing is trained or selected by it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bench.protocol import Examples
from bench.statistics import Replicates, resample

_PREFIX = "group/"
_COUNTS = ("hits", "num_predictions", "num_positives")


def memberships(dataset: Any, examples: Examples) -> dict[str, np.ndarray]:
    """`group/<column>=<value>` -> uint8 (ceil(N / 8),), whether each image is in the group, as numpy.packbits makes it. Empty for a data
    set whose images are in none. dataset: has groups(examples) -> column -> the value of each image, "" for none, where it has groups."""
    found = {}
    columns: Mapping[str, Sequence[str]] = dataset.groups(examples) if hasattr(dataset, "groups") else {}
    for column, values in columns.items():
        for value in sorted({*values} - {""}):
            found[f"{_PREFIX}{column}={value}"] = np.packbits([each == value for each in values])
    return found


def is_group(arrays: Mapping[str, np.ndarray], name: str) -> bool:
    """Whether the images of a prediction have such a group, for example marketplace=MX."""
    return f"{_PREFIX}{name}" in arrays


def of_group(seeds: Sequence[Mapping[str, np.ndarray]], name: str, metric: str) -> Replicates | None:
    """recall@k, f1@k or accuracy@k over the images of a group, all types pooled; None for another metric.

    seeds: each seed's arrays, as in bench.metrics.Summary, with the group's membership in the first. All images are resampled, so that a
    group's figure varies with its size too and can be compared in pairs with any other on the same images."""
    if metric.partition("@")[0] not in ("recall", "f1", "accuracy"):
        return None
    member = np.unpackbits(seeds[0][f"{_PREFIX}{name}"], count=len(seeds[0]["hits"]))
    inside = [{count: (arrays[count].T * member).T for count in _COUNTS} for arrays in seeds]
    try:
        return resample(inside).metric(metric)
    except ValueError:  # a k that was not counted
        return None
