"""Trained on one data set, tested on another: the shared classes, the images kept, the scores folded."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from bench import transfer
from bench.protocol import AttributeType, Examples, Schema
from bench.registry import UnknownNameError
from bench.spec import UsageError

HERE = Schema((AttributeType("texture", ("dotted", "floral", "flowers", "plain"), False),))
THERE = Schema((AttributeType("size", ("s", "l"), True), AttributeType("pattern", ("dot", "flower", "leopard"), True)))


@pytest.fixture
def shared(monkeypatch):
    known = {
        "here": ("texture", {"flower": ("floral", "flowers", "bloom"), "dot": ("dotted",), "leopard": ("leopard",)}),
        "there": ("pattern", {"flower": ("flower",), "dot": ("dot",), "leopard": ("leopard",)}),
    }
    monkeypatch.setattr(transfer, "shared_classes", known.__getitem__)
    return transfer.make_transfer("here", HERE, "there", THERE)


def test_classes_are_those_that_both_have(shared):
    assert shared.classes == ("flower", "dot")  # nobody here has a leopard
    assert shared.source_columns == ((1, 2), (0,))
    assert shared.target_columns == ((1,), (0,))
    assert shared.schema == Schema((AttributeType("shared", ("flower", "dot"), True),))


def test_images_with_exactly_one_shared_class_are_kept(shared):
    pattern = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [-1, -1, -1], [1, 1, 0], [0, 1, -1]], dtype=np.int8)
    labels = {"size": np.zeros((6, 2), dtype=np.int8), "pattern": pattern}
    points = np.arange(6 * 2 * 3, dtype=np.float32).reshape(6, 2, 3)
    given = Examples(np.zeros((9, 4, 4, 3), dtype=np.uint8), np.arange(6) + 3, labels, np.arange(6, dtype=np.uint64), points)
    found = shared.examples(given)
    assert np.array_equal(found.landmarks, points[[0, 1, 5]])
    assert shared.examples(replace(given, landmarks=None)).landmarks is None
    assert found.rows.tolist() == [3, 4, 8]
    assert found.keys.tolist() == [0, 1, 5]
    assert {name: values.tolist() for name, values in found.labels.items()} == {"shared": [[0, 1], [1, 0], [1, 0]]}


def test_a_shared_class_scores_what_the_best_of_its_names_does(shared):
    scores = torch.tensor([[0.1, 0.5, 0.9, 7.0], [0.8, -torch.inf, 0.2, 7.0]])
    found = shared.predict(lambda images: {"texture": scores, "other": scores})(torch.zeros(2, 3, 4, 4))
    torch.testing.assert_close(found, {"shared": torch.tensor([[0.9, 0.1], [0.2, 0.8]])})


def test_fewer_than_two_classes_are_no_test(monkeypatch):
    known = {"a": ("texture", {"dot": ("dotted",)}), "b": ("pattern", {"dot": ("dot",)})}
    monkeypatch.setattr(transfer, "shared_classes", known.__getitem__)
    with pytest.raises(ValueError, match="a and b share 1 classes; expected at least two"):
        transfer.make_transfer("a", HERE, "b", THERE)


def test_pairs_are_read_and_checked():
    assert transfer.parse_transfers("deepfashion:darn, imatfashion:darn") == [("deepfashion", "darn"), ("imatfashion", "darn")]
    for text in ("deepfashion", "deepfashion:", "darn:darn"):
        with pytest.raises(UsageError, match="TRAINED:TESTED expected"):
            transfer.parse_transfers(text)
    with pytest.raises(UnknownNameError, match="did you mean 'darn'"):
        transfer.parse_transfers("deepfashion:dern")
    with pytest.raises(UsageError, match=r"folder says nothing of shared classes .* these do: darn, deepfashion"):
        transfer.parse_transfers("folder:darn")
