"""Hyper-parameters checked before anything runs, and keys that hold what a result depends on."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from planted import forget

from bench.seeding import canonical, derive_seed
from bench.spec import CellSpec, DataSpec, FitSpec, UsageError, check_value, parse_set, resolve_params, row_label

DATA = DataSpec("darn", "synthetic", "d" * 64, 64, 0.25, 1.0, 0)
FIT = FitSpec("mtss", {"gamma": 1.0, "image_size": 64}, DATA, "s" * 64)
CELL = CellSpec(FIT, "student", "tiny", "fog", 3)

RERUN = [
    replace(CELL, fit=replace(FIT, method="supervised")),
    replace(CELL, fit=replace(FIT, params={"gamma": 0.5, "image_size": 64})),
    replace(CELL, fit=replace(FIT, source_hash="t" * 64)),
    *(
        replace(CELL, fit=replace(FIT, data=replace(DATA, **change)))
        for change in ({"data_hash": "e" * 64}, {"image_size": 32}, {"label_fraction": 0.5}, {"unlabeled": 2.0}, {"seed": 1})
    ),
]
REEVALUATE = [
    replace(CELL, **change)
    for change in ({"row": "teacher"}, {"corruption": "snow"}, {"severity": 4}, {"split": "val"}, {"backend": "fast"})
]
REUSE = [
    replace(CELL, preset="paper"),
    replace(CELL, fit=replace(FIT, data=replace(DATA, dataset="folder:/elsewhere"))),
    replace(CELL, fit=replace(FIT, data=replace(DATA, source="real"))),
    replace(CELL, fit=replace(FIT, params={"image_size": 64, "gamma": 1.0})),
]


@pytest.mark.parametrize("changed", RERUN)
def test_what_a_fit_depends_on_makes_a_new_fit_and_a_new_cell(changed):
    assert changed.fit.key != CELL.fit.key
    assert changed.key != CELL.key


@pytest.mark.parametrize("changed", REEVALUATE)
def test_a_new_condition_refits_nothing(changed):
    assert changed.fit.key == CELL.fit.key
    assert changed.key != CELL.key


@pytest.mark.parametrize("changed", REUSE)
def test_what_does_not_count_reuses_the_result(changed):
    assert (changed.fit.key, changed.key) == (CELL.fit.key, CELL.key)


def test_data_sets_that_are_not_there_are_told_apart_by_name():
    absent = replace(DATA, data_hash="")
    pooled = replace(DATA, pool="ficcy")
    fits = [replace(FIT, data=data) for data in (absent, replace(absent, dataset="deepfashion"), pooled, replace(pooled, pool="jdstyle"))]
    assert len({fit.key for fit in fits}) == 4
    cells = [replace(CELL, target=name) for name in ("", "ficcy", "jdstyle")]
    assert len({cell.key for cell in cells}) == 3
    assert replace(fits[0], data=replace(absent, source="real")).key == fits[0].key


def test_the_keys_of_data_that_is_there_hold_no_name():
    pooled = replace(FIT, data=replace(DATA, pool="deepfashion", pool_hash="p" * 64))
    moved = replace(CELL, fit=pooled, target="ficcy", target_hash="t" * 64)
    keys = [FIT.key, CELL.key, pooled.key, moved.key]
    assert [key[:12] for key in keys] == ["dff0ab95a001", "47af793e206c", "16211b6f0a05", "22a59750b91a"]
    renamed = replace(pooled, data=replace(pooled.data, dataset="x", pool="y"))
    assert (renamed.key, replace(moved, fit=renamed, target="z").key) == (pooled.key, moved.key)


def test_the_protocol_version_is_part_of_every_key(monkeypatch):
    before = (CELL.fit.key, CELL.key)
    monkeypatch.setattr("bench.spec.PROTOCOL_VERSION", 2)
    fit = replace(FIT)
    after = (fit.key, replace(CELL, fit=fit).key)
    assert not set(before) & set(after)


def test_a_cell_survives_json():
    import json

    assert CellSpec.from_json(json.loads(json.dumps(CELL.to_json()))) == CELL


@given(st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5) | st.booleans(), max_size=6))
def test_canonical_text_does_not_depend_on_order(value):
    assert canonical(value) == canonical(dict(reversed(value.items())))


@given(st.lists(st.integers(0, 9) | st.text(max_size=4), min_size=1, max_size=4))
def test_a_seed_depends_on_each_part_and_its_place(parts):
    seed = derive_seed(*parts)
    assert 0 <= seed < 2**63
    assert derive_seed(*parts) == seed
    assert derive_seed(*parts, 0) != seed


def test_a_seed_is_the_same_on_every_machine():
    assert derive_seed("fit", "mtss", 0) == 3596138877480894703


@pytest.fixture
def planted(tmp_path, monkeypatch):
    (tmp_path / "methods").mkdir()
    text = (
        "class M:\n    PRESETS = {'tiny': {'width': 2}, 'tiny/b': {'width': 3}}\n    ROWS = {'a': {}, 'b': {'rate': 0.5}}\n"
        "    def __init__(self, *, image_size: int = 8, width: int = 1, rate: float = 0.1, loss: str = 'ce', deep: bool = False,\n"
        "                 cap: float | None = None, sizes: tuple[int, ...] = (1, 2)): ...\n"
    )
    (tmp_path / "methods" / "planted.py").write_text(text)
    monkeypatch.setenv("BENCH_PLUGINS", str(tmp_path))
    yield
    forget()


def test_params_are_defaults_then_preset_then_row_then_set(planted):
    assert resolve_params("planted", "a", "paper", {})["width"] == 1
    assert resolve_params("planted", "a", "tiny", {})["width"] == 2
    assert resolve_params("planted", "b", "tiny", {}) | {"image_size": 8} == {
        **{"image_size": 8, "width": 3, "rate": 0.5, "loss": "ce", "deep": False, "cap": None, "sizes": (1, 2)}
    }
    assert resolve_params("planted", "b", "tiny", {"width": 9})["width"] == 9


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [("rate", 1, 1.0), ("cap", None, None), ("cap", 2, 2.0), ("sizes", [3], (3,)), ("deep", True, True), ("loss", "bce", "bce")],
)
def test_a_value_of_the_declared_type_is_taken(planted, name, value, expected):
    found = check_value("planted", name, value)
    assert (found, type(found)) == (expected, type(expected))


@pytest.mark.parametrize(("name", "value"), [("rate", "x"), ("width", 1.5), ("width", True), ("deep", 1), ("loss", 3), ("sizes", 3)])
def test_a_value_of_another_type_is_refused(planted, name, value):
    with pytest.raises(UsageError, match=rf"planted\.{name}: {value!r} given, .* expected"):
        check_value("planted", name, value)


def test_an_unknown_hyper_parameter_gets_the_nearest_name(planted):
    with pytest.raises(UsageError, match="no hyper-parameter of planted 'witdh'; did you mean 'width'"):
        parse_set(["planted.witdh=3"])


def test_set_is_parsed_by_method_and_name(planted):
    assert parse_set(["planted.width=3", "planted.loss=bce", "planted.cap=null"]) == {"planted": {"width": 3, "loss": "bce", "cap": None}}
    with pytest.raises(UsageError, match=r"METHOD\.NAME=VALUE expected"):
        parse_set(["width=3"])


def test_a_row_names_what_set_changed():
    assert row_label("student", {}) == "student"
    assert row_label("student", {"gamma": 0.5, "backbone": "x"}) == "student[backbone=x,gamma=0.5]"
    assert replace(CELL, row="[gamma=0.5]").label == "mtss[gamma=0.5]"
    assert CELL.label == "mtss/student"
