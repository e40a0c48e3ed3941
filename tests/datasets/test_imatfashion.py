import json
from collections import Counter

import numpy as np
import pytest

from bench.protocol import BadDataError
from datasets import imatfashion as loader
from datasets._open import open_dataset
from datasets._schema import Problems, image_keys

LABEL_MAP = (
    "labelId,taskId,labelName,taskName\r\n1,6,Argyle,pattern\r\n62,1,Dresses,category\r\n70,6,Floral,pattern\r\n"
    '89,1,"Hosiery, Stockings, Tights",category\r\n17,2,Black,color\r\n'
)
MAP, TRAIN, VALIDATION = "iMat_fashion_2018_label_map_228.csv", "train.json", "validation.json"


def entry(labels, number):
    return {"labelId": [str(label) for label in labels], "imageId": str(number)}


def image(number):
    return {"url": f"https://pictures.invalid/{number}.jpg", "imageId": str(number)}


def make(root, train=None, validation=None, label_map=LABEL_MAP):
    (root / "images").mkdir(parents=True)
    train = {1: [62, 70, 1], 2: [89], 3: []} if train is None else train
    validation = {11: [17, 62]} if validation is None else validation
    for file, rows in ((TRAIN, train), (VALIDATION, validation)):
        found = {"images": [image(i) for i in rows], "annotations": [entry(labels, i) for i, labels in rows.items()]}
        (root / file).write_text(json.dumps(found))
    (root / MAP).write_bytes(label_map.encode())
    return root


def read(root):
    problems = Problems()
    return loader.read(root, problems), [str(problem) for problem in problems.found]


def test_types_splits_and_labels(tmp_path):
    found, problems = read(make(tmp_path / "imat"))
    assert problems == []
    assert [(kind.name, kind.classes, kind.exclusive) for kind in found.schema] == [
        ("category", ("Dresses", "Hosiery, Stockings, Tights"), False),
        ("color", ("Black",), False),
        ("pattern", ("Argyle", "Floral"), False),
    ]
    assert found.paths == ["images/1.jpg", "images/2.jpg", "images/3.jpg", "images/11.jpg"]
    assert found.splits.tolist() == [0, 0, 0, 2]  # the official validation set is the test split; three images lend none
    assert found.labels["category"].tolist() == [[1, 0], [0, 1], [-1, -1], [1, 0]]
    assert found.labels["pattern"].tolist() == [[1, 1], [-1, -1], [-1, -1], [-1, -1]]
    assert found.labels["color"].tolist() == [[-1], [-1], [-1], [1]]
    assert found.where(3) == (VALIDATION, 0)


@pytest.mark.parametrize("spelling", ["numbers", "underscores", "both", "annotations first", "a foreword"])
def test_every_spelling_reads_the_same(tmp_path, spelling):
    expected, _ = read(make(tmp_path / "a"))
    root = make(tmp_path / "b")
    lists = {file: json.loads((root / file).read_text()) for file in (TRAIN, VALIDATION)}
    for file, found in lists.items():
        for row in [*found["images"], *found["annotations"]]:
            for name in ("imageId", "labelId"):
                if spelling in ("numbers", "both") and name in row:
                    row[name] = [int(value) for value in row[name]] if name == "labelId" else int(row[name])
                if spelling in ("underscores", "both") and name in row:
                    row[name.replace("Id", "_id")] = row.pop(name)
        if spelling == "annotations first":
            found = {"annotations": found["annotations"], "images": found["images"]}
        if spelling == "a foreword":
            found = {"info": {"year": 2018, "about": ["a", {"images": [1]}]}, "license": None, **found, "more": [1, 2]}
        (root / file).write_text(json.dumps(found, indent=2))
    found, problems = read(root)
    assert problems == []
    assert found.paths == expected.paths
    assert all(np.array_equal(values, expected.labels[name]) for name, values in found.labels.items())


def test_val_json_is_the_other_spelling_of_the_file(tmp_path):
    root = make(tmp_path / "imat")
    (root / VALIDATION).rename(root / "val.json")
    found, problems = read(root)
    assert (problems, found.splits.tolist()) == ([], [0, 0, 0, 2])


def test_validation_is_the_images_of_train_whose_ids_hash_lowest(tmp_path):
    names = [str(i) for i in range(1, 111)]
    root = make(tmp_path / "many", {name: [62] for name in names}, {str(1000 + i): [62] for i in range(40)})
    found, _ = read(root)
    held = {path.removeprefix("images/").removesuffix(".jpg") for path, split in zip(found.paths, found.splits, strict=True) if split == 1}
    keys = dict(zip(names, image_keys(names).tolist(), strict=True))
    assert held == set(sorted(names, key=keys.__getitem__)[:10])  # one in eleven of 110
    assert Counter(found.splits.tolist()) == {0: 100, 1: 10, 2: 40}
    few, _ = read(make(tmp_path / "few", {name: [62] for name in names[::-1]}, {str(1000 + i): [62] for i in range(4)}))
    assert Counter(few.splits.tolist()) == {0: 106, 1: 4, 2: 4}  # no more than the test split has
    assert {few.paths[row] for row in np.flatnonzero(few.splits == 1)} < {f"images/{name}.jpg" for name in held}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("../../etc/passwd", "'../../etc/passwd' leads out of the data set's folder"),
        ("/etc/passwd", "'/etc/passwd' is an absolute path; paths are relative to the data set's folder"),
        ("C:x", "'C:x' is an absolute path; paths are relative to the data set's folder"),
        ("a/b", "imageId 'a/b' names a folder"),
        ("a\\b", "imageId 'a\\\\b' names a folder"),
        ("a\0b", "'a\\x00b' holds a zero byte"),
        ("1", "image 1 is listed twice"),
        ("", "has no imageId"),
        (None, "has no imageId"),
        (True, "has no imageId"),
        (1.5, "has no imageId"),
    ],
)
def test_an_image_id_that_is_refused_is_named_by_its_place(tmp_path, name, message):
    root = make(tmp_path / "imat")
    (root / TRAIN).write_text(json.dumps({"images": [image(1), {"imageId": name}, image(2)], "annotations": [entry([62], 2)]}))
    found, problems = read(root)
    assert problems == [f"train.json: images[1]: {message}"]
    assert found.paths == ["images/1.jpg", "images/2.jpg", "images/11.jpg"]
    assert found.labels["category"].tolist() == [[-1, -1], [1, 0], [1, 0]]


@pytest.mark.parametrize(
    ("annotation", "message", "num"),
    [
        (entry([62, 999], 2), f"label '999' is not in {MAP}", 2),
        (entry([62], 77), "image '77' is not among the images", 3),
        ({"imageId": "2", "labelId": "62"}, "labelId is '62', expected a list of ids", 2),
        ({"imageId": "2"}, "labelId is None, expected a list of ids", 2),
        ({"imageId": "2", "labelId": [None]}, f"label '' is not in {MAP}", 2),
        (7, "image None is not among the images", 3),
        (entry([70], 1), "image 1 is annotated twice", 3),
    ],
)
def test_a_damaged_annotation_costs_its_image(tmp_path, annotation, message, num):
    root = make(tmp_path / "imat")
    (root / TRAIN).write_text(json.dumps({"images": [image(1), image(2)], "annotations": [entry([62], 1), annotation]}))
    found, problems = read(root)
    assert problems == [f"train.json: annotations[1]: {message}"]
    assert len(found) == num
    assert found.labels["category"][0].tolist() == [1, 0]


def test_a_damaged_image_of_the_second_list_costs_no_other(tmp_path):
    found, problems = read(make(tmp_path / "imat", validation={11: [999], 12: [62]}))
    assert problems == [f"validation.json: annotations[0]: label '999' is not in {MAP}"]
    assert found.paths == ["images/1.jpg", "images/2.jpg", "images/3.jpg", "images/12.jpg"]


def test_ids_of_both_lists_need_two_folders(tmp_path):
    root = make(tmp_path / "imat", validation={1: [17], 2: [62]})
    with pytest.raises(
        BadDataError, match=r"validation.json: 2 ids, such as 1, are in train.json too; keep their pictures apart, in images"
    ):
        read(root)
    (root / "images/train").mkdir()
    (root / "images/validation").mkdir()
    found, problems = read(root)
    assert problems == []
    assert found.paths == [*(f"images/train/{i}.jpg" for i in (1, 2, 3)), "images/validation/1.jpg", "images/validation/2.jpg"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "labelId,taskId,labelName\n1,2,x\n",
            f"{MAP}:1: columns labelId, taskId, labelName, expected labelId, taskId, labelName, taskName",
        ),
        ("", f"{MAP}:1: columns none, expected"),
        (LABEL_MAP + "5,6,Hearts\r\n", f"{MAP}:7: '5,6,Hearts', expected labelId"),
        (LABEL_MAP + "5,x,Hearts,pattern\r\n", f"{MAP}:7: '5,x,Hearts,pattern', expected labelId"),
        (LABEL_MAP + "62,6,Hearts,pattern\r\n", f"{MAP}:7: label 62 is listed twice"),
        (LABEL_MAP + "5,9,Hearts,pattern\r\n", f"{MAP}: two tasks have the same name"),
        ("labelId,taskId,labelName,taskName\n", f"{MAP}: holds no labels"),
    ],
)
def test_a_label_map_that_cannot_be_understood(tmp_path, text, message):
    with pytest.raises(BadDataError) as caught:
        read(make(tmp_path / "imat", label_map=text))
    assert str(caught.value).startswith(message)


def test_names_that_occur_twice_in_a_task_carry_their_numbers(tmp_path):
    found, _ = read(make(tmp_path / "imat", label_map=LABEL_MAP + "5,2,Black,color\r\n"))
    assert found.schema["color"].classes == ("Black (17)", "Black (5)")


def test_the_stand_in_opens_with_the_sizes_of_the_others(tmp_path, options, monkeypatch):
    from dataclasses import replace

    from bench import registry

    small = {"tiny": {"layout": "imatfashion", "num": {"train": 110, "test": 20}, "long_side": 32, "seed": 0}}
    real = registry.entry("datasets", "imatfashion")
    monkeypatch.setattr(registry, "entry", lambda kind, name: replace(real, constants={**real.constants, "STANDIN": small}))
    opened = open_dataset("imatfashion", replace(options, data="synthetic"))
    assert opened.num_images == {"train": 100, "val": 10, "test": 20, "unlabeled": 0}
    assert opened.schema.names == ("category", "color", "gender", "material", "neckline", "pattern", "sleeve", "style")
    assert opened.problems == ()
    num = loader.STANDIN["tiny"]["num"]
    assert (num["train"] - num["train"] // loader.MOST_HELD_OUT, num["train"] // loader.MOST_HELD_OUT, num["test"]) == (6000, 600, 1200)
