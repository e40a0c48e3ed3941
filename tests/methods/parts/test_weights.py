"""Where weights are looked for, and the line that says where to put them."""

import logging

import pytest
import timm
import torch
from safetensors.torch import save_file

from methods.parts import weights


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv(weights.VARIABLE, str(tmp_path))
    return tmp_path


def saved(path):
    torch.manual_seed(3)
    network = timm.create_model("test_resnet")
    save_file({name: value.contiguous() for name, value in network.state_dict().items()}, path)
    return network.conv1.weight if hasattr(network.conv1, "weight") else network.conv1[0].weight


def first_layer(backbone):
    layer = backbone.network.conv1
    return layer.weight if hasattr(layer, "weight") else layer[0].weight


def test_weights_in_the_folder_are_found_by_name(folder):
    expected = saved(folder / "test_resnet.safetensors")
    torch.testing.assert_close(first_layer(weights.load_backbone("test_resnet", pretrained=True, image_size=64)), expected)


def test_a_file_that_is_named_comes_first(folder, tmp_path):
    (folder / "test_resnet.safetensors").write_bytes(b"not weights")
    expected = saved(tmp_path / "mine.safetensors")
    found = weights.load_backbone("test_resnet", pretrained=True, weights_file=str(tmp_path / "mine.safetensors"), image_size=64)
    torch.testing.assert_close(first_layer(found), expected)


def test_without_pretrained_nothing_is_read(folder):
    (folder / "test_resnet.safetensors").write_bytes(b"not weights")
    assert weights.load_backbone("test_resnet", weights_file="absent.safetensors", image_size=64).num_features == 96


def test_absent_weights_are_one_line_that_says_where_to_put_them(folder, monkeypatch):
    def offline(*arguments, **options):
        raise OSError("no route to host")

    monkeypatch.setattr(timm, "create_model", offline)
    with pytest.raises(FileNotFoundError) as caught:
        weights.load_backbone("resnet18", pretrained=True)
    text = str(caught.value)
    assert "\n" not in text
    assert str(folder / "resnet18.safetensors") in text
    assert "weights_file" in text


def test_an_absent_file_that_is_named_is_said_so(folder):
    with pytest.raises(FileNotFoundError, match=r"weights_file 'absent\.safetensors' is absent"):
        weights.load_backbone("test_resnet", pretrained=True, weights_file="absent.safetensors", image_size=64)


def test_the_usual_folder(monkeypatch):
    monkeypatch.delenv(weights.VARIABLE, raising=False)
    assert weights.weights_path("resnet18").parts[-4:] == (".cache", "bench", "weights", "resnet18.safetensors")


def test_the_hub_is_quiet_meanwhile_and_as_before_afterwards(folder, monkeypatch):
    levels = []

    def offline(*arguments, **options):
        levels.append(logging.getLogger("huggingface_hub.file_download").isEnabledFor(logging.WARNING))
        raise OSError("no route to host")

    before = logging.root.manager.disable
    monkeypatch.setattr(timm, "create_model", offline)
    with pytest.raises(FileNotFoundError):
        weights.load_backbone("resnet18", pretrained=True)
    assert levels == [False]
    assert logging.root.manager.disable == before
