"""The papers' figures: drawn from the records, the same bytes each time, nothing drawn of what was not run."""

import re
from xml.etree import ElementTree

import numpy as np
import pytest
from handmade import counts, write

from bench.protocol import AttributeType, Schema
from bench.report import plots
from bench.report.figures import Cell, Figures
from bench.report.tables import fill
from bench.store import Store
from bench.tables import Column, Row, Table

COLUMN = Column("darn", "all", "recall@1")
POOL = {"protocol_id": "v1/darn/test/64px/native/pool=1"}
SCHEMA = Schema((AttributeType("category", ("dress", "skirt"), True), AttributeType("part", ("zip", "<b>&"), False)))


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path)


def table(figure, *rows):
    return Table("t", "A title", rows, (COLUMN,), {}, {COLUMN: 100.0}, floors=False, figure=figure)


def draw(store, figure, *rows):
    figures = Figures(store.records(), store)
    (world,) = fill(table(figure, *rows), figures)
    return plots.of_table(world, figures)


def texts(svg):
    return [node.text for node in ElementTree.fromstring(svg).iter() if node.tag.endswith("}text") and node.text]


def sweep(store):
    for gamma, skill in ((0.5, 0.6), (1.0, 0.7), (2.0, 0.65)):
        write(store, "mtss", row=f"teacher[gamma={gamma}]", skill=skill, **POOL)
    return [Row(f"gamma {gamma:g}", "mtss", "teacher", {"gamma": gamma}, datasets=("darn",)) for gamma in (0.5, 1.0, 2.0)]


def test_lines_and_changes_are_drawn(store):
    rows = sweep(store)
    line = draw(store, {"kind": "line", "x": "γ"}, *rows)
    assert {"γ", "%", "all recall@1"} <= set(texts(line))
    change = draw(store, {"kind": "change", "x": "γ", "baseline": "gamma 1"}, *rows)
    assert "change in points" in texts(change)
    assert any("synthetic" in text for text in texts(change))


def test_the_same_figures_give_the_same_bytes(store):
    rows = sweep(store)
    assert draw(store, {"kind": "line", "x": "γ"}, *rows) == draw(store, {"kind": "line", "x": "γ"}, *rows)


def test_pairs_show_the_gain_of_the_ending(store):
    write(store, "a", skill=0.5, **POOL)
    write(store, "a", row="swa", skill=0.6, **POOL)
    rows = Row("A", "a", datasets=("darn",)), Row("A + SWA", "a", "swa", datasets=("darn",))
    svg = draw(store, {"kind": "pairs", "with": " + SWA"}, *rows)
    assert "A" in texts(svg)
    assert any("gain by SWA" in text for text in texts(svg))


def test_differences_are_drawn_of_the_same_images_and_seeds_alone(store):
    rows = sweep(store)
    whole = draw(store, {"kind": "change", "x": "γ", "baseline": "gamma 1"}, *rows)
    write(store, "mtss", row="teacher[gamma=0.5]", arrays=counts(0.1, 0, num_images=190), data_hash="e" * 64, finished=2.0, **POOL)
    for seed in (1, 2):
        write(store, "mtss", row="teacher[gamma=2.0]", skill=0.1, seed=seed, **POOL)
    assert draw(store, {"kind": "change", "x": "γ", "baseline": "gamma 1"}, *rows) == draw(
        store, {"kind": "change", "x": "γ", "baseline": "gamma 1"}, *rows[1:]
    )
    pairs = Row("A", "mtss", "teacher[gamma=0.5]"), Row("A + B", "mtss", "teacher[gamma=1.0]")
    assert "A" not in texts(draw(store, {"kind": "pairs", "with": " + B"}, *pairs))
    write(store, "mtss", row="teacher[gamma=0.5]", skill=0.6, finished=3.0, **POOL)
    assert draw(store, {"kind": "change", "x": "γ", "baseline": "gamma 1"}, *rows) == whole


def with_labels(store, method, seed, embeddings=True):
    arrays = counts(0.5, seed)
    truth = np.arange(200) % 2
    guess = np.where(np.random.default_rng(seed).random(200) < 0.7, truth, 1 - truth)
    arrays["top_classes"] = np.stack([np.stack([guess, 1 - guess, *[np.full(200, -1)] * 3], axis=1)] * 2, axis=1).astype(np.int16)
    if embeddings:
        arrays["embedding/part"] = (np.eye(2)[truth[:60]] + np.random.default_rng(seed).normal(size=(60, 2)) / 9).astype(np.float16)
    write(store, method, arrays=arrays, split="test", **POOL)
    eye = np.eye(2, dtype=np.int8)[truth]
    store.save_split("d" * 64, "test", SCHEMA, {"category": eye, "part": eye})
    return Cell(method, "darn", "synthetic", "tiny", 1.0, "1", "none", 0)


def test_changes_of_classes_name_them_safely(store):
    one, other = with_labels(store, "one", 0), with_labels(store, "other", 1)
    svg = plots.class_changes(Figures(store.records(), store), one, other, "part", "recall@1")
    assert {"zip", "<b>&"} <= set(texts(svg))
    assert plots.class_changes(Figures(store.records(), store), one, one._replace(method="gone"), "part") is None


def test_embeddings_have_a_panel_a_method_and_a_colour_a_class(store):
    cells = [with_labels(store, "one", 0), with_labels(store, "other", 1)]
    svg = plots.embedding_maps(Figures(store.records(), store), cells, "part")
    assert {"one, part", "other, part", "zip"} <= set(texts(svg))
    assert len(set(re.findall(r"fill: (#[0-9a-f]{6})", svg))) >= 2
    with_labels(store, "bare", 2, embeddings=False)
    assert plots.embedding_maps(Figures(store.records(), store), [cells[0]._replace(method="bare")], "part") is None


def test_an_unknown_kind_is_named(store):
    rows = sweep(store)
    with pytest.raises(ValueError, match="figure of kind 'pie'; expected change, line, pairs, classes, embeddings"):
        draw(store, {"kind": "pie"}, *rows)
