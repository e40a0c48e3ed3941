"""Features computed once: the same as on the images, in order, and trainable on as examples."""

import numpy as np
import torch

from methods.parts.backbone import Backbone
from methods.parts.batches import LabeledBatches
from methods.parts.frozen import Standardize, as_examples, features_of, flat, with_backbone_in_eval

CPU = torch.device("cpu")


def backbone():
    torch.manual_seed(0)
    return Backbone("test_resnet", image_size=64, shrink=2)


def test_features_are_those_of_the_images(toy):
    network = backbone()
    found = features_of(network, toy.labeled, CPU)
    assert not network.training
    assert found.shape == (160, 96)
    with torch.no_grad():
        torch.testing.assert_close(found[7:9], network(toy.labeled.batch(np.array([7, 8])).images), rtol=1e-4, atol=1e-5)


def test_features_as_examples_keep_labels_and_order(toy):
    features = features_of(backbone(), toy.labeled, CPU)
    examples = as_examples(features, toy.labeled)
    assert len(examples) == 160
    batches = LabeledBatches(examples, 16)
    batch = batches.load(batches.epoch(np.random.default_rng(0))[1])
    assert torch.equal(flat(batch.images), features[batch.positions])
    assert np.array_equal(batch.labels["color"].numpy(), toy.labeled.labels["color"][batch.positions.numpy()])


def test_a_loss_holds_the_backbone_in_eval_mode_and_the_rest_in_training():
    network = torch.nn.Module()
    network.backbone, network.heads = torch.nn.BatchNorm1d(3), torch.nn.Dropout()
    network.train()
    modes = []

    def loss(module, batch):
        modes.append((module.backbone.training, module.heads.training))
        return module.backbone(batch).sum()

    with_backbone_in_eval(loss)(network, torch.randn(4, 3))
    assert modes == [(False, True)]
    assert not network.backbone.running_mean.any()


def test_standardised_features():
    features = 3.0 + 2.0 * torch.randn(500, 4, generator=torch.Generator().manual_seed(0))
    features[:, 2] = 7.0  # never changes
    layer = Standardize(4)
    layer.fit(features)
    found = layer(features)
    torch.testing.assert_close(found.mean(dim=0), torch.zeros(4), rtol=0, atol=1e-5)
    torch.testing.assert_close(found.std(dim=0, correction=0), torch.tensor([1.0, 1.0, 0.0, 1.0]), rtol=0, atol=1e-5)
