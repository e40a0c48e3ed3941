"""Caches that lost bytes, or whose build was killed together with the run: the next run builds them whole."""

import os
import signal

import numpy as np
import pytest
from faulty import records, run_here, session, start, until
from PIL import Image

from bench.working import open_dataset


def pixels(place):
    [folder] = (place / "cache/pixels").glob("[!.]*[!k]")  # neither a build under way nor a lock
    return folder


@pytest.mark.parametrize("share", [0, 0.5])
@pytest.mark.parametrize(
    "name", ["pixels/*/pixels.npy", "pixels/*/sizes.npy", "pixels/*/faults.json", "index/*/paths.bin", "index/*/meta.json"]
)
def test_what_lost_bytes_is_built_again(place, name, share):
    assert run_here(place) == 0
    open_dataset.cache_clear()  # its pixels are mapped
    [path] = (place / "cache").glob(name)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    assert run_here(place, "--seeds", "0-1", store="other") == 0
    assert path.read_bytes() == content
    assert {record["status"] for record in records(place, "other").values()} == {"ok"}


def test_a_run_killed_while_it_decodes_leaves_no_half_cache(place):
    for picture in (place / "photos").glob("*.jpg"):  # large, so that there is time
        Image.open(picture).resize((3000, 3000)).save(picture)
    driver = start(place, "--jobs", "1")
    until(lambda: list((place / "cache/pixels").glob(".*/pixels.npy")))
    os.killpg(driver.pid, signal.SIGKILL)
    driver.wait()
    driver.stderr.close()
    until(lambda: not session(driver.pid), 15)
    assert list((place / "cache/pixels").glob("*/complete")) == []
    assert run_here(place) == 0
    assert list((place / "cache/pixels").glob(".*")) == []
    found = np.load(pixels(place) / "pixels.npy")
    assert sorted(set(found[:, 0, 0, 0].tolist())) == [60, 160]  # the two shades, of every picture
    assert len(found) == 24
