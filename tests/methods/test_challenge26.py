"""The attribute challenge: layers on the 1000 outputs, the loss of each row, and multi-label types."""

import copy

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from bench import registry, spec
from bench.protocol import AttributeType, Batch, Schema
from methods.challenge26 import WEIGHTS, AttributeHeads, Challenge26
from methods.losses.classification import focal_binary_cross_entropy, focal_cross_entropy, known_cross_entropy

SMALL = {"backbone": "test_resnet", "pretrained": False, "image_size": 64, "shrink": 2, "augment": False}
SIZES = {"texture": 7, "sleeve": 3, "length": 3, "neckline": 4, "fabric": 6, "fit": 3}
SCHEMA = Schema(tuple(AttributeType(name, tuple(map(str, range(size))), exclusive=True) for name, size in SIZES.items()))


@pytest.fixture
def batch():
    rng = torch.Generator().manual_seed(0)
    labels = {name: nn.functional.one_hot(torch.randint(size, (8,), generator=rng), size).to(torch.int8) for name, size in SIZES.items()}
    return Batch(torch.randint(0, 256, (8, 3, 64, 64), dtype=torch.uint8, generator=rng), labels, torch.arange(8))


@pytest.mark.parametrize(("num_fc", "widths"), [(0, [1000]), (2, [1000, 512, 256]), (4, [1000, 512, 256, 128, 64])])
def test_layers_between_the_1000_outputs_and_the_heads(num_fc, widths):
    network = Challenge26(**SMALL, num_fc=num_fc).build(SCHEMA)
    linear = [part for part in network.layers if isinstance(part, nn.Linear)]
    assert [network.classifier.out_features, *(part.out_features for part in linear)] == widths
    assert sum(isinstance(part, nn.ReLU) for part in network.layers) == num_fc
    assert network.heads.sizes == SIZES
    assert network.heads.linear.in_features == widths[-1]
    assert network.dropout.p == 0.1


def test_table_2_has_three_networks_at_three_depths():
    rows = registry.entry("methods", "challenge26").rows
    networks = {"resnet50": "resnet50", "seresnet50": "legacy_seresnet50", "seresnext50": "legacy_seresnext50_32x4d"}
    tiny = set()
    for name, backbone in networks.items():
        for depth in (0, 2, 4):
            assert f"{name}-{depth}fc" in rows
            params = spec.resolve_params("challenge26", f"{name}-{depth}fc", "paper", {})
            assert (params["backbone"], params["num_fc"], params["loss"]) == (backbone, depth, "focal")
            tiny.add((name, spec.resolve_params("challenge26", f"{name}-{depth}fc", "tiny", {})["backbone"]))
    assert len(tiny) == len({backbone for _, backbone in tiny}) == 3
    losses = {row: spec.resolve_params("challenge26", row, "paper", {})["loss"] for row in rows}
    assert (losses["seresnet50-0fc-ce"], losses["seresnet50-0fc-weighted"]) == ("ce", "weighted")


def test_the_loss_of_each_row(batch):
    losses = {}
    for name in ("ce", "focal", "weighted"):
        method = Challenge26(**SMALL, loss=name)
        torch.manual_seed(0)
        network = method.build(SCHEMA).eval()
        losses[name] = method.batch_loss(network, batch, SCHEMA)
    logits = network(batch.images)
    crosses = [known_cross_entropy(logits[name], batch.labels[name]) for name in SIZES]
    focals = {name: focal_cross_entropy(logits[name], batch.labels[name], 2.0) for name in SIZES}
    torch.testing.assert_close(losses["ce"], sum(crosses))
    torch.testing.assert_close(losses["focal"], sum(focals.values()))
    weights = dict(zip(SIZES, (0.95, 0.85, 0.85, 0.9, 1.0, 0.9), strict=True))  # as printed
    torch.testing.assert_close(losses["weighted"], sum(weights[name] * value for name, value in focals.items()))
    assert list(WEIGHTS.items()) == list(weights.items())


def test_types_of_other_data_weigh_one_and_multi_label_ones_get_sigmoids(toy):
    batch = toy.labeled.batch(np.arange(16))
    method = Challenge26(**SMALL, loss="weighted")
    torch.manual_seed(0)
    network = method.build(toy.schema).eval()
    logits = network(batch.images)
    expected = sum(focal_cross_entropy(logits[name], batch.labels[name]) for name in ("color", "type"))
    expected = expected + focal_binary_cross_entropy(logits["marks"], batch.labels["marks"])
    torch.testing.assert_close(method.batch_loss(network, batch, toy.schema), expected)


def test_augmentation_mirrors_and_does_not_shift(batch):
    seen = []

    class Spy(nn.Module):
        def forward(self, images):
            seen.append(images)
            return {name: torch.zeros(len(images), size) for name, size in SIZES.items()}

    Challenge26(**SMALL | {"augment": True}).batch_loss(Spy(), batch, SCHEMA)
    for shown, given in zip(seen[0], batch.images, strict=True):
        assert torch.equal(shown, given) or torch.equal(shown, given.flip(-1))


def test_pretrained_weights_bring_their_1000_outputs(tmp_path, toy, monkeypatch):
    import timm

    network, file = timm.create_model("test_resnet"), tmp_path / "weights.safetensors"
    save_file({name: value.contiguous() for name, value in network.state_dict().items()}, file)
    seen = {}

    class Run:
        def rng(self, *parts):
            return np.random.default_rng(0)

        def train(self, name, module, *rest, **options):
            seen["module"] = copy.deepcopy(module)

    Challenge26(**SMALL | {"pretrained": True}, weights_file=str(file)).fit(toy, {}, Run())
    assert isinstance(seen["module"], AttributeHeads)
    assert torch.equal(seen["module"].classifier.weight, network.fc.weight)
    assert torch.equal(seen["module"].backbone.network.conv1[0].weight, network.conv1[0].weight)


@pytest.mark.parametrize("change", [{"loss": "mse"}, {"num_fc": 3}, {"epochs": 0}, {"batch_size": 0}])
def test_errors(change):
    (name,) = change
    with pytest.raises(ValueError, match=f"challenge26: {name} is {change[name]!r}; expected"):
        Challenge26(**SMALL | change)
    with pytest.raises(ValueError, match="challenge26 has no teacher 'x'"):
        Challenge26(**SMALL).fit_teacher("x", None, None)
