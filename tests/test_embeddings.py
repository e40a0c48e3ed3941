"""Embeddings kept for pictures: directions, few, and close to what they were."""

import numpy as np
import torch
from scipy.spatial.distance import pdist

from bench.embeddings import first_attention, first_embeddings, principal
from bench.protocol import Examples


def test_distances_between_directions_are_kept():
    rng = np.random.default_rng(0)
    low = rng.normal(size=(50, 8)) @ rng.normal(size=(8, 128))  # eight dimensions in 128
    found = principal(low * rng.uniform(1, 9, size=(50, 1)))
    assert found.shape == (50, 32)
    unit = low / np.linalg.norm(low, axis=1, keepdims=True)
    np.testing.assert_allclose(pdist(found), pdist(unit), rtol=1e-6)


def test_the_first_images_of_each_type_are_kept():
    pixels = np.random.default_rng(0).integers(0, 255, (310, 4, 4, 3), dtype=np.uint8)
    examples = Examples(pixels, np.arange(310), {}, np.arange(310, dtype=np.uint64))

    def embed(images):
        assert images.shape[1:] == (3, 4, 4)
        return {"part": images.float().flatten(1), "type": images.float().mean(dim=(2, 3))}

    found = first_embeddings(embed, examples, torch.device("cpu"))
    assert {name: (values.shape, values.dtype) for name, values in found.items()} == {
        "embedding/part": ((300, 32), np.float16),
        "embedding/type": ((300, 3), np.float16),
    }


def test_attention_maps_of_the_first_images_are_kept_beside_these():
    pixels = np.random.default_rng(0).integers(0, 255, (10, 4, 4, 3), dtype=np.uint8)
    examples = Examples(pixels, np.arange(10), {}, np.arange(10, dtype=np.uint64))
    found = first_attention(lambda images: {"1 mask": images.float().mean(dim=1) / 255}, examples, torch.device("cpu"))
    np.testing.assert_array_equal(found["attention/image"], pixels[:6])
    np.testing.assert_allclose(found["attention/1 mask"], pixels[:6].mean(axis=3) / 255, atol=1e-3)
    assert first_attention(lambda images: {}, examples, torch.device("cpu")) == {}
