"""Shared settings of the tests: no leftover environment, and torchvision mended where it must be."""

import os

if "PYTEST_XDIST_WORKER" in os.environ:  # one core each; set before numpy is imported
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

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
