"""Attention with landmarks and without: where it starts, its losses by hand, and that landmarks are learned."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from bench import registry, spec
from bench.outcomes import classify
from bench.protocol import Batch, DataOptions, NoDataError
from datasets._open import open_dataset
from datasets.runway import render
from methods import landmark_attention
from methods.landmark_attention import LandmarkAttention, heat_map_loss, heat_map_targets
from methods.parts.augment import Moves

SMALL = {"backbone": "test_resnet", "pretrained": False, "image_size": 64, "shrink": 2, "stage": 3, "width": 8, "augment": False}
IMAGES = torch.randint(0, 256, (4, 3, 64, 64), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


def test_it_starts_as_the_plain_network_and_a_mask_changes_it(toy):
    torch.manual_seed(0)
    network = LandmarkAttention(**SMALL).build(toy.schema).eval()
    with torch.no_grad():
        plain = network.heads(network.backbone(IMAGES))
        torch.testing.assert_close(network(IMAGES)["color"], plain["color"])
        network.mask.widen.bias.fill_(-100.0)  # a tanh of -1: (1 + A) is nothing
        blind = network(IMAGES)["color"]
    torch.testing.assert_close(blind, blind[:1].expand(4, -1))


def test_the_loss_of_logits_of_zero(toy):
    """log 3 for each exclusive type, and 20 (1 - q) q 2 log 2 for the marks, with q = 2/6 of the known ones positive."""
    method = LandmarkAttention(**SMALL)
    network = method.build(toy.schema)
    torch.nn.init.zeros_(network.heads.linear.weight)
    torch.nn.init.zeros_(network.heads.linear.bias)
    labels = {"color": torch.eye(3, dtype=torch.int8)[[0, 1, 2, 0]], "type": torch.eye(3, dtype=torch.int8)[[0, 0, 0, 1]]}
    labels["marks"] = torch.tensor([[1, 0], [0, 0], [1, -1], [0, -1]], dtype=torch.int8)
    expected = 2 * math.log(3) + 20 * 2 * (2 / 3) * (1 / 3) * math.log(2)
    batch = Batch(IMAGES, labels, torch.arange(4))
    assert method.batch_loss(network, batch, toy.schema, 2 / 6).item() == pytest.approx(expected, rel=1e-4)


def test_the_sources_backbone_is_cut_after_conv4(toy):
    method = LandmarkAttention(pretrained=False, image_size=64, landmarks=True)
    network = method.build(toy.schema).eval()
    assert network.backbone.num_channels == 512
    with torch.no_grad():
        assert network.both(IMAGES[:1])[1].shape == (1, 8, 64, 64)  # as large as the image
    assert (method.backbone, method.stage, method.attribute_weight) == ("vgg16", 4, 20.0)


def test_all_means_the_row_that_every_data_set_can_have():
    assert registry.entry("methods", "landmark_attention").headline == ("no-landmarks",)


def slow_target(landmarks, height, width, sigma):
    """One place at a time, in float64."""
    found = np.zeros((*landmarks.shape[:2], height, width))
    for image, points in enumerate(landmarks):
        for place, (visible, x, y) in enumerate(points):
            for row in range(height if visible else 0):
                for column in range(width):
                    distance = math.hypot((column + 0.5) / width - x, (row + 0.5) / height - y)
                    found[image, place, row, column] = math.exp(-(distance**2) / (2 * sigma**2))
    return found


def test_heat_maps_and_their_loss_are_those_of_a_slow_loop():
    rng = np.random.default_rng(0)
    landmarks = np.concatenate([rng.random((3, 4, 1)) < 0.7, rng.random((3, 4, 2))], axis=2)
    landmarks[landmarks[..., 0] == 0] = 0
    targets, found = slow_target(landmarks, 6, 9, 0.1), rng.normal(size=(3, 4, 6, 9))
    loss = 0.0
    for image, place in np.argwhere(landmarks[..., 0] == 1):
        loss += ((found[image, place] - targets[image, place]) ** 2).sum()
    points, maps = torch.from_numpy(landmarks).float(), torch.from_numpy(found).float()
    torch.testing.assert_close(heat_map_targets(points, 6, 9, 0.1), torch.from_numpy(targets).float())
    assert heat_map_loss(maps, points, 0.1).item() == pytest.approx(loss / found.size, rel=1e-5)
    order = torch.tensor([2, 0, 1])
    torch.testing.assert_close(heat_map_loss(maps[order], points[order], 0.1), heat_map_loss(maps, points, 0.1))


def test_a_heat_map_by_hand():
    """A landmark on the centre of one place: 1 there, exp(-1/2) a sigma away; nothing for one that is not visible."""
    found = heat_map_targets(torch.tensor([[[1, 0.375, 0.625], [0, 0, 0]]]), 4, 4, 0.25)
    near, corner = math.exp(-0.5), math.exp(-1.0)
    torch.testing.assert_close(found[0, 0, 1:4, 0:3], torch.tensor([[corner, near, corner], [near, 1, near], [corner, near, corner]]))
    assert not found[0, 1].any()
    assert heat_map_loss(torch.full((1, 2, 4, 4), 7.0), torch.zeros(1, 2, 3), 0.25) == 0


def test_the_largest_heat_map_is_one_more_channel_for_the_mask(toy):
    torch.manual_seed(0)
    network = LandmarkAttention(**SMALL, landmarks=True, landmark_width=16).build(toy.schema).eval()
    seen = []
    network.mask.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0]))
    with torch.no_grad():
        _, heat_maps = network.both(IMAGES)
        maps = network.backbone.lower(IMAGES)
    assert heat_maps.shape == (4, 8, 32, 32)
    torch.testing.assert_close(seen[0][:, 1:], maps)
    # bilinear, to an eighth: the mean of the four places in the middle of each 8 x 8
    middle = heat_maps.amax(dim=1).view(4, 4, 8, 4, 8)[:, :, 3:5, :, 3:5].mean(dim=(2, 4))
    torch.testing.assert_close(seen[0][:, 0], middle)


def batch_with(toy, landmarks):
    labels = {name: torch.from_numpy(values[:4]) for name, values in toy.labeled.labels.items()}
    return Batch(IMAGES, labels, torch.arange(4), landmarks)


def test_squares_of_heat_maps_are_added_with_their_weight(toy):
    """Heat maps of 0 miss the targets by all that they are."""
    method = LandmarkAttention(**SMALL, landmarks=True, landmark_weight=3.0, landmark_sigma=0.1)
    network = method.build(toy.schema).eval()
    torch.nn.init.zeros_(network.landmarks[-1].weight)
    torch.nn.init.zeros_(network.landmarks[-1].bias)
    points = torch.rand(4, 8, 3, generator=torch.Generator().manual_seed(1)) * torch.tensor([0.0, 1.0, 1.0]) + torch.tensor([1.0, 0, 0])
    losses = [method.batch_loss(network, batch_with(toy, each), toy.schema, 0.5).item() for each in (points, torch.zeros(4, 8, 3))]
    expected = 3.0 * (slow_target(points.double().numpy(), 32, 32, 0.1) ** 2).mean()
    assert losses[0] - losses[1] == pytest.approx(expected, rel=1e-3)


def test_landmarks_move_with_the_images(toy, monkeypatch):
    """A mirrored batch, augmented to be mirrored again, has the loss of the batch itself."""
    fixed = dict(SMALL, landmarks=True, landmark_width=16)
    network = LandmarkAttention(**fixed).build(toy.schema)  # in train mode: heat maps differ from place to place
    batch = toy.labeled.batch(np.arange(6))
    still = torch.zeros(6, 1, dtype=torch.int64)
    monkeypatch.setattr(landmark_attention, "draw_moves", lambda images: Moves(torch.ones(6, 1, dtype=torch.bool), still, still))
    points = batch.landmarks.clone()
    points[..., 1] = torch.where(points[..., 0] == 1, 1 - points[..., 1], 0)
    mirrored = batch._replace(images=batch.images.flip(3), landmarks=points[:, [1, 0, 3, 2, 5, 4, 7, 6]])
    plain = LandmarkAttention(**fixed).batch_loss(network, batch, toy.schema, 0.5)
    augmented = LandmarkAttention(**{**fixed, "augment": True}).batch_loss(network, mirrored, toy.schema, 0.5)
    torch.testing.assert_close(augmented, plain)
    unmoved = LandmarkAttention(**fixed).batch_loss(network, mirrored._replace(images=batch.images), toy.schema, 0.5)
    assert (unmoved - plain).abs() > 1e-3


@pytest.mark.parametrize(("points", "text"), [(None, "no landmarks"), (np.zeros((160, 6, 3), np.float32), "6 landmarks")])
def test_without_landmarks_the_row_says_what_to_use(toy, watched_run, points, text):
    method = LandmarkAttention(**SMALL, landmarks=True)
    with pytest.raises(NoDataError) as caught:
        method.fit(replace(toy, labeled=replace(toy.labeled, landmarks=points)), {}, watched_run())
    expected = f"landmark_attention/landmarks: the data set has {text}, expected 8; use landmark_attention/no-landmarks"
    assert classify(caught.value) == ("no_data", expected)


@pytest.mark.slow
def test_landmarks_are_learned_on_rendered_photos(tmp_path, watched_run):
    """Heat maps of unseen photos miss by less than the mean map of the photos trained on."""
    render(tmp_path / "data/deepfashion", "deepfashion", num={"train": 1000, "val": 150, "test": 2}, long_side=64, seed=0)
    more_steps = {
        "landmark_width": 16,
        "batch_size": 16,
        "epochs": 6,
        "images_per_epoch": 2000,
        "learning_rate": 0.01,
        "validate_every_epochs": 6,
    }
    params = spec.resolve_params("landmark_attention", "landmarks", "tiny", more_steps)
    method = LandmarkAttention(**params)
    opened = open_dataset("deepfashion", DataOptions(tmp_path / "data", tmp_path / "cache"))
    data = opened.training(image_size=64, label_fraction=1.0, unlabeled=0, seed=0)
    method.fit(data, {}, watched_run())
    with torch.inference_mode():
        heat_maps = method.model.both(data.validation.batch(np.arange(len(data.validation))).images)[1]
    known, unseen = torch.from_numpy(data.labeled.landmarks), torch.from_numpy(data.validation.landmarks)
    mean_map = heat_map_targets(known, 32, 32, method.landmark_sigma).sum(dim=0) / known[..., 0].sum(dim=0)[:, None, None]
    ours, floor = (heat_map_loss(maps, unseen, method.landmark_sigma) for maps in (heat_maps, mean_map.expand_as(heat_maps)))
    assert ours < floor


def test_errors():
    with pytest.raises(ValueError, match="landmark_attention: landmark_sigma is 0; expected > 0"):
        LandmarkAttention(landmark_sigma=0)
    with pytest.raises(ValueError, match="landmark_attention: width is 0; expected >= 1"):
        LandmarkAttention(width=0)
