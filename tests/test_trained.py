"""What a person calls a trained model, and which one of a store is meant."""

import pytest
from handmade import write

from bench.cli import main
from bench.spec import UsageError
from bench.store import Store
from bench.trained import find


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path)


def add(store, method, **fields):
    """A record whose model is there."""
    record = write(store, method, **fields)
    store.save_model(record["fit_key"], {}, {})
    return record


def test_a_method_with_one_model_needs_no_more_than_its_name(store):
    made = add(store, "mtss", row="student")
    assert find("mtss", store, {})["key"] == find("mtss/student", store, {})["key"] == made["key"]


def test_the_newest_of_the_same_sweep_is_taken(store):
    add(store, "supervised", finished=5.0, fit_key="a" * 64)
    newest = add(store, "supervised", finished=9.0, fit_key="b" * 64)
    add(store, "supervised", finished=7.0, fit_key="c" * 64)
    assert find("supervised", store, {})["key"] == newest["key"]


def test_options_tell_models_apart_and_without_them_all_are_listed(store):
    made = {(data, seed): add(store, "mtss", row="student", dataset=data, seed=seed) for data in ("darn", "deepfashion") for seed in (0, 1)}
    assert find("mtss/student", store, {"dataset": "darn", "seed": 1})["key"] == made["darn", 1]["key"]
    with pytest.raises(UsageError) as caught:
        find("mtss/student", store, {"seed": 1})
    text = str(caught.value)
    assert "'mtss/student' --seed 1 means 2 trained models" in text
    assert "mtss/student --dataset darn --label-fraction 1.0 --seed 1 --preset tiny  (key " in text
    assert "--dataset deepfashion" in text
    assert "--seed 0" not in text


def test_a_key_prefix_means_its_model(store):
    add(store, "supervised", seed=0, fit_key="abc123" + "0" * 58)
    second = add(store, "supervised", seed=1, fit_key="abc456" + "0" * 58)
    assert find("abc456", store, {})["key"] == second["key"]
    with pytest.raises(UsageError, match="no trained model 'abc789'"):
        find("abc789", store, {})


def test_an_exact_name_comes_before_what_set_changed(store):
    changed = add(store, "supervised", row="[shrink=1]")
    assert find("supervised", store, {})["key"] == changed["key"]
    plain = add(store, "supervised")
    assert find("supervised", store, {})["key"] == plain["key"]
    assert find("supervised[shrink=1]", store, {})["key"] == changed["key"]
    student = add(store, "mtss", row="student[gamma=0.5]")
    add(store, "mtss", row="teacher")
    assert find("mtss/student", store, {})["key"] == student["key"]


def test_failed_records_and_lost_models_do_not_count(store):
    add(store, "supervised", status="failed")
    write(store, "supervised", seed=1)
    with pytest.raises(UsageError, match=r"no trained model 'supervised' in .*; python -m bench run trains one"):
        find("supervised", store, {})


def test_what_there_is_stands_in_the_message(store):
    add(store, "mtss", row="teacher")
    with pytest.raises(UsageError, match=r"no trained model 'mtss/student' in .*; there are:\n  mtss/teacher --dataset darn"):
        find("mtss/student", store, {})
    with pytest.raises(UsageError, match=r"no trained model 'mtss' --dataset ficcy in .*; there are:\n  mtss/teacher --dataset darn"):
        find("mtss", store, {"dataset": "ficcy"})


def test_a_model_seen_on_another_data_set_alone_is_explained(store):
    add(store, "mtss", row="student", dataset="deepfashion->darn")
    with pytest.raises(UsageError, match="tested on another data set alone"):
        find("mtss/student", store, {})


def test_an_unknown_method_ends_with_2_and_the_nearest_name(tmp_path, capsys):
    assert main(["predict", "mtts/student", "a.jpg", "--store", str(tmp_path)]) == 2
    assert "did you mean 'mtss'" in capsys.readouterr().err
