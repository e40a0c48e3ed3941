"""The classifier of a pretrained network, from a file."""

import pytest
import torch
from safetensors.torch import save_file

from methods.parts.imagenet import pretrained_classifier


def test_the_linear_layer_of_a_file(tmp_path):
    import timm

    network, file = timm.create_model("test_resnet"), tmp_path / "weights.safetensors"
    save_file({name: value.contiguous() for name, value in network.state_dict().items()}, file)
    found = pretrained_classifier("test_resnet", str(file))
    assert found.weight.shape == (1000, 96)
    assert torch.equal(found.weight, network.fc.weight)
    assert torch.equal(found.bias, network.fc.bias)


def test_absent_weights(monkeypatch):
    import timm

    def offline(*args, **options):
        raise ConnectionError("no route to host")

    monkeypatch.setattr(timm, "create_model", offline)
    with pytest.raises(FileNotFoundError, match="backbone 'resnet18': pretrained weights are neither cached nor downloadable"):
        pretrained_classifier("resnet18")


def test_a_network_that_ends_otherwise(monkeypatch):
    import timm

    class Odd:
        def get_classifier(self):
            return torch.nn.Identity()

    monkeypatch.setattr(timm, "create_model", lambda *args, **options: Odd())
    with pytest.raises(ValueError, match="backbone 'odd' ends in Identity; expected a linear classifier"):
        pretrained_classifier("odd")
