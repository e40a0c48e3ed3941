"""Records made by hand, with per-image counts, for what reads a store."""

import numpy as np

from bench.store import FIELDS, SCHEMA_VERSION, Store

TYPES = ("category", "part")


def counts(skill: float, seed: int = 0, num_images: int = 200) -> dict[str, np.ndarray]:
    """Arrays of an evaluation in which each image's class is found at once with probability `skill`."""
    rng = np.random.default_rng([seed, 1])
    first = rng.random((num_images, len(TYPES))) < skill
    hits = np.repeat(first[:, :, None], 3, axis=2).astype(np.uint8)
    ones = np.ones((num_images, len(TYPES)), dtype=np.uint8)
    predictions = np.broadcast_to(np.array([1, 3, 5], dtype=np.uint8), hits.shape)
    return {"hits": hits, "num_positives": ones, "num_predictions": predictions}


def write(store: Store, method: str, *, skill: float = 0.5, row: str = "", arrays=None, **fields) -> dict:
    """Writes one record with its counts and returns it."""
    import hashlib

    identity = [
        method,
        row,
        *(str(fields.get(name)) for name in ("dataset", "label_fraction", "corruption", "severity", "seed", "finished")),
    ]
    key = hashlib.sha256(repr(identity).encode()).hexdigest()
    found = counts(skill, fields.get("seed", 0)) if arrays is None else arrays
    values = {"f1@1": float(found["hits"][:, :, 0].mean()), "map": 0.5}
    record = {
        **dict.fromkeys(FIELDS),
        **{"schema_version": SCHEMA_VERSION, "key": key, "fit_key": key, "protocol_id": "v1/darn/test/64px", "paper": ""},
        **{"method": method, "row": row, "params": {}, "dataset": "darn", "source": "synthetic", "data_hash": "d" * 64},
        **{"label_fraction": 1.0, "corruption": "none", "severity": 0, "seed": 0, "preset": "tiny", "status": "ok", "reason": ""},
        **{"metrics": values, "per_attribute": {name: {"f1@1": 0.0, "recall@1": 0.0, "recall@3": 0.0} for name in TYPES}},
        **{"finished": 1.0, "started": 0.0, "attempt": 1, "env": {}, "fit_seconds": 1.0, "eval_seconds": 1.0},
        **fields,
    }
    record["per_attribute"]["category"]["accuracy@1"] = 0.0
    if record["status"] == "ok":
        record["predictions_path"] = store.save_arrays("predictions", key, found)
    store.write(record)
    return record


def record(key: str, **fields) -> dict:
    """A whole record without figures."""
    texts = ("fit_key", "protocol_id", "method", "row", "dataset", "data_hash", "corruption", "preset", "reason", "predictions_path")
    numbers = {"label_fraction": 1.0, "severity": 0, "seed": 0, "started": 0.0, "finished": 1.0}
    tables = {name: {} for name in ("params", "metrics", "per_attribute", "env")}
    known = {**dict.fromkeys(texts, "x"), **numbers, **tables, "source": "real", "status": "ok"}
    return {**dict.fromkeys(FIELDS), **known, "schema_version": SCHEMA_VERSION, "key": key, **fields}


METHODS = (("floor", "prior"), ("mtss", "teacher"), ("mtss", "student"), ("supervised", ""), ("naver", "lp"), ("jdstyle", "bce"))


def write_many(store: Store, num_records: int, *, num_images: int = 50) -> None:
    """A sweep of so many records over data sets, label fractions, the 76 conditions and three seeds, for what must stay quick."""
    import itertools

    conditions = [("none", 0), *itertools.product((f"c{index}" for index in range(15)), range(1, 6))]
    cells = itertools.product(("darn", "deepfashion", "ficcy", "naver"), (0.25, 0.5, 1.0), conditions, range(3), enumerate(METHODS))
    for place, (dataset, fraction, (corruption, severity), seed, (rank, (method, row))) in enumerate(itertools.islice(cells, num_records)):
        skill = 0.3 + 0.08 * rank + 0.1 * fraction - 0.02 * severity
        data = {"dataset": dataset, "data_hash": dataset[:1] * 64, "protocol_id": f"v1/{dataset}/test/64px/native/pool=1", "split": "test"}
        condition = {"label_fraction": fraction, "corruption": corruption, "severity": severity, "seed": seed, "finished": float(place)}
        write(store, method, row=row, arrays=counts(skill, seed, num_images), **data, **condition)
