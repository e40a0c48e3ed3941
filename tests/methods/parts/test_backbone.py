"""timm networks on uint8 pixels, their weights from files, and what is said where there are none."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from methods.parts.backbone import Backbone
from methods.parts.heads import TypeHeads
from methods.parts.seeds import seed_weights


@pytest.mark.parametrize("name", ["test_efficientnet", "test_resnet", "test_vit", "test_convnext"])
@pytest.mark.parametrize(("side", "shrink"), [(64, 1), (64, 2)])
def test_pooled_features(name, side, shrink):
    backbone = Backbone(name, image_size=side, shrink=shrink).eval()
    images = torch.randint(0, 256, (3, 3, side, side), dtype=torch.uint8)
    features = backbone(images)
    assert features.shape == (3, backbone.num_features)
    assert features.isfinite().all()
    torch.testing.assert_close(backbone(images.float()), features)


def test_pixels_are_normalised_as_the_network_was_trained():
    backbone = Backbone("test_efficientnet").eval()
    mean, std = (torch.tensor(backbone.network.pretrained_cfg[key]).view(1, 3, 1, 1) for key in ("mean", "std"))
    images = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    torch.testing.assert_close(backbone(images), backbone.network((images / 255 - mean) / std), rtol=1e-4, atol=1e-5)


def test_shrinking_averages_squares():
    seed_weights(np.random.default_rng(0))
    backbone = Backbone("test_efficientnet", shrink=2).eval()
    images = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    smaller = images.float().view(2, 3, 32, 2, 32, 2).mean(dim=(3, 5))
    backbone.shrink = 1
    expected = backbone(smaller)
    backbone.shrink = 2
    torch.testing.assert_close(backbone(images), expected, rtol=1e-4, atol=1e-5)


def test_weights_from_a_file(tmp_path):
    first, file = Backbone("test_efficientnet"), tmp_path / "weights.safetensors"
    head = {"classifier.weight": torch.zeros(1000, first.num_features), "classifier.bias": torch.zeros(1000)}
    save_file({**{name: value.contiguous() for name, value in first.network.state_dict().items()}, **head}, file)
    second = Backbone("test_efficientnet", pretrained=True, weights_file=str(file))
    for name, value in first.network.state_dict().items():
        assert torch.equal(value, second.network.state_dict()[name]), name


def test_absent_weights_and_unknown_names(tmp_path, monkeypatch):
    import timm

    with pytest.raises(FileNotFoundError, match=r"backbone 'resnet18': weights_file '.*none.safetensors' is absent"):
        Backbone("resnet18", pretrained=True, weights_file=str(tmp_path / "none.safetensors"))
    with pytest.raises(ValueError, match=r"no backbone 'resnet51' in timm .*; similar names: .*resnet"):
        Backbone("resnet51")

    def offline(*args, **options):
        raise ConnectionError("no route to host")

    monkeypatch.setattr(timm, "create_model", offline)
    with pytest.raises(FileNotFoundError, match="backbone 'resnet18': pretrained weights are neither cached nor downloadable") as raised:
        Backbone("resnet18", pretrained=True)
    assert "\n" not in str(raised.value)


def test_one_linear_layer_a_type():
    heads = TypeHeads(4, {"type": 3, "a.b": 1})
    features = torch.randn(5, 4)
    outputs = heads(features)
    assert list(outputs) == ["type", "a.b"]
    torch.testing.assert_close(outputs["type"], features @ heads.linear.weight[:3].T + heads.linear.bias[:3])
    torch.testing.assert_close(outputs["a.b"], features @ heads.linear.weight[3:].T + heads.linear.bias[3:])
