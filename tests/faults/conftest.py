"""A catalogue and planted methods for the tests of faults."""

import pytest
from faulty import GATED
from planted import PLAIN, catalogue, forget, plant

from bench.working import open_dataset


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A working folder with a small catalogue and planted methods, which this process and those that it starts see."""
    catalogue(tmp_path / "photos")
    monkeypatch.setenv("BENCH_PLUGINS", str(plant(tmp_path / "plugins", plain=PLAIN, gated=GATED)))
    yield tmp_path
    forget()
    open_dataset.cache_clear()
