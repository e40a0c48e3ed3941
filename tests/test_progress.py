"""Progress lines, piped and on a terminal."""

import io
import re

import pytest

from bench.plan import Stage
from bench.progress import Progress, cell_text, format_seconds
from bench.spec import CellSpec, DataSpec, FitSpec
from bench.stages import CellResult, StageResult


def cell(seed=0, **fields):
    return CellSpec(FitSpec("mtss", {}, DataSpec("darn", "real", "h", 8, 0.25, 1.0, seed), "s"), "student", "tiny", **fields)


@pytest.mark.parametrize(("seconds", "text"), [(8.14, "8.1s"), (190, "3m10s"), (7500, "2h05m"), (0, "0.0s")])
def test_seconds_are_written_short(seconds, text):
    assert format_seconds(seconds) == text


def test_a_cell_is_named_with_its_condition_and_pool():
    assert cell_text(cell(1)) == "mtss/student darn f=0.25 seed=1"
    assert cell_text(cell(corruption="fog", severity=3)) == "mtss/student darn f=0.25 seed=0 fog/3"


class Terminal(io.StringIO):
    def isatty(self):
        return True


def finish(stream):
    cells = {each.key: each for each in (cell(0), cell(1))}
    stages = [Stage("fit", str(place), (), [each]) for place, each in enumerate(cells.values())]
    progress = Progress(cells, {stage.key: 10.0 for stage in stages}, 2, stream)
    for stage, status in zip(stages, ("ok", "failed"), strict=True):
        progress.step(stage, "train", 3, 9)
        results = [CellResult(stage.cells[0].key, status, "" if status == "ok" else "RuntimeError: no", 8.0)]
        progress.result(stage, StageResult(status, "", 8.0, results))
        progress.result(stage, StageResult(status, "", 8.0, results))  # told twice, counted once
    progress.close()
    return stream.getvalue()


def test_a_pipe_gets_one_plain_line_a_cell():
    assert finish(io.StringIO()) == (
        "[1/2] ok mtss/student darn f=0.25 seed=0 8.0s (eta 4.2s)\n[2/2] failed mtss/student darn f=0.25 seed=1 8.0s: RuntimeError: no\n"
    )


def test_a_terminal_gets_the_lines_and_a_live_bar():
    text = finish(Terminal())
    assert "\x1b[" in text
    assert re.search(r"\[1/2\] ok mtss/student darn f=0\.25 seed=0 8\.0s", text)
