"""The Naver report's method: its stages, what they share, and what each procedure learns from."""

import dataclasses

import numpy as np
import pytest
import torch

from bench import spec
from bench.optimizing import learning_rate_factor
from bench.protocol import AttributeType, Examples, Schema, TrainingData
from bench.training import TrainingRun
from methods.naver import Classifier, Naver, _Fit
from methods.parts.batches import ImageBatches
from methods.parts.mixed import KnownBatches, MixedBatches

SMALL = {"backbone": "test_resnet", "image_size": 32, "simclr_dim": 8, "simclr_schedule": "constant", "simclr_epochs": 1,
         "simclr_batch_size": 8, "simclr_draws": 8, "schedule": "constant", "labeled_epochs": 1, "labeled_batch_size": 8,
         "pseudo_epochs": 2, "late_epochs": 2, "pseudo_unlabeled": 6, "pseudo_draws": 12, "consistency_epochs": 1,
         "consistency_labeled": 4, "consistency_unlabeled": 6, "consistency_draws": 12, "neighbors": 4, "learning_rate": 1e-3}  # fmt: skip
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
    """Remembers phases, recipes and audits."""

    def __init__(self):
        super().__init__(seed=0, device=torch.device("cpu"))
        self.recipes, self.audits = {}, {}

    def train(self, name, module, loss, batches, recipe, **options):
        self.recipes[name] = recipe
        return super().train(name, module, loss, batches, recipe, **options)

    def audit(self, name, labels):
        self.audits[name] = labels


@pytest.fixture(scope="module")
def teachers(data):
    return {"simclr": Naver(**SMALL).fit_teacher("simclr", data, Recorded()).eval().requires_grad_(False)}


def fitted(data, teachers, **options):
    method, run = Naver(**{**SMALL, **options}), Recorded()
    method.fit(data, teachers, run)
    return method, run


@pytest.mark.parametrize(
    ("options", "phases", "audits"),
    [
        ({"procedure": "supervised"}, ["labeled"], []),
        ({"procedure": "cr"}, ["consistency"], []),
        ({"procedure": "lp"}, ["labeled", "pseudo", "late"], ["pseudo0", "late0"]),
        ({"procedure": "lp-cr"}, ["labeled", "pseudo", "late"], ["pseudo0", "late0"]),
        ({"procedure": "lp", "propagate": "once"}, ["labeled", "pseudo", "late"], ["pseudo0"]),
        (
            {"procedure": "lp", "propagate": "epoch"},
            ["labeled", "pseudo-0", "pseudo-1", "late-0", "late-1"],
            ["pseudo0", "pseudo1", "late0", "late1"],
        ),
    ],
)
def test_phases_and_propagations_of_each_procedure(data, teachers, options, phases, audits):
    _, run = fitted(data, teachers, **options)
    assert list(run.recipes) == phases
    assert list(run.audits) == audits
    for labels in run.audits.values():
        assert list(labels) == ["class"]  # marks do not exclude each other
        assert labels["class"].shape == (20,)
        assert labels["class"].dtype == np.int64


def test_it_starts_from_the_pretrained_backbone(data, teachers):
    method, _ = fitted(data, teachers, procedure="supervised", learning_rate=0.0, weight_decay=0.0)
    ours, theirs = method.model.backbone.named_parameters(), dict(teachers["simclr"].backbone.named_parameters())
    assert all(torch.equal(value, theirs[name]) for name, value in ours)


def test_a_frozen_backbone_stays_as_it_is(data, teachers):
    method, _ = fitted(data, teachers, procedure="lp-cr", freeze=True)
    state = teachers["simclr"].backbone.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in method.model.backbone.state_dict().items())
    moved, _ = fitted(data, teachers, procedure="supervised")
    assert not all(torch.equal(value, state[name]) for name, value in moved.model.backbone.state_dict().items())


def test_lp_and_lp_cr_part_ways_in_the_last_stage_alone(data, teachers):
    """Up to there they take the same steps."""
    lp, cr = (fitted(data, teachers, procedure=name)[1].history for name in ("lp", "lp-cr"))
    assert lp["labeled"] == cr["labeled"]
    assert lp["pseudo"] == cr["pseudo"]
    assert lp["late"] != cr["late"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"schedule": "step"}, {"pseudo": ("constant", 0.02), "late": ("constant", 0.002)}),
        ({"schedule": "exponential", "exponential_factor": 0.5}, {"pseudo": ("exponential", 0.02), "late": ("exponential", 0.005)}),
        ({"schedule": "constant"}, {"pseudo": ("constant", 0.02), "late": ("constant", 0.002)}),
    ],
)
def test_learning_rates_of_the_stages(data, teachers, options, expected):
    _, run = fitted(data, teachers, procedure="lp", learning_rate=0.02, **options)
    assert {name: (run.recipes[name].schedule, pytest.approx(run.recipes[name].learning_rate)) for name in expected} == expected


@pytest.mark.parametrize(("preset", "least", "most"), [("tiny", 0.03, 0.08), ("paper", 0.05, 0.15)])
def test_the_exponential_schedule_lasts_for_its_stage(data, preset, least, most):
    """It neither ends after an epoch nor stays as high as it began: the second and third stage are one fall, the others one each."""
    method = Naver(**spec.resolve_params("naver", "lp", preset, {"optimizer": "adam", "schedule": "exponential", "learning_rate": 1e-3}))
    fit = _Fit(method, data, Recorded())
    stages = {
        "labeled": [fit._recipe(method.labeled_epochs)],
        "consistency": [fit._recipe(method.consistency_epochs)],
        "propagated": [fit._recipe(method.pseudo_epochs), fit._recipe(method.late_epochs, first=method.pseudo_epochs, late=True)],
    }
    for recipes in stages.values():
        assert {recipe.schedule for recipe in recipes} == {"exponential"}
        rates = [
            recipe.learning_rate * learning_rate_factor(recipe, n + 1, 1, recipe.epochs) for recipe in recipes for n in range(recipe.epochs)
        ]
        ratios = np.divide(rates[1:], rates[:-1])
        np.testing.assert_allclose(ratios, method.exponential_factor)
        assert rates[0] == 1e-3
        assert least < rates[-1] * method.exponential_factor / rates[0] < most


def test_the_schedule_of_cr_is_that_of_the_report(data, teachers):
    _, run = fitted(data, teachers, procedure="cr", schedule="step")
    recipe = run.recipes["consistency"]
    assert (recipe.schedule, recipe.decay_every_epochs, recipe.decay_factor) == ("step", 6, 0.1)


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "lars"])
def test_the_optimisers_of_the_sweep(data, teachers, optimizer):
    _, run = fitted(data, teachers, procedure="supervised", optimizer=optimizer)
    recipe = run.recipes["labeled"]
    assert recipe.optimizer == optimizer
    assert recipe.momentum == (0.0 if optimizer == "adam" else 0.9)
    assert (recipe.param_groups is not None) == (optimizer == "lars")


@pytest.mark.parametrize("procedure", ["cr", "lp-cr"])
def test_a_pool_may_be_empty(data, teachers, procedure):
    method, run = fitted(dataclasses.replace(data, unlabeled=examples(0, 0, labels=False)), teachers, procedure=procedure)
    assert run.audits == {}
    scores = method.predict(data.validation.batch(np.arange(3)).images)
    assert scores["class"].shape == (3, 3)


def images_of(data):
    return ImageBatches([data.labeled, data.unlabeled], 4)


def test_mixed_batches_hold_labelled_images_first_and_go_through_the_pool(data):
    targets = {"class": (torch.arange(36), torch.arange(36) / 36)}
    batches = MixedBatches(images_of(data), targets, (16, 20), 3, 5)
    steps = batches.epoch(np.random.default_rng(0))
    assert len(steps) == 4
    assert all(len(step) == 8 and step[:3].max() < 16 <= step[3:].min() for step in steps)
    assert sorted(np.concatenate([step[3:] for step in steps])) == list(range(16, 36))
    images, loaded = batches.load(steps[0])
    assert torch.equal(loaded["class"][0], torch.from_numpy(steps[0]))
    assert torch.equal(images[3:], data.unlabeled.batch(steps[0][3:] - 16).images)
    assert len(MixedBatches(images_of(data), targets, (16, 20), 3, 5, 50).epoch(np.random.default_rng(0))) == 10
    alone = MixedBatches(images_of(data), targets, (16, 0), 3, 5).epoch(np.random.default_rng(0))
    assert np.concatenate(alone).max() < 16


def test_known_batches_hold_labelled_images_alone(data):
    steps = KnownBatches(images_of(data), {}, 16, 8, 40).epoch(np.random.default_rng(0))
    assert len(steps) == 5
    assert np.concatenate(steps).max() < 16


@pytest.mark.parametrize("name", ["ran56", "ran92"])
def test_attention_networks_are_backbones_and_show_their_maps(name):
    network = Naver(backbone=name, ran_width=4, image_size=32).build(SCHEMA).eval()
    assert isinstance(network, Classifier)
    maps = network.backbone.attention_maps(torch.zeros(2, 3, 32, 32, dtype=torch.uint8))
    assert len(maps) == {"ran56": 3, "ran92": 6}[name]


def test_attention_is_a_map_an_image_and_nothing_where_nobody_attends():
    images = torch.randint(0, 255, (2, 3, 32, 32), dtype=torch.uint8)
    method = Naver(backbone="ran56", ran_width=4, image_size=32)
    method.model = method.build(SCHEMA).eval()
    found = method.attention(images)
    assert list(found) == [f"{number} {name}" for number in (1, 2, 3) for name in ("before", "mask", "after")]
    first = method.model.backbone.attention_maps(images)[0]
    torch.testing.assert_close(found["1 mask"], first.mask.mean(dim=1))
    plain = Naver(backbone="test_resnet", image_size=32)
    plain.model = plain.build(SCHEMA).eval()
    assert plain.attention(images) == {}


def test_no_label_is_read_while_pretraining(data):
    class Sealed(dict):
        def __getitem__(self, name):
            raise AssertionError(f"the labels {name!r} were read")

        get = __getitem__

    sealed = dataclasses.replace(data, labeled=dataclasses.replace(data.labeled, labels=Sealed()), validation=None)
    Naver(**SMALL).fit_teacher("simclr", sealed, Recorded())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"procedure": "lpcr"}, "naver: procedure is 'lpcr'; expected one of 'supervised', 'cr', 'lp', 'lp-cr'"),
        ({"weak_view": "flip"}, "naver: weak_view is 'flip'; expected one of 'crop', 'shift'"),
        ({"propagate": "never"}, "naver: propagate is 'never'"),
        ({"neighbors": 0}, "naver: neighbors is 0; expected >= 1"),
    ],
)
def test_errors(options, message):
    with pytest.raises(ValueError, match=message):
        Naver(**options)
