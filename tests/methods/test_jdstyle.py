"""JD styles: what members share, how a vote decides, and that no threshold sees the test split."""

import dataclasses
import itertools
import shutil

import cv2
import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn

from bench import registry, spec
from bench.evaluation import Candidate, evaluate
from bench.fitting import _validation_thresholds
from bench.protocol import SPLITS, AttributeType, DataOptions, Schema
from bench.thresholds import best_thresholds
from bench.training import TrainingRun
from datasets._open import open_dataset
from datasets.jdstyle import split_of
from datasets.runway import render
from methods import jdstyle
from methods.jdstyle import NETWORKS, JDStyle, Member, Vote, _image_batches, _Loss
from methods.losses.classification import count_weights, weighted_binary_cross_entropy
from methods.parts.averaging import recalibrate_batch_norm_
from methods.parts.sampling import repeated

CPU = torch.device("cpu")
SMALL = {
    "small": True, "pretrained": False, "image_size": 64, "shrink": 2, "augment": False, "images_per_epoch": 96, "head_epochs": 1,
    "epochs": 1, "swa_epochs": 1,
}  # fmt: skip
SCHEMA = Schema((AttributeType("style", ("a", "b", "c"), False),))


class Fixed(nn.Module):
    """A network that answers the same logits for every image."""

    def __init__(self, logits):
        super().__init__()
        self.logits = nn.Parameter(torch.tensor(logits))

    def forward(self, images):
        return {"style": self.logits.expand(len(images), -1)}


def make_run():
    return TrainingRun(seed=1, device=CPU)


@pytest.fixture(scope="module")
def trained(toy):
    """Two members and the method of a vote over them."""
    method = JDStyle(**SMALL, members=("resnet18-swa", "inceptionv4"), quorum=1)
    return method, {name: method.fit_teacher(name, toy, make_run()).eval().requires_grad_(False) for name in method.teachers(toy.schema)}


def test_rows_share_members_that_are_trained_alike():
    """Single rows and votes agree on all that a member depends on; every network of Table II has rows, all of them distinct."""
    found = registry.entry("methods", "jdstyle")
    resolved = {row: spec.resolve_params("jdstyle", row, "tiny", {}) for row in found.rows}
    names = found.constants["TEACHER_PARAMS"]
    shared = [row for row in found.rows if row.split("-")[0] in NETWORKS or row in ("wbce", "vote", "vote-literal")]
    assert len(shared) == 2 * len(NETWORKS) + 3
    assert len({tuple(resolved[row][name] for name in names) for row in shared}) == 1
    assert all(JDStyle(**resolved[row]).teachers(SCHEMA) == (row.removesuffix("-swa"),) for row in shared if row.split("-")[0] in NETWORKS)
    assert JDStyle(**resolved["wbce"]).teachers(SCHEMA) == ("resnet18",)
    assert len(JDStyle(**resolved["vote"]).teachers(SCHEMA)) == 5
    assert all(len({network[size] for network in NETWORKS.values()}) == len(NETWORKS) == 7 for size in (0, 1))


@pytest.mark.parametrize(("quorum", "expected"), [(3, [True, True, False]), (4, [True, False, False])])
def test_a_vote_is_at_least_zero_where_a_quorum_votes(quorum, expected):
    """Five, three and two votes: a majority is three, "greater than 3" is four. The margin never outweighs a vote."""
    votes = torch.tensor([[1.0, 1, 1], [1, 1, -9], [1, 1, -9], [1, -9, 9], [1, -9, -9]])
    vote = Vote([Fixed(row.tolist()) for row in votes], SCHEMA, quorum)
    scores = vote(torch.zeros(2, 3, 4, 4))["style"]
    assert (scores[0] >= 0).tolist() == expected
    assert scores[0].add(quorum - 0.5).round().tolist() == [5.0, 3.0, 2.0]


def test_of_equal_votes_the_larger_margin_is_first():
    vote = Vote([Fixed([1.0, 3.0, -1.0]), Fixed([-1.0, -1.0, -3.0])], SCHEMA, 1)
    scores = vote(torch.zeros(1, 3, 4, 4))["style"][0]
    assert scores[1] > scores[0] > scores[2]


def test_members_vote_by_thresholds_of_their_own():
    vote = Vote([Fixed([0.0, 0.0, 0.0]), Fixed([0.0, 0.0, 0.0])], SCHEMA, 2)
    vote.thresholds.copy_(torch.tensor([[-1.0, 1.0, torch.inf], [-1.0, -1.0, torch.inf]]))
    scores = vote(torch.zeros(1, 3, 4, 4))["style"][0]
    assert (scores >= 0).tolist() == [True, False, False]  # two votes, one, none
    assert scores.isfinite().all()


def test_thresholds_of_a_vote_are_each_members_best_on_validation(toy, trained):
    method, teachers = trained
    method.fit(toy, teachers, make_run())
    labels = np.concatenate([toy.validation.labels[name] for name in toy.schema.names], axis=1)
    images = toy.validation.batch(np.arange(len(toy.validation))).images
    for row, network in zip(method.model.thresholds, (teachers["resnet18"].averaged, teachers["inceptionv4"].network), strict=True):
        with torch.inference_mode():
            logits = torch.cat(list(network(images).values()), dim=1).numpy()
        np.testing.assert_allclose(row.numpy(), best_thresholds(logits, labels), rtol=1e-5)


def test_rows_take_the_network_or_its_average(toy, trained):
    _, teachers = trained
    for member, part in (("resnet18", teachers["resnet18"].network), ("resnet18-swa", teachers["resnet18"].averaged)):
        method = JDStyle(**SMALL, members=(member,))
        method.fit(toy, teachers, make_run())
        state = method.model.state_dict()
        assert all(torch.equal(value, state[name]) for name, value in part.state_dict().items())
        assert method.model is not part
    network, averaged = teachers["resnet18"].network.state_dict(), teachers["resnet18"].averaged.state_dict()
    assert not torch.equal(network["heads.linear.weight"], averaged["heads.linear.weight"])
    assert averaged["backbone.network.bn1.num_batches_tracked"] == 1  # 160 images in one batch: statistics of their own


def test_without_averaging_there_is_no_average(toy):
    method = JDStyle(**SMALL | {"swa_epochs": 0}, members=("resnet18-swa",))
    member = method.build(toy.schema, "resnet18")
    assert isinstance(member, Member)
    assert member.averaged is None
    with pytest.raises(ValueError, match="member 'resnet18-swa' needs averaged weights; expected swa_epochs >= 1"):
        method.fit(toy, {"resnet18": member}, make_run())


def test_the_head_is_trained_alone_first(toy):
    phases = {}

    class Watched(TrainingRun):
        def train(self, name, module, *rest, **options):
            before = {key: value.detach().clone() for key, value in module.named_parameters()}
            history = super().train(name, module, *rest, **options)
            phases[name] = {key for key, value in module.named_parameters() if not torch.equal(value, before[key])}
            return history

    JDStyle(**SMALL).fit_teacher("resnet18", toy, Watched(seed=0, device=CPU))
    assert list(phases) == ["head", "all", "swa"]
    assert phases["head"] == {"heads.linear.weight", "heads.linear.bias"}
    assert any(key.startswith("backbone") for key in phases["all"])


@pytest.mark.parametrize("pretrained", [True, False])
def test_pretrained_statistics_stay_while_the_head_learns(toy, tmp_path, pretrained):
    """Those of a network from scratch describe no image, and move."""
    torch.manual_seed(5)
    weights = timm.create_model("test_resnet").state_dict()
    save_file({name: value.contiguous() for name, value in weights.items()}, tmp_path / "test_resnet.safetensors")
    found = {}

    class Watched(TrainingRun):
        def train(self, name, module, *rest, **options):
            super().train(name, module, *rest, **options)
            found[name] = {key: value.clone() for key, value in module.backbone.network.state_dict().items() if "running" in key}

    method = JDStyle(**SMALL | {"pretrained": pretrained, "weights_folder": str(tmp_path), "swa_epochs": 0})
    method.fit_teacher("resnet18", toy, Watched(seed=0, device=CPU))
    assert found["head"]
    assert all(torch.equal(value, weights[key]) == pretrained for key, value in found["head"].items())
    assert not any(torch.equal(value, weights[key]) for key, value in found["all"].items())


@pytest.mark.parametrize(("images_per_epoch", "oversample"), [(0, 1), (0, 5), (96, 5)])
def test_oversampled_images_come_on_top_of_the_others(toy, images_per_epoch, oversample):
    """Where the length of an epoch is not given, each labelled image comes once, rare ones as often as asked for."""
    plans = []

    class Planned(TrainingRun):
        def train(self, name, module, loss, batches, *rest, **options):
            plans.append(np.concatenate(batches.epoch(np.random.default_rng(0))))

    options = {"images_per_epoch": images_per_epoch, "oversample": oversample, "batch_size": 1, "head_epochs": 0, "swa_epochs": 0}
    JDStyle(**SMALL | options).fit_teacher("resnet18", toy, Planned(seed=0, device=CPU))
    positions = repeated(toy.labeled.labels, oversample)
    if images_per_epoch:
        assert len(plans[0]) == images_per_epoch
    else:
        assert np.array_equal(np.sort(plans[0]), positions)


@pytest.mark.parametrize(("num", "sizes"), [(1, [1]), (2, [2]), (5, [3, 2]), (6, [3, 3]), (7, [3, 3])])
def test_statistics_are_not_taken_from_a_single_image_that_is_left_over(toy, monkeypatch, num, sizes):
    """Whose maps of one pixel have no variance."""
    monkeypatch.setattr(jdstyle, "_BATCH", 3)
    examples = dataclasses.replace(toy.labeled, rows=toy.labeled.rows[:num], keys=toy.labeled.keys[:num])
    batches = list(_image_batches(examples, make_run()))
    assert [len(batch) for batch in batches] == sizes
    if num > 1:
        module = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.BatchNorm2d(3))
        recalibrate_batch_norm_(module, [batch.float() for batch in batches])
        assert module[1].running_var.isfinite().all()


def test_wbce_weighs_by_the_counts_of_labelled_images(toy):
    method = JDStyle(**SMALL)
    loss, batch = _Loss(method, toy), toy.labeled.batch(np.arange(32))
    network = method.build(toy.schema).eval()
    terms = []
    for name, logits in network(batch.images).items():
        counts = torch.from_numpy((toy.labeled.labels[name] == 1).sum(axis=0))
        terms.append(weighted_binary_cross_entropy(logits, batch.labels[name], count_weights(counts)))
    torch.testing.assert_close(loss(network, batch), torch.stack(terms).mean())
    raw = _Loss(dataclasses.replace(method, normalize_weights=False), toy)
    assert raw(network, batch) < loss(network, batch)


@pytest.fixture(scope="module")
def poisoned(tmp_path_factory):
    """A rendered data set, and a copy in which every test image is noise and carries the opposite labels."""
    clean = tmp_path_factory.mktemp("clean") / "jdstyle"
    render(clean, "jdstyle", num={"train": 160}, long_side=40, seed=0)
    (clean / "runway.json").unlink()  # unsigned, it is opened as real photographs are
    other = tmp_path_factory.mktemp("poisoned") / "jdstyle"
    shutil.copytree(clean, other)
    rng, lines = np.random.default_rng(0), []
    for line in (clean / "train.txt").read_text().splitlines():
        number, url, *labels = line.split(",")
        if split_of([number])[0] == SPLITS.index("test"):
            labels = [str(1 - int(label)) for label in labels]
            assert cv2.imwrite(str(other / f"images/{number}.jpg"), rng.integers(0, 256, (40, 30, 3), dtype=np.uint8))
        lines.append(",".join([number, url, *labels]))
    (other / "train.txt").write_text("\n".join(lines) + "\n")
    found = [open_dataset("jdstyle", DataOptions(root.parent, root.parent / "cache", data="real")) for root in (clean, other)]
    assert found[0].data_hash != found[1].data_hash
    return found


@pytest.mark.parametrize("members", [("resnet18",), ("resnet18-swa", "inceptionv4")])
def test_thresholds_never_see_the_test_split(poisoned, members):
    """Model and thresholds are the same to the bit whatever the test split holds, and its score is not: it is read where it is scored,
    and nowhere else."""
    fits, scores = [], []
    for dataset in poisoned:
        data = dataset.training(image_size=32, label_fraction=1.0, unlabeled=0, seed=0)
        method = JDStyle(**SMALL | {"image_size": 32, "shrink": 1, "epochs": 2}, members=members, quorum=1)
        teachers = {name: method.fit_teacher(name, data, make_run()).eval() for name in method.teachers(data.schema)}
        method.fit(data, teachers, make_run())
        thresholds = _validation_thresholds(method, data, CPU)
        candidate = Candidate("x", method.predict, thresholds=thresholds)
        test = dataset.examples("test", image_size=32)
        (outcome,) = evaluate([candidate], test, data.schema, "identity", 0, corrupt=lambda images, *rest: images, device=CPU)
        fits.append({**method.model.state_dict(), **{f"thresholds of {name}": torch.from_numpy(t) for name, t in thresholds.items()}})
        scores.append(outcome.summary.metrics["f2"])
    assert fits[0].keys() == fits[1].keys()
    assert all(torch.equal(value, fits[1][name]) for name, value in fits[0].items())
    assert scores[0] != scores[1]


def test_validation_does_move_thresholds(toy, trained):
    """The check above can fail: other validation labels give other thresholds."""
    method, teachers = trained
    found = []
    for turned in (False, True):
        labels = {name: np.where(values >= 0, 1 - values, values).astype(np.int8) for name, values in toy.validation.labels.items()}
        validation = dataclasses.replace(toy.validation, labels=labels) if turned else toy.validation
        method.fit(dataclasses.replace(toy, validation=validation), teachers, make_run())
        found.append(method.model.thresholds.clone())
    assert not torch.equal(*found)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"loss": "mse"}, "loss is 'mse'; expected one of bce, wbce, f2, focal"),
        ({"members": ("vgg",)}, "no member 'vgg'; expected resnet18, densenet121"),
        ({"members": ("resnet18", "inceptionv4"), "quorum": 3}, "quorum is 3 of 2 members; expected 1 to their number"),
        ({"members": ()}, "quorum is 3 of 0 members"),
        ({"oversample": 0}, "oversample is 0; expected >= 1"),
        ({"swa_epochs": -1}, "swa_epochs is -1; expected >= 0"),
    ],
)
def test_errors(change, message):
    with pytest.raises(ValueError, match=f"jdstyle: {message}"):
        JDStyle(**SMALL | change)


def test_every_loss_and_oversampling_has_a_row_of_table_i():
    rows = registry.entry("methods", "jdstyle").constants["ROWS"]
    pairs = {(row.get("loss", "wbce"), row.get("oversample", 1)) for row in rows.values()}
    assert pairs == {*itertools.product(["bce", "wbce", "f2", "focal"], [1]), ("bce", 10), ("bce", 20), ("bce", 100), ("wbce", 10)}
