"""Makes the golden tables anew: `python tests/golden/refresh.py`, and with --store the made-up store that they are drawn from too.

Look at `git diff tests/golden/tables` before committing: every line that moved is a figure that users will see moved."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1]))

from bench.golden import golden_files, make_tables  # noqa: E402
from bench.protocol import AttributeType, Schema  # noqa: E402
from bench.store import FIELDS, SCHEMA_VERSION, Store  # noqa: E402

NUM_IMAGES = 64
TYPES = {
    "deepfashion": (("category", 6, True), ("texture", 5, False), ("shape", 7, False)),
    "ficcy": (("category", 6, True), ("pattern", 5, True), ("color", 8, True), ("texture", 5, True)),
    "naver": (("class", 12, True),),
    "deepfashion26": (("texture", 7, True), ("sleeve", 3, True), ("fabric", 6, True)),
    "jdstyle": (("style", 13, False),),
    "darn": (("category", 5, True),),
}
CORRUPTIONS = ("fog", "jpeg_compression", "gaussian_noise")


def make_store(root: Path) -> None:
    """Some two hundred records of methods that are not there, as good as `cells` says."""
    store = Store(root)
    for name, kinds in TYPES.items():
        schema = Schema(
            tuple(AttributeType(kind, tuple(f"{kind[:2]}{index}" for index in range(count)), one) for kind, count, one in kinds)
        )
        store.save_split(_data_hash(name, "synthetic"), "test", schema, _labels(name))
    for number, cell in enumerate(cells()):
        _write(store, number, cell)


def cells() -> Iterator[dict]:
    """What is in the store. skill: how likely each answer is right."""

    def several(dataset: str, rows: dict[str, float], seeds: int, **fields: object) -> Iterator[dict]:
        for name, skill in rows.items():
            for seed in range(seeds):
                yield {"dataset": dataset, "name": name, "skill": skill, "seed": seed, **fields}

    yield from several("ficcy", {"mtss/teacher": 0.5, "mtss/student": 0.9, "mtss/student-single": 0.55, "mtss/teacher-bce": 0.2}, 3)
    pools = {"1k": 0.2, "5k": 0.35, "10k": 0.5, "50k": 0.55, "100k": 0.68, "500k": 0.7}
    yield from several("ficcy", {f"mtss/student-pool-{size}": skill for size, skill in pools.items()}, 2)
    rows = {"mtss/teacher": 0.5, "mtss/student": 0.85, "mtss/teacher-gamma0": 0.7, "mtss/teacher-tune": 0.55, "mtss/student-tune": 0.86}
    floors = {"floor/prior": 0.2, "floor/all_positive": 0.15}
    yield from several("deepfashion", {**rows, **floors, "supervised": 0.45}, 3)
    for fraction, worth in ((0.25, -0.2), (0.5, -0.12), (0.75, -0.05)):
        yield from several("deepfashion", {"mtss/teacher": 0.55 + worth, "mtss/student": 0.65 + worth}, 2, label_fraction=fraction)
    for corruption in CORRUPTIONS:
        for severity in (1, 3, 5):
            loss, condition = 0.06 * severity, {"corruption": corruption, "severity": severity}
            yield from several(
                "deepfashion", {"mtss/student": 0.65 - loss, "mtss/teacher": 0.55 - 1.2 * loss, "supervised": 0.45}, 1, **condition
            )
    yield from several("naver", {"naver/supervised": 0.4, "naver/cr": 0.42, "naver/lp": 0.5, "naver/lp-cr": 0.58}, 3, pool="64")
    heads = {
        f"challenge26/{net}-{depth}fc": 0.6 + gain - 0.04 * depth
        for net, gain in (("resnet50", 0.0), ("seresnet50", 0.1))
        for depth in (0, 2, 4)
    }
    yield from several("deepfashion26", {**heads, "challenge26/seresnext50-0fc": 0.72, "challenge26/seresnet50-0fc-weighted": 0.73}, 2)
    styles = {"bce": 0.6, "wbce": 0.7, "f2": 0.66, "focal": 0.62, "bce-oversample10": 0.55, "bce-oversample20": 0.52, "vote": 0.75}
    styles |= {"densenet121": 0.7, "densenet121-swa": 0.73, "resnet18": 0.66}
    yield from several("jdstyle", {f"jdstyle/{name}": skill for name, skill in styles.items()}, 2)
    yield from several("darn", {"mtss/teacher": 0.7, "mtss/student": 0.6, "floor/prior": 0.3}, 2, source="real", preset="paper")
    lost = (("failed", 0), ("timeout", 1), ("oom", 2))
    yield from (
        {"dataset": "jdstyle", "name": "jdstyle/resnext101_32", "skill": 0.0, "seed": seed, "status": status} for status, seed in lost
    )
    yield {"dataset": "ficcy", "name": "naver/lp", "skill": 0.0, "seed": 0, "status": "no_data", "source": "real", "preset": "paper"}
    yield {"dataset": "naver", "name": "naver/lp-cr-ran56", "skill": 0.0, "seed": 0, "status": "killed", "pool": "64"}
    for place, dataset in enumerate(("ficcy", "deepfashion26", "jdstyle")):
        rows = {"corbiere": 0.6, "vsam": 0.3 + 0.2 * place, "wtbi": 0.25}
        yield from several(dataset, rows if place else {**rows, "uda": 0.4}, 1, label_fraction=0.1)


def _write(store: Store, number: int, cell: dict) -> None:
    dataset, (method, _, row) = cell["dataset"], cell["name"].partition("/")
    source, pool, corruption, severity = (
        cell.get("source", "synthetic"),
        cell.get("pool", "1"),
        cell.get("corruption", "none"),
        cell.get("severity", 0),
    )
    status, fraction = cell.get("status", "ok"), cell.get("label_fraction", 1.0)
    key = hashlib.sha256(json.dumps([number, cell["name"]]).encode()).hexdigest()
    record = dict.fromkeys(FIELDS) | {
        **{"schema_version": SCHEMA_VERSION, "key": key, "fit_key": key, "protocol_id": f"v1/{dataset}/test/64px/native/pool={pool}"},
        **{"paper": "", "method": method, "row": row, "params": {}, "dataset": dataset, "source": source, "split": "test"},
        **{
            "data_hash": _data_hash(dataset, source) if status == "ok" else "",
            "label_fraction": fraction,
            "n_labeled": int(1000 * fraction),
        },
        **{"corruption": corruption, "severity": severity, "seed": cell["seed"], "preset": cell.get("preset", "tiny"), "status": status},
        **{"reason": "" if status == "ok" else "made up", "attempt": 1, "metrics": {}, "per_attribute": {}, "started": 0.0, "env": {}},
        **{"finished": float(number), "device": "cpu"},
    }
    if status == "ok":
        arrays, metrics, per_attribute = _evaluate(dataset, cell["skill"], number)
        record |= {"metrics": metrics, "per_attribute": per_attribute, "predictions_path": store.save_arrays("predictions", key, arrays)}
        costs = {
            "fit_seconds": 2.0 + 40 * cell["skill"],
            "eval_seconds": 0.5,
            "images_per_second": 900.0 - 10 * number,
            "peak_rss_mb": 500.0 + number,
        }
        record |= costs
    store.write(record)


def _labels(dataset: str) -> dict[str, np.ndarray]:
    rng = np.random.default_rng([sum(dataset.encode()), 0])
    found = {}
    for kind, count, exclusive in TYPES[dataset]:
        one = np.eye(count, dtype=np.int8)[rng.integers(count, size=NUM_IMAGES)]
        found[kind] = one if exclusive else np.maximum(one, rng.random((NUM_IMAGES, count)) < 0.15).astype(np.int8)
    return found


def _evaluate(dataset: str, skill: float, number: int) -> tuple[dict[str, np.ndarray], dict[str, float], dict[str, dict[str, float]]]:
    """Scores with the wanted skill, as an evaluation sums them up; entropies in 64ths, so that their sums are exact everywhere."""
    from bench.metrics import summarize

    rng = np.random.default_rng([number, 1])
    kinds = TYPES[dataset]
    schema = Schema(tuple(AttributeType(kind, tuple(map(str, range(count))), one) for kind, count, one in kinds))
    labels = _labels(dataset)
    scores = {}
    for kind, count, _ in kinds:
        known = rng.random((NUM_IMAGES, 1)) < skill
        scores[kind] = (rng.normal(size=(NUM_IMAGES, count)) + np.where(known, 3.0, 0.0) * (labels[kind] - 0.4)).astype(np.float32)
    thresholds = {kind: np.full(count, 0.6, dtype=np.float32) for kind, count, one in kinds if not one}
    summary = summarize(scores, labels, schema, logits=True, thresholds=thresholds)
    kept = {name: values for name, values in summary.arrays.items() if name not in ("top_classes", "top_scores")}
    kept["cross_entropy"] = np.round(kept["cross_entropy"] * 64) / 64
    if any(name.startswith("f2/") for name in kept) or dataset == "jdstyle":
        kept["top_classes"] = summary.arrays["top_classes"].astype(np.int16)

    def rounded(figures: dict[str, float]) -> dict[str, float]:
        return {
            name: round(value, 6)
            for name, value in figures.items()
            if name.partition("@")[0] in ("recall", "f1", "accuracy", "map", "f2", "cross_entropy", "mean_accuracy") and "/" not in name
        }

    return kept, rounded(summary.metrics), {kind: rounded(figures) for kind, figures in summary.per_attribute.items()}


def _data_hash(dataset: str, source: str) -> str:
    return hashlib.sha256(f"{dataset} {source}".encode()).hexdigest()


def main() -> None:
    if "--store" in sys.argv[1:]:
        shutil.rmtree(HERE / "store", ignore_errors=True)
        make_store(HERE / "store")
    out = HERE / "made"
    shutil.rmtree(out, ignore_errors=True)
    make_tables(HERE / "store", out)
    shutil.rmtree(HERE / "tables", ignore_errors=True)
    for name, content in golden_files(out).items():
        path = HERE / "tables" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
    shutil.rmtree(out)


if __name__ == "__main__":
    main()
