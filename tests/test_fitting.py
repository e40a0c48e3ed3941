"""What a method is given to train on."""

from types import SimpleNamespace

import numpy as np

from bench import fitting
from bench.protocol import AttributeType, Examples, Schema, TrainingData
from bench.spec import DataSpec


def test_images_of_another_data_set_come_without_labels_and_landmarks(monkeypatch):
    count = np.arange(3, dtype=np.uint64)
    labels = {"type": np.zeros((3, 2), np.int8)}
    examples = Examples(np.zeros((3, 4, 4, 3), np.uint8), np.arange(3), labels, count, np.ones((3, 2, 3), np.float32))
    own = TrainingData(Schema((AttributeType("type", ("a", "b"), exclusive=True),)), examples, examples, examples)
    dataset = SimpleNamespace(training=lambda **_: own)
    other = SimpleNamespace(num_images={"train": 3, "unlabeled": 0}, examples=lambda split, image_size: examples)
    monkeypatch.setattr(fitting, "planned", lambda name, *_: other)
    data = DataSpec("one", "synthetic", "h", 4, 1.0, 1.0, 0, pool="two", pool_hash="g")
    (found,) = fitting._training_data(dataset, data, None).extra
    assert (len(found), found.labels, found.landmarks) == (3, {}, None)
