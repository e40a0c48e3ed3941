"""What submitit pickles and what jobs are told is its user's alone, also where the folders were there before with open permissions; what a
store keeps of models and predictions is safetensors."""

import os
import stat

import pytest

from bench.bundles import Bundle, JobArray
from bench.spec import CellSpec, DataSpec, FitSpec
from bench.stages import Settings, Stage
from bench.store import Store
from slurm import jobs

CELL = CellSpec(FitSpec("mtss", {}, DataSpec("darn", "synthetic", "d", 64, 1.0, 1.0, 0), "s"), "", "tiny")


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("before", [None, 0o777])
@pytest.mark.parametrize("umask", [0o022, 0o000])
def test_job_folders_are_private_whatever_was_there_and_whatever_the_umask(tmp_path, before, umask):
    if before is not None:
        (tmp_path / "slurm").mkdir()
        (tmp_path / "slurm").chmod(before)
    old = os.umask(umask)
    try:
        arrays = [JobArray("fit", [Bundle([Stage("fit", "k", (), [CELL], fit=CELL.fit)], 1.0, 0.0, True)], 10, 1000)]
        made = jobs.create(tmp_path, arrays, Settings(str(tmp_path), "d", "c", launcher="slurm"), argv=["run"])
    finally:
        os.umask(old)
    assert mode(tmp_path / "slurm") == 0o700
    assert mode(made.folder) == mode(made.folder / "logs") == 0o700  # submitit's pickles lie in logs
    assert {mode(path) for path in made.folder.glob("*.json*")} == {0o600}


def test_submitit_pickles_into_that_folder():
    import ast
    from pathlib import Path

    source = (Path(__file__).resolve().parents[2] / "slurm" / "launcher.py").read_text()
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call) and "Executor" in ast.unparse(node.func)]
    assert [ast.unparse(call) for call in calls if "logs" not in ast.unparse(call)] == []
    assert calls


def test_a_store_keeps_arrays_and_weights_as_safetensors_alone(tmp_path):
    import numpy as np
    import torch

    store = Store(tmp_path)
    store.save_model("k", {"w": torch.zeros(2)}, {})
    store.save_arrays("predictions", "kk", {"hits": np.zeros((1, 1, 1))})
    store.save_split("d", "test", [], {})
    assert {path.suffix for path in tmp_path.rglob("*") if path.is_file()} == {".safetensors", ".json"}


def test_weights_that_are_a_pickle_are_refused_and_never_run(tmp_path):
    import torch

    ran = tmp_path / "ran"

    class Harm:
        def __reduce__(self):
            return os.mkdir, (str(ran),)

    store = Store(tmp_path)
    store.save_model("k", {"w": torch.zeros(2)}, {})
    torch.save(Harm(), store.model_path("k") / "model.safetensors")
    with pytest.raises(ValueError, match=r"model\.safetensors: damaged"):
        store.load_model("k")
    torch.save(Harm(), tmp_path / "p.safetensors")
    with pytest.raises(ValueError, match=r"p\.safetensors: damaged"):
        store.load_arrays("p.safetensors")
    assert not ran.exists()
