"""Lists that once raised something else than BadDataError, or took all memory: refused with file and line, or read as stated."""

import pytest
import sound

from bench.protocol import BadDataError

MANY = b"9" * 5000  # more digits than Python turns into a number
LABEL_MAP, BOXES = "iMat_fashion_2018_label_map_228.csv", "Anno_coarse/list_bbox.txt"
DEEP = b"[" * 1_000_000


def replaced(name, file, old, new):
    files = sound.SOUND[name]
    assert old in files[file]
    return {**files, file: files[file].replace(old, new, 1)}


def refusal(name, root, files):
    with pytest.raises(BadDataError) as caught:
        sound.read(name, sound.write(root / name, files))
    return str(caught.value)


def problems(name, root, files):
    return [str(problem) for problem in sound.read(name, sound.write(root / name, files))[1].found]


@pytest.mark.parametrize(
    ("name", "file", "old", "new", "message"),
    [
        ("deepfashion", "Eval/list_eval_partition.txt", b"4", MANY, "Eval/list_eval_partition.txt:1: b'9999"),
        ("deepfashion", "Anno_coarse/list_attr_cloth.txt", b" 3", b" " + MANY, "Anno_coarse/list_attr_cloth.txt:3: attribute type '9999"),
        ("deepfashion", "Anno_coarse/list_attr_cloth.txt", b" 3", " ²".encode(), "Anno_coarse/list_attr_cloth.txt:3: attribute type '²'"),
        (
            "deepfashion",
            "Anno_coarse/list_category_cloth.txt",
            b"Dress",
            b"Tee",
            "cloth.txt: 'category' has the class 'Tee' twice",
        ),
        (
            "darn",
            "meta.json",
            b"3",
            b"1000000000000",
            "meta.json: attribute 'sleeve' has 1000000000000, expected its values or their number",
        ),
        ("darn", "meta.json", b"3", DEEP, "meta.json: is no JSON: nested too deeply"),
        ("darn", "meta.json", b"navy blue", b"red", "meta.json: 'color' has the class 'red' twice"),
        ("folder", "train/metadata.csv", b"file_name", b'"file_name', "train/metadata.csv:1: unexpected end of data; a quotation mark may"),
        ("folder", "train/metadata.csv", b"file_name", b"x" * 200_000, "train/metadata.csv:1: field larger than field limit (131072)"),
        ("folder", "train/metadata.csv", b"boho", b"x" * 200_000, "train/metadata.csv:2: field larger than field limit (131072)"),
        ("folder", "attributes.json", b'"multi"', DEEP, "attributes.json: is no JSON: nested too deeply"),
        ("folder", "attributes.json", b'"blue"', b'"red"', "attributes.json: 'color' has the class 'red' twice"),
        (
            "imatfashion",
            LABEL_MAP,
            b"Dresses",
            b"x" * 200_000,
            "label_map_228.csv:2: field larger than field limit",
        ),
        (
            "imatfashion",
            LABEL_MAP,
            b"labelId",
            b"x" * 200_000,
            "label_map_228.csv:1: field larger than field limit",
        ),
        ("imatfashion", LABEL_MAP, b",1,", b"," + MANY + b",", "label_map_228.csv:2: '62,9999"),
    ],
)
def test_what_ends_reading(tmp_path, name, file, old, new, message):
    assert message in refusal(name, tmp_path, replaced(name, file, old, new))


@pytest.mark.parametrize(
    ("name", "file", "old", "new", "message"),
    [
        ("darn", "label_train.txt", b"0 color", "² color".encode(), "label_train.txt:1: image index '²', expected a number from 0 to 1"),
        ("darn", "label_train.txt", b"0 color", MANY + b" color", "label_train.txt:1: image index '9999"),
        ("darn", "label_train.txt", b"color", "²".encode(), "label_train.txt:1: attribute '²', expected one of color, sleeve"),
        ("darn", "label_train.txt", b"red", MANY, "label_train.txt:1: color '9999"),
        ("naver", "train/train_label", b"\t1\t", b"\t1000000000000\t", "train/train_label:3: label 1000000000000, expected less than"),
        ("naver", "train/train_label", b"\t1\t", b"\t" + MANY + b"\t", "train/train_label:3: '2\\t9999"),
        ("folder", "val/metadata.jsonl", b"1.5", DEEP, "val/metadata.jsonl:1: is no JSON: nested too deeply"),
        ("folder", "val/metadata.jsonl", b"c.jpg", b"c\\ud800.jpg", "val/metadata.jsonl:1: 'c\\ud800.jpg' holds half a character"),
        ("imatfashion", "train.json", b'"1"', b'"\\ud800"', "train.json: images[0]: '\\ud800' holds half a character"),
        ("deepfashion", BOXES, b"20 20", b"20 2147483647", "Anno_coarse/list_bbox.txt:3: '1 1 20 2147483647' holds a"),
        ("deepfashion", BOXES, b"20 20", b"20 NaN", "Anno_coarse/list_bbox.txt:3: '1 1 20 NaN', expected 4 integers"),
        ("deepfashion26", "split/train_bbox.txt", b"300", b"1073741824", "split/train_bbox.txt:1: '62 7 165 1073741824', expected"),
    ],
)  # fmt: skip
def test_what_costs_a_row(tmp_path, name, file, old, new, message):
    found = problems(name, tmp_path, replaced(name, file, old, new))
    assert any(each.startswith(message) for each in found), found


def test_deeply_nested_json_that_the_parser_still_takes(tmp_path):
    """It gives up later than what turns its lists into text; how much later is each Python's own."""
    found = set()
    for depth in (*range(100, 1000, 50), *(1000 * 2**power for power in range(10))):
        nested = b"[" * depth + b"]" * depth
        found |= set(problems("folder", tmp_path, replaced("folder", "val/metadata.jsonl", b"1.5", nested)))
    assert found == {"val/metadata.jsonl:1: is no JSON: nested too deeply"}


def test_not_a_number_in_metadata_is_no_annotation(tmp_path):
    found, _ = sound.read("folder", sound.write(tmp_path / "x", replaced("folder", "val/metadata.jsonl", b'"red"', b"NaN")))
    assert found.labels["color"][found.paths.index("val/c.jpg")].tolist() == [-1, -1]


def test_a_data_set_without_training_images_is_refused(tmp_path):
    from bench.protocol import DataOptions
    from datasets._open import open_dataset

    root = tmp_path / "data" / "deepfashion"
    partition = "Eval/list_eval_partition.txt"
    sound.write(root, {**sound.SOUND["deepfashion"], partition: sound.SOUND["deepfashion"][partition].replace(b"train", b"test")})
    (root / "Img/img").mkdir(parents=True)
    with pytest.raises(BadDataError, match=r"^deepfashion: \.: no training images"):
        open_dataset("deepfashion", DataOptions(tmp_path / "data", tmp_path / "cache", data="real"))
