"""Exported models answer as the originals do, and what cannot be exported, or answers otherwise, is refused."""

import json

import deployed
import numpy as np
import onnxruntime
import pytest
import torch

from bench import predict, trained
from bench.cli import main
from bench.export import TOLERANCE, difference
from bench.store import Store

MODELS = ("mtss/student", "supervised")


@pytest.fixture
def place(tmp_path_factory, monkeypatch):
    found = deployed.place(tmp_path_factory.getbasetemp())
    monkeypatch.setenv("BENCH_PLUGINS", str(found / "plugins"))
    monkeypatch.setenv("BENCH_STORE", str(found / "results" / "store"))
    return found


def original(place, selector):
    store = Store(place / "results" / "store")
    return trained.load(trained.find(selector, store, {}), store, torch.device("cpu"))


def photos(paths, image_size):
    return predict.stack([predict.read_photo(path, image_size) for path in paths])


def best(scores):
    return {name: values.argmax(1).tolist() for name, values in scores.items()}


@pytest.mark.parametrize("selector", MODELS)
def test_200_photos_get_the_same_classes_in_batches_of_1_and_7_and_200(place, selector, tmp_path_factory):
    paths = sorted((place / "photos" / "test").glob("*.jpg"))
    assert len(paths) == 200
    images = photos(paths, 64)
    ours = trained.scores(original(place, selector), images)
    exported = predict.open_exported(deployed.exported(tmp_path_factory.getbasetemp(), selector))
    theirs = exported.scores(images)
    assert list(ours) == list(theirs) == ["category", "pattern", "color", "sleeve", "details"]
    assert best(ours) == best(theirs)
    assert len(set(best(ours)["color"])) > 1  # a model that always says the same would agree for nothing
    assert max(difference(ours[name], theirs[name]) for name in ours) <= TOLERANCE
    for size in (1, 7):
        part = exported.scores(images[:size])
        assert max(difference(ours[name][:size], part[name]) for name in ours) <= TOLERANCE


def test_classes_without_a_trained_vector_stay_at_minus_infinity(place, tmp_path_factory):
    images = photos(sorted((place / "photos" / "test").glob("*.jpg"))[:3], 64)
    ours = trained.scores(original(place, "mtss/student"), images)
    theirs = predict.open_exported(deployed.exported(tmp_path_factory.getbasetemp(), "mtss/student")).scores(images)
    masked = {name: np.isneginf(values) for name, values in ours.items()}
    assert any(values.any() for values in masked.values())
    for name, values in masked.items():
        np.testing.assert_array_equal(np.isneginf(theirs[name]), values)


@pytest.mark.realdata
@pytest.mark.parametrize("selector", MODELS)
def test_20_photographs_get_the_same_classes(place, selector, tmp_path_factory, realdata):
    paths = sorted((realdata / "clothing_cc0" / "test").glob("*.jpg"))[:20]
    assert len(paths) == 20
    images = photos(paths, 64)
    theirs = predict.open_exported(deployed.exported(tmp_path_factory.getbasetemp(), selector)).scores(images)
    assert best(trained.scores(original(place, selector), images)) == best(theirs)


def test_the_model_states_its_input_and_the_file_beside_it_its_classes(place, tmp_path_factory):
    out = deployed.exported(tmp_path_factory.getbasetemp(), "mtss/student")
    assert sorted(path.name for path in out.iterdir()) == ["classes.json", "model.onnx"]
    session = onnxruntime.InferenceSession(out / "model.onnx", providers=["CPUExecutionProvider"])
    [entrance] = session.get_inputs()
    assert (entrance.name, entrance.type, entrance.shape[1:]) == ("images", "tensor(uint8)", [3, 64, 64])
    about = json.loads((out / "classes.json").read_text())
    assert [output.name for output in session.get_outputs()] == about["outputs"]
    carried = json.loads(session.get_modelmeta().custom_metadata_map["bench"])
    assert (
        carried["input"]
        == about["input"]
        == {
            "name": "images",
            "dtype": "uint8",
            "shape": ["batch", 3, 64, 64],
            "colors": "RGB",
            "range": [0, 255],
        }
    )
    assert carried["normalization"] == "inside the model"
    model = original(place, "mtss/student")
    assert [(kind["name"], tuple(kind["classes"]), kind["exclusive"]) for kind in about["types"]] == [
        (kind.name, kind.classes, kind.exclusive) for kind in model.schema
    ]
    assert (about["scores"], about["image_size"], about["fit_key"]) == ("similarity", 64, model.about["fit_key"])
    assert about["parity"]["max_abs_difference"] <= about["parity"]["tolerance"] == 1e-4
    assert b"methods/" not in (out / "model.onnx").read_bytes()  # no path of this machine


def test_thresholds_are_those_of_the_store(place, tmp_path_factory):
    about = json.loads((deployed.exported(tmp_path_factory.getbasetemp(), "supervised") / "classes.json").read_text())
    stored = Store(place / "results" / "store").load_model(about["fit_key"])["thresholds.details"].numpy()
    given = {kind["name"]: kind["thresholds"] for kind in about["types"]}
    assert given.pop("details") == [float(value) if np.isfinite(value) else None for value in stored]
    assert set(given.values()) == {None}


def test_an_export_that_answers_otherwise_fails_and_an_earlier_one_stays(place, tmp_path, capsys):
    assert main(["export", "steady", "--seed", "0", "--out", str(tmp_path)]) == 0
    assert "parity: 0.0e+00 over 48 pictures" in capsys.readouterr().out
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert main(["export", "drifting", "--seed", "0", "--out", str(tmp_path)]) == 1
    assert "bench export: drifting: parity failed: scores differ by" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_method_that_cannot_be_exported_gets_one_line(place, tmp_path, capsys):
    assert main(["export", "stubborn", "--seed", "0", "--out", str(tmp_path / "out")]) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("bench export: stubborn cannot be exported: GuardOnDataDependentSymNode: ")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_method_that_fixes_the_batch_size_is_refused(place, tmp_path, capsys):
    assert main(["export", "rigid", "--seed", "0", "--out", str(tmp_path)]) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("bench export: rigid cannot be exported: onnxruntime does not run it: ")
    assert "Got: 1 Expected: 2" in line


def test_a_missing_package_is_named_with_the_command_that_brings_it(place, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(__import__("sys").modules, "onnxscript", None)
    assert main(["export", "supervised", "--out", str(tmp_path)]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("bench export: onnxscript is not installed")
    assert line.endswith("pip install -e '.[export]' brings it")


def test_a_file_in_the_place_of_the_folder_is_refused(place, tmp_path, capsys):
    (tmp_path / "out").touch()
    assert main(["export", "supervised", "--out", str(tmp_path / "out")]) == 2
    assert "is a file; name a folder" in capsys.readouterr().err


def test_several_models_of_a_name_are_listed(place, tmp_path, capsys):
    assert main(["export", "steady", "--out", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert "'steady' means 2 trained models" in said
    assert "--label-fraction 0.5 --seed 0" in said
    assert "--label-fraction 0.5 --seed 1" in said


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ([1.0, -np.inf], [1.5, -np.inf], 0.5),
        ([1.0, -np.inf], [1.0, -1e30], np.inf),
        ([1.0, 2.0], [1.0, -np.inf], np.inf),
        ([-np.inf], [np.inf], np.inf),
        ([np.nan], [1.0], np.inf),
        ([np.nan], [np.nan], np.inf),
        ([1.0], [1.0, 1.0], np.inf),
        ([], [], 0.0),
    ],
)
def test_difference_counts_infinities_that_stand_elsewhere(first, second, expected):
    assert difference(np.array(first, np.float32), np.array(second, np.float32)) == expected
