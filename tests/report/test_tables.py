"""The papers' tables filled from records: figures, differences, verdicts, and what is not there."""

import csv
import io

import pytest
from handmade import counts, write

from bench import tables
from bench.report.figures import Figures
from bench.report.tables import CSV_COLUMNS, NO_INTERVAL, NOT_RUN, OUTSIDE, PROTOCOL, SYNTHETIC, WITHIN, fill, to_csv, to_markdown, to_tex
from bench.statistics import replicates
from bench.store import Store
from bench.tables import Column, Reported, Row, Table

RECALL = Column("darn", "all", "recall@1")
CORRUPTED = Column("darn", "all", "recall@1", True)
GAIN = Column("darn", "all", "recall@1", False, "teacher")
POOL = {"protocol_id": "v1/darn/test/64px/native/pool=1"}


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path)


def table(*columns, paper=60.0):
    rows = (Row("others"), Row("teacher", "mtss", "teacher"), Row("student", "mtss", "student"))
    reported = {("others", RECALL): Reported(11.1, 100, "as printed")}
    reported |= {(row.label, column): Reported(paper, 100, "") for row in rows[1:] for column in columns}
    return Table("t-1", "A table", rows, tuple(columns), reported, dict.fromkeys(columns, 100.0), ("A note.",), floors=False)


def filled(store, *columns, **options):
    return fill(table(*columns, **options), Figures(store.records(), store))


def cell(world, label, column=RECALL):
    return world.cells[label, column]


def test_a_printed_figure_stands_beside_ours_with_its_interval(store):
    write(store, "mtss", row="student", skill=0.7, **POOL)
    (world,) = filled(store, RECALL)
    found = cell(world, "student")
    ours = 100 * counts(0.7)["hits"][:, :, 0].mean()
    assert found.ours.mean == pytest.approx(ours)
    assert found.ours.low < ours < found.ours.high
    assert found.delta == pytest.approx(ours - 60)
    assert cell(world, "teacher").ours is None
    assert cell(world, "others").ours is None


@pytest.mark.parametrize(
    ("source", "preset", "paper", "verdict"),
    [
        ("synthetic", "tiny", 70, SYNTHETIC),
        ("synthetic", "paper", 70, SYNTHETIC),
        ("real", "tiny", 70, PROTOCOL),
        ("real", "paper", 100 * counts(0.7)["hits"][:, :, 0].mean() + 1, WITHIN),
        ("real", "paper", 50, OUTSIDE),
    ],
)
def test_verdicts(store, source, preset, paper, verdict):
    write(store, "mtss", row="student", skill=0.7, source=source, preset=preset, **POOL)
    (world,) = filled(store, RECALL, paper=paper)
    assert world.verdict(cell(world, "student")) == verdict
    assert world.verdict(cell(world, "teacher")) == NOT_RUN


def test_where_decimals_cannot_be_read_any_of_them_may_be_printed(store):
    write(store, "mtss", row="student", skill=0.7, source="real", preset="paper", **POOL)
    (low, high), mean = replicates([counts(0.7)], "recall@1").percentiles(), 100 * counts(0.7)["hits"][:, :, 0].mean()
    for printed, verdict in ((100 * low - 0.9, WITHIN), (100 * low - 1.1, OUTSIDE), (100 * high, WITHIN), (100 * high + 0.1, OUTSIDE)):
        made = table(RECALL)
        made.reported["student", RECALL] = Reported(printed, 100, "integer part only is legible in the source", 1.0)
        (world,) = fill(made, Figures(store.records(), store))
        assert (world.verdict(cell(world, "student")), cell(world, "student").delta) == (verdict, None)
    assert f"/ {mean:.2f} ± " in to_markdown([world])
    assert to_markdown([world]).count("≠ |") == 1
    printed = tables.load("semivit-2").reported.values()
    assert {each.width for each in printed if "legible" in each.note} == {1.0}
    assert {each.width for each in printed if not each.note} == {0.0}


def test_a_gain_is_over_the_seeds_that_both_rows_have(store):
    for row, seeds in (("student", {0: 0.8, 1: 0.2}), ("teacher", {1: 0.4, 2: 0.9})):
        for seed, skill in seeds.items():
            write(store, "mtss", row=row, arrays=counts(skill, seed), seed=seed, **POOL)
    (world,) = filled(store, RECALL, GAIN)
    one, other = (counts(skill, 1)["hits"][:, :, 0].mean() for skill in (0.2, 0.4))
    assert cell(world, "student", GAIN).ours.mean == pytest.approx(100 * (one / other - 1))


def test_a_figure_without_an_interval_is_neither_within_nor_outside(store):
    column = Column("darn", "all", "map")
    write(store, "mtss", row="student", source="real", preset="paper", metrics={"map": 0.25}, **POOL)
    worlds = filled(store, column, paper=25)
    assert worlds[0].verdict(cell(worlds[0], "student", column)) == NO_INTERVAL
    assert "25.00 / 25.00 / +0.00 ?" in to_markdown(worlds)
    assert "? one seed" in to_markdown(worlds)
    assert "? one seed" not in to_markdown(filled(store, RECALL))


def test_real_and_synthetic_never_share_a_table(store):
    for source in ("real", "synthetic"):
        write(
            store,
            "mtss",
            row="student",
            skill=0.9 if source == "real" else 0.1,
            source=source,
            protocol_id=POOL["protocol_id"],
            finished=ord(source[0]),
        )
    real, synthetic = filled(store, RECALL)
    assert (real.source, synthetic.source) == ("real", "synthetic")
    assert cell(real, "student").ours.mean > 80 > 20 > cell(synthetic, "student").ours.mean


def test_what_failed_or_is_missing_shows_with_its_count_and_never_as_zero(store):
    write(store, "mtss", row="student", skill=0.7, seed=0, **POOL)
    write(store, "mtss", row="student", seed=1, status="timeout", **POOL)
    write(store, "mtss", row="teacher", seed=0, status="failed", **POOL)
    (world,) = filled(store, RECALL)
    assert cell(world, "student").counts == {"ok": 1, "timeout": 1, "missing": 0}
    assert cell(world, "student").num_seeds == 1
    assert cell(world, "teacher").counts == {"failed": 1, "missing": 1}
    text = to_markdown([world])
    assert "60.00 / 1 failed, 1 missing / –" in text
    assert "Not ok: 1 failed, 1 missing, 1 timeout." in text


def test_a_gain_is_relative_to_its_row_and_compared_on_the_same_images(store):
    write(store, "mtss", row="teacher", skill=0.5, **POOL)
    write(store, "mtss", row="student", skill=0.6, **POOL)
    (world,) = filled(store, RECALL, GAIN)
    one, other = (counts(skill)["hits"][:, :, 0].mean() for skill in (0.5, 0.6))
    gain = cell(world, "student", GAIN).ours
    assert gain.mean == pytest.approx(100 * (other / one - 1))
    assert gain.low > 0  # the same images: 0.6 finds all that 0.5 does
    assert cell(world, "teacher", GAIN).ours is None


def test_a_corrupted_column_needs_all_75(store):
    for index in range(75):
        write(store, "mtss", row="student", skill=0.4, seed=0, corruption=f"c{index // 5}", severity=index % 5 + 1, **POOL)
    (world,) = filled(store, CORRUPTED)
    assert cell(world, "student", CORRUPTED).ours.mean == pytest.approx(100 * counts(0.4)["hits"][:, :, 0].mean())


def test_extras_are_no_part_of_a_corrupted_column(store):
    for index in range(75):
        write(store, "mtss", row="student", skill=0.4, seed=0, corruption=f"c{index // 5}", severity=index % 5 + 1, **POOL)
        if index < 55:
            write(store, "mtss", row="teacher", skill=0.4, seed=0, corruption=f"c{index // 5}", severity=index % 5 + 1, **POOL)
    for row in ("student", "teacher"):
        for index in range(20):
            extra = ("speckle_noise", "gaussian_blur", "spatter", "saturate")[index // 5]
            write(store, "mtss", row=row, skill=0.9, seed=0, corruption=extra, severity=index % 5 + 1, **POOL)
    (world,) = filled(store, CORRUPTED)
    assert cell(world, "student", CORRUPTED).ours.mean == pytest.approx(100 * counts(0.4)["hits"][:, :, 0].mean())
    assert cell(world, "teacher", CORRUPTED).ours is None
    assert cell(world, "teacher", CORRUPTED).counts["missing"] == 75 - 55


def corrupted_lines(store, *columns):
    lines = csv.DictReader(io.StringIO(to_csv(filled(store, *columns))))
    return {(line["row"], line["condition"], "gain" in line["metric"]): line for line in lines}


def write_corrupted(store, row, seeds, **fields):
    for index in range(75):
        for seed in range(seeds if index else 1):
            write(store, "mtss", row=row, seed=seed, corruption=f"c{index // 5}", severity=index % 5 + 1, **{**POOL, **fields})


def test_seeds_are_the_fewest_of_what_a_figure_is_made_of(store):
    for seed in range(3):
        write(store, "mtss", row="student", seed=seed, **POOL)
    write(store, "mtss", row="teacher", seed=0, **POOL)
    write_corrupted(store, "student", 2)
    lines = corrupted_lines(store, RECALL, CORRUPTED, GAIN)
    assert lines["student", "clean", False]["n_seeds"] == "3"
    assert lines["student", "clean", True]["n_seeds"] == "1"
    student = lines["student", "corrupted", False]
    assert (student["n_seeds"], student["ok"], student["missing"]) == ("1", "149", "76")


def test_a_figure_of_older_sources_beside_a_newer_one_is_marked(store):
    write(store, "mtss", row="student", finished=1.0, **POOL)
    write(store, "mtss", row="teacher", finished=1.0, **POOL)
    for row in ("teacher", "student"):
        write_corrupted(store, row, 1, finished=2.0)
    assert "†" not in to_markdown(filled(store, RECALL, CORRUPTED))
    write(store, "mtss", row="student", env={"source_hash": "new"}, finished=3.0, **POOL)
    worlds = filled(store, RECALL, CORRUPTED)
    assert [(place[0], place[1].corrupted) for place, found in worlds[0].cells.items() if found.older] == [("student", True)]
    assert "† of an older version" in to_markdown(worlds)
    assert to_markdown(worlds).count("†") == 2
    assert corrupted_lines(store, RECALL, CORRUPTED)["student", "corrupted", False]["note"].startswith("of an older version")
    assert "†" not in to_markdown(filled(store, RECALL))


def test_there_is_no_gain_over_a_row_that_saw_other_images(store):
    write(store, "mtss", row="teacher", skill=0.5, **POOL)
    write(store, "mtss", row="student", skill=0.6, data_hash="e" * 64, **POOL)
    (world,) = filled(store, RECALL, GAIN)
    assert cell(world, "student").ours is not None
    assert cell(world, "student", GAIN).ours is None


def test_csv_has_a_line_a_cell(store):
    write(store, "mtss", row="student", skill=0.7, **POOL)
    lines = list(csv.DictReader(io.StringIO(to_csv(filled(store, RECALL)))))
    assert tuple(lines[0]) == CSV_COLUMNS
    assert [(line["row"], line["method"], line["verdict"]) for line in lines] == [
        ("others", "", NOT_RUN),
        ("teacher", "mtss/teacher", NOT_RUN),
        ("student", "mtss/student", SYNTHETIC),
    ]
    assert lines[0]["note"] == "as printed"


def test_notes_and_the_banner_are_printed(store):
    write(store, "mtss", row="student", skill=0.7, **POOL)
    text, tex = to_markdown(filled(store, RECALL)), to_tex(filled(store, RECALL))
    assert "- A note." in text
    assert "- others: as printed" in text
    assert "SYNTHETIC" in text
    assert "\\toprule" in tex
    assert "$\\pm$" in tex


def test_every_table_renders_without_any_record(store):
    for name in tables.names():
        worlds = fill(tables.load(name), Figures([], store))
        assert len(worlds) == 1
        assert tables.load(name).title in to_markdown(worlds)
        assert to_csv(worlds).startswith("table,")


def test_the_average_gain_is_the_mean_over_the_types_of_the_table(store):
    columns = [Column("darn", kind, "recall@1") for kind in ("category", "part")]
    average = Column("darn", "average", "recall@1", False, "teacher")
    write(store, "mtss", row="teacher", skill=0.5, **POOL)
    write(store, "mtss", row="student", skill=0.6, **POOL)
    (world,) = filled(store, *columns, average)
    one, other = (counts(skill)["hits"][:, :, 0].mean(axis=0) for skill in (0.5, 0.6))
    assert cell(world, "student", average).ours.mean == pytest.approx(100 * (other / one - 1).mean())


def test_one_seed_of_a_metric_without_counts_has_no_interval(store):
    column = Column("darn", "all", "map")
    write(store, "mtss", row="student", metrics={"map": 0.25}, **POOL)
    (world,) = filled(store, column)
    assert "60.00 / 25.00 / -35.00 s" in to_markdown([world])
    [line] = [line for line in csv.DictReader(io.StringIO(to_csv([world]))) if line["row"] == "student"]
    assert (line["ours"], line["ci_low"], line["ci_high"]) == ("25", "", "")
