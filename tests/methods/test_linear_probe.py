"""The linear probe: what is frozen, which regularisation is chosen, and weights from a file."""

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file
from sklearn.linear_model import LogisticRegression

from bench.training import TrainingRun
from methods.linear_probe import Heads, LinearProbe
from methods.parts.weights import weights_path

SMALL = {"backbone": "test_resnet", "image_size": 64, "shrink": 2, "epochs": 4, "batch_size": 64}
CPU = torch.device("cpu")


@pytest.fixture
def weights(tmp_path):
    torch.manual_seed(5)
    path = tmp_path / "weights.safetensors"
    save_file({name: value.contiguous() for name, value in timm.create_model("test_resnet").state_dict().items()}, path)
    return str(path)


def fitted(toy, weights, **changes):
    run = TrainingRun(seed=0, device=CPU)
    probe = LinearProbe(**SMALL | {"weights_file": weights} | changes)
    probe.fit(toy, {}, run)
    return probe, run


def test_pretrained_features_need_no_stage_and_stay_as_they_are(toy, weights):
    probe, _ = fitted(toy, weights)
    assert probe.teachers(toy.schema) == ()
    torch.manual_seed(5)
    expected = timm.create_model("test_resnet").state_dict()
    found = probe.model.backbone.network.state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in found.items())
    assert {name.split(".")[0] for name, value in probe.model.named_parameters() if value.requires_grad} == {"heads"}


def test_the_chosen_strength_is_the_best_on_validation(toy, weights):
    """A decay that leaves no weights cannot win against one that does, in whichever order they stand."""
    for decays in ((0.0, 1000.0), (1000.0, 0.0)):
        probe, run = fitted(toy, weights, weight_decays=decays, learning_rate=1e-2)
        assert run.logged["weight_decay"] == 0.0
        assert float(probe.model.heads.heads.linear.weight.detach().abs().max()) > 0.01


def test_each_strength_learns_as_if_it_were_alone(toy, weights):
    alone, _ = fitted(toy, weights, weight_decays=(0.1,))
    beside, run = fitted(toy, weights, weight_decays=(0.1, 1000.0))
    assert run.logged["weight_decay"] == pytest.approx(0.1)
    torch.testing.assert_close(alone.model.heads.heads.linear.weight, beside.model.heads.heads.linear.weight)


def test_heads_reach_what_scikit_learn_reaches(toy, weights):
    """Training accuracy of colour, without regularisation."""
    probe, _ = fitted(toy, weights, weight_decays=(0.0,), learning_rate=3e-2, epochs=60)
    labels = toy.labeled.labels["color"]
    known = np.flatnonzero((labels == 1).any(axis=1))
    with torch.inference_mode():
        images = toy.labeled.batch(known).images
        features = probe.model.heads.standardize(probe.model.backbone(images)).numpy()
        ours = probe.predict(images)["color"].argmax(dim=1).numpy()
    targets = labels[known].argmax(axis=1)
    theirs = LogisticRegression(C=100.0, max_iter=500).fit(features, targets).predict(features)
    assert (ours == targets).mean() >= (theirs == targets).mean() - 0.02


def test_new_heads_answer_alike_for_all_images(toy):
    heads = Heads(6, toy.schema)
    torch.testing.assert_close(heads(torch.randn(4, 6))["color"].std(dim=0), torch.zeros(3))


def test_a_stage_is_asked_for_where_weights_are_not(toy):
    assert LinearProbe(**SMALL, features="supervised").teachers(toy.schema) == ("supervised",)
    assert LinearProbe(**SMALL, features="simclr").teachers(toy.schema) == ("simclr",)


def test_clip_answers_by_the_activation_of_its_weights():
    """OpenAI's were trained with QuickGELU; the name says which file of weights is looked for, too."""
    name = LinearProbe.ROWS["clip"]["backbone"]
    assert weights_path(name).name == "vit_base_patch16_clip_quickgelu_224.openai.safetensors"
    assert timm.models.get_pretrained_cfg(name).hf_hub_id == "timm/vit_base_patch16_clip_224.openai"
    with torch.device("meta"):
        assert isinstance(timm.create_model(name).blocks[0].mlp.act, timm.layers.QuickGELU)


def test_errors(tmp_path, toy):
    with pytest.raises(ValueError, match="linear_probe: features is 'vae'; expected one of 'pretrained', 'supervised', 'simclr'"):
        LinearProbe(features="vae")
    with pytest.raises(ValueError, match="linear_probe: weight_decays is"):
        LinearProbe(weight_decays=())
    with pytest.raises(ValueError, match="linear_probe: epochs is 0"):
        LinearProbe(epochs=0)
    with pytest.raises(FileNotFoundError, match=r"weights_file 'absent\.safetensors' is absent"):
        LinearProbe(**SMALL, weights_file="absent.safetensors").fit(toy, {}, TrainingRun(seed=0, device=CPU))
