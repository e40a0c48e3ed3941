"""The training loop stopped, killed and damaged: it goes on bit for bit, or begins anew and says so."""

import io
import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from torch import nn
from trainable import CPU, Mean, Regression, assert_same, network, noisy_loss, recipe, train

from bench import checkpoint
from bench.training import TrainingRun, TrainingStopped

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
@pytest.mark.parametrize("steps", range(1, 9))
def test_stopping_after_any_step_changes_nothing(tmp_path, steps, optimizer):
    whole = train(optimizer=optimizer)
    asked = iter(range(1, 100))
    with pytest.raises(TrainingStopped, match=rf"'only' stopped after step {steps} of 9"):
        train(tmp_path, lambda: next(asked) == steps, optimizer, seconds=1e9)
    assert_same(train(tmp_path, optimizer=optimizer), whole)


def test_the_optimizer_state_comes_back(tmp_path):
    """The state itself, not only its consequences."""
    seen = []

    def remember(module, batch):
        seen.append(TrainingRun.train)  # one entry a step
        return noisy_loss(module, batch)

    count = iter(range(1, 100))
    run = TrainingRun(seed=3, device=CPU, checkpoint_dir=tmp_path, stop=lambda: next(count) == 4)
    with pytest.raises(TrainingStopped):
        run.train("p", network(), remember, Regression(), recipe())
    assert len(seen) == 4
    (file,) = tmp_path.glob("*.ckpt")
    payload = file.read_bytes().partition(b"\n")[2][32:]
    state = torch.load(io.BytesIO(payload), weights_only=True)
    assert state["step"] == 4
    assert all(float(entry["step"]) == 4 for entry in state["optimizer"]["state"].values())


def test_every_interruption_in_a_row(tmp_path):
    """Stopped after each single step, nine times over, in two phases."""
    whole = train(phases=("first", "second"))
    for _ in range(50):
        asked = iter([True])
        try:
            result = train(tmp_path, lambda asked=asked: next(asked), phases=("first", "second"))
        except TrainingStopped:
            continue
        break
    assert_same(result, whole)


def test_finished_phases_are_loaded_and_not_trained(tmp_path):
    whole = train(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["only.done"]

    def refuse(module, batch):
        raise AssertionError("a finished phase was trained again")

    run = TrainingRun(seed=3, device=CPU, checkpoint_dir=tmp_path)
    module, hook = network(), Mean()
    history = run.train("only", module, refuse, Regression(), recipe(), hooks=[hook], validate=lambda: 0.0)
    assert [history] == whole[1]
    assert torch.equal(hook.state.total, whole[0]["hook"])
    assert all(torch.equal(value, whole[0][name]) for name, value in module.state_dict().items())
    assert not module.training


CHILD = """
import sys, time, pathlib
sys.path.insert(0, {tests!r})
import torch
torch.set_num_threads(1)
import trainable as t
slow = t.noisy_loss
def noisy_loss(module, batch):
    time.sleep(0.05)
    return slow(module, batch)
t.noisy_loss = noisy_loss
print("ready", flush=True)
t.train(pathlib.Path({folder!r}))
"""


def test_a_killed_process_changes_nothing(tmp_path):
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        whole = train()
        code = CHILD.format(tests=str(Path(__file__).parent), folder=str(tmp_path))
        with subprocess.Popen(
            [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT)}
        ) as child:
            assert child.stdout is not None
            assert child.stdout.readline() == b"ready\n"
            deadline = time.monotonic() + 20
            while not list(tmp_path.glob("*.ckpt")) and time.monotonic() < deadline:
                time.sleep(0.005)
            child.send_signal(signal.SIGKILL)
        assert [file.suffix for file in tmp_path.iterdir() if not file.name.startswith(".")] == [".ckpt"]
        assert_same(train(tmp_path), whole)
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize("damage", ["torn", "flipped", "foreign", "empty"])
def test_an_untrustworthy_checkpoint_is_ignored_with_a_warning(tmp_path, caplog, damage):
    whole = train()
    count = iter(range(1, 100))
    with pytest.raises(TrainingStopped):
        train(tmp_path, lambda: next(count) == 5)
    (file,) = tmp_path.glob("*.ckpt")
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes({"torn": bytes(content[:-100]), "flipped": bytes(content), "foreign": b"something else", "empty": b""}[damage])
    with caplog.at_level(logging.WARNING):
        assert_same(train(tmp_path), whole)
    assert "only.ckpt: torn or not a checkpoint; ignored" in caplog.text


def test_a_checkpoint_of_other_shapes_is_ignored_with_a_warning(tmp_path, caplog):
    run = TrainingRun(seed=3, device=CPU, checkpoint_dir=tmp_path)
    wide = nn.Sequential(nn.Linear(6, 20), nn.Linear(20, 1))
    run.train("only", wide, noisy_loss, Regression(), recipe())
    with caplog.at_level(logging.WARNING):
        assert_same(train(tmp_path), train())
    assert "belongs to another run, recipe or network" in caplog.text


def test_checkpoints_are_written_by_wall_time(tmp_path, monkeypatch):
    saved = []
    monkeypatch.setattr(checkpoint, "save", lambda path, state: saved.append((path.suffix, state["step"])))
    train(tmp_path, seconds=1e9)
    assert saved == [(".done", 9)]
    saved.clear()
    train(tmp_path, seconds=0)
    assert saved == [(".ckpt", step) for step in range(1, 9)] + [(".done", 9)]


def test_the_time_of_stopped_processes_counts(tmp_path, monkeypatch):
    clock = [100.0]
    monkeypatch.setattr("bench.training.time.monotonic", lambda: clock[0])

    def loss(module, batch):
        clock[0] += 1.0
        return noisy_loss(module, batch)

    def go_on(steps):
        asked = iter(range(1, 100))
        run = TrainingRun(seed=3, device=CPU, checkpoint_dir=tmp_path, stop=lambda: next(asked) == steps)
        for phase in ("first", "second"):
            run.train(phase, network(), loss, Regression(), recipe())
        return run

    for steps in (4, 8):  # of 9 in each phase, after the last of which nobody asks: in the first, and 4 into the second
        with pytest.raises(TrainingStopped):
            go_on(steps)
        clock[0] += 1000.0  # in the queue again
    run = go_on(None)
    assert run.seconds_before == pytest.approx(13)
    assert run.seconds == pytest.approx(18)
    assert TrainingRun(seed=3, device=CPU).seconds_before == 0
