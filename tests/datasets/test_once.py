import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from datasets import _once
from datasets._once import MARKER, build_once

ROOT = Path(__file__).resolve().parents[2]


def writes(text):
    def build(folder):
        (folder / "text").write_text(text)

    return build


def left(folder):
    """Names beside the target, without its lock."""
    return sorted(path.name for path in folder.iterdir() if path.suffix != ".lock")


def test_built_once(tmp_path):
    build_once(tmp_path / "a/target", writes("one"))
    build_once(tmp_path / "a/target", lambda folder: pytest.fail("built twice"))
    assert (tmp_path / "a/target/text").read_text() == "one"
    assert left(tmp_path / "a") == ["target"]


def test_a_failed_build_leaves_nothing(tmp_path):
    with pytest.raises(OSError, match="full"):
        build_once(tmp_path / "target", lambda folder: (_ for _ in ()).throw(OSError("full")))
    assert left(tmp_path) == []
    build_once(tmp_path / "target", writes("two"))
    assert (tmp_path / "target/text").read_text() == "two"


def test_a_folder_without_its_marker_is_replaced(tmp_path):
    (tmp_path / "target").mkdir()
    (tmp_path / "target/half").touch()
    build_once(tmp_path / "target", writes("whole"))
    assert sorted(os.listdir(tmp_path / "target")) == [MARKER, "text"]
    assert left(tmp_path) == ["target"]


def test_a_stale_folder_is_replaced_while_a_reader_keeps_what_it_opened(tmp_path):
    build_once(tmp_path / "target", writes("old"))
    with open(tmp_path / "target/text") as reader:
        build_once(tmp_path / "target", writes("new"), stale=lambda folder: (folder / "text").read_text() == "old")
        assert reader.read() == "old"
    assert (tmp_path / "target/text").read_text() == "new"
    assert left(tmp_path) == ["target"]


def test_without_locks_the_first_to_finish_wins(tmp_path, monkeypatch):
    def no_locks(file, operation):
        raise OSError("not supported")

    def slow(folder):
        writes("second")(folder)
        build_once(tmp_path / "target", writes("first"))

    monkeypatch.setattr(_once.fcntl, "flock", no_locks)
    build_once(tmp_path / "target", slow)
    assert (tmp_path / "target/text").read_text() == "first"
    assert left(tmp_path) == ["target"]


def test_locks_that_hold_within_a_node_alone_cost_no_node_its_work(tmp_path, monkeypatch):
    def slow(folder):
        writes("second")(folder)
        monkeypatch.setattr(_once.platform, "node", lambda: "node-2.cluster")
        build_once(tmp_path / "target", writes("first"))
        assert (folder / "text").read_text() == "second"

    monkeypatch.setattr(_once.fcntl, "flock", lambda file, operation: None)
    monkeypatch.setattr(_once.platform, "node", lambda: "node-1.cluster")
    build_once(tmp_path / "target", slow)
    assert (tmp_path / "target/text").read_text() == "first"
    assert left(tmp_path) == ["target"]


def test_what_another_node_left_long_ago_is_removed(tmp_path):
    for name, age in ((".target.elsewhere.1.abc", 90000), (".target.elsewhere.1.def", 60), (".target.old", 90000)):
        (tmp_path / name).mkdir()
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    build_once(tmp_path / "target", writes("text"))
    assert sorted(path.name for path in tmp_path.glob(".*")) == [".target.elsewhere.1.def"]


SLOW = (
    f"import sys; sys.path[:0] = [{str(ROOT)!r}]"
    + """
import time
from pathlib import Path
from datasets._once import build_once
def build(folder):
    with open(Path(sys.argv[1], "log"), "a") as file:
        file.write("build\\n")
    (folder / "half").touch()
    time.sleep(1)
    (folder / "half").unlink()
    (folder / "text").write_text("done")
build_once(Path(sys.argv[1], "target"), build)
assert Path(sys.argv[1], "target", "text").read_text() == "done"
"""
)


def test_processes_at_the_same_moment_build_once(tmp_path):
    workers = [subprocess.Popen([sys.executable, "-c", SLOW, str(tmp_path)]) for _ in range(3)]
    assert [worker.wait(60) for worker in workers] == [0, 0, 0]
    assert (tmp_path / "log").read_text() == "build\n"
    assert left(tmp_path) == ["log", "target"]


@pytest.mark.parametrize("asked", [True, False])
def test_a_killed_builder_is_no_obstacle(tmp_path, asked):
    builder = subprocess.Popen([sys.executable, "-c", SLOW.replace("sleep(1)", "sleep(60)"), str(tmp_path)])
    deadline = time.monotonic() + 30
    while not list(tmp_path.glob(".target.*/half")):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    builder.send_signal(signal.SIGKILL)
    if asked:
        builder.wait()
    else:
        os.waitid(os.P_PID, builder.pid, os.WEXITED | os.WNOWAIT)  # killed, but it keeps its number
    assert not (tmp_path / "target").exists()
    build_once(tmp_path / "target", writes("rebuilt"))
    assert (tmp_path / "target/text").read_text() == "rebuilt"
    assert left(tmp_path) == ["log", "target"]
    builder.wait()
