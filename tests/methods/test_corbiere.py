"""Bags of words: one vocabulary of all types, and the last layer first."""

import pytest
import timm
import torch
from safetensors.torch import save_file

from bench.protocol import Batch
from bench.training import TrainingRun
from methods.corbiere import Corbiere

SMALL = {"backbone": "test_resnet", "pretrained": False, "image_size": 64, "shrink": 2, "augment": False, "batch_size": 80}


class Watching(TrainingRun):
    """Notes which parts change in which phase."""

    def train(self, name, module, *arguments, **options):
        before = {key: value.clone() for key, value in module.named_parameters()}
        super().train(name, module, *arguments, **options)
        changed = {key.split(".")[0] for key, value in module.named_parameters() if not torch.equal(before[key], value)}
        self.changed = [*getattr(self, "changed", []), (name, changed)]


def test_the_last_layer_learns_first_and_then_all(toy):
    run = Watching(seed=0, device=torch.device("cpu"))
    Corbiere(**SMALL, head_epochs=1, epochs=1).fit(toy, {}, run)
    assert run.changed == [("last layer", {"heads"}), ("all", {"backbone", "heads"})]


@pytest.mark.parametrize("pretrained", [True, False])
def test_pretrained_statistics_stay_while_the_last_layer_learns(toy, tmp_path, pretrained):
    """Those of a network from scratch describe no image, and move."""
    torch.manual_seed(5)
    weights = timm.create_model("test_resnet").state_dict()
    save_file({name: value.contiguous() for name, value in weights.items()}, tmp_path / "weights.safetensors")
    found = {}

    class Stopped(TrainingRun):
        def train(self, name, module, *arguments, **options):
            super().train(name, module, *arguments, **options)
            found[name] = {key: value.clone() for key, value in module.backbone.network.state_dict().items()}

    small = SMALL | {"pretrained": pretrained, "weights_file": str(tmp_path / "weights.safetensors")}
    Corbiere(**small, head_epochs=1, epochs=1).fit(toy, {}, Stopped(seed=0, device=torch.device("cpu")))
    statistics = [key for key in found["all"] if "running" in key]
    assert statistics
    assert all(torch.equal(found["last layer"][key], weights[key]) == pretrained for key in statistics)
    assert not any(torch.equal(found["all"][key], weights[key]) for key in statistics)


def test_without_a_first_part(toy):
    run = Watching(seed=0, device=torch.device("cpu"))
    Corbiere(**SMALL, head_epochs=0, epochs=1).fit(toy, {}, run)
    assert [name for name, _ in run.changed] == ["all"]


def test_words_of_all_types_compete(toy):
    """With the bag {red} and all others drawn, it is the softmax over the eight classes of three types."""
    torch.manual_seed(0)
    method = Corbiere(**SMALL)
    network = method.build(toy.schema).eval()
    images = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    labels = {name: torch.zeros(2, size, dtype=torch.int8) for name, size in (("color", 3), ("type", 3), ("marks", 2))}
    labels["color"][:, 0] = 1
    logits = torch.cat(list(network(images).values()), dim=1)
    expected = torch.nn.functional.cross_entropy(logits, torch.zeros(2, dtype=torch.int64))
    torch.testing.assert_close(method.batch_loss(network, Batch(images, labels, torch.arange(2))), expected)


def test_errors():
    with pytest.raises(ValueError, match="corbiere: num_negatives is 0; expected >= 1"):
        Corbiere(num_negatives=0)
