"""A store that nobody may write to: a run ends before it begins, and whatever only reads works."""

import pytest
from faulty import mounted, remount, run_here

from bench import cli


@pytest.fixture
def store(place):
    """A store with two cells on a disk that is read-only since."""
    with mounted(place / "disk", "size=4m") as disk:
        assert run_here(place, "--seeds", "0-1", store="disk/store") == 0
        remount(disk, "ro")
        yield disk / "store"


@pytest.mark.parametrize("name", ["disk/store", "disk/new/store"])
@pytest.mark.parametrize("launcher", ["inline", "process"])
def test_a_run_ends_with_2_before_anything_is_trained(place, store, name, launcher, capsys):
    (place / "plugins/methods/fits").unlink(missing_ok=True)
    capsys.readouterr()
    assert run_here(place, "--methods", "gated", store=name, launcher=launcher) == 2
    line = f"bench run: {place / name} is read-only here; --store DIR takes another place (report, status and claims only read)\n"
    assert capsys.readouterr().err == line
    assert not (place / "plugins/methods/fits").exists()


def test_a_dry_run_status_claims_and_a_report_work(place, store, capsys):
    assert run_here(place, "--seeds", "0-2", "--dry-run", store="disk/store") == 0
    assert "3 cells, 1 to do" in capsys.readouterr().out
    assert cli.main(["status", "--store", str(store)]) == 0
    assert "2 cells: 2 ok" in capsys.readouterr().out
    assert cli.main(["claims", "--store", str(store)]) == 0
    assert cli.main(["report", "--store", str(store), "--out", str(place / "report")]) == 0
    assert (place / "report/index.html").exists()
    assert len((place / "report/leaderboard.csv").read_text().splitlines()) > 2


def test_a_report_into_a_read_only_folder_says_so(place, store, capsys):
    assert cli.main(["report", "--store", str(store), "--out", str(store.parent / "report")]) == 1
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith(f"bench report: [Errno 30] Read-only file system: '{store.parent}/report")
