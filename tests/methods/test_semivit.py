"""Semi-ViT: what its stages share, what each learns from, and the moving average against a slow one."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from torch import nn

from bench.protocol import AttributeType, Examples, Schema, TrainingData
from bench.training import TrainingRun, TrainingStopped
from methods.parts.averaging import EMA
from methods.semivit import MaskRates, SemiViT, half_life_decay

SMALL = {"backbone": "small_vit", "pretrained": False, "image_size": 32, "shrink": 2, "head_std": 0.02, "rand_changes": 1, "epochs": 2,
         "batch_size": 8, "base_learning_rate": 0.03, "warmup_epochs": 0.5, "semi_labeled": 4, "semi_unlabeled": 6, "semi_epochs": 2,
         "semi_base_learning_rate": 0.03, "semi_warmup_epochs": 0.0, "threshold": 0.4, "ema_half_life": 3.0}  # fmt: skip
SCHEMA = Schema((AttributeType("class", ("a", "b", "c"), True), AttributeType("marks", ("e", "f"), False)))


def examples(count, seed, labels=True):
    """Noise; every fourth image has no class."""
    rng = np.random.default_rng(seed)
    first, second = np.eye(3, dtype=np.int8)[np.arange(count) % 3], np.eye(2, dtype=np.int8)[np.arange(count) % 2]
    first[np.arange(count) % 4 == 3] = -1
    pixels = rng.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
    return Examples(pixels, np.arange(count), {"class": first, "marks": second} if labels else {}, np.arange(count, dtype=np.uint64))


@pytest.fixture(scope="module")
def data():
    return TrainingData(SCHEMA, examples(16, 0), examples(20, 1, labels=False), examples(8, 2))


class Recorded(TrainingRun):
    """Remembers recipes and audits."""

    def __init__(self, **options):
        super().__init__(seed=0, device=torch.device("cpu"), **options)
        self.recipes, self.audits = {}, {}

    def train(self, name, module, loss, batches, recipe, **options):
        self.recipes[name] = recipe
        return super().train(name, module, loss, batches, recipe, **options)

    def audit(self, name, labels):
        self.audits[name] = labels


@pytest.fixture(scope="module")
def teachers(data):
    return {"finetuned": SemiViT(**SMALL).fit_teacher("finetuned", data, Recorded()).eval().requires_grad_(False)}


def fitted(data, teachers, run=None, **options):
    method, run = SemiViT(**{**SMALL, **options}), run or Recorded()
    method.fit(data, teachers, run)
    return method, run


def weights(module):
    return torch.cat([value.flatten() for value in module.state_dict().values() if value.is_floating_point()])


def test_the_transformer_alone_is_the_shared_stage(data, teachers):
    method, run = fitted(data, teachers, answer="finetuned")
    assert run.recipes == {}
    assert torch.equal(weights(method.model), weights(teachers["finetuned"]))


def test_it_goes_on_from_the_fine_tuned_weights(data, teachers):
    method, _ = fitted(data, teachers, semi_base_learning_rate=1e-9, final_learning_rate=0.0)
    start = dict(teachers["finetuned"].named_parameters())
    for name, value in method.model.named_parameters():
        torch.testing.assert_close(value, start[name], rtol=0, atol=1e-6)
    moved, _ = fitted(data, teachers)
    assert not torch.equal(weights(moved.model), weights(teachers["finetuned"]))


def test_recipes_of_both_stages(data):
    run = Recorded()
    network = SemiViT(**SMALL).fit_teacher("finetuned", data, run)
    SemiViT(**SMALL).fit(data, {"finetuned": network}, run)
    first, second = run.recipes["finetuned"], run.recipes["semi"]
    assert (first.optimizer, first.schedule, first.weight_decay, first.betas) == ("adamw", "cosine", 0.05, (0.9, 0.999))
    assert (first.learning_rate, first.warmup_steps) == (pytest.approx(0.03 * 8 / 256), 1)
    assert second.learning_rate == pytest.approx(0.03 * 4 / 256)  # of labelled images alone
    rates = [{round(group["lr"] / recipe.learning_rate, 9) for group in recipe.param_groups(network)} for recipe in (first, second)]
    assert [sorted(each, reverse=True)[1] for each in rates] == [0.65, 0.75]


def test_defaults_are_those_of_the_paper():
    method = SemiViT()
    assert (method.base_learning_rate * method.batch_size, method.semi_base_learning_rate * method.semi_labeled) == (0.128, 0.128)
    assert (method.threshold, method.unlabeled_weight, method.ema_decay, method.semi_unlabeled) == (0.5, 5.0, 0.9999, 640)


@pytest.mark.parametrize("steps", [1, 7, 30.5])
def test_half_life(steps):
    assert half_life_decay(steps) ** steps == pytest.approx(0.5)


def test_the_moving_average_by_half_life():
    """Against the sum over all past weights: after as many steps as the half-life, half of it is new."""
    torch.manual_seed(0)
    module = nn.Linear(3, 2)
    start = module.weight.detach().clone()
    hook, decay, seen = EMA(module, half_life_decay(6)), 0.5 ** (1 / 6), []
    for step in range(1, 7):
        with torch.no_grad():
            module.weight += torch.randn(2, 3)
        seen.append(module.weight.detach().clone())
        hook.after_step(module, step, 6)
    slow = decay**6 * start + sum((1 - decay) * decay ** (5 - place) * value for place, value in enumerate(seen))
    torch.testing.assert_close(hook.state.weight, slow)
    assert decay**6 == pytest.approx(0.5)


@pytest.mark.parametrize(("half_life", "decay"), [(0.0, 0.9), (3.0, 0.5 ** (1 / 3))])
def test_the_average_follows_at_the_decay_that_is_asked_for(data, teachers, monkeypatch, half_life, decay):
    made = []
    monkeypatch.setattr("methods.semivit.EMA", lambda module, value: made.append(value) or EMA(module, value))
    fitted(data, teachers, ema_half_life=half_life, ema_decay=0.9)
    assert made == [pytest.approx(decay)]


def test_masks_are_counted_by_epoch_and_type():
    rates = MaskRates(("class", "marks"), epochs=2, epoch_steps=2)
    shares = [(0.0, 1.0), (0.5, 1.0), (1.0, 0.5), (0.5, 0.5)]
    for step, (first, second) in enumerate(shares, start=1):
        rates.pending = {"class": torch.arange(4) < 4 * first, "marks": torch.arange(4) < 4 * second}
        rates.after_step(nn.Linear(1, 1), step, 4)
    assert rates.logged() == {"mask_rate_first": 0.625, "mask_rate": 0.625, "mask_rate/class": 0.75, "mask_rate/marks": 0.5}


def test_mask_rates_scores_and_the_kept_network_are_logged(data, teachers):
    method, run = fitted(data, teachers)
    assert {"mask_rate", "mask_rate_first", "mask_rate/class", "mask_rate/marks", "validation_student", "validation_ema"} < set(run.logged)
    assert run.logged["answers_ema"] == float(run.logged["validation_ema"] >= run.logged["validation_student"])
    best = max(run.logged["validation_student"], run.logged["validation_ema"])
    assert run.score(method.predict, data.validation, "f1@1") == pytest.approx(best)
    assert best == pytest.approx(max(row["validation"] for row in run.history["semi"]))


def test_a_threshold_that_nothing_reaches_leaves_labels_alone(data, teachers):
    """λ_u has then no say."""
    one, run = fitted(data, teachers, threshold=1.0, unlabeled_weight=1.0)
    other, _ = fitted(data, teachers, threshold=1.0, unlabeled_weight=5.0)
    assert run.logged["mask_rate"] == 0.0
    assert torch.equal(weights(one.model), weights(other.model))
    more, _ = fitted(data, teachers, threshold=0.0, unlabeled_weight=5.0)
    assert not torch.equal(weights(one.model), weights(more.model))


def test_pseudo_labels_are_audited(data, teachers):
    _, run = fitted(data, teachers, threshold=0.0)
    (labels,) = run.audits.values()
    assert {name: values.shape for name, values in labels.items()} == {"class": (20,), "marks": (20,)}
    assert all((values >= 0).all() for values in labels.values())
    _, sure = fitted(data, teachers, threshold=1.0)
    assert all((values == -1).all() for values in sure.audits["pseudo"].values())


def test_a_pool_may_be_empty(data, teachers):
    method, run = fitted(dataclasses.replace(data, unlabeled=examples(0, 0, labels=False)), teachers)
    assert run.audits == {}
    assert method.predict(data.validation.batch(np.arange(3)).images)["class"].shape == (3, 3)


def test_it_goes_on_bit_for_bit_after_a_stop(data, teachers, tmp_path):
    """The average and the counts of masks are part of a checkpoint."""
    whole, first = fitted(data, teachers)
    asked = iter(range(100))
    with pytest.raises(TrainingStopped):
        fitted(data, teachers, Recorded(checkpoint_dir=tmp_path, stop=lambda: next(asked) >= 3))
    again, second = fitted(data, teachers, Recorded(checkpoint_dir=tmp_path))
    assert torch.equal(weights(whole.model), weights(again.model))
    assert first.logged == second.logged


def test_scores_of_types_that_are_not_exclusive_are_log_odds(data, teachers):
    method, _ = fitted(data, teachers, answer="finetuned")
    images = data.validation.batch(np.arange(4)).images
    logits, scores = method.model(images), method.predict(images)
    assert torch.equal(scores["class"], logits["class"].float())
    torch.testing.assert_close(scores["marks"].sigmoid(), logits["marks"].softmax(dim=1))
    assert math.isfinite(method.model.scores(images.float() * 0)["marks"].max())


def test_weights_that_are_not_there_are_asked_for_by_name(data, tmp_path):
    method = SemiViT(**{**SMALL, "backbone": "test_vit", "pretrained": True, "weights_file": str(tmp_path / "mae.safetensors")})
    with pytest.raises(FileNotFoundError, match=r"backbone 'test_vit': weights_file '.*mae\.safetensors' is absent"):
        method.fit_teacher("finetuned", data, Recorded())


@pytest.mark.parametrize("backbone", ["test_vit", "test_resnet", "test_convnext"])
def test_any_backbone(data, backbone):
    method, run = SemiViT(**{**SMALL, "backbone": backbone, "shrink": 1, "epochs": 1, "semi_epochs": 1}), Recorded()
    network = method.fit_teacher("finetuned", data, run)
    method.fit(data, {"finetuned": network.eval().requires_grad_(False)}, run)
    assert math.isfinite(run.history["semi"][0]["loss"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"answer": "student"}, "semivit: answer is 'student'; expected 'semi' or 'finetuned'"),
        ({"weak_view": "flip"}, "semivit: weak_view is 'flip'; expected 'crop' or 'shift'"),
        ({"semi_labeled": 0}, "semivit: semi_labeled is 0; expected >= 1"),
        ({"threshold": 1.5}, "semivit: threshold is 1.5; expected a value in"),
        ({"ema_half_life": -1.0}, "semivit: ema_half_life is -1.0; expected >= 0"),
    ],
)
def test_errors(options, message):
    with pytest.raises(ValueError, match=message):
        SemiViT(**options)
