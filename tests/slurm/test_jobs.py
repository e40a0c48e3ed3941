"""Job files: stages come back as they were, in folders that are nobody else's business."""

import json
import stat

from hypothesis import given
from hypothesis import strategies as st

from bench.bundles import Bundle, JobArray
from bench.plan import Stage
from bench.spec import CellSpec, DataSpec, FitSpec, TeacherSpec
from bench.stages import Settings
from slurm import jobs

DATA = DataSpec("darn", "real", "h", 8, 0.25, 1.0, 3)


@st.composite
def stages(draw):
    """A bundle of one kind, with cells that share fits."""
    fits = [FitSpec(name, {"a": draw(st.integers()), "b": [1.5, None]}, DATA, "s") for name in ("mtss", "naver")]
    cell = st.builds(
        CellSpec,
        st.sampled_from(fits),
        st.sampled_from(["", "student", "a[b=1]"]),
        st.just("tiny"),
        st.sampled_from(["none", "fog"]),
        st.integers(0, 5),
        target=st.sampled_from(["", "deepfashion"]),
    )
    cells = draw(st.lists(cell, max_size=4))
    kind = draw(st.sampled_from(["teacher", "fit", "evaluate"]))
    teacher = TeacherSpec("mtss", "color", {"a": 1}, DATA, "s") if kind == "teacher" else None
    return Stage(kind, "k", ("n", "m"), cells, cells[:1], teacher=teacher, fit=fits[0] if kind == "fit" else None)


@given(st.lists(stages(), max_size=3))
def test_stages_come_back_from_json_with_the_same_keys(bundle):
    keys = [cell.key for stage in bundle for cell in stage.cells]
    text = json.dumps(jobs.bundle_to_json(bundle, {"elsewhere": 1, **dict.fromkeys(keys[:1], 2)}))
    found = jobs.stages_from_json(json.loads(text))
    assert found == bundle
    assert json.loads(text)["cells"] == keys
    assert json.loads(text)["attempts"] == dict.fromkeys(keys[:1], 2)


def test_a_submission_is_private_and_read_back(tmp_path):
    cell = CellSpec(FitSpec("mtss", {}, DATA, "s"), "", "tiny")
    bundles = [Bundle([Stage("fit", f"k{number}", (), [cell], fit=cell.fit)], 1.0, 0.0, True) for number in range(3)]
    settings = Settings(str(tmp_path), "d", "c", launcher="slurm", lease_seconds=5.0)
    made = jobs.create(tmp_path, [JobArray("fit", bundles, 10, 1000)], settings, argv=["run"])
    [found] = jobs.submissions(tmp_path)
    assert found == made
    assert found.settings == settings
    assert [stage.key for stage in found.stages(0, 2)] == ["k2"]
    assert stat.S_IMODE(found.folder.stat().st_mode) == stat.S_IMODE((tmp_path / "slurm").stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in found.folder.glob("*.json*")} == {0o600}
    assert found.job_id(0) == ""
    found.note_job_id(0, "17")
    assert found.job_id(0) == "17"
    assert not found.settled
    found.settle()
    assert found.settled


def test_a_folder_that_was_cut_short_counts_as_none(tmp_path):
    (tmp_path / "slurm" / "2026-x").mkdir(parents=True)
    assert jobs.submissions(tmp_path) == []
