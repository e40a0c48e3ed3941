"""The papers' tables: every entry is well made, and runs exactly the cells that its figures need."""

import csv

import pytest

from bench import registry, tables
from bench.plan import DataFacts, Sweep, make_cells, unique
from bench.protocol import AttributeType, Schema
from bench.tables import Column

BASE = Sweep([], [], [], [], [0], [], "tiny")
FACTS = {
    name: DataFacts("synthetic", name * 8, Schema((AttributeType("category", ("a", "b"), True),)))
    for name in [entry.name for entry in registry.entries("datasets")]
}


def cells(name, **changes):
    base = Sweep([], [], [], [], changes.get("seeds", [0]), [], "tiny", overrides=changes.get("overrides", {}))
    return unique(cell for sweep in tables.sweeps(tables.load(name), base) for cell in make_cells(sweep, FACTS))


@pytest.mark.parametrize("name", tables.names())
def test_every_table_can_be_read_and_every_row_of_ours_has_cells(name):
    table = tables.load(name)
    assert table.title
    assert table.columns
    for row in table.rows:
        if row.method:
            assert any(tables.covers(table, row, column) for column in table.columns), row.label
    assert cells(name)


def test_every_printed_figure_is_in_a_table():
    printed = set()
    for path in (tables.RESULTS / "reported").glob("*.csv"):
        with path.open(newline="") as file:
            printed |= {(path.name, line["table"]) for line in csv.DictReader(file)}
    entries = [entry for entry in tables._entries().values() if "reported" in entry]
    known = {(entry["reported"], number) for entry in entries for number in _numbers(entry)}
    assert known == printed


def _numbers(entry):
    return entry["table"] if isinstance(entry["table"], list) else [entry["table"]]


def test_a_table_of_clean_figures_needs_one_cell_a_row_and_seed():
    rows = {(cell.label, cell.corruption, cell.fit.data.dataset, cell.fit.data.seed) for cell in cells("mtss-2", seeds=[0, 1])}
    ours = {("mtss/student-tune", "none", "deepfashion", seed) for seed in (0, 1)}
    floors = {(f"floor/{row}", "none", "deepfashion", seed) for row in ("prior", "majority", "all_positive") for seed in (0, 1)}
    assert rows == ours | floors


def test_a_table_of_corrupted_figures_needs_all_75_conditions():
    found = [cell for cell in cells("mtss-7") if cell.label == "mtss/student"]
    assert len(found) == 76
    assert len({(cell.corruption, cell.severity) for cell in found}) == 76


def test_a_transfer_is_trained_on_one_and_tested_on_the_other_and_its_pool_is_mixed():
    found = {(cell.label, cell.dataset, cell.fit.data.pool) for cell in cells("mtss-6") if cell.fit.method == "mtss"}
    assert found == {
        (f"mtss/{row}", f"{source}->darn", pool)
        for source in ("deepfashion", "imatfashion")
        for row, pool in (("teacher", ""), ("student", ""), ("student-mixed-domain", "darn"))
    }


def test_teachers_are_shared_by_rows_of_all_kinds_and_a_pool_changes_the_student_alone():
    by_label = {cell.label: cell.fit for cell in cells("mtss-6") if cell.fit.data.dataset == "deepfashion"}
    student, mixed = by_label["mtss/student"], by_label["mtss/student-mixed-domain"]
    assert student.key != mixed.key
    assert student.teacher("category@1").key == mixed.teacher("category@1").key


def test_what_a_row_sets_is_in_its_name_and_goes_together_with_what_the_user_sets():
    found = {cell.label for cell in cells("mtss-fig6a", overrides={"mtss": {"epochs": 2}}) if cell.fit.method == "mtss"}
    assert "mtss/teacher[epochs=2,gamma=0.5]" in found


def test_each_meaning_of_all_has_a_column_and_a_printed_figure_stands_in_its_own():
    table = tables.load("mtss-1")
    pooled, mean, thousand = (Column("deepfashion", "all", f"recall@3{ending}") for ending in ("", "/all_mean", "/all_1000"))
    assert {pooled, mean, thousand} <= set(table.columns)
    assert table.reported["MTSS student (gamma=1, beta=1)", pooled].value == 57.85
    assert table.reported["Corbiere et al.", thousand].value == 23.10
    assert ("Corbiere et al.", pooled) not in table.reported


def test_gains_name_the_row_that_they_are_over():
    columns = tables.load("mtss-7").columns
    assert Column("deepfashion", "all", "recall@3", True, "MTSS student") in columns
    assert [column.metric for column in tables.load("mtss-3").columns if column.gain] == ["f1@1"]


def test_names_and_patterns_select():
    assert [table.name for table in tables.select("mtss-2,mtss-4")] == ["mtss-2", "mtss-4"]
    assert {table.name for table in tables.select("mtss-*")} == {name for name in tables.names() if name.startswith("mtss-")}
    assert len(tables.select("all")) == len(tables.names())
    with pytest.raises(registry.UnknownNameError, match="no table 'mtss-11'; did you mean 'mtss-1'"):
        tables.select("mtss-11")


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ('title = "x"\nrow = {}', "row given; it may hold"),
        ('title = "x"\nreported = "mtss_table2.csv"\ntable = "9"', "prints nothing of table '9'"),
        ('title = "x"\n[t.rows]\n"a" = { metod = "mtss" }', "metod given; it may hold"),
        ('title = "x"\n[t.rows]\n"a" = "mtss/lehrer"', "no row 'lehrer' of mtss"),
    ],
)
def test_a_wrong_entry_is_named(entry, message, tmp_path, monkeypatch):
    (tmp_path / "tables.toml").write_text(f"[t]\n{entry}\n")
    (tmp_path / "reported").symlink_to(tables.RESULTS / "reported")
    monkeypatch.setattr(tables, "RESULTS", tmp_path)
    tables._entries.cache_clear()
    tables._load.cache_clear()
    try:
        with pytest.raises(ValueError, match=message):
            tables.load("t")
    finally:
        tables._entries.cache_clear()
        tables._load.cache_clear()
