"""Landmarks, from a list to the examples of an opened data set."""

from dataclasses import replace

import numpy as np

from datasets._open import describe, open_dataset


def give_landmarks(deepfashion):
    """Image i has its left hem at column 2 + i % 5 + i // 5, counted from 1, of boxes that start at 1 + i % 5."""
    rows = [f"2  2 000 000  2 000 000  0 {2 + i % 5 + i // 5:03d} 010  2 000 000" for i in range(20)]
    deepfashion.write("list_landmarks.txt", rows)


def test_landmarks_go_with_their_labels_alone(deepfashion, options):
    give_landmarks(deepfashion)
    opened = open_dataset("deepfashion", options)
    data = opened.training(image_size=16, label_fraction=0.5, unlabeled=1, seed=0)
    assert data.unlabeled.landmarks is None
    for examples in (data.labeled, data.validation, opened.examples("test", image_size=16)):
        assert (examples.landmarks.shape, examples.landmarks.dtype) == ((len(examples), 8, 3), np.float32)
        assert np.array_equal(np.flatnonzero(examples.landmarks[..., 0].any(axis=0)), [6])
        found = examples.landmarks[:, 6, 1:]
        columns = 1 + examples.rows // 5 + 0.5  # from the box's left edge
        widths = 20 - examples.rows % 5
        np.testing.assert_allclose(found, np.stack([columns / widths, np.full(len(examples), 7.5 / 23)], axis=1), rtol=1e-6)
    batch = data.labeled.batch(np.array([2, 0]))
    assert np.array_equal(batch.landmarks.numpy(), data.labeled.landmarks[[2, 0]])


def test_a_damaged_picture_leaves_landmarks_with_their_rows(deepfashion, options):
    give_landmarks(deepfashion)
    (deepfashion.root / "Img" / deepfashion.paths[0]).write_bytes(b"")
    examples = open_dataset("deepfashion", replace(options, on_bad_data="skip")).examples("train", image_size=16)
    assert 0 not in examples.rows
    np.testing.assert_allclose(examples.landmarks[:, 6, 1] * (20 - examples.rows % 5), 1.5 + examples.rows // 5, rtol=1e-6)


def test_a_landmark_list_is_noticed_when_it_comes_and_when_it_changes(deepfashion, options):
    hashes = [open_dataset("deepfashion", options).data_hash]
    assert open_dataset("deepfashion", options).examples("val", image_size=16).batch(np.arange(2)).landmarks is None
    give_landmarks(deepfashion)
    hashes.append(open_dataset("deepfashion", options).data_hash)
    deepfashion.edit("list_landmarks.txt", 3, f"{deepfashion.paths[0]} 2  2 000 000  2 000 000  0 007 010  2 000 000")
    hashes.append(describe("deepfashion", options).data_hash)
    assert len(set(hashes)) == 3
