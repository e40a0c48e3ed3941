"""What a record says of where it was made."""

import torch

from bench import environment
from bench.cli import main
from bench.store import Store


def test_a_record_names_the_device_that_computed_and_not_the_option(tmp_path):
    words = ["--methods", "floor/prior", "--datasets", "darn", "--label-fractions", "1", "--severities", "0", "--launcher", "inline"]
    assert main(["run", *words, "--device", "auto", "--store", str(tmp_path / "store")]) == 0
    [record] = Store(tmp_path / "store").records()
    if torch.cuda.is_available():
        assert record["device"] == f"cuda ({torch.cuda.get_device_name()})"
    else:
        assert (record["device"], record["peak_vram_mb"]) == ("cpu", None)


def test_a_cpu_has_no_video_memory_though_the_machine_has_a_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: 3 * 1024**2)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "A GPU")
    cpu, cuda = torch.device("cpu"), torch.device("cuda")
    assert (environment.peak_vram_mb(cpu), environment.device_name(cpu)) == (None, "cpu")
    assert (environment.peak_vram_mb(cuda), environment.device_name(cuda)) == (3.0, "cuda (A GPU)")
