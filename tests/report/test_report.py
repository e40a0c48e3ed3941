"""The whole command: what it writes, that it writes it again alike, computes only what moved, and never imports torch."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from handmade import write, write_many

from bench import claim_entries, tables
from bench.cli import main
from bench.report import board, groups, write_claims, write_summaries, write_tables
from bench.report import write as write_report
from bench.report.cache import Cache
from bench.report.figures import Figures
from bench.report.index import read_records
from bench.store import Store

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    store = Store(tmp_path_factory.mktemp("sweep"))
    write_many(store, 594)  # 33 conditions of six methods and three seeds
    return store


def report(store, out):
    """All but the page; returns how many pieces were computed."""
    cache = Cache(out / ".cache" / "report.json")
    records = read_records(store, out / ".cache" / "records.json")
    figures = Figures(records, store)
    board.write_board(out, board.make_board(records, figures.group_of, cache), cache)
    write_tables(out, figures, cache)
    write_claims(out, figures, cache)
    write_summaries(out, figures, cache)
    cache.save()
    return cache.made


def files(out):
    return {
        path.relative_to(out).as_posix(): path.read_bytes()
        for path in sorted(out.rglob("*"))
        if path.is_file() and ".cache" not in path.parts
    }


def test_a_report_made_again_computes_nothing_and_a_fresh_one_gives_the_same_bytes(sweep, tmp_path):
    assert report(sweep, tmp_path / "one") > 0
    first = files(tmp_path / "one")
    assert report(sweep, tmp_path / "one") == 0
    assert files(tmp_path / "one") == first
    report(sweep, tmp_path / "two")
    assert files(tmp_path / "two") == first
    assert {"leaderboard.csv", "leaderboard.md", "leaderboard.tex", "claims.json", "claims.md"} <= set(first)
    assert {f"tables/{name}.{ending}" for name in ("robustness", "cost", "critical-difference") for ending in ("csv", "md")} <= set(first)


def test_a_first_report_reads_each_record_once_and_resamples_each_cell_once(sweep, tmp_path, monkeypatch):
    read, resampled = [], []
    keep, resample = Store.read, groups.resample
    monkeypatch.setattr(Store, "read", lambda store, key: read.append(key) or keep(store, key))
    monkeypatch.setattr(groups, "resample", lambda seeds: resampled.append(len(seeds)) or resample(seeds))
    report(sweep, tmp_path)
    assert len(read) == len(set(read)) == 594
    assert len(resampled) == len(Figures(sweep.records(), sweep).groups) > 2 * groups._RESAMPLES.num_kept
    assert sum(resampled) == 594


def test_the_index_knows_which_code_made_a_record_without_reading_it(tmp_path, monkeypatch):
    store = Store(tmp_path / "store")
    write(store, "mtss", env={"source_hash": "abc", "torch": "2.6"})
    first = read_records(store, tmp_path / "index.json")
    monkeypatch.setattr(Store, "read", lambda store, key: pytest.fail("read again"))
    again = read_records(store, tmp_path / "index.json")
    assert [dict.get(each[0], "source_hash") for each in (first, again)] == ["abc", "abc"]
    assert [groups.source_of(each) for each in again] == ["abc"]


def test_one_new_record_moves_its_own_condition_alone(tmp_path):
    store = Store(tmp_path / "store")
    write_many(store, 200)
    report(store, tmp_path / "out")
    before = files(tmp_path / "out")
    write(store, "newcomer", dataset="darn", label_fraction=0.25, corruption="none", severity=0, seed=0, data_hash="d" * 64, split="test",
          protocol_id="v1/darn/test/64px/native/pool=1")  # fmt: skip
    cache = Cache(tmp_path / "out" / ".cache" / "report.json")
    records = read_records(store, tmp_path / "out" / ".cache" / "records.json")
    computed = []
    real = board._chunk
    try:
        board._chunk = lambda condition, *rest: computed.append(condition.severity) or real(condition, *rest)
        board.write_board(tmp_path / "out", board.make_board(records, Figures(records, store).group_of, cache), cache)
    finally:
        board._chunk = real
    # its own condition, and those of its data set and label fraction, where it is missing now
    assert computed.count(0) == 1
    assert b"newcomer" in (tmp_path / "out" / "leaderboard.csv").read_bytes()
    assert b"newcomer" not in before["leaderboard.csv"]


def test_a_page_is_made_again_where_a_claim_or_a_printed_figure_changed(tmp_path, monkeypatch):
    store = Store(tmp_path / "store")
    for row, skill in (("student", 0.9), ("teacher", 0.3)):
        write(store, "mtss", row=row, skill=skill, dataset="deepfashion", protocol_id="v1/deepfashion/test/64px/native/pool=1")
    results = tmp_path / "results"
    shutil.copytree(ROOT / "results", results, ignore=shutil.ignore_patterns("reference", "kernels*", "LOG.md"))
    for module in (tables, claim_entries):
        monkeypatch.setattr(module, "RESULTS", results)

    def page():
        for cached in (tables._entries, tables._load, claim_entries._entries):
            cached.cache_clear()
        assert write_report(store.root, tmp_path / "out") == 0
        return (tmp_path / "out" / "index.html").read_text(encoding="utf-8")

    def change(name, old, new):
        text = (results / name).read_text(encoding="utf-8")
        assert old in text
        (results / name).write_text(text.replace(old, new), encoding="utf-8")

    assert "A claim of another wording." not in page()
    statement = next(line for line in (results / "claims.toml").read_text(encoding="utf-8").splitlines() if line.startswith("statement"))
    change("claims.toml", statement, 'statement = "A claim of another wording."')
    assert "A claim of another wording." in page()
    change("tables.toml", 'title = "Top-k recall on DeepFashion"', 'title = "Another title"')
    assert "Another title" in page()
    change("reported/mtss_table1.csv", ",57.85,", ",57.86,")
    assert "57.86" in page()
    for cached in (tables._entries, tables._load, claim_entries._entries):
        cached.cache_clear()


def test_a_record_without_any_figure_is_said_and_no_crash(tmp_path):
    store = Store(tmp_path / "store")
    empty = {
        "hits": np.zeros((4, 1, 3), np.uint8),
        "num_predictions": np.ones((4, 1, 3), np.uint8),
        "num_positives": np.zeros((4, 1), np.uint8),
    }
    write(store, "supervised", arrays=empty, metrics={}, per_attribute={"category": {}})
    assert write_report(store.root, tmp_path / "out") == 0
    assert "no figure" in (tmp_path / "out" / "leaderboard.csv").read_text(encoding="utf-8")


def test_a_drawing_is_left_alone_unless_its_data_changed_or_it_is_gone(sweep, tmp_path):
    report(sweep, tmp_path)
    path = tmp_path / "figures" / "cost-darn.svg"
    text = path.read_bytes()
    path.write_bytes(b"mine")
    report(sweep, tmp_path)
    assert path.read_bytes() == b"mine"
    path.unlink()
    report(sweep, tmp_path)
    assert path.read_bytes() == text


def test_neither_report_nor_claims_nor_compare_imports_torch(tmp_path):
    store = Store(tmp_path / "store")
    write_many(store, 30)
    program = (
        "import sys; from bench.cli import main; store, out = sys.argv[1:];"
        "codes = [main(['report', '--store', store, '--out', out]), main(['report', '--store', store, '--out', out]),"
        " main(['claims', '--store', store]), main(['report', '--compare', store, store])];"
        "print(codes, [name for name in ('torch', 'torchvision', 'timm') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(store.root), str(tmp_path / "out")], cwd=ROOT, capture_output=True, text=True, timeout=240
    )
    assert done.stdout.strip().splitlines()[-1] == "[0, 0, 0, 0] []", done.stderr


def test_the_second_report_draws_nothing_and_needs_neither_pandas_nor_matplotlib(tmp_path):
    store = Store(tmp_path / "store")
    write_many(store, 30)
    assert main(["report", "--store", str(store.root), "--out", str(tmp_path / "out")]) == 0
    program = (
        "import sys; from bench.cli import main; code = main(['report', '--store', sys.argv[1], '--out', sys.argv[2]]);"
        "print(code, [name for name in ('matplotlib', 'pandas', 'sklearn') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(store.root), str(tmp_path / "out")], cwd=ROOT, capture_output=True, text=True, timeout=240
    )
    assert done.stdout.strip().splitlines()[-1] == "0 []", done.stderr


@pytest.mark.parametrize("status", ["failed", "timeout", "no_data"])
def test_what_is_lost_or_missing_shows_in_a_paper_table_and_is_no_zero(status, tmp_path):
    store = Store(tmp_path / "store")
    place = {"dataset": "ficcy", "protocol_id": "v1/ficcy/test/64px/native/pool=1", "data_hash": "f" * 64}
    write(store, "mtss", row="student", skill=0.6, **place)
    write(store, "mtss", row="teacher", status=status, **place)
    report(store, tmp_path / "out")
    text = (tmp_path / "out" / "tables" / "mtss-5.md").read_text()
    row = next(line for line in text.splitlines() if line.startswith("| MTSS teacher"))
    assert f"1 {status}" in row
    assert "0.00" not in row
    single = next(line for line in text.splitlines() if line.startswith("| MTSS student, single"))
    assert "1 missing" in single
    counted = next(line for line in text.splitlines() if line.startswith("Not ok:"))
    assert f" 1 {status}" in counted
    assert "missing" in counted


def test_nothing_of_another_store_stays_beside_a_report(tmp_path, monkeypatch):
    out = tmp_path / "out"
    first, second = Store(tmp_path / "first"), Store(tmp_path / "second")
    for dataset in ("darn", "ficcy", "naver"):
        for name in ("a", "b", "mtss"):
            pool = f"v1/{dataset}/test/64px/native/pool=1"
            write(first, name, row="student" * (name == "mtss"), dataset=dataset, data_hash=dataset[0] * 64, protocol_id=pool)
    write(second, "a", dataset="darn")
    assert main(["report", "--store", str(first.root), "--out", str(out)]) == 0
    before = set(files(out))
    assert {
        "tables/over-data-sets.csv",
        "figures/over-data-sets-synthetic-tiny-1.svg",
        "tables/mtss-4.csv",
        "figures/cost-ficcy.svg",
    } <= before
    (out / "tables" / "mine.txt").write_text("")
    assert main(["report", "--store", str(second.root), "--out", str(out)]) == 0
    assert main(["report", "--store", str(second.root), "--out", str(tmp_path / "alone")]) == 0
    assert set(files(out)) == {*files(tmp_path / "alone"), "tables/mine.txt"}
    assert files(out)["index.html"] == files(tmp_path / "alone")["index.html"]


def test_a_list_of_files_that_somebody_wrote_deletes_nothing_outside(tmp_path):
    (tmp_path / "tables").mkdir()
    names = ["../kept", "tables/../kept", "kept", "tables/sub/kept", str(tmp_path / "kept")]
    (tmp_path / "kept").write_text("")
    (tmp_path / "tables" / "gone.csv").write_text("")
    cache = Cache(tmp_path / "out" / "cache.json")
    cache.before["files"] = ["", [*names, "tables/gone.csv", 3, None]]
    cache.drop_others(tmp_path)
    assert (tmp_path / "kept").exists()
    assert not (tmp_path / "tables" / "gone.csv").exists()
    cache.before["files"] = ["", 3]
    cache.drop_others(tmp_path)
