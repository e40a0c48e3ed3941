"""Shared settings of the tests: no leftover environment, and torchvision mended where it must be."""

import os

import pytest
from hypothesis import settings

from bench.compat import fix_torchvision

settings.register_profile("bench", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("bench")
for _name in ("BENCH_DATA", "BENCH_CACHE", "BENCH_PLUGINS", "BENCH_STORE"):
    os.environ.pop(_name, None)
fix_torchvision()


@pytest.fixture(scope="session")
def realdata():
    """The folder of real photographs named by BENCH_REALDATA."""
    from pathlib import Path

    folder = os.environ.get("BENCH_REALDATA")
    if not folder:
        message = "BENCH_REALDATA is not set to a folder of real photographs"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    return Path(folder).resolve()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Tests that share fits or fixtures run in one worker: those of a file, and those of a row in the contract suite."""
    for item in items:
        name = item.path.name
        row = getattr(item, "callspec", None)
        if name == "test_contract.py" and row is not None and "fitted" in row.params:
            name += "/".join(row.params["fitted"])
        item.add_marker(pytest.mark.xdist_group(name))
