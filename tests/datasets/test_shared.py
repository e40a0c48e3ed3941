"""The five classes of a pattern that data sets share, as each of them names them."""

from dataclasses import replace

import pytest

from bench import registry
from datasets._open import open_dataset
from datasets.runway.vocabulary import SHARED_PATTERNS

NAMES = ("deepfashion", "darn", "imatfashion")


@pytest.mark.parametrize("name", NAMES)
def test_each_names_all_five_once(name):
    kind, classes = registry.entry("datasets", name).constants["SHARED"]
    assert isinstance(kind, str)
    assert tuple(classes) == SHARED_PATTERNS
    names = [each for found in classes.values() for each in found]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("name", NAMES)
def test_the_stand_in_knows_all_five_and_shows_them(name, options, monkeypatch):
    real = registry.entry("datasets", name)
    small = {"tiny": {**real.constants["STANDIN"]["tiny"], "num": {"train": 240, "test": 8}, "long_side": 32}}
    monkeypatch.setattr(registry, "entry", lambda kind, key: replace(real, constants={**real.constants, "STANDIN": small}))
    opened = open_dataset(name, replace(options, data="synthetic"))
    kind, classes = real.constants["SHARED"]
    there = opened.schema[kind].classes
    for names in classes.values():
        columns = [there.index(each) for each in names if each in there]
        assert columns
        assert (opened.annotations.labels[kind][:, columns] == 1).any()
