"""A disk without room, wherever a run meets it: one line says so, what was written stays readable, and typing again goes on."""

import json
import os
import shutil

import pytest
from faulty import mounted, records, remount, run, run_here
from planted import PLAIN, plant

from bench.store import Store, UnwritableError

PAGE = os.sysconf("SC_PAGE_SIZE")
LARGE = PLAIN.replace("class Plain", "class Large").replace(
    "        return module\n", '        module.register_buffer("ballast", torch.zeros(100_000))\n        return module\n'
)


def leave(folder, num_pages):
    """Fills a file system up to so many pages; deleting the file that it returns makes room again."""
    ballast = folder / "ballast"
    with open(ballast, "wb") as file:
        file.write(bytes(shutil.disk_usage(folder).free - num_pages * PAGE))
    return ballast


@pytest.mark.parametrize("num_pages", range(13))
def test_wherever_the_store_is_full_the_same_command_goes_on(place, num_pages, capsys):
    with mounted(place / "disk", "size=1m") as disk:
        ballast = leave(disk, num_pages)
        assert run_here(place, "--seeds", "0-2", store="disk/store") == 1
        last = capsys.readouterr().err.splitlines()[-1]
        assert last.startswith(f"bench run: [Errno 28] No space left on device: '{disk}/store")
        assert last.endswith("; mend that and type the same command again")
        before = {key: record["finished"] for key, record in records(place, "disk/store").items()}
        assert len(before) < 3
        assert {record["status"] for record in records(place, "disk/store").values()} <= {"ok"}
        assert list(disk.rglob(".tmp-*")) == []
        ballast.unlink()
        assert run_here(place, "--seeds", "0-2", store="disk/store") == 0
        after = records(place, "disk/store")
        assert [record["attempt"] for record in after.values()] == [1, 1, 1]
        assert {key: after[key]["finished"] for key in before} == before


def test_a_worker_without_room_for_a_model_ends_the_run_with_one_line(place):
    plant(place / "plugins", large=LARGE)
    with mounted(place / "disk", "size=1m") as disk:
        ballast = leave(disk, 60)
        done = run(place, "--methods", "plain,large", "--jobs", "1", store="disk/store")
        assert done.returncode == 1
        assert "Traceback" not in done.stderr
        assert "bench run: [Errno 28] No space left on device: " in done.stderr.splitlines()[-1]
        assert "model.safetensors" in done.stderr.splitlines()[-1]
        assert [record["method"] for record in records(place, "disk/store").values()] == ["plain"]
        ballast.unlink()
        done = run(place, "--methods", "plain,large", "--jobs", "1", store="disk/store")
        assert done.returncode == 0, done.stderr
        assert [record["attempt"] for record in records(place, "disk/store").values()] == [1, 1]


def test_no_room_for_pixels_costs_their_data_set_only_and_is_named(place, capsys):
    with mounted(place / "cache", "size=256k") as disk:
        assert run_here(place, "--set", "plain.image_size=64") == 1  # 24 images of 12 KB
        [record] = records(place).values()
        assert record["status"] == "failed"
        assert record["reason"].startswith("OSError: [Errno 28] no room for 0.0 GiB of pixels: No space left on device")
        assert list(disk.glob("pixels/*/complete")) == []
        remount(disk, "size=4m")
        assert run_here(place, "--set", "plain.image_size=64") == 0
        assert [(record["status"], record["attempt"]) for record in records(place).values()] == [("ok", 2)]


def test_without_an_inode_nothing_is_half_written(place):
    with mounted(place / "disk", "size=1m", "nr_inodes=5") as disk:
        store = Store(disk / "store")
        store.root.mkdir()
        with pytest.raises(UnwritableError, match=r"No space left on device: '.*/models/abc/complete.json'"):
            store.save_model("abc", {}, {})
        assert not store.has_model("abc")
        remount(disk, "nr_inodes=50")
        store.save_model("abc", {}, {"fit_seconds": 1.0})
        assert store.model_facts("abc") == json.loads('{"fit_seconds": 1.0}')
