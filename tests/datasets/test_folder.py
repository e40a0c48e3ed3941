import json
import re
import sys
from pathlib import Path

import pytest
from tabled import CLASS_TREE, read, rows, write

from bench.protocol import BadDataError
from datasets import folder as loader
from datasets._schema import Problems


def notes(root):
    """What is said of a catalogue that is no fault."""
    problems = Problems()
    loader.read(root, problems)
    return problems.notes


SPLIT_FILES = {
    "train/metadata.csv": "file_name,split,color,style\na.jpg,ignored,red,boho|chic\nsub/b.jpg,,blue,\n",
    "val/metadata.csv": "file_name,color,style\nc.jpg,,chic\n",
    "test/metadata.csv": "file_name,color,style\nd.jpg,red,|\n",
}
EXPECTED = {
    "train/a.jpg": (0, {"color": ["red"], "style": ["boho", "chic"]}),
    "train/sub/b.jpg": (0, {"color": ["blue"], "style": None}),
    "val/c.jpg": (1, {"color": None, "style": ["chic"]}),
    "test/d.jpg": (2, {"color": ["red"], "style": []}),
}


def test_a_file_in_each_split_folder(tmp_path):
    found, problems = read(write(tmp_path, SPLIT_FILES))
    assert problems == []
    assert rows(found) == EXPECTED
    assert [(kind.name, kind.classes, kind.exclusive) for kind in found.schema] == [
        ("color", ("blue", "red"), True),
        ("style", ("boho", "chic"), False),
    ]
    assert found.where(found.paths.index("train/sub/b.jpg")) == ("train/metadata.csv", 3)


def test_the_root_file_beside_split_folders_does_not_count(tmp_path):
    found, _ = read(write(tmp_path, {**SPLIT_FILES, "metadata.csv": "file_name,split,color\nother.jpg,train,green\n"}))
    assert rows(found) == EXPECTED


def test_folders_beside_those_of_splits_are_noted(tmp_path):
    others = ("eval/metadata.jsonl", "holdout/dress/1.jpg", "more/2.jpg", ".cache/3.jpg", "docs/a/b/4.jpg", "sizes/t.txt")
    files = dict.fromkeys(others, "")
    said = [f"{name} is no split's name and is not read; train, val, test and unlabeled are" for name in ("eval", "holdout", "more")]
    assert notes(write(tmp_path / "tables", {**SPLIT_FILES, **files})) == said
    tree = {f"{split}/{name}": "" for split in ("train", "val", "test") for name in CLASS_TREE}
    assert notes(write(tmp_path / "tree", {**tree, **files})) == said
    assert notes(write(tmp_path / "classes", CLASS_TREE)) == []
    table = "file_name,split,color\ntrain/a.jpg,train,1\nimages/b.jpg,val,1\nimages/c.jpg,test,1\n"
    assert notes(write(tmp_path / "one", {"metadata.csv": table, "train/a.jpg": "", "images/b.jpg": ""})) == []


def test_one_root_file_with_a_split_column(tmp_path):
    train = "train/a.jpg,train,red,boho|chic\ntrain/sub/b.jpg,TRAIN,blue,\n"
    text = f"file_name,split,color,style\n{train}val/c.jpg,valid,,chic\ntest/d.jpg,test,red,|\n"
    found, problems = read(write(tmp_path, {"metadata.csv": "\ufeff" + text}))
    assert problems == []
    assert rows(found) == EXPECTED


def test_a_cell_of_split_that_is_empty_means_train(tmp_path):
    page = (Path(__file__).resolve().parents[2] / "docs" / "getting-started.md").read_text(encoding="utf-8")
    lines = [line.split()[1] for line in page.splitlines() if re.match(r"      (metadata\.csv|\d+\.jpg) ", line)]
    assert lines[0] == "file_name,split,category,colour,details"
    assert any(",," in line for line in lines)
    more = "0003.jpg,val,dress,red,\n0004.jpg,test,shirt,,zip\n"
    found, problems = read(write(tmp_path / "csv", {"metadata.csv": "\n".join([*lines, more])}))
    assert problems == []
    assert found.splits.tolist() == [0, 0, 1, 2]
    row = {"file_name": "b.jpg", "color": "red"}
    text = "".join(json.dumps({**row, "file_name": f"{split}.jpg", "split": split}) + "\n" for split in (None, "train", "val", "test"))
    found, problems = read(write(tmp_path / "jsonl", {"metadata.jsonl": text}))
    assert (problems, found.splits.tolist()) == ([], [0, 0, 1, 2])


def test_a_root_file_without_a_split_column_takes_the_split_from_the_folders(tmp_path):
    files = {"unlabeled/x.jpg": "", "unlabeled/y.jpg": ""}
    text = "train/a.jpg,red,boho|chic\n./train/sub/b.jpg,blue,\nValid/c.jpg,,chic\ntest/d.jpg,red,|\nunlabeled/x.jpg,red,\n"
    found, problems = read(write(tmp_path, {**files, "metadata.csv": "file_name,color,style\n" + text}))
    assert problems == []
    nothing = {"color": None, "style": None}
    expected = {"./train/sub/b.jpg" if path == "train/sub/b.jpg" else path.replace("val", "Valid"): row for path, row in EXPECTED.items()}
    assert rows(found) == expected | {"unlabeled/x.jpg": (3, nothing), "unlabeled/y.jpg": (3, nothing)}


def test_a_row_at_fault_does_not_hide_the_folders(tmp_path):
    table = "file_name,color\ntrain/a.jpg,red\n../b.jpg,red\nval/c.jpg,red\ntest/d.jpg,blue\n"
    found, problems = read(write(tmp_path, {"metadata.csv": table}))
    assert problems == ["metadata.csv:3: '../b.jpg' leads out of the data set's folder"]
    assert found.splits.tolist() == [0, 1, 2]


@pytest.mark.parametrize("other", ["e.jpg", "studio/e.jpg"])
def test_folders_that_are_not_all_of_splits_say_nothing(tmp_path, other):
    lines = "".join(f"{folder}/{number}.jpg,{number % 2}\n" for folder in ("train", "test") for number in range(20))
    found, _ = read(write(tmp_path, {"metadata.csv": f"file_name,color\n{lines}{other},1\n"}))
    assert [(found.splits == index).sum() for index in range(3)] == [29, 6, 6]
    assert notes(tmp_path) == [f"{other} lies in no split's folder, so the folders say no splits; add a column split"]
    only = "".join(f"test/{number}.jpg,{number % 2}\n" for number in range(40))
    found, _ = read(write(tmp_path, {"metadata.csv": f"file_name,color\n{only}"}))
    assert [(found.splits == index).sum() for index in range(3)] == [28, 6, 6]
    assert notes(tmp_path) == []
    only = "".join(f"{'train' if number else 'studio'}/{number}.jpg,{number % 2}\n" for number in range(40))
    assert notes(write(tmp_path, {"metadata.csv": f"file_name,color\n{only}"})) == []


@pytest.mark.parametrize("spelling", ["Split", "SPLIT"])
def test_reserved_names_in_other_letter_case(tmp_path, spelling):
    rows_ = [("a.jpg", "train", "red"), ("b.jpg", "val", "blue"), ("c.jpg", "test", "red"), ("d.jpg", "train", "blue")]
    table = f"File_Name,{spelling},color\n" + "".join(f"{','.join(row)}\n" for row in rows_)
    lines = "".join(json.dumps(dict(zip(("File_Name", spelling, "color"), row, strict=True))) + "\n" for row in rows_)
    for files in ({"csv/metadata.csv": table}, {"jsonl/metadata.jsonl": lines}):
        found, problems = read(write(tmp_path, files) / next(iter(files)).split("/")[0])
        assert problems == []
        assert found.schema.names == ("color",)
        assert found.splits.tolist() == [0, 1, 2, 0]


def test_a_reserved_name_as_it_should_be_counts_alone(tmp_path):
    lines = "a.jpg,train,x,red\nb.jpg,val,x,blue\nc.jpg,test,y,red\n"
    found, _ = read(write(tmp_path, {"metadata.csv": "file_name,split,Split,color\n" + lines}))
    assert found.schema.names == ("Split", "color")
    assert found.splits.tolist() == [0, 1, 2]


def test_columns_without_a_name_are_dropped_however_many(tmp_path, monkeypatch):
    import pandas as pd

    lines = "".join(f",{i}.jpg,{i % 2},{i % 3},caf\udce9, \n" for i in range(9))
    table = ("unnamed,file_name,color,,, \n" + lines).replace("unnamed", "")
    (tmp_path / "metadata.csv").write_text(table, errors="surrogateescape")
    found, problems = read(tmp_path)
    assert (problems, found.schema.names, len(found)) == ([], ("color",), 9)
    frame = pd.DataFrame([["x", f"{i}.jpg", i % 2, i % 3] for i in range(9)], columns=["", "file_name", "color", ""])
    monkeypatch.setattr(pd, "read_parquet", lambda path: frame)
    found, problems = read(write(tmp_path / "parquet", {"metadata.parquet": ""}))
    assert (problems, found.schema.names, len(found)) == ([], ("color",), 9)


def test_jsonl_with_lists_numbers_and_null(tmp_path):
    train = [{"file_name": "a.jpg", "color": "red", "style": ["boho", "chic"]}, {"file_name": "sub/b.jpg", "color": "blue", "style": None}]
    text = "\n".join(map(json.dumps, train)) + "\n"
    val = json.dumps({"file_name": "c.jpg", "style": ["chic"]})
    test = json.dumps({"file_name": "d.jpg", "color": "red", "style": []})
    found, problems = read(write(tmp_path, {"train/metadata.jsonl": text, "val/metadata.jsonl": val, "test/metadata.jsonl": test}))
    assert problems == []
    assert rows(found) == EXPECTED


def test_attributes_json_gives_kinds_values_and_columns(tmp_path):
    facts = {
        "attribute_types": {"Colour": {"kind": "single", "values": ["red", "blue", "green"], "column": "color"}, "style": {"kind": "multi"}}
    }
    found, problems = read(write(tmp_path, {**SPLIT_FILES, "attributes.json": json.dumps(facts)}))
    assert problems == []
    assert [(kind.name, kind.classes, kind.exclusive) for kind in found.schema] == [
        ("Colour", ("red", "blue", "green"), True),
        ("style", ("boho", "chic"), False),
    ]


def test_columns_whose_values_hardly_repeat_are_left_out(tmp_path):
    lines = "".join(f"{i}.jpg,{i % 3},item {i}\n" for i in range(60))
    found, _ = read(write(tmp_path, {"metadata.csv": "file_name,color,title\n" + lines}))
    assert found.schema.names == ("color",)


def test_unlabeled_needs_no_metadata_and_shows_no_labels(tmp_path):
    files = {**SPLIT_FILES, "unlabeled/x.jpg": "", "unlabeled/deep/y.PNG": "", "unlabeled/.z.jpg": "", "unlabeled/notes.txt": ""}
    found, problems = read(write(tmp_path, files))
    assert problems == []
    assert [path for path, split in zip(found.paths, found.splits, strict=True) if split == 3] == [
        "unlabeled/deep/y.PNG",
        "unlabeled/x.jpg",
    ]
    assert rows(found)["unlabeled/x.jpg"] == (3, {"color": None, "style": None})


@pytest.mark.parametrize("name", ["Metadata.csv", "METADATA.CSV", "metadata.JSONL", "Metadata.Jsonl"])
def test_the_table_in_any_letter_case(tmp_path, name):
    rows_ = [("a.jpg", "red"), ("b.jpg", "blue"), ("c.jpg", "red")]
    text = "".join(json.dumps(dict(zip(("file_name", "color"), row, strict=True))) + "\n" for row in rows_)
    if name.lower().endswith("csv"):
        text = "file_name,color\n" + "".join(f"{','.join(row)}\n" for row in rows_)
    files = {name: text, "shop/a.jpg": "", "studio/b.jpg": ""}
    found, problems = read(write(tmp_path, files))
    assert (problems, found.schema.names, sorted(found.paths)) == ([], ("color",), ["a.jpg", "b.jpg", "c.jpg"])
    assert name in loader.sources(tmp_path)
    (tmp_path / "metadata.csv").write_text("file_name,color\n" + "".join(f"{n}.jpg,{n % 2}\n" for n in range(9)))
    assert len(read(tmp_path)[0]) == 9  # the exact name first


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("../../etc/passwd,train,red", "metadata.csv:3: '../../etc/passwd' leads out of the data set's folder"),
        ("/etc/passwd,train,red", "metadata.csv:3: '/etc/passwd' is an absolute path; paths are relative to the data set's folder"),
        ("b.jpg,training day,red", "metadata.csv:3: split 'training day', expected train, val, test, unlabeled"),
        ("a.jpg,train,red", "metadata.csv:3: a.jpg is listed twice, first in metadata.csv:2"),
        ("./a.jpg,train,red", "metadata.csv:3: ./a.jpg is listed twice, first in metadata.csv:2"),
        ("b.jpg,train", "metadata.csv:3: 2 cells, expected 3"),
        (",train,red", "metadata.csv:3: no file_name"),
        ("b.jpg,train,pink", "metadata.csv:3: color is 'pink', which attributes.json does not list"),
        ("b.jpg,train,red|blue", "metadata.csv:3: color is 'red|blue', but the type holds a single value"),
        ("b.jpg,train,|", "metadata.csv:3: color is '|', but the type holds a single value"),
    ],
)
def test_a_damaged_row_is_named_and_left_out(tmp_path, line, message):
    table = f"file_name,split,color\na.jpg,train,red\n{line}\nv.jpg,val,red\nt.jpg,test,blue\n"
    facts = json.dumps({"attribute_types": {"color": {"kind": "single", "values": ["red", "blue"]}}})
    found, problems = read(write(tmp_path, {"metadata.csv": table, "attributes.json": facts}))
    assert problems == [message]
    assert found.paths == ["a.jpg", "v.jpg", "t.jpg"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "train/metadata.jsonl:2: is no JSON: Expecting property name"),
        ("[1]", "train/metadata.jsonl:2: a list, expected an object with file_name"),
        ('{"color": "red"}', "train/metadata.jsonl:2: no file_name"),
    ],
)
def test_a_damaged_line_of_jsonl(tmp_path, line, message):
    good = json.dumps({"file_name": "a.jpg", "color": "red"})
    others = {f"{split}/metadata.jsonl": good for split in ("val", "test")}
    _, problems = read(write(tmp_path, {"train/metadata.jsonl": f"{good}\n{line}\n", **others}))
    assert len(problems) == 1
    assert problems[0].startswith(message)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"metadata.csv": "path,color\na.jpg,red\n"}, "metadata.csv:1: no column file_name; there are path, color"),
        ({"metadata.csv": ""}, "metadata.csv:1: no column file_name; there are none"),
        ({"metadata.csv": "file_name,a,a\nx,1,1\n"}, "metadata.csv:1: a column name occurs twice in file_name, a, a"),
        ({"metadata.csv": 'file_name,a\n"x.jpg,1\n'}, "metadata.csv:2: unexpected end of data; a quotation mark may be missing"),
        ({"metadata.csv": "file_name\na.jpg\n"}, ".: no attribute types; metadata needs a column for each (there are none)"),
        (
            {"val/metadata.csv": "file_name,color\na.jpg,red\n"},
            ".: no training images; add train/metadata.csv, or a split column with 'train' to metadata.csv",
        ),
        ({"notes.txt": ""}, ".: no training images; add train/metadata.csv, or a split column with 'train' to metadata.csv"),
        ({**SPLIT_FILES, "attributes.json": "{"}, "attributes.json:1: is no JSON: Expecting property name enclosed in double quotes"),
        ({**SPLIT_FILES, "attributes.json": "[]"}, 'attributes.json: expected {"attribute_types": {"<type>": {"kind": "single"'),
        (
            {**SPLIT_FILES, "attributes.json": '{"a": {"kind": "x"}}'},
            "attributes.json: type 'a' has kind 'x', expected 'single' or 'multi'",
        ),
        ({**SPLIT_FILES, "attributes.json": '{"a": {"values": 3}}'}, "attributes.json: type 'a' has values 3, expected a list"),
        ({**SPLIT_FILES, "attributes.json": '{"a": {}}'}, "attributes.json: type 'a' reads column 'a', but there are color, style"),
        (
            {"train/metadata.csv": "file_name,color\na.jpg,red\n", "val/b.jpg": ""},
            "val: holds images but no metadata.csv, .jsonl or .parquet, which the other folders have",
        ),
    ],
)
def test_what_ends_reading(tmp_path, files, message):
    with pytest.raises(BadDataError) as caught:
        read(write(tmp_path, files))
    assert str(caught.value).startswith(message)


def test_parquet_without_pyarrow_says_what_to_install(tmp_path, monkeypatch):
    for name in ("pyarrow", "fastparquet"):
        monkeypatch.setitem(sys.modules, name, None)
    write(tmp_path, {"train/metadata.parquet": "PAR1"})
    with pytest.raises(BadDataError) as caught:
        read(tmp_path)
    assert str(caught.value) == "train/metadata.parquet: reading parquet needs pyarrow: pip install pyarrow, or write metadata.csv instead"


def test_parquet_is_read_through_pandas(tmp_path, monkeypatch):
    import pandas as pd

    tables = {
        "train": pd.DataFrame({"file_name": ["a.jpg", "sub/b.jpg"], "color": ["red", "blue"], "style": [["boho", "chic"], None]}),
        "val": pd.DataFrame({"file_name": ["c.jpg"], "color": [float("nan")], "style": [["chic"]]}),
        "test": pd.DataFrame({"file_name": ["d.jpg"], "color": ["red"], "style": [[]]}),
    }
    monkeypatch.setattr(pd, "read_parquet", lambda path: tables[path.parent.name])
    found, problems = read(write(tmp_path, {f"{split}/metadata.parquet": "" for split in tables}))
    assert problems == []
    assert rows(found) == EXPECTED


def test_missing_values_of_parquet_are_empty_cells(tmp_path, monkeypatch):
    import pandas as pd

    sizes, days = pd.array([36, 36, 38, 38], dtype="Int64"), pd.to_datetime(["2024-05-01", "2024-05-01", "2024-06-01", "2024-06-01"])
    table = pd.DataFrame({"file_name": [f"{number}.jpg" for number in range(4)], "size": sizes, "day": days})
    table.loc[2, "size"], table.loc[3, "day"] = pd.NA, pd.NaT
    monkeypatch.setattr(pd, "read_parquet", lambda path: table)
    found, problems = read(write(tmp_path, {"metadata.parquet": ""}))
    assert problems == []
    assert [len(kind.classes) for kind in found.schema] == [2, 2]
    assert (rows(found)["2.jpg"][1]["size"], rows(found)["3.jpg"][1]["day"]) == (None, None)


def test_sources_change_when_files_come_and_go(tmp_path):
    write(tmp_path, SPLIT_FILES)
    assert loader.sources(tmp_path) == [".", "test", "train", "val", "test/metadata.csv", "train/metadata.csv", "val/metadata.csv"]
    tree = write(tmp_path / "tree", {"train/dress/1.jpg": "", "train/dress/more/2.jpg": "", "unlabeled/3.jpg": ""})
    assert loader.sources(tree) == [".", "train", "unlabeled", "train/dress", "train/dress/more"]


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("name", "num", "types"),
    [
        (
            "fashion_product_small",
            9354,
            {"gender": 5, "masterCategory": 3, "subCategory": 21, "articleType": 54, "baseColour": 45, "season": 4, "usage": 7},
        ),
        ("clothing_cc0", 4909, {"category": 15, "kids": 2}),
    ],
)
def test_real_catalogues(realdata, name, num, types):
    found, problems = read(realdata / name)
    assert problems == []
    assert len(found) == num
    assert {kind.name: len(kind.classes) for kind in found.schema} == types
    assert all(kind.exclusive for kind in found.schema)
