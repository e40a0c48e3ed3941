"""A sweep in an archive: read as the store was, small, updated in part, compared without its store, and refused where it is damaged."""

import csv
import json
import lzma
import shutil
from pathlib import Path

import numpy as np
import pytest
from handmade import counts, write

from bench.archive import Archive, add, identity, is_archive
from bench.cli import main
from bench.compare import compare, opened
from bench.protocol import AttributeType, Schema
from bench.spec import UsageError
from bench.store import Store

PLACE = {"split": "test"}
REFERENCE = Path(__file__).parents[1] / "results" / "reference"


@pytest.fixture
def store(tmp_path):
    found = Store(tmp_path / "store")
    for place, name in enumerate(("one", "other")):
        for seed in range(2):
            for dataset in ("darn", "folder:my photos"):
                write(found, name, arrays=counts(0.4 + place / 10, seed), seed=seed, dataset=dataset, **PLACE)
    write(found, "broken", status="failed", **PLACE)
    schema = Schema((AttributeType("category", ("a", "b"), True),))
    found.save_split("d" * 64, "test", schema, {"category": np.eye(2, dtype=np.int8)})
    return found


def test_it_reads_as_the_store(store, tmp_path):
    assert add(tmp_path / "kept", store) == 8
    archive = Archive(tmp_path / "kept")
    before = {identity(record): record for record in store.records() if record["status"] == "ok"}
    after = {identity(record): record for record in archive.records()}
    assert before.keys() == after.keys()
    for place, record in after.items():
        moved = {"predictions_path", "per_class_path"}
        assert {name: value for name, value in record.items() if name not in moved} == {
            name: value for name, value in before[place].items() if name not in moved
        }
        expected, found = store.load_arrays(before[place]["predictions_path"]), archive.load_arrays(record["predictions_path"])
        assert expected.keys() == found.keys()
        assert all(np.array_equal(expected[name], found[name]) for name in expected)
    assert archive.load_split("d" * 64, "test")[1]["category"].tolist() == [[True, False], [False, True]]


def test_what_pictures_need_is_left_out_and_decisions_stay(tmp_path):
    store = Store(tmp_path / "store")
    extra = {"top_scores": np.zeros((200, 2, 5), np.float16), "embeddings/category": np.zeros((200, 8), np.float32)}
    write(
        store,
        "m",
        arrays={**counts(0.5), **extra, "f2/part": np.ones((200, 1), np.uint8), "f2@0.5/part": np.ones((200, 1), np.uint8)},
        **PLACE,
    )
    add(tmp_path / "kept", store)
    (record,) = Archive(tmp_path / "kept").records()
    found = Archive(tmp_path / "kept").load_arrays(record["predictions_path"])
    assert set(found) == {"hits", "num_predictions", "num_positives", "f2/part", "f2@0.5/part"}


def test_a_cell_takes_the_place_of_its_like_and_others_stay(store, tmp_path):
    kept = tmp_path / "kept"
    add(kept, store)
    before = {path: path.read_bytes() for path in kept.rglob("*") if path.is_file()}
    add(kept, store)
    assert before == {path: path.read_bytes() for path in kept.rglob("*") if path.is_file()}
    newer = Store(tmp_path / "newer")
    write(newer, "one", arrays=counts(0.9, 7), seed=0, dataset="darn", finished=2.0, **PLACE)
    add(kept, newer)
    values = {(record["method"], record["dataset"], record["seed"]): record["metrics"]["f1@1"] for record in Archive(kept).records()}
    assert len(values) == 8
    assert values["one", "darn", 0] > 0.8
    assert values["one", "darn", 1] < 0.6
    record = next(record for record in Archive(kept).records() if record["metrics"]["f1@1"] > 0.8)
    assert Archive(kept).load_arrays(record["predictions_path"])["hits"][:, :, 0].mean() > 0.8
    touched = {path.relative_to(kept).as_posix() for path, content in before.items() if path.read_bytes() != content}
    assert touched == {"darn/records.jsonl.xz", "darn/one.safetensors.xz"}


def test_the_gate_compares_with_it(store, tmp_path, capsys):
    baseline = ["--baseline", str(tmp_path / "kept")]
    assert main(["check", "--update", *baseline, "--store", str(store.root)]) == 0
    assert main(["check", "--metrics", *baseline, "--store", str(store.root)]) == 0
    assert "4 cells compared" in capsys.readouterr().out
    fallen = Store(tmp_path / "fallen")
    write(fallen, "other", arrays=counts(0.1), dataset="darn", **PLACE)
    assert main(["check", "--metrics", *baseline, "--store", str(fallen.root)]) == 3
    assert "regression: other darn f=1: f1@1 fell by 0." in capsys.readouterr().out
    assert main(["check", "--metrics", *baseline, "--store", str(tmp_path / "empty")]) == 3
    assert "nothing comparable" in capsys.readouterr().out
    assert main(["check", "--update", *baseline, "--store", str(tmp_path / "empty")]) == 3


def test_a_report_of_it_is_that_of_the_store(store, tmp_path, capsys):
    add(tmp_path / "kept", store)
    for path in store.root.glob("records/*/*.json"):
        if '"failed"' in path.read_text():
            path.unlink()  # an archive holds what is ok
    boards = []
    for root in (store.root, tmp_path / "kept"):
        assert main(["report", "--store", str(root), "--out", str(tmp_path / "report")]) == 0
        boards.append((tmp_path / "report/leaderboard.csv").read_bytes())
        capsys.readouterr()
    assert boards[0] == boards[1]
    assert main(["claims", "--store", str(tmp_path / "kept")]) == 0
    assert "not run" in capsys.readouterr().out


def test_a_report_of_it_gives_each_type_its_own_figures(tmp_path, capsys):
    """Types are in the order of the schema, whatever the alphabet says: neither an archive nor a record decides which figure is whose."""
    store, kinds = Store(tmp_path / "store"), {"texture": 0.9, "fabric": 0.2}
    exact = counts(0.5)
    for place, skill in enumerate(kinds.values()):
        exact["hits"][:, place] = counts(skill, place)["hits"][:, 0]
    values = {name: {"f1@1": float(exact["hits"][:, place, 0].mean())} for place, name in enumerate(kinds)}
    write(store, "one", arrays=exact, per_attribute={**values, "category": {}}, **PLACE)
    for path in store.root.glob("records/*/*.json"):
        record = json.loads(path.read_text())
        for order in (["texture", "fabric"], ["fabric", "texture"]):
            path.write_text(json.dumps({**record, "per_attribute": {name: values[name] for name in order}}))
            if order == list(kinds):
                add(tmp_path / "unlabelled", store)  # photographs' labels are kept nowhere
                store.save_split(
                    "d" * 64,
                    "test",
                    Schema(tuple(AttributeType(name, ("a", "b"), False) for name in kinds)),
                    {name: np.zeros((200, 2), np.int8) for name in kinds},
                )
            add(tmp_path / f"kept-{order[0]}", store)
            for root in (store.root, tmp_path / f"kept-{order[0]}", tmp_path / "unlabelled"):
                assert main(["report", "--store", str(root), "--out", str(tmp_path / "report")]) == 0
                capsys.readouterr()
                with (tmp_path / "report/leaderboard.csv").open(newline="") as file:
                    lines = {line["attribute"]: line for line in csv.DictReader(file) if line["metric"] == "f1@1"}
                assert {name: float(lines[name]["mean"]) for name in kinds} == pytest.approx({name: values[name]["f1@1"] for name in kinds})


def test_each_type_of_the_committed_reference_has_its_own_figures():
    """The order of a record's types is that of its arrays, of photographs too, whose labels are not there to tell."""
    archive, seen = Archive(REFERENCE), set()
    for record in archive.records():
        place = record["dataset"], record["source"]
        if record["method"] == "supervised" and place not in seen:
            seen.add(place)
            arrays = {name: values.astype(int).sum(axis=0) for name, values in archive.load_arrays(record["predictions_path"]).items()}
            found = 2 * arrays["hits"][:, 0] / (arrays["num_positives"] + arrays["num_predictions"][:, 0])
            assert found.tolist() == pytest.approx([figures["f1@1"] for figures in record["per_attribute"].values()])
    assert {source for _, source in seen} == {"real", "synthetic"}
    assert len(seen) == 11


def test_a_report_follows_the_archive(store, tmp_path, capsys):
    add(tmp_path / "kept", store)
    words = ["report", "--store", str(tmp_path / "kept"), "--out", str(tmp_path / "report")]
    assert main(words) == 0
    write(store, "third", arrays=counts(0.9), **PLACE)
    add(tmp_path / "kept", store)
    assert main(words) == 0
    assert "third," in (tmp_path / "report/leaderboard.csv").read_text()
    assert len(list((tmp_path / "report/.cache/store").iterdir())) == 1  # that of before is gone


def test_two_archives_are_compared(store, tmp_path):
    add(tmp_path / "kept", store)
    shutil.copytree(tmp_path / "kept", tmp_path / "same")
    with opened(str(tmp_path / "kept")) as one, opened(str(tmp_path / "same")) as other:
        found = compare(one, other)
    assert len(found.moves) == 4
    assert not found.moved


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no xz",
        lzma.compress(b"no json"),
        lzma.compress(b'{"schema_version": 99}'),
        lzma.compress(b"[]"),
        lzma.compress(b'{"key": 1}'),
    ],
)
def test_damaged_files_are_named(store, tmp_path, content):
    add(tmp_path / "kept", store)
    record = next(record for record in Archive(tmp_path / "kept").records() if (record["method"], record["dataset"]) == ("one", "darn"))
    for name in ("records.jsonl.xz", "one.safetensors.xz"):
        path = tmp_path / "kept" / "darn" / name
        path.write_bytes(content)
    with pytest.raises(UsageError, match=r"records\.jsonl\.xz: damaged"):
        list(Archive(tmp_path / "kept").records())
    with pytest.raises(ValueError, match=r"one\.safetensors\.xz: damaged"):
        Archive(tmp_path / "kept").load_arrays(record["predictions_path"])


def test_a_store_is_no_archive(store, tmp_path, capsys):
    assert not is_archive(store.root)
    assert main(["check", "--update", "--baseline", str(store.root), "--store", str(store.root)]) == 2
    assert "--update writes an archive" in capsys.readouterr().err
