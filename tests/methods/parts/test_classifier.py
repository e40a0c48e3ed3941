"""The shared classifier and the small checks beside it."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from methods.parts.backbone import Backbone
from methods.parts.classifier import NoTeachers, OneNetwork, TypeClassifier, check_choice, check_least, class_counts, exclusive_types


def test_one_head_a_type(toy):
    sizes = class_counts(toy.schema)
    assert sizes == {"color": 3, "type": 3, "marks": 2}
    assert exclusive_types(toy.schema) == {"color", "type"}
    found = TypeClassifier(Backbone("test_resnet", image_size=64, shrink=2), sizes)(torch.zeros(2, 3, 64, 64, dtype=torch.uint8))
    assert {name: tuple(values.shape) for name, values in found.items()} == {"color": (2, 3), "type": (2, 3), "marks": (2, 2)}


def test_no_teachers(toy):
    assert NoTeachers().teachers(toy.schema) == ()
    with pytest.raises(ValueError, match="classifier has no teacher 'x'"):
        NoTeachers().fit_teacher("x", None, None)


def test_checks():
    check_choice("m", "loss", "a", ("a", "b"))
    with pytest.raises(ValueError, match="m: loss is 'c'; expected one of 'a', 'b'"):
        check_choice("m", "loss", "c", ("a", "b"))
    check_least(SimpleNamespace(epochs=1), "m", epochs=1)
    with pytest.raises(ValueError, match="m: epochs is 0; expected >= 1"):
        check_least(SimpleNamespace(epochs=0), "m", epochs=1)


class Constant(nn.Module):
    def __init__(self, sizes):
        super().__init__()
        self.sizes = sizes

    def forward(self, images):
        return {name: torch.full((len(images), size), 2.0, dtype=torch.float64) for name, size in self.sizes.items()}


class Small(OneNetwork):
    def network(self, schema, *, pretrained=False):
        assert not pretrained
        return Constant(class_counts(schema))


def test_one_network_is_built_untrained_and_answers_with_float32_logits(toy):
    method = Small()
    method.model = method.build(toy.schema)
    scores = method.predict(torch.zeros(5, 3, 8, 8, dtype=torch.uint8))
    assert {name: tuple(values.shape) for name, values in scores.items()} == {"color": (5, 3), "type": (5, 3), "marks": (5, 2)}
    assert {values.dtype for values in scores.values()} == {torch.float32}
