"""The leaderboard as text."""

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

### Under corruption, all attribute types

| method      | labels   | clean        | fog/3      |
|:------------|:---------|:-------------|:-----------|
| good        | 1        | 100.0 ± 0.0* | 0.0 ± 0.0* |
| floor/prior | 1        | 0.0 ± 0.0    |            |
| none        | 1        | 0.0 ± 0.0▽   |            |

## Not ok

1 failed: lost darn f=1 clean
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


def test_markdown_is_the_expected_text(store):
    assert to_markdown(build(store.records(), store.load_arrays)) == MARKDOWN


def test_the_overview_and_latex_name_the_stand_in(store):
    frame = build(store.records(), store.load_arrays)
    assert "darn (synthetic), F1@1, clean\nSYNTHETIC" in overview(frame)
    assert "% SYNTHETIC" in to_tex(frame)
    assert "\\toprule" in to_tex(frame)
    assert "100.0 $\\pm$ 0.0* &" in to_tex(frame)
    assert "0.0 $\\pm$ 0.0$\\triangledown$" in to_tex(frame)


def test_the_command_writes_three_files(store, tmp_path, capsys):
    assert main(["report", "--store", str(store.root), "--out", str(tmp_path / "out")]) == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["leaderboard.csv", "leaderboard.md", "leaderboard.tex"]
    assert "1 failed: lost" in capsys.readouterr().out


def test_an_empty_store_is_said_and_fails(tmp_path, capsys):
    assert main(["report", "--store", str(tmp_path), "--out", str(tmp_path / "out")]) == 1
    assert "no record in" in capsys.readouterr().out
