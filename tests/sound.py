"""A sound copy of each data set's lists as file -> bytes, and what must hold of whatever is read from lists, for tests of bad input."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from bench import registry
from bench.protocol import SPLITS
from datasets._schema import Annotations, Problems, content_hash, image_keys, joined, split_paths

_SPLITS = ("train", "train", "val", "test")
_PATHS = [f"img/Dress/img_{number}.jpg" for number in range(4)]
_STYLES = ["1,0,0,1,0,0,0,0,0,0,0,0,0", "0,1,0,0,0,0,0,0,0,0,0,0,1"]


def _official(rows: list[str]) -> bytes:
    return "\n".join([str(len(rows)), "image_name something", *rows, ""]).encode()


def _deepfashion() -> dict[str, bytes]:
    def each(values: list[str]) -> bytes:
        return _official([f"{path}  {value}" for path, value in zip(_PATHS, values, strict=True)])

    return {
        "Anno_coarse/list_attr_cloth.txt": _official(["a-line 3", "abstract print 1", "denim 2"]),
        "Anno_coarse/list_attr_img.txt": each(["1 -1 0", "-1 1 0", "0 0 1", "1 1 -1"]),
        "Anno_coarse/list_category_cloth.txt": _official(["Tee 1", "Dress 3"]),
        "Anno_coarse/list_category_img.txt": each(["1", "2", "1", "2"]),
        "Anno_coarse/list_bbox.txt": each(["1 1 20 20"] * 4),
        "Eval/list_eval_partition.txt": each(list(_SPLITS)),
    }


def _deepfashion26() -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for split in ("train", "val", "test"):
        found[f"split/{split}.txt"] = f"img/{split}/1.jpg\nimg/{split}/2.jpg\n".encode()
        found[f"split/{split}_attr.txt"] = b"5 0 2 0 2 2\n0 1 1 3 5 0\n"
        found[f"split/{split}_bbox.txt"] = b"62 7 165 300\n1 1 2 2\n"
    return found


def _darn() -> dict[str, bytes]:
    found = {"meta.json": json.dumps({"color": ["red", "navy blue"], "sleeve": 3}).encode()}
    for split in ("train", "valid", "test"):
        found[f"filenames_{split}.txt"] = f"pic/{split}1.jpg\npic/{split}2.jpg\n".encode()
        found[f"label_{split}.txt"] = b"0 color red 1 2\n1 1 0\n"
    return found


def _imatfashion() -> dict[str, bytes]:
    def annotated(first: int) -> bytes:
        images = [{"url": "https://x.invalid/1.jpg", "imageId": str(first + place)} for place in range(2)]
        labels = [{"imageId": str(first), "labelId": ["62", "17"]}, {"imageId": str(first + 1), "labelId": []}]
        return json.dumps({"images": images, "annotations": labels, "info": {"year": 2018}}).encode()

    label_map = b'labelId,taskId,labelName,taskName\r\n62,1,Dresses,category\r\n70,6,"Floral, small",pattern\r\n17,2,Black,color\r\n'
    return {"train.json": annotated(1), "validation.json": annotated(7), "iMat_fashion_2018_label_map_228.csv": label_map}


def _generic(column: str = "class") -> dict[str, bytes]:
    return {
        "train/metadata.csv": f"file_name,{column},style\na.jpg,red,boho|chic\nb.jpg,blue,\n".encode(),
        "val/metadata.jsonl": json.dumps({"file_name": "c.jpg", column: "red", "style": ["chic"], "number": 1.5}).encode() + b"\n",
        "test/metadata.csv": f"file_name,{column},style\nd.jpg,blue,|\n".encode(),
    }


def _crowd() -> dict[str, bytes]:
    rows = ("a.jpg,train,x,x,de", "b.jpg,train,y,x,fr", "c.jpg,val,y,y,fr", "d.jpg,train,y,y,fr", "e.jpg,test,x,x,de", "")
    return {"metadata.csv": "\n".join(["file_name,split,answer_1,answer_2,marketplace", *rows]).encode()}


def _folder() -> dict[str, bytes]:
    types = {"color": {"kind": "single", "values": ["red", "blue"], "column": "class"}, "style": {"kind": "multi"}}
    return {**_generic(), "attributes.json": json.dumps({"attribute_types": types}).encode()}


def _ficcy() -> dict[str, bytes]:
    rows = b"file_name,split,category,color,pattern,texture\na.jpg,train,tee,red,dot,\nb.jpg,train,dress,blue|red,,soft\nc.jpg,val,tee,,,\n"
    rows += b"d.jpg,test,dress,,,\n"
    return {"metadata.csv": rows}


def _naver() -> dict[str, bytes]:
    header = b"instance_id\tlabel\tfile_name\n"
    return {
        "train/train_label": header + b"1\t0\ta.jpg\n2\t1\tb.jpg\n3\t-1\tc.jpg\n",
        "train/hidden_label": header + b"3\t1\tc.jpg\n",
        "test_data/test_meta.txt": header + b"1\t1\td.jpg\n",
    }


def _jdstyle() -> dict[str, bytes]:
    return {"train.txt": "".join(f"{number},http://x.invalid/{number}.jpg,{_STYLES[number % 2]}\n" for number in range(4)).encode()}


SOUND: Mapping[str, dict[str, bytes]] = {
    "deepfashion": _deepfashion(),
    "deepfashion26": _deepfashion26(),
    "darn": _darn(),
    "imatfashion": _imatfashion(),
    "ficcy": _ficcy(),
    "jdstyle": _jdstyle(),
    "naver": _naver(),
    "vest_neck_style": _crowd(),
    "phone_case_pattern": _crowd(),
    "apron_food_bib_pattern": _crowd(),
    "folder": _folder(),
}


def write(root: Path, files: Mapping[str, bytes]) -> Path:
    """Makes the folder hold exactly these files."""
    shutil.rmtree(root, ignore_errors=True)
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return root


def read(name: str, root: Path) -> tuple[Annotations, Problems]:
    """What a data set's loader makes of the lists under root, checked. Raises BadDataError."""
    problems = Problems()
    found = registry.load("datasets", name).read(root, problems)
    check(found)
    return found, problems


def check(found: Annotations) -> None:
    """All that the harness relies on: arrays of the promised shapes and values, paths and names that can be kept."""
    num = len(found)
    assert len(found.paths) == len(found.where_file) == len(found.where_line) == num
    assert found.splits.dtype == np.int8
    assert set(found.splits.tolist()) <= set(range(len(SPLITS)))
    assert len(found.schema) > 0
    assert len(set(found.schema.names)) == len(found.schema)
    for kind in found.schema:
        values = found.labels[kind.name]
        assert values.shape == (num, len(kind.classes))
        assert values.dtype == np.int8
        assert len(set(kind.classes)) == len(kind.classes)
        assert not kind.exclusive or ((values == 1).sum(axis=1) <= 1).all()
        "".join([kind.name, *kind.classes]).encode()  # reports and records are UTF-8
    assert found.boxes is None or (found.boxes.shape == (num, 4) and found.boxes.dtype == np.int32)
    assert len(set(found.paths)) == num
    assert split_paths(joined(found.paths)) == list(found.paths)
    assert len(image_keys(found.paths)) == num
    assert len(content_hash(found)) == 64
    for row in range(min(num, 3)):
        file, line = found.where(row)
        assert file
        assert line >= 0
