"""Shared settings of the tests: no leftover environment, and torchvision mended where it must be."""

import os
import sys
from collections import Counter

if "PYTEST_XDIST_WORKER" in os.environ:  # one core each; set before numpy is imported
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import pytest
from hypothesis import settings
from planted import forget

from bench import registry
from bench.compat import fix_torchvision

settings.register_profile("bench", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("bench")
for _name in ("BENCH_DATA", "BENCH_CACHE", "BENCH_PLUGINS", "BENCH_STORE"):
    os.environ.pop(_name, None)
fix_torchvision()


def pytest_addoption(parser):
    parser.addoption("--plugins", dest="method_plugins", help="a folder whose methods/*.py tests/methods/test_contract.py is to try, too")


def pytest_configure(config):
    if config.getoption("method_plugins"):
        os.environ["BENCH_PLUGINS"] = config.getoption("method_plugins")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    """Files that take long come first, so that none begins when the others have ended; a slow test counts for a hundred others."""
    weights = Counter()
    for item in items:
        weights[item.path] += 100 if item.get_closest_marker("slow") else 1
    items.sort(key=lambda item: (-weights[item.path], str(item.path)))


@pytest.fixture(autouse=True)
def _forget_planted():
    """What a test has planted and imported is nothing to the next one, whose planted files may have the same names."""
    yield
    packages = [sys.modules[kind] for kind in registry.KINDS if kind in sys.modules]
    own = [str(registry.ROOT / kind) for kind in registry.KINDS]
    if all(set(package.__path__) <= set(own) for package in packages):
        return
    for package in packages:
        package.__path__[:] = [path for path in package.__path__ if path in own]
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None) or ""
        if name.startswith(tuple(f"{kind}." for kind in registry.KINDS)) and not file.startswith(str(registry.ROOT)):
            del sys.modules[name]
    forget()


@pytest.fixture(scope="session")
def realdata():
    """The folder of real photographs named by BENCH_REALDATA."""
    from pathlib import Path

    folder = os.environ.get("BENCH_REALDATA")
    if not folder:
        message = "BENCH_REALDATA is not set to a folder of real photographs"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    return Path(folder).resolve()
