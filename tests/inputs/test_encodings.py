"""Lists in other encodings and with other line ends: what is read all the same, what is refused, and that every name survives printing."""

import unicodedata

import pytest
import sound
from PIL import Image

from bench.protocol import BadDataError, DataOptions
from datasets._open import check, open_dataset

NFC, NFD = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))
BOM = b"\xef\xbb\xbf"


@pytest.mark.parametrize("name", sound.SOUND)
@pytest.mark.parametrize("how", ["a byte order mark", "CRLF", "both"])
def test_a_byte_order_mark_and_crlf_change_nothing(tmp_path, name, how):
    plain, _ = sound.read(name, sound.write(tmp_path / "plain", sound.SOUND[name]))
    mark = b"" if how == "CRLF" else BOM
    end = b"\n" if how == "a byte order mark" else b"\r\n"
    changed = {file: mark + data.replace(b"\r\n", b"\n").replace(b"\n", end) for file, data in sound.SOUND[name].items()}
    found, problems = sound.read(name, sound.write(tmp_path / "changed", changed))
    assert problems.found == []
    assert sound.content_hash(found) == sound.content_hash(plain)


@pytest.mark.parametrize("name", sound.SOUND)
def test_utf_16_is_refused_or_costs_every_row(tmp_path, name):
    for file, data in sound.SOUND[name].items():
        files = {**sound.SOUND[name], file: data.decode().encode("utf-16")}
        try:
            said = " ".join(map(str, sound.read(name, sound.write(tmp_path / "data", files))[1].found))
        except BadDataError as refused:
            said = str(refused)
        assert file in said


def test_labels_in_latin_1_cost_their_rows_and_names_of_files_may_be_any_bytes(tmp_path):
    files = {**sound.SOUND["folder"]}
    del files["attributes.json"]
    files["train/metadata.csv"] = "file_name,class,style\na.jpg,grün,boho\ncafé.jpg,blau,\n".encode("latin-1")
    found, problems = sound.read("folder", sound.write(tmp_path / "data", files))
    assert [str(problem) for problem in problems.found] == ["train/metadata.csv:2: is no UTF-8; save the table as UTF-8"]
    assert "train/a.jpg" not in found.paths
    assert "train/caf\udce9.jpg" in found.paths  # the very bytes, which name the file on the disk
    assert found.schema["class"].classes == ("blau", "blue", "red")


def test_a_header_in_latin_1_is_refused(tmp_path):
    table = "file_name,größe,class\na.jpg,36,red\nb.jpg,36,red\n".encode("latin-1")
    with pytest.raises(BadDataError, match=r"^train/metadata\.csv:1: is no UTF-8; save the table as UTF-8$"):
        sound.read("folder", sound.write(tmp_path / "data", {**sound.SOUND["folder"], "train/metadata.csv": table}))


def test_names_of_official_lists_in_latin_1_are_shown_by_their_bytes(tmp_path):
    files = {file: data.replace(b"denim", b"d\xe9nim") for file, data in sound.SOUND["deepfashion"].items()}
    found, problems = sound.read("deepfashion", sound.write(tmp_path / "data", files))
    assert problems.found == []
    assert any("d\\udce9nim" in kind.classes for kind in found.schema)


@pytest.mark.parametrize("file", ["train/metadata.csv", "val/metadata.jsonl"])
def test_a_table_in_utf_16_is_told_what_to_do(tmp_path, file):
    files = {**sound.SOUND["folder"], file: sound.SOUND["folder"][file].decode().encode("utf-16")}
    with pytest.raises(BadDataError, match=rf"^{file}:1: is UTF-16; save the table as UTF-8$"):
        sound.read("folder", sound.write(tmp_path / "data", files))


@pytest.mark.parametrize("mark", [";", "\t"])
def test_a_table_whose_columns_are_parted_otherwise_is_read(tmp_path, mark):
    plain, _ = sound.read("folder", sound.write(tmp_path / "plain", sound.SOUND["folder"]))
    files = {file: data.replace(b",", mark.encode()) if file.endswith(".csv") else data for file, data in sound.SOUND["folder"].items()}
    found, problems = sound.read("folder", sound.write(tmp_path / "other", files))
    assert problems.found == []
    assert sound.content_hash(found) == sound.content_hash(plain)


def test_a_comma_in_the_first_line_parts_columns_whatever_else_is_there(tmp_path):
    table = b"file_name,class,style;x\na.jpg,red,boho;chic\nb.jpg,blue,\n"
    files = {**sound.SOUND["folder"], "train/metadata.csv": table, "attributes.json": b'{"class": {}, "style": {"column": "style;x"}}'}
    found, _ = sound.read("folder", sound.write(tmp_path / "data", files))
    assert found.schema["style"].classes == ("boho;chic",)


def catalogue(root, listed, on_disk):
    """Three pictures, the first under another spelling."""
    root.mkdir()
    for file in (on_disk, "b.png", "c.png"):
        Image.new("RGB", (8, 8)).save(root / file)
    (root / "metadata.csv").write_text(f"file_name,split,kind\n{listed},train,x\nb.png,val,y\nc.png,test,x\n", encoding="utf-8")
    return f"folder:{root}"


@pytest.mark.parametrize("name", ["a b  c.png", "comma, quoted.png", "café.png", "写真.png", "back\\slash.png", "new\nline.png"])
def test_file_names_with_odd_characters_are_opened(tmp_path, name):
    dataset = catalogue(tmp_path / "photos", f'"{name}"', name)
    opened = open_dataset(dataset, DataOptions(tmp_path, tmp_path / "cache"))
    assert len(opened.examples("train", image_size=8)) == 1


@pytest.mark.parametrize(("listed", "on_disk"), [(NFC, NFD), (NFD, NFC)])
def test_composed_and_decomposed_accents_are_the_same_name(tmp_path, listed, on_disk):
    dataset = catalogue(tmp_path / "photos", f"{listed}.png", f"{on_disk}.png")
    options = DataOptions(tmp_path, tmp_path / "cache")
    assert len(open_dataset(dataset, options).examples("train", image_size=8)) == 1
    [problem] = check(dataset, options)  # the doctor still says so: other systems tell them apart
    assert f"is spelled {on_disk}.png on the disk; rename it" in problem.message


@pytest.mark.parametrize(
    ("name", "message"), [("a\0.png", "holds a zero byte"), ("x" * 5000 + ".png", "is missing"), ("sub\\..\\b.png", "leads out of")]
)
def test_names_that_no_file_has_are_refused_with_their_line(tmp_path, name, message):
    dataset = catalogue(tmp_path / "photos", name, "other.png")
    with pytest.raises(BadDataError, match=rf"metadata\.csv:2: .*{message}"):
        open_dataset(dataset, DataOptions(tmp_path, tmp_path / "cache")).examples("train", image_size=8)
