"""Tables as text: a name never adds a cell."""

import re

import pytest
from handmade import write

from bench.report.grids import grid
from bench.report.leaderboard import build
from bench.report.render import to_markdown
from bench.store import Store


def num_cells(line):
    return len(re.findall(r"(?<!\\)\|", line)) - 1


def test_a_bar_in_a_name_stays_in_its_cell_in_markdown_alone():
    heads, lines = ["method", "long|short"], [["a|b", "1"], ["c", "2"]]
    assert [num_cells(line) for line in grid(heads, lines).splitlines()] == [2, 2, 2, 2]
    assert "a\\|b" in grid(heads, lines)
    assert "\\|" not in grid(heads, lines, "simple")


@pytest.mark.parametrize("name", ["long|short", "|", "a|b|c"])
def test_a_type_of_any_name_is_one_column_of_the_leaderboard(name, tmp_path):
    store = Store(tmp_path)
    write(store, "good", per_attribute={"category": {"f1@1": 0.5}, name: {"f1@1": 0.5}})
    table = [line for line in to_markdown(build(store.records(), store.load_arrays).to_dict("records")).splitlines() if line[:1] == "|"]
    assert {num_cells(line) for line in table[:3]} == {5}
