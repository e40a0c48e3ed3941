"""Photos in, attributes out: what is said of scores, which photos are refused, and that an exported model needs no torch."""

import json
import subprocess
import sys

import cv2
import deployed
import numpy as np
import pytest
from planted import ROOT

from bench import registry
from bench.cli import main
from bench.predict import PhotoError, answer, read_photo
from bench.protocol import DataOptions

SHADES = {"name": "shade", "classes": ["dark", "light", "mid", "none"], "exclusive": True, "thresholds": None}
PARTS = {"name": "part", "classes": ["belt", "hood", "zip"], "exclusive": False, "thresholds": [0.5, None, -1.0]}


@pytest.fixture
def place(tmp_path_factory, monkeypatch):
    found = deployed.place(tmp_path_factory.getbasetemp())
    monkeypatch.setenv("BENCH_PLUGINS", str(found / "plugins"))
    monkeypatch.setenv("BENCH_STORE", str(found / "results" / "store"))
    return found


@pytest.fixture
def out(place, tmp_path_factory):
    return deployed.exported(tmp_path_factory.getbasetemp(), "supervised")


@pytest.fixture
def photos(place):
    return [str(path) for path in sorted((place / "photos" / "test").glob("*.jpg"))[:40]]


def said(found):
    return [(item["class"], item["score"], item["above_threshold"]) for item in found]


def array(*values):
    return np.array(values, dtype=np.float32)


def test_logits_of_an_exclusive_type_become_probabilities():
    found = said(answer(array(0.0, np.log(3.0), 0.0, -np.inf), SHADES, "logits"))
    assert found == [("light", 0.6, None), ("dark", 0.2, None), ("mid", 0.2, None)]
    assert said(answer(array(1000.0, 0.0, 0.0, 0.0), SHADES, "logits", 1)) == [("dark", 1.0, None)]
    assert answer(array(*[-np.inf] * 4), SHADES, "logits") == []


def test_similarities_are_left_as_they_are():
    assert said(answer(array(0.25, 0.5, -0.5, -np.inf), SHADES, "similarity", 9)) == [
        ("light", 0.5, None),
        ("dark", 0.25, None),
        ("mid", -0.5, None),
    ]


def test_of_a_type_with_thresholds_those_at_or_above_theirs_are_named():
    assert said(answer(array(0.5, 9.0, -0.5), PARTS, "similarity")) == [("belt", 0.5, True), ("zip", -0.5, True)]
    assert said(answer(array(0.5, 9.0, 0.0), PARTS, "logits")) == [("belt", 0.622459, True), ("zip", 0.5, True)]
    assert said(answer(array(0.5, 9.0, 0.0), PARTS, "logits", 1)) == [("belt", 0.622459, True)]


def test_below_all_thresholds_the_best_is_named_and_marked():
    assert said(answer(array(0.25, -np.inf, -2.0), PARTS, "similarity")) == [("belt", 0.25, False)]


def test_without_thresholds_the_best_are_named_unmarked():
    kind = {**PARTS, "thresholds": None}
    assert said(answer(array(0.0, 0.0, -np.inf), kind, "logits")) == [("belt", 0.5, None), ("hood", 0.5, None)]


@pytest.mark.slow
def test_a_photo_becomes_the_pixels_that_training_sees(place):
    options = DataOptions(place / "data", place / "cache")
    dataset = registry.load_part("datasets._open").open_dataset(f"folder:{place / 'photos'}", options)
    seen = dataset.examples("test", image_size=64).images(slice(0, 200))
    ours = [read_photo(path, 64) for path in sorted((place / "photos" / "test").glob("*.jpg"))]
    assert {each.tobytes() for each in seen} == {each.tobytes() for each in ours}


def test_a_photo_is_turned_upright(tmp_path):
    from PIL import Image

    pixels = np.zeros((40, 60, 3), np.uint8)
    pixels[:, :30] = 255  # the left half, which orientation 6 shows on top
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels).save(tmp_path / "turned.jpg", exif=exif, quality=95)
    found = read_photo(tmp_path / "turned.jpg", 8)
    assert found[:3].min() > 200
    assert found[5:].max() < 50


def test_what_is_no_photo_says_why(tmp_path):
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "words.jpg").write_text("words")
    cv2.imwrite(str(tmp_path / "cut.jpg"), np.zeros((64, 64, 3), np.uint8))
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "cut.jpg").read_bytes()[:-40])
    for name, reason in [
        ("empty.jpg", "is empty"),
        ("words.jpg", "no JPEG"),
        ("cut.jpg", "truncated"),
        ("absent.jpg", "No such file"),
        (".", "not a file"),
    ]:
        with pytest.raises(PhotoError, match=reason):
            read_photo(tmp_path / name, 64)


def test_the_exported_model_says_what_the_stored_one_says(out, photos, capsys):
    assert main(["predict", str(out), *photos, "--json"]) == 0
    theirs = json.loads(capsys.readouterr().out)
    assert main(["predict", "supervised", *photos, "--json"]) == 0
    ours = json.loads(capsys.readouterr().out)
    assert ours["model"] == theirs["model"]
    assert ours["score"] == theirs["score"] == "probability"
    assert [each["photo"] for each in theirs["photos"]] == photos
    for one, other in zip(ours["photos"], theirs["photos"], strict=True):
        assert list(one["types"]) == ["category", "pattern", "color", "sleeve", "details"]
        for kind in ("category", "pattern", "color", "sleeve"):
            assert len(one["types"][kind]) == 3
            assert one["types"][kind][0]["class"] == other["types"][kind][0]["class"]
            assert one["types"][kind][0]["score"] == pytest.approx(other["types"][kind][0]["score"], abs=1e-4)


def test_the_table_has_a_line_a_photo_and_type(out, photos, capsys):
    assert main(["predict", str(out / "model.onnx"), *photos[:2], "--top", "1"]) == 0
    head, _, *lines = capsys.readouterr().out.splitlines()
    assert head.split() == ["photo", "type", "classes", "(probability)"]
    assert len(lines) == 10
    assert [line.split()[0] for line in lines[::5]] == photos[:2]
    assert "," not in "".join(lines)


def test_a_photo_that_cannot_be_read_costs_only_itself(out, photos, capsys, tmp_path):
    assert main(["predict", str(out), photos[0], str(tmp_path / "absent.jpg"), photos[1], "--json"]) == 1
    done = capsys.readouterr()
    assert done.err.splitlines() == [f"bench predict: {tmp_path / 'absent.jpg'}: No such file or directory"]
    found = json.loads(done.out)
    assert [each["photo"] for each in found["photos"]] == photos[:2]
    assert found["unreadable"] == [{"photo": str(tmp_path / "absent.jpg"), "reason": "No such file or directory"}]
    assert main(["predict", str(out), str(tmp_path / "absent.jpg")]) == 1
    assert capsys.readouterr().out == ""


def test_an_exported_model_is_used_without_torch(out, photos, tmp_path):
    code = (
        "import sys; from bench.cli import main\n"
        f"code = main(['predict', {str(out)!r}, {photos[0]!r}])\n"
        "sys.exit(code or ('torch was imported' if 'torch' in sys.modules else 0))"
    )
    environment = {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error"}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "category" in done.stdout


def test_a_stand_in_is_named(out, photos, tmp_path, capsys):
    folder = deployed.copy(out, tmp_path / "copy")
    about = json.loads((folder / "classes.json").read_text())
    (folder / "classes.json").write_text(json.dumps({**about, "source": "synthetic"}))
    assert main(["predict", str(folder), photos[0]]) == 0
    assert "(synthetic)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda folder: (folder / "model.onnx").unlink(), "model.onnx is missing; python -m bench export MODEL --out"),
        (lambda folder: (folder / "classes.json").unlink(), "classes.json is missing"),
        (lambda folder: (folder / "classes.json").write_text("{"), "classes.json is damaged"),
        (lambda folder: (folder / "classes.json").write_text("[]"), "classes.json is damaged"),
        (lambda folder: (folder / "classes.json").write_text('{"format": 2, "fit_key": ""}'), "format 2, expected 1"),
        (lambda folder: (folder / "classes.json").write_text('{"format": 1, "fit_key": "0"}'), "belong to different models"),
        (lambda folder: (folder / "model.onnx").write_bytes(b"words"), "cannot be opened by onnxruntime"),
    ],
)
def test_a_damaged_export_ends_with_2_and_says_why(out, photos, tmp_path, change, message, capsys):
    folder = deployed.copy(out, tmp_path / "copy")
    change(folder)
    assert main(["predict", str(folder), photos[0]]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert message in line


def test_without_onnxruntime_the_command_that_brings_it_is_named(out, photos, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert main(["predict", str(out), photos[0]]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("bench predict: onnxruntime is not installed")
    assert line.endswith("pip install -e '.[export]' brings it")


def test_top_must_be_positive(out, photos, capsys):
    assert main(["predict", str(out), photos[0], "--top", "0"]) == 2
    assert "--top 0 given, 1 or more expected" in capsys.readouterr().err
