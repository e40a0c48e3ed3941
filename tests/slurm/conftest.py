"""A Slurm of our own for the tests that need one, started once."""

import os
import shutil
import tempfile
from pathlib import Path

import pytest

from slurm.devcluster import PACKAGES, DevCluster, missing_programs


@pytest.fixture(scope="session")
def cluster():
    """Three nodes of four cores and two fake GPUs each."""
    missing = missing_programs()
    if missing:
        message = f"{', '.join(missing)} not installed; {PACKAGES}"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    folder = Path(tempfile.mkdtemp(prefix="dc"))  # short: a socket's path may have 107 characters
    found = DevCluster(folder / "c")
    try:
        found.start()
        yield found
    finally:
        found.stop()
        shutil.rmtree(folder)
