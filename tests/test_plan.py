"""From axes to cells to stages, each teacher and each fit once."""

import dataclasses

import pytest
from planted import forget

from bench import plan, registry
from bench.plan import DataFacts, Sweep, make_cells, make_conditions, make_stages, select_rows
from bench.protocol import AttributeType, Schema
from bench.spec import UsageError

SCHEMA = Schema((AttributeType("color", ("red", "blue"), True), AttributeType("part", ("zip", "hood"), False)))
FACTS = {"darn": DataFacts("synthetic", "d" * 64, SCHEMA), "deepfashion": DataFacts("synthetic", "e" * 64, SCHEMA)}
PLANTED = """
class Planted:
    PRESETS = {"tiny": {}}
    ROWS = {"teacher": {"answer": "teacher"}, "student": {}, "sharp": {"gamma": 2.0}}
    HEADLINE = ("teacher", "student")
    TEACHER_PARAMS = ("gamma",)

    def __init__(self, *, image_size: int = 8, gamma: float = 1.0, answer: str = "student"): ...

    def teachers(self, schema):
        return schema.names
"""


@pytest.fixture(autouse=True)
def _planted(tmp_path, monkeypatch):
    (tmp_path / "methods").mkdir()
    (tmp_path / "methods" / "planted.py").write_text(PLANTED)
    plain = PLANTED.replace('TEACHER_PARAMS = ("gamma",)', "").replace("ROWS", "UNUSED").replace("HEADLINE", "HIDDEN")
    (tmp_path / "methods" / "plain.py").write_text(plain)
    (tmp_path / "methods" / "crooked.py").write_text("def (")
    monkeypatch.setenv("BENCH_PLUGINS", str(tmp_path))
    yield
    forget()


def cells_of(rows, conditions=(("none", 0),), datasets=("darn",), seeds=(0,), fractions=(1.0,), **overrides):
    return make_cells(Sweep(rows, datasets, fractions, (1.0,), seeds, conditions, "tiny", overrides=overrides), FACTS)


def stages_of(cells, have=(), **options):
    return make_stages(cells, set(have).__contains__, {name: fact.schema for name, fact in FACTS.items()}, **options)


def test_the_axes_multiply():
    conditions = make_conditions(["fog", "snow"], [0, 3, 5])
    assert conditions == [("none", 0), ("fog", 3), ("fog", 5), ("snow", 3), ("snow", 5)]
    cells = cells_of([("planted", "student"), ("plain", "")], conditions, ("darn", "deepfashion"), (0, 1), (0.25, 1.0))
    assert len(cells) == 2 * 5 * 2 * 2 * 2
    assert len({cell.key for cell in cells}) == len(cells)
    assert len({cell.fit.key for cell in cells}) == 16


def test_rows_that_agree_on_teacher_params_share_teachers_and_each_stands_once():
    rows = [("planted", "teacher"), ("planted", "student"), ("planted", "sharp")]
    stages = stages_of(cells_of(rows, make_conditions(["fog"], [0, 3])))
    teachers = [stage for stage in stages if stage.kind == "teacher"]
    fits = [stage for stage in stages if stage.kind == "fit"]
    assert [stage.teacher.teacher for stage in teachers] == ["color", "part", "color", "part"]  # gamma 1, then gamma 2
    assert len({stage.key for stage in stages}) == len(stages)
    assert fits[0].needs == fits[1].needs == tuple(stage.key for stage in teachers[:2])
    assert fits[2].needs == tuple(stage.key for stage in teachers[2:])
    assert {cell.fit.key for cell in teachers[0].affects} == {fits[0].key, fits[1].key}


def test_stages_stand_after_what_they_need():
    stages = stages_of(cells_of([("planted", "student"), ("plain", "")], make_conditions(["fog", "snow"], [0, 3]), ("darn", "deepfashion")))
    seen = set()
    for stage in stages:
        assert set(stage.needs) <= seen
        seen.add(stage.key)
    written = [cell.key for stage in stages for cell in stage.cells]
    assert sorted(written) == sorted({cell.key for stage in stages for cell in [*stage.cells, *stage.affects]})


def test_a_corruption_is_one_stage_for_all_fits_of_a_data_set():
    cells = cells_of([("planted", "student"), ("plain", "")], make_conditions(["fog"], [3, 5]), seeds=(0, 1))
    evaluations = [stage for stage in stages_of(cells) if stage.kind == "evaluate"]
    assert [len(stage.cells) for stage in evaluations] == [8]
    assert [len(stage.cells) for stage in stages_of(cells, max_models=3) if stage.kind == "evaluate"] == [6, 2]


def test_evaluations_of_other_cells_have_other_keys():
    """Leases go by them: sweeps with other methods must not wait for each other."""

    def key(method="plain", **options):
        [stage] = stages_of(cells_of([(method, "")], [("fog", 3)], **options), have=[], pending=["x"])[-1:]
        return stage.key

    assert key() == key()
    assert len({key(), key("crooked"), key(seeds=(1,)), key(seeds=(0, 1)), key(fractions=(0.5,))}) == 5


def test_what_has_a_model_is_not_trained_again():
    cells = cells_of([("planted", "student")], make_conditions(["fog"], [0, 3]))
    fit = cells[0].fit
    stages = stages_of(cells, have=[fit.key])
    assert [stage.kind for stage in stages] == ["evaluate", "evaluate"]
    teachers = [fit.teacher(name).key for name in SCHEMA.names]
    stages = stages_of(cells, have=teachers)
    assert [stage.kind for stage in stages] == ["fit", "evaluate"]
    assert stages[0].needs == ()


def test_set_reaches_the_params_and_the_row_label():
    cell = cells_of([("planted", "student")], planted={"gamma": 0.5})[0]
    assert (cell.fit.params["gamma"], cell.label) == (0.5, "planted/student[gamma=0.5]")


def test_a_broken_method_still_has_cells_of_its_own():
    cells = cells_of([("crooked", ""), ("plain", "")])
    assert [cell.fit.method for cell in cells] == ["crooked", "plain"]
    assert [stage.kind for stage in stages_of(cells)] == ["fit", "fit"]


def test_rows_are_chosen_by_name_star_and_exclusion():
    assert select_rows("planted") == [("planted", "teacher"), ("planted", "student")]
    assert select_rows("planted/*") == [("planted", "teacher"), ("planted", "student"), ("planted", "sharp")]
    assert select_rows("planted/sharp,plain") == [("planted", "sharp"), ("plain", "")]
    assert ("planted", "teacher") not in select_rows("all,!planted")
    assert ("crooked", "") in select_rows("all")
    assert select_rows("planted,!planted/teacher") == [("planted", "student")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("plan", "no method 'plan'; did you mean 'plain'"),
        ("planted/sharpe", "no row of planted 'sharpe'; did you mean 'sharp'"),
        ("plain,", "an empty name"),
        ("plain,!plain", "leaves no method"),
    ],
)
def test_a_wrong_choice_of_rows_is_refused(text, message):
    with pytest.raises((UsageError, registry.UnknownNameError), match=message):
        select_rows(text)


def test_evaluations_hold_at_most_the_models_that_fit():
    assert plan.MAX_MODELS_PER_EVALUATION >= 8


POOLED = PLANTED.replace('answer: str = "student"', 'answer: str = "student", pool_dataset: str = ""').replace(
    '"sharp": {"gamma": 2.0}', '"mixed": {"pool_dataset": "darn"}'
)


def test_a_pool_of_another_data_set_changes_the_fit_by_its_content_and_leaves_the_teachers_alone(tmp_path):
    (tmp_path / "methods" / "pooled.py").write_text(POOLED)
    registry._read.cache_clear()
    [plain] = cells_of([("pooled", "student")], datasets=("deepfashion",))
    [mixed] = cells_of([("pooled", "mixed")], datasets=("deepfashion",))
    assert (mixed.fit.data.pool, mixed.fit.data.pool_hash) == ("darn", "d" * 64)
    assert mixed.fit.key != plain.fit.key
    assert mixed.fit.teacher("color").key == plain.fit.teacher("color").key
    assert mixed.datasets == ("deepfashion", "darn")
    elsewhere = dataclasses.replace(
        mixed.fit, params={**mixed.fit.params, "pool_dataset": "x"}, data=dataclasses.replace(mixed.fit.data, pool="x")
    )
    assert elsewhere.key == mixed.fit.key  # a name is no content
    changed = dataclasses.replace(mixed.fit, data=dataclasses.replace(mixed.fit.data, pool_hash="f" * 64))
    assert changed.key != mixed.fit.key


def test_a_data_set_is_no_pool_beside_itself(tmp_path):
    (tmp_path / "methods" / "pooled.py").write_text(POOLED)
    registry._read.cache_clear()
    assert cells_of([("pooled", "mixed")], datasets=("darn",)) == []


def test_a_transfer_shares_the_fit_and_is_a_cell_of_its_own():
    sweep = Sweep(
        [("plain", "")], ["deepfashion"], [1.0], [1.0], [0], [("none", 0), ("fog", 3)], "tiny", transfers=[("deepfashion", "darn")]
    )
    cells = make_cells(sweep, FACTS)
    assert [cell.dataset for cell in cells] == ["deepfashion", "deepfashion", "deepfashion->darn", "deepfashion->darn"]
    assert len({cell.key for cell in cells}) == 4
    assert len({cell.fit.key for cell in cells}) == 1
    assert len({cell.protocol_id for cell in cells}) == 2
    fit, *evaluations = stages_of(cells)
    assert [cell.dataset for cell in fit.cells] == ["deepfashion", "deepfashion->darn"]
    assert [[cell.dataset for cell in stage.cells] for stage in evaluations] == [["deepfashion"], ["deepfashion->darn"]]
