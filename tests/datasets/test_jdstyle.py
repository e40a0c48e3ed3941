import numpy as np
import pytest

from bench.protocol import SPLITS, DataOptions
from datasets import jdstyle as loader
from datasets._open import describe, open_dataset
from datasets._schema import Problems

ORDER = [
    "sports", "casual", "commuting", "japanese", "korean", "western", "british", "girls", "ladies", "simple", "natural", "street",
    "national",
]  # fmt: skip


def row(number, ones=(), url="http://img/x.jpg"):
    return f"{number},{url}," + ",".join(str(int(name in ones)) for name in ORDER)


def make(root, lines, folder="images"):
    (root / folder).mkdir(parents=True)
    (root / "train.txt").write_text("\n".join(lines) + "\n")
    return root


def read(root):
    problems = Problems()
    return loader.read(root, problems), [str(problem) for problem in problems.found]


@pytest.mark.parametrize("folder", ["images", "train", "img"])
def test_everything_the_list_says(tmp_path, folder):
    lines = [row(7, ["sports", "national"]), "", row("8.png", url="http://img/a,b.jpg?x=1,0"), row(9, ORDER)]
    found, problems = read(make(tmp_path, lines, folder))
    assert problems == []
    assert found.folder == folder
    assert found.paths == ["7.jpg", "8.png", "9.jpg"]
    assert [(kind.name, kind.classes, kind.exclusive) for kind in found.schema] == [("style", tuple(ORDER), False)]
    assert found.labels["style"].tolist() == [[1, *[0] * 11, 1], [0] * 13, [1] * 13]
    assert found.where(1) == ("train.txt", 3)
    assert found.boxes is None


def test_splits_are_eight_to_two_and_depend_on_the_id_alone():
    ids = [str(number) for number in range(20_000)]
    found = loader.split_of(ids)
    shares = np.bincount(found, minlength=4) / len(ids)
    np.testing.assert_allclose(shares, [0.7, 0.1, 0.2, 0], atol=0.01)
    assert np.array_equal(loader.split_of(ids[::-3]), found[::-3])
    pinned = {"0": "train", "4": "val", "100020": "test"}
    assert {name: SPLITS[split] for name, split in zip(pinned, loader.split_of(list(pinned)), strict=True)} == pinned


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("7,http://x" + ",0" * 12, "14 fields, expected an id, a URL and 13 labels"),
        ("7" + ",0" * 13, "14 fields, expected an id, a URL and 13 labels"),
        (row(5), "5 is listed twice, first in line 1"),
        ("7,http://x,0,0,2" + ",0" * 10, "commuting is '2', expected 0 or 1"),
        ("7,http://x,0,0," + ",0" * 10, "commuting is '', expected 0 or 1"),
        (row("../../etc/passwd"), "'../../etc/passwd.jpg' leads out of the data set's folder"),
        (row(""), "the id is empty"),
    ],
)
def test_a_damaged_row_is_named(tmp_path, line, message):
    found, problems = read(make(tmp_path, [row(5), line, row(6)]))
    assert problems == [f"train.txt:2: {message}"]
    assert found.paths == ["5.jpg", "6.jpg"]


def test_it_opens(data_root, options, make_photo):
    root = make(data_root / "jdstyle", [row(number, ["ladies"]) for number in range(40)])
    for number in range(40):
        make_photo(root / f"images/{number}.jpg", number)
    opened = open_dataset("jdstyle", options)
    data = opened.training(image_size=16, label_fraction=0.5, unlabeled=1, seed=0)
    assert sum(opened.num_images.values()) == 40
    assert len(data.labeled) + len(data.unlabeled) == opened.num_images["train"]
    assert data.labeled.labels["style"][:, ORDER.index("ladies")].all()
    assert opened.examples("test", image_size=16).images(slice(None)).shape[1:] == (16, 16, 3)


def test_a_stand_in_takes_its_place(tmp_path, monkeypatch):
    stand_in = {"tiny": {"layout": "jdstyle", "num": {"train": 30}, "long_side": 32, "seed": 0}}
    from bench import registry

    entry = registry.entry("datasets", "jdstyle")
    assert set(entry.constants["STANDIN"]) == {"tiny", "paper"}
    monkeypatch.setitem(entry.constants["STANDIN"], "tiny", stand_in["tiny"])
    info = describe("jdstyle", DataOptions(tmp_path / "none", tmp_path / "cache", data="auto"))
    assert (info.source, sum(info.num_images.values())) == ("synthetic", 30)
    assert info.schema.names == ("style",)
