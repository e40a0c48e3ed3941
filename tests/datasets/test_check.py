"""What doctor says of a data set's files."""

import pytest

from bench import registry
from bench.cli import main
from bench.protocol import BadDataError
from datasets._open import check, open_dataset


def test_check_finds_nothing_wrong_with_good_files(deepfashion, options):
    assert check("deepfashion", options) == []


def test_check_names_missing_files_and_where_to_ask(deepfashion, options, data_root):
    (deepfashion.anno / "list_bbox.txt").unlink()
    (problem,) = check("deepfashion", options)
    assert problem.file == "Anno_coarse/list_bbox.txt or Anno/list_bbox.txt"
    request = registry.entry("datasets", "deepfashion").constants["REQUEST"]
    assert (
        problem.message == f"missing under {data_root}/deepfashion; ask {request} for the data and unpack it under {data_root}/deepfashion"
    )
    (problem,) = check("darn", options)
    assert str(problem).startswith(f"{data_root}/darn: no such folder; ask the authors of")


def test_check_lists_lines_images_and_letter_case(deepfashion, options):
    deepfashion.edit("list_attr_img.txt", 4, f"{deepfashion.paths[1]} 1 -1 0 0 0")
    (deepfashion.root / "Img" / deepfashion.paths[5]).write_bytes(b"")
    folder = deepfashion.root / "Img/img/Women's_Blouse_No.2"
    folder.rename(folder.with_name("women's_blouse_no.2"))
    found = [str(problem) for problem in check("deepfashion", options)]
    assert found[0] == "Anno_coarse/list_attr_img.txt:4: 5 labels, expected 6"
    assert found[1].startswith("Eval/list_eval_partition.txt:4: ")
    assert found[2] == f"Eval/list_eval_partition.txt:8: {deepfashion.paths[5]} is empty (0 bytes); fetch it again"
    assert len(found) == 7
    assert all(line.endswith("rename it, other systems tell them apart") for line in found[3:])


def test_check_ends_with_what_stopped_it(deepfashion, options):
    deepfashion.edit("list_category_img.txt", 4, f"{deepfashion.paths[1]} two")
    deepfashion.edit("list_attr_cloth.txt", 3, "a-line 6")
    found = [str(problem) for problem in check("deepfashion", options)]
    assert found[0] == "Anno_coarse/list_category_img.txt:4: 'two', expected 1 integer"
    assert found[-1] == "Anno_coarse/list_attr_cloth.txt:3: attribute type '6', expected 1 to 5"


@pytest.mark.parametrize("split", ["val", "test"])
def test_a_split_without_any_label_is_a_fault(tmp_path, options, make_photo, split, capsys):
    root = tmp_path / "photos"
    rows = []
    for number in range(12):
        make_photo(root / f"{number}.jpg", number)
        of = ("train", "train", "val", "test")[number % 4]
        rows.append(f"{number}.jpg,{of},{'' if of == split else number % 2}\n")
    (root / "metadata.csv").write_text("file_name,split,color\n" + "".join(rows))
    fault = f".: none of the 3 images of {split} has a label; label some, or put them into unlabeled"
    assert [str(problem) for problem in check(f"folder:{root}", options)] == [fault]
    with pytest.raises(BadDataError) as caught:
        open_dataset(f"folder:{root}", options)
    assert str(caught.value) == f"folder:{root}: {fault}"
    assert main(["doctor", f"folder:{root}", "--cache", str(tmp_path / "cache")]) == 1
    assert capsys.readouterr().out == f"folder:{root}: {fault}\nfolder:{root}: 1 problems\n"


def test_doctor_finds_what_opening_refuses(deepfashion, options):
    partition = deepfashion.root / "Eval/list_eval_partition.txt"
    partition.write_text(partition.read_text().replace(" train\n", " val\n"))
    assert [str(problem) for problem in check("deepfashion", options)] == [
        ".: no training images; the lists put every row into another split"
    ]
