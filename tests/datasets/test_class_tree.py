"""Catalogues without a table: a folder a class, and photos that are found by their names."""

import pytest
from tabled import CLASS_TREE, read, rows, write

from bench.protocol import BadDataError


def test_a_folder_per_class(tmp_path):
    files = {f"{split}/{name}/{i}.jpg": "" for split in ("train", "val", "test") for name in ("dress", "shirt") for i in range(2)}
    found, problems = read(write(tmp_path, files))
    assert problems == []
    assert [(kind.name, kind.classes, kind.exclusive) for kind in found.schema] == [("class", ("dress", "shirt"), True)]
    assert rows(found)["val/shirt/1.jpg"] == (1, {"class": ["shirt"]})
    assert len(found) == 12


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"styles.csv": ""}, "styles.csv: is not read; name it metadata.csv, or use data import"),
        ({"Labels.TSV": ""}, "Labels.TSV: is not read; name it metadata.csv, or use data import"),
        ({"train/labels.jsonl": ""}, "train/labels.jsonl: is not read; name it metadata.jsonl, or use data import"),
        ({"val/x.parquet": "", "train/a/1.jpg": ""}, "val/x.parquet: is not read; name it metadata.parquet, or use data import"),
    ],
)
def test_a_table_that_is_not_read_is_no_folder_per_class(tmp_path, files, message):
    with pytest.raises(BadDataError) as caught:
        read(write(tmp_path, {**CLASS_TREE, **files}))
    assert str(caught.value) == message


def test_what_looks_like_a_table_and_is_none_may_lie_in_a_folder_per_class(tmp_path):
    found, problems = read(write(tmp_path, {**CLASS_TREE, ".styles.csv": "", "dress/sizes.csv": "", "notes.txt": ""}))
    assert (len(found), problems) == (18, [])


@pytest.mark.parametrize("suffix", [".jfif", ".JPE", ".jpeg"])
def test_other_names_of_jpeg_are_images(tmp_path, suffix):
    files = {f"train/dress/{i}{suffix}": "" for i in range(9)} | {f"train/shirt/{i}.jpg": "" for i in range(9)}
    found, problems = read(write(tmp_path, {**files, f"unlabeled/x{suffix}": ""}))
    assert (problems, len(found)) == ([], 19)


def test_photos_of_formats_that_are_not_read_are_counted_by_folder(tmp_path):
    files = {"train/skirt/2.HEIC": "", "train/skirt/1.heic": "", "train/skirt/deep/3.tif": "", "train/dress/4.avif": "", "train/5.jp2": ""}
    files |= {"unlabeled/6.tiff": "", "unlabeled/a/7.heif": "", "unlabeled/.8.heic": ""}
    _, problems = read(write(tmp_path, {f"train/{name}": "" for name in CLASS_TREE} | files))
    said = {"train": "1 files such as train/5.jp2", "train/dress": "1 files such as train/dress/4.avif"}
    said |= {"train/skirt": "3 files such as train/skirt/1.heic", "unlabeled": "1 files such as unlabeled/6.tiff"}
    said["unlabeled/a"] = "1 files such as unlabeled/a/7.heif"
    assert problems == [f"{folder}: {text} are not read; convert them to JPEG" for folder, text in said.items()]
    _, problems = read(write(tmp_path, {"train/metadata.csv": "file_name,color\n1.jpg,1\n2.jpg,2\n3.jpg,1\n"}))
    assert problems == ["unlabeled: 2 files such as unlabeled/6.tiff are not read; convert them to JPEG"]


def test_links_to_folders_are_not_entered_and_said(tmp_path):
    write(tmp_path, {f"train/{name}": "" for name in CLASS_TREE} | {"unlabeled/a/x.jpg": "", "train/.store/1.jpg": ""})
    links = ("train/dress/more", "unlabeled/a/more")
    for name in links:
        (tmp_path / name).symlink_to(tmp_path / "train/.store")
    found, problems = read(tmp_path)
    assert len(found) == 19
    assert problems == [f"{name}: is a symbolic link to a folder, which is not entered" for name in links]


@pytest.mark.parametrize("below", ["", "train/"])
def test_one_class_folder_is_no_folder_per_class(tmp_path, below):
    with pytest.raises(BadDataError) as caught:
        read(write(tmp_path, {f"{below}images/{i}.jpg": "" for i in range(20)} | {"labels/0.txt": ""}))
    assert str(caught.value) == ".: photos lie in one class folder, images: describe them in metadata.csv"


def test_loose_images_beside_class_folders(tmp_path):
    files = {f"{split}/{name}/1.jpg": "" for split in ("train", "val", "test") for name in ("dress", "shirt")}
    _, problems = read(write(tmp_path, {**files, "train/2.jpg": ""}))
    assert problems == ["train: 1 images, such as train/2.jpg, lie in no class folder; describe them in metadata.csv"]


def test_a_class_folder_that_leads_elsewhere_is_not_entered(tmp_path):
    write(tmp_path, {"secret/x.jpg": "", **{f"data/{split}/dress/1.jpg": "" for split in ("train", "val", "test")}})
    (tmp_path / "data/train/shirt").symlink_to(tmp_path / "secret")
    found, problems = read(tmp_path / "data")
    assert problems == ["train/shirt: leads out of the data set's folder through a symbolic link; put the files themselves there"]
    assert found.paths == ["test/dress/1.jpg", "train/dress/1.jpg", "val/dress/1.jpg"]
