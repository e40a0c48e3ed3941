"""Trained models of a store: found by what a person calls them, and loaded ready to predict."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from bench import registry
from bench.protocol import Schema
from bench.spec import FitSpec, UsageError, check_value
from bench.store import Record, Store

if TYPE_CHECKING:
    import numpy as np
    import torch

_KEY = re.compile(r"[0-9a-f]{6,64}")
_CHOICES = {"dataset": "--dataset", "label_fraction": "--label-fraction", "seed": "--seed", "preset": "--preset"}


@dataclass(frozen=True)
class Trained:
    """A fitted method in eval mode on its device. about: what its scores mean, as classes.json says it."""

    label: str
    method: Any
    schema: Schema
    image_size: int
    about: dict[str, Any]


def wanted(options: argparse.Namespace) -> dict[str, Any]:
    """The fields of a record that were named on the command line."""
    return {name: getattr(options, name) for name in _CHOICES if getattr(options, name) is not None}


def find(selector: str, store: Store, fields: Mapping[str, Any]) -> Record:
    """The newest ok record of the one trained model that a selector and these fields of its record mean.

    selector: METHOD, METHOD/ROW (whatever --set changed, where no row is called so exactly), or six digits or more of a fit's key.
    Raises UsageError where no model or more than one is meant; its text lists what there is."""
    by_name = not _KEY.fullmatch(selector)
    if by_name:
        registry.entry("methods", selector.partition("/")[0].partition("[")[0])
    kept = [record for record in store.records() if record["status"] == "ok" and store.has_model(record["fit_key"])]
    named = _named(selector, kept) if by_name else [record for record in kept if record["fit_key"].startswith(selector)]
    chosen = [record for record in named if all(record[name] == value for name, value in fields.items())]
    own = _newest(record for record in chosen if "->" not in record["dataset"])
    if len(own) == 1:
        return own[0]
    asked = " ".join([repr(selector), *(f"{_CHOICES[name]} {value}" for name, value in fields.items())])
    if own:
        raise UsageError(f"{asked} means {len(own)} trained models of {store.root}; say which with more options, or by key:{_list(own)}")
    if chosen:
        raise UsageError(f"{asked} was tested on another data set alone, and {store.root} does not know its classes; run it on its own")
    others = _newest(record for record in named or kept if "->" not in record["dataset"])
    there_are = f"there are:{_list(others)}" if others else "python -m bench run trains one"
    raise UsageError(f"no trained model {asked} in {store.root}; {there_are}")


def load(record: Record, store: Store, device: torch.device) -> Trained:
    """The model of a record. Warns on stderr where the method's source has changed since; raises UsageError where it no longer fits."""
    from bench.compat import fix_torchvision_before_timm
    from bench.stages import load_candidate

    fix_torchvision_before_timm()
    name, label = record["method"], label_of(record)
    if record["env"].get("source_hash") != registry.source_hash("methods", name):
        print(f"{label}: the source of methods/{name}.py has changed since it was trained", file=sys.stderr)
    schema, _ = store.load_split(record["data_hash"], record["split"])
    params = {key: check_value(name, key, value) for key, value in record["params"].items()}
    fit = SimpleNamespace(key=record["fit_key"], method=name, params=params)  # all that is read of it; a record lacks the rest
    try:
        candidate = load_candidate(cast(FitSpec, fit), store, schema, device)
    except (RuntimeError, TypeError) as error:
        raise UsageError(f"{label}: the saved model does not fit today's methods/{name}.py; run it again ({error})") from error
    method = candidate.predict.__self__  # type: ignore[attr-defined]
    about = _about(record, schema, "logits" if candidate.logits else "similarity", candidate.thresholds or {})
    return Trained(label, method, schema, params["image_size"], about)


def scores(trained: Trained, images: np.ndarray) -> dict[str, np.ndarray]:
    """uint8 (B, 3, S, S) -> type -> float32 (B, classes), in the order of the schema."""
    import torch

    device = next((tensor.device for tensor in trained.method.model.state_dict().values()), torch.device("cpu"))
    with torch.inference_mode():
        found = trained.method.predict(torch.from_numpy(images).to(device))
    return {kind.name: found[kind.name].float().cpu().numpy() for kind in trained.schema}


def label_of(record: Record) -> str:
    """The method as people write it: mtss/student, supervised, supervised[shrink=1]."""
    separator = "/" if record["row"] and not record["row"].startswith("[") else ""
    return f"{record['method']}{separator}{record['row']}"


def _named(selector: str, records: list[Record]) -> list[Record]:
    """Those called exactly so; else those of the row, whatever --set changed; else all of the method."""

    def row(record: Record) -> str:
        return label_of(record).partition("[")[0]

    for degree in (label_of, row, lambda record: record["method"]):
        if found := [record for record in records if degree(record) == selector]:
            return found
    return []


def _newest(records: Any) -> list[Record]:
    """The newest record of each model, in the order of their names; a model is what trained it, whatever version of the source did."""
    found: dict[tuple[Any, ...], Record] = {}
    for record in sorted(records, key=lambda each: each["finished"]):
        found[(label_of(record), *(record[name] for name in (*_CHOICES, "source", "protocol_id")))] = record
    return [found[key] for key in sorted(found)]


def _list(records: list[Record]) -> str:
    lines = [
        f"\n  {label_of(record)} {' '.join(f'{option} {record[name]}' for name, option in _CHOICES.items())}"
        f"  (key {record['fit_key'][:12]}, {record['source']}, {record['protocol_id']})"
        for record in records
    ]
    return "".join(lines)


def _about(record: Record, schema: Schema, scores: str, thresholds: Mapping[str, Any]) -> dict[str, Any]:
    size = record["params"]["image_size"]
    types = [
        {
            "name": kind.name,
            "classes": list(kind.classes),
            "exclusive": kind.exclusive,
            "thresholds": [_finite(value) for value in thresholds[kind.name]] if kind.name in thresholds else None,
        }
        for kind in schema
    ]
    return {
        "format": 1,
        "model": label_of(record),
        **{name: record[name] for name in ("fit_key", "dataset", "source", "label_fraction", "seed", "preset")},
        "input": {"name": "images", "dtype": "uint8", "shape": ["batch", 3, size, size], "colors": "RGB", "range": [0, 255]},
        "normalization": "inside the model",
        "image_size": size,
        "resize": "upright by EXIF; width and height squashed separately to image_size, averaged over areas (OpenCV's INTER_AREA) "
        "where both shrink, else linear (INTER_LINEAR)",
        "scores": scores,
        "types": types,
    }


def _finite(threshold: float) -> float | None:
    """A threshold as JSON holds it; None for +inf, which predicts the class never."""
    value = float(threshold)
    return value if value < float("inf") else None
