"""Where compiled kernels are kept, and that they are used again."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
CODE = """
import sys
sys.path.insert(0, {root!r})
import numpy as np
from datasets.corruptions import _kernel, is_compiled, _weather, _native
before = is_compiled()
image = np.zeros((1, 32, 32, 3), np.uint8)
_native.corrupt(image, "frost", 1, np.zeros((1, 4), np.uint32), image.copy())
stats = _weather._frost.stats
_kernel.mark_compiled()
print(stats.cache_path, sum(stats.cache_hits.values()), sum(stats.cache_misses.values()), before, is_compiled(), sep="|")
"""


def run(root, **environment):
    """Cache folder, hits, misses, and whether all was compiled before and after."""
    kept = {name: value for name, value in os.environ.items() if name not in ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME")}
    code = CODE.format(root=str(root))
    done = subprocess.run([sys.executable, "-c", code], env={**kept, **environment}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    folder, hits, misses, before, after = done.stdout.strip().split("|")
    return folder, int(hits), int(misses), before == "True", after == "True"


@pytest.fixture
def copy(tmp_path):
    """The sources in a folder of their own."""
    for part in ("datasets/corruptions", "bench"):
        shutil.copytree(ROOT / part, tmp_path / "install" / part, ignore=shutil.ignore_patterns("__pycache__"))
    for package in ("datasets", "bench"):
        (tmp_path / "install" / package / "__init__.py").touch()
    return tmp_path / "install"


def test_the_second_process_loads_what_the_first_compiled(tmp_path, copy):
    cache = tmp_path / "cache"
    folder, hits, misses, before, after = run(copy, NUMBA_CACHE_DIR=str(cache))
    assert Path(folder).is_relative_to(cache)
    assert (hits, misses, before, after) == (0, 1, False, True)
    assert run(copy, NUMBA_CACHE_DIR=str(cache))[1:] == (1, 0, True, True)
    source = copy / "datasets/corruptions/_noise.py"
    source.write_text(source.read_text() + "\n# changed\n")
    assert run(copy, NUMBA_CACHE_DIR=str(cache))[3] is False  # some kernel may have changed


def test_beside_the_sources_by_default(copy):
    assert Path(run(copy)[0]) == copy / "datasets/corruptions/__pycache__"


def test_in_the_users_cache_where_the_installation_cannot_be_written(tmp_path, copy):
    (copy / "datasets/corruptions/__pycache__").write_text("not a folder, so that nobody, root neither, can write into it")
    home = {"HOME": str(tmp_path / "home"), "XDG_CACHE_HOME": str(tmp_path / "home/.cache")}
    folder, hits, misses, *_ = run(copy, **home)
    assert Path(folder).is_relative_to(tmp_path / "home")
    assert (hits, misses) == (0, 1)
    assert run(copy, **home)[1:3] == (1, 0)


def test_nowhere_to_write_is_a_warning_and_works(tmp_path, copy):
    (copy / "datasets/corruptions/__pycache__").write_text("")
    (tmp_path / "home").write_text("")
    home = {"HOME": str(tmp_path / "home"), "XDG_CACHE_HOME": str(tmp_path / "home/.cache")}
    folder, *_, before, after = run(copy, **home)
    assert (folder, before, after) == ("None", False, False)
