"""A store of made-up records that has something of everything the page shows, hostile names included; and a page read back."""

import base64
import json
from html.parser import HTMLParser

import numpy as np
from handmade import write

from bench.protocol import AttributeType, Schema
from bench.report.figures import Figures
from bench.report.leaderboard import build
from bench.report.page import Content
from bench.store import Store

HOSTILE = "<script>alert(1)</script>"
SCHEMA = Schema(
    (
        AttributeType("category", ("dress", "skirt", "coat", "tee"), True),
        AttributeType("part", ("zip", "hood", "bow", "</script><b>belt", "<!--pocket"), False),
    )
)
POOL = {"protocol_id": "v1/darn/test/64px/native/pool=1"}
NUM_IMAGES = 120
OVERALL = (
    "source,preset,label_fraction,method,metric,mean_rank,mean,n_best,n_datasets,n_methods,n_seeds,friedman_p,critical_difference,"
    "not_worse_than_best\n"
    "synthetic,tiny,0.25,supervised,f1@1,1.5,0.5,2,4,3,1,0.03,1.65749,True\n"
    f"synthetic,tiny,0.25,{HOSTILE},f1@1,2,0.45,1,4,3,1,0.03,1.65749,True\n"
    "synthetic,tiny,0.25,naver/lp,f1@1,2.25,0.4125,0,4,3,1,0.03,1.65749,False\n"
    f"synthetic,tiny,1,{HOSTILE},f1@1,1,0.7,3,3,3,2,0.05,1.9139,True\n"
    "synthetic,tiny,1,supervised,f1@1,2,0.6,1,3,3,2,0.05,1.9139,True\n"
)
TABLE = (
    "table,source,preset,row,method,dataset,attribute,metric,condition,paper,ours,ci_low,ci_high,delta,verdict,n_seeds,ok,missing,failed,note\n"
    "mtss-1,synthetic,tiny,others,,darn,all,recall@3,clean,50,,,,,not run,0,0,0,0,as printed\n"
    "mtss-1,synthetic,tiny,student,mtss/student,darn,all,recall@3,clean,60,63.625,61,66.25,3.625,not comparable: synthetic,2,2,0,0,\n"
    "mtss-1,synthetic,tiny,student,mtss/student,darn,all,recall@3,corrupted,40,,,,,not run,0,0,150,0,\n"
)
CLAIMS = [
    {
        **{"name": name, "paper": "mtss", "where": "Table 1", "statement": statement, "verdict": verdict, "source": "synthetic"},
        **{"preset": "tiny", "metric": "f1@1", "value": value, "low": low, "high": high, "p_value": 0.01, "holm": 0.02, "num_seeds": 2},
        **{"places": ["darn"], "missing": [], "parts": [], "reason": "", "needs": "mtss-1", "note": ""},
    }
    for name, statement, verdict, value, low, high in (
        ("helps", "Consistency helps", "not run", None, None, None),
        ("student", f"The student beats its teachers {HOSTILE}", "reproduced", 2.1, 0.4, 4.0),
        ("layers", "More layers hurt", "inconclusive", -1.0, -3.0, 1.0),
    )
]


def labels() -> dict[str, np.ndarray]:
    """type -> bool (N, C): one category an image, none to three parts."""
    rng = np.random.default_rng(5)
    category = np.eye(4, dtype=bool)[rng.integers(4, size=NUM_IMAGES)]
    return {"category": category, "part": rng.random((NUM_IMAGES, 5)) < 0.3}


def arrays(skill: float, seed: int) -> dict[str, np.ndarray]:
    """An evaluation that ranks a class that is carried first with probability `skill`, and whose embeddings part the categories."""
    rng, carried = np.random.default_rng([seed, int(1000 * skill)]), labels()
    tops, hits = [], []
    for kind in SCHEMA:
        score = rng.random(carried[kind.name].shape) + 2 * carried[kind.name] * (rng.random((NUM_IMAGES, 1)) < skill)
        top = np.full((NUM_IMAGES, 5), -1, dtype=np.int16)
        order = np.argsort(-score, axis=1)[:, :5]
        top[:, : order.shape[1]] = order
        tops.append(top)
        right = np.take_along_axis(carried[kind.name], order, axis=1)
        hits.append(np.stack([right[:, :k].sum(axis=1) for k in (1, 3, 5)], axis=1))
    widths = np.array([[min(k, len(kind.classes)) for k in (1, 3, 5)] for kind in SCHEMA])
    place = carried["category"].argmax(axis=1)
    embedding = np.eye(4)[place] @ rng.normal(size=(4, 8)) + 0.05 * rng.normal(size=(NUM_IMAGES, 8))
    return {
        "hits": np.stack(hits, axis=1).astype(np.uint8),
        "num_predictions": np.broadcast_to(widths, (NUM_IMAGES, *widths.shape)).astype(np.uint8),
        "num_positives": np.stack([carried[kind.name].sum(axis=1) for kind in SCHEMA], axis=1).astype(np.uint8),
        "top_classes": np.stack(tops, axis=1),
        "embedding/category": embedding.astype(np.float16),
        "attention/stage 1": rng.random((6, 6, 6)).astype(np.float16),
        "attention/image": rng.integers(256, size=(6, 32, 32, 3), dtype=np.uint8),
    }


def fill(store: Store) -> Store:
    """Three methods and a floor on two data sets, two label fractions, two corruptions, two seeds; some cells lost, some never run."""
    skills = {"supervised": 0.5, "mtss/student": 0.7, HOSTILE: 0.6, "floor/prior": 0.05}
    for dataset in ("darn", "deepfashion"):
        for label, skill in skills.items():
            method, _, row = label.partition("/") if label != HOSTILE else (label, "", "")
            common = {"row": row, "dataset": dataset, "split": "test", **POOL}
            for fraction in (0.25, 1.0):
                for seed in (0, 1):
                    for name, severity in (("none", 0), ("fog", 1), ("fog", 3), ("snow", 1), ("snow", 3)):
                        if label == "mtss/student" and (name, severity, fraction) == ("snow", 3, 1.0):
                            continue  # never run
                        own = max(0.0, skill + 0.1 * fraction - 0.08 * severity)
                        condition = {"corruption": name, "severity": severity, "label_fraction": fraction, "seed": seed}
                        write(store, method, arrays=arrays(own, seed), **condition, **common)
    error = {"type": "RuntimeError", "message": "no", "traceback": "no"}
    write(store, "naver", row="lp", status="failed", reason=f"loss is NaN at step 7 {HOSTILE}", error=error, split="test", **POOL)
    write(store, "naver", row="lp", status="timeout", reason="over 2h", seed=1, split="test", **POOL)
    write(store, "jdstyle", status="no_data", reason="jdstyle: no files", dataset="jdstyle", source="real", data_hash="", split="test")
    store.save_split("d" * 64, "test", SCHEMA, {name: values.astype(np.int8) for name, values in labels().items()})
    return store


def content(store: Store, **fields) -> Content:
    """What the page of a store is made of, without the papers' tables."""
    records = list(store.records())
    return Content(records, store, build(records, store.load_arrays, store.load_split), Figures(records, store), **fields)


class Elements(HTMLParser):
    """The elements of a page: name, attributes, text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[list] = []
        self.open = False
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.found.append([tag, dict(attributes), ""])
        self.open = True

    def handle_endtag(self, tag):
        self.open = False

    def handle_data(self, text):
        if self.open:
            self.found[-1][2] += text

    def all(self, tag):
        return [(attributes, text) for name, attributes, text in self.found if name == tag]


def parts(text):
    """id -> what the page's JSON says."""
    return {
        attributes["id"].removeprefix("json-"): json.loads(body)
        for attributes, body in Elements(text).all("script")
        if attributes.get("type")
    }


def numbers(packed, kind):
    return np.frombuffer(base64.b64decode(packed), dtype=kind)
