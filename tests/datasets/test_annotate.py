"""Which columns of a catalogue are types, and which of its training images count as labelled."""

import json

import pytest
from tabled import read, write

from bench.protocol import BadDataError
from datasets import _annotate, folder
from datasets._schema import Problems


def test_a_column_is_judged_by_the_values_and_not_by_how_they_combine(tmp_path):
    tags = ["|".join(sorted(f"tag{i * k % 11}" for k in (1, 3, 7))) for i in range(60)]
    assert len(set(tags)) <= 11
    tags = [f"{tag}|{'abcdefghij'[i // 6]}" for i, tag in enumerate(tags)]
    assert len(set(tags)) == 60
    words = [f"word{i}|other{i}" for i in range(60)]
    lines = "".join(f"{i},{i}.jpg,{tags[i]},sku {i // 2},{i // 3},{words[i]},,\n" for i in range(60))
    found, problems = read(write(tmp_path, {"metadata.csv": ",file_name,tags,sku,shop,words,few,none\n" + lines}))
    assert problems == []
    assert [(kind.name, len(kind.classes), kind.exclusive) for kind in found.schema] == [("tags", 21, False), ("shop", 20, True)]
    assert found.ignored == ("sku (30 values in 60 rows)", "words (120 values in 60 rows)")


def test_a_column_of_one_value_is_left_out(tmp_path):
    lines = "".join(f"{i}.jpg,{i % 3},ours,{'new' if i % 2 else ''},{'zip' if i % 2 else '|'}\n" for i in range(120))
    found, _ = read(write(tmp_path / "many", {"metadata.csv": "file_name,color,shop,state,details\n" + lines}))
    assert found.schema.names == ("color", "details")
    assert found.ignored == ("shop (1 value in 120 rows)", "state (1 value in 60 rows)")
    lines = "".join(f"{i}.jpg,ours\n" for i in range(40))
    found, _ = read(write(tmp_path / "few", {"metadata.csv": "file_name,shop\n" + lines}))  # so few rows say nothing
    assert (found.schema.names, found.ignored) == (("shop",), ())


def inferred(root, numbers):
    """The schema, what is left out and what is noted of a table with a number of the article for each photo."""
    lines = "".join(f"{i}.jpg,S{number},{i % 2}\n" for i, number in enumerate(numbers))
    problems = Problems()
    found = folder.read(write(root, {"metadata.csv": "file_name,sku,color\n" + lines}), problems)
    assert problems.count == 0
    return found.schema.names, found.ignored, problems.notes


def test_a_type_that_may_be_the_number_of_an_article_is_noted(tmp_path, monkeypatch):
    note = "sku became a type of {} photos each; if it tells articles apart, name it as group (--group-column sku)"
    assert inferred(tmp_path / "a", [i // 4 for i in range(1000)]) == (("sku", "color"), (), [note.format("250 classes, 4.0")])
    assert inferred(tmp_path / "b", [i // 4 for i in range(800)]) == (("sku", "color"), (), [])
    assert inferred(tmp_path / "c", [i // 20 for i in range(4020)]) == (("sku", "color"), (), [])
    assert inferred(tmp_path / "d", [i // 2 for i in range(1000)]) == (("color",), ("sku (500 values in 1000 rows)",), [])
    monkeypatch.setattr(_annotate, "MAX_CLASSES", 249)
    assert inferred(tmp_path / "e", [i // 4 for i in range(1000)]) == (("color",), ("sku (250 values in 1000 rows)",), [])


def test_a_catalogue_whose_columns_are_all_left_out_says_which(tmp_path):
    lines = "".join(f"{i}.jpg,sku {i // 2}\n" for i in range(60))
    with pytest.raises(
        BadDataError, match=r"^\.: no attribute types; values hardly repeat or are all one in sku \(30 values in 60 rows\); name types in "
    ):
        read(write(tmp_path, {"metadata.csv": "file_name,sku\n" + lines}))


@pytest.mark.parametrize("facts", [{"sku": {}}, {"attribute_types": {"sku": {}}}])
def test_attributes_json_makes_a_type_of_what_hardly_repeats(tmp_path, facts):
    lines = "".join(f"{i}.jpg,sku {i // 2},{i // 6}\n" for i in range(60))
    found, _ = read(write(tmp_path, {"metadata.csv": "file_name,sku,color\n" + lines, "attributes.json": json.dumps(facts)}))
    assert (found.schema.names, found.ignored) == (("sku",), ())


def test_training_images_without_any_label_are_unlabelled_and_never_lent(tmp_path):
    lines = "".join(f"{i}.jpg,{i % 2 if i < 20 else ''},{'|' if i == 20 else ''}\n" for i in range(60)) + "more.jpg,1,boho\n"
    found, problems = read(write(tmp_path / "lent", {"metadata.csv": "file_name,color,style\n" + lines}))
    assert problems == []
    assert [(found.splits == index).sum() for index in range(4)] == [16, 3, 3, 39]
    assert {int(found.splits[found.paths.index(f"{i}.jpg")]) for i in range(21, 60)} == {3}
    lines = "a.jpg,train,red\nb.jpg,train,\nc.jpg,val,\nd.jpg,test,red\n"
    found, _ = read(write(tmp_path / "given", {"metadata.csv": "file_name,split,color\n" + lines}))
    assert found.splits.tolist() == [0, 3, 1, 2]


def test_labels_in_other_splits_alone_are_refused(tmp_path):
    lines = "a.jpg,train,\nc.jpg,val,red\nd.jpg,test,red\n"
    with pytest.raises(BadDataError, match=r"^\.: no training images with a label$"):
        read(write(tmp_path, {"metadata.csv": "file_name,split,color\n" + lines}))
