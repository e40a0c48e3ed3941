"""The leaderboard as text."""

import csv

import pytest
from handmade import write

from bench.cli import main
from bench.report.leaderboard import build
from bench.report.render import overview, to_markdown, to_tex
from bench.store import Store

MARKDOWN = """# Leaderboard

F1@1 in percent ± half the 95 % interval (bootstrap over images and seeds). \\* tied with the best. ▽ not above the prior.

## darn

**SYNTHETIC: rendered stand-ins in this data set's layout, not its photographs; comparable only among themselves.**

| method      | labels   | all          | category     | part         |
|:------------|:---------|:-------------|:-------------|:-------------|
| good        | 1        | 100.0 ± 0.0* | 100.0 ± 0.0* | 100.0 ± 0.0* |
| floor/prior | 1        | 0.0 ± 0.0    | 0.0 ± 0.0    | 0.0 ± 0.0    |
| none        | 1        | 0.0 ± 0.0▽   | 0.0 ± 0.0▽   | 0.0 ± 0.0▽   |
| lost        | 1        | 1 failed     |              |              |

### Under corruption, all attribute types

| method      | labels   | clean        | fog/3      |
|:------------|:---------|:-------------|:-----------|
| good        | 1        | 100.0 ± 0.0* | 0.0 ± 0.0* |
| floor/prior | 1        | 0.0 ± 0.0    | 1 missing  |
| none        | 1        | 0.0 ± 0.0▽   | 1 missing  |
| lost        | 1        | 1 failed     | 1 missing  |

## Not ok

1 failed: lost darn f=1 clean
1 missing: floor/prior darn f=1 fog/3
1 missing: lost darn f=1 fog/3
1 missing: none darn f=1 fog/3
"""


@pytest.fixture
def store(tmp_path):
    found = Store(tmp_path / "store")
    write(found, "good", skill=1.0)
    write(found, "good", skill=0.0, corruption="fog", severity=3)
    write(found, "floor", row="prior", skill=0.0)
    write(found, "none", skill=0.0)
    write(found, "lost", status="failed")
    return found


def rows(store):
    return build(store.records(), store.load_arrays).to_dict("records")


def test_markdown_is_the_expected_text(store):
    assert to_markdown(rows(store)) == MARKDOWN


def report(store, tmp_path, name):
    assert main(["report", "--store", str(store.root), "--out", str(tmp_path / name)]) == 0
    text = (tmp_path / name / "leaderboard.md").read_text()
    tables = [[line.split("|")[1:-1] for line in part.splitlines()[2:]] for part in text.split("\n\n") if part.startswith("| method")]
    return text, [[[cell.strip() for cell in line] for line in table] for table in tables]


def test_every_label_fraction_has_its_lines_whatever_conditions_it_has(tmp_path):
    store = Store(tmp_path / "store")
    write(store, "good", skill=1.0)
    for fraction, skills in ((1.0, (0.0, 1.0)), (0.25, (1.0, 0.5)), (0.5, (1.0, 0.5))):
        for name, skill in zip(("good", "bad"), skills, strict=True):
            write(store, name, skill=skill, corruption="fog", severity=3, label_fraction=fraction)
    _, (clean, corrupted) = report(store, tmp_path, "out")
    assert [line[:2] for line in corrupted] == [[name, fraction] for fraction in ("0.25", "0.5", "1") for name in ("good", "bad")]
    assert [line[2] for line in corrupted] == ["", "", "", "", "100.0 ± 0.0*", "1 missing"]
    assert all(line[3] for line in corrupted)
    assert [line[2] for line in clean] == ["missing"] * 4 + ["100.0 ± 0.0*", "1 missing"]


def test_without_clean_cells_each_method_is_said_to_miss_them(tmp_path):
    store = Store(tmp_path / "store")
    write(store, "good", corruption="fog", severity=3)
    _, (clean, corrupted) = report(store, tmp_path, "out")
    assert clean == [["good", "1", "missing"]]
    assert corrupted[0][:2] == ["good", "1"]


def test_a_figure_of_older_sources_is_marked_beside_newer_ones(store, tmp_path):
    text, (_, corrupted) = report(store, tmp_path, "before")
    assert "†" not in text
    write(store, "good", skill=1.0, env={"source_hash": "new"}, finished=2.0)
    text, (_, corrupted) = report(store, tmp_path, "after")
    assert corrupted[0] == ["good", "1", "100.0 ± 0.0*", "0.0 ± 0.0*†"]
    assert "† of an older version" in text
    assert text.count("†") == 2
    write(store, "good", skill=0.0, corruption="fog", severity=3, env={"source_hash": "new"}, finished=3.0)
    assert "†" not in report(store, tmp_path, "after")[0]


def test_many_conditions_that_lack_a_result_are_counted_not_listed(store):
    for severity in range(1, 6):
        for name in ("snow", "frost"):
            write(store, "good", skill=1.0, corruption=name, severity=severity)
    assert "1 missing: none darn f=1 fog/3 frost/1 frost/2 frost/3 and 7 more" in to_markdown(rows(store))


def test_the_overview_and_latex_name_the_stand_in(store):
    frame = rows(store)
    assert "darn (synthetic), F1@1, clean\nSYNTHETIC" in overview(frame)
    assert "% SYNTHETIC" in to_tex(frame)
    assert "\\toprule" in to_tex(frame)
    assert "100.0 $\\pm$ 0.0* &" in to_tex(frame)
    assert "0.0 $\\pm$ 0.0$\\triangledown$" in to_tex(frame)


def test_the_command_writes_the_leaderboard_as_built(store, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["report", "--store", str(store.root), "--out", str(out)]) == 0
    assert "1 failed: lost" in capsys.readouterr().out
    assert (out / "leaderboard.md").read_text() == MARKDOWN
    with (out / "leaderboard.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    frame = build(store.records(), store.load_arrays)
    assert [line["method"] for line in lines] == list(frame.method)
    assert [float(line["mean"] or "nan") for line in lines] == pytest.approx(list(frame["mean"]), abs=1e-6, nan_ok=True)


def test_an_empty_store_is_said_and_fails(tmp_path, capsys):
    assert main(["report", "--store", str(tmp_path), "--out", str(tmp_path / "out")]) == 1
    assert "no record in" in capsys.readouterr().out
