from dataclasses import replace

import pytest

from bench import registry
from bench.protocol import BadDataError
from datasets import ficcy as loader
from datasets._open import check, describe, open_dataset
from datasets._schema import Problems

HEADER = "file_name,seller,category,color,pattern,texture\n"
FILES = {
    "train/metadata.csv": HEADER + "a.jpg,x,dress,red|blue,stripe,\nb.jpg,x,tee,red,,knit\n",
    "val/metadata.csv": HEADER + "c.jpg,y,tee,blue,dot,knit\n",
    "test/metadata.csv": HEADER + "d.jpg,y,dress,,stripe,denim\n",
}


def write(root, files):
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def test_the_four_types_in_their_order_and_no_other_column(tmp_path):
    problems = Problems()
    found = loader.read(write(tmp_path, FILES), problems)
    assert problems.found == []
    assert [(kind.name, kind.classes, kind.exclusive) for kind in found.schema] == [
        ("category", ("dress", "tee"), True),
        ("color", ("blue", "red"), False),
        ("pattern", ("dot", "stripe"), True),
        ("texture", ("denim", "knit"), True),
    ]
    rows = {path: row for row, path in enumerate(found.paths)}
    assert found.labels["color"][rows["train/a.jpg"]].tolist() == [1, 1]
    assert found.labels["color"][rows["test/d.jpg"]].tolist() == [-1, -1]
    assert found.labels["texture"][rows["train/a.jpg"]].tolist() == [-1, -1]
    assert {path: int(found.splits[row]) for path, row in rows.items()} == {
        "train/a.jpg": 0,
        "train/b.jpg": 0,
        "val/c.jpg": 1,
        "test/d.jpg": 2,
    }


def test_an_image_that_the_set_lists_for_training_stays_there_without_a_label(tmp_path):
    found = loader.read(write(tmp_path, {**FILES, "train/metadata.csv": FILES["train/metadata.csv"] + "e.jpg,x,,,,\n"}), Problems())
    assert int(found.splits[found.paths.index("train/e.jpg")]) == 0


def test_attributes_json_renames_columns_and_lists_classes(tmp_path):
    text = '{"category": {"column": "seller", "values": ["y", "x", "z"]}, "color": {"kind": "multi"}, "brand": {"column": "nothing"}}'
    found = loader.read(write(tmp_path, {**FILES, "attributes.json": text}), Problems())
    assert found.schema.names == loader.TYPES
    assert found.schema["category"].classes == ("y", "x", "z")


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (
            {"train/metadata.csv": "file_name,category,color\na.jpg,dress,red\n"},
            "type 'pattern' reads column 'pattern', but there are category, color",
        ),
        (
            {**FILES, "attributes.json": '{"texture": {"column": "cloth"}}'},
            "attributes.json: type 'texture' reads column 'cloth', but there are",
        ),
        ({"val/metadata.csv": FILES["val/metadata.csv"]}, "no training images"),
    ],
)
def test_what_is_missing_is_named(tmp_path, files, message):
    with pytest.raises(BadDataError, match=message):
        loader.read(write(tmp_path, files), Problems())


def test_a_split_that_changes_is_read_anew(data_root, options, make_photo):
    root = write(data_root / "ficcy", FILES)
    for name in ("train/a", "train/b", "val/c", "test/d", "test/e"):
        make_photo(root / f"{name}.jpg", len(name))
    assert check("ficcy", options) == []
    assert describe("ficcy", options).num_images["test"] == 1
    write(root, {"test/metadata.csv": FILES["test/metadata.csv"] + "e.jpg,y,tee,red,dot,knit\n"})
    assert describe("ficcy", options).num_images["test"] == 2
    make_photo(root / "unlabeled/f.jpg", 9)
    assert describe("ficcy", options).num_images["unlabeled"] == 1


def test_without_files_a_stand_in_is_rendered_and_read(tmp_path, options, monkeypatch):
    small = {"tiny": {"layout": "ficcy", "num": {"train": 60, "val": 6, "test": 6}, "long_side": 32, "seed": 0}}
    real = registry.entry("datasets", "ficcy")
    monkeypatch.setattr(registry, "entry", lambda kind, name: replace(real, constants={**real.constants, "STANDIN": small}))
    opened = open_dataset("ficcy", replace(options, data="auto"))
    assert opened.source == "synthetic"
    assert opened.num_images == {"train": 60, "val": 6, "test": 6, "unlabeled": 0}
    assert [(kind.name, kind.exclusive) for kind in opened.schema] == [
        ("category", True),
        ("color", False),
        ("pattern", True),
        ("texture", True),
    ]
    assert opened.problems == ()
