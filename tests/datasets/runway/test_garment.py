import random
from collections import Counter

import pytest

from datasets.runway import vocabulary as vocab
from datasets.runway.garment import contrast, lightness, sample_garment
from datasets.runway.stand_in import layout_module, layouts


def _garments(layout: str, count: int = 1500):
    module = layout_module(layout)
    return [sample_garment(random.Random(f"{layout}{k}"), module.CATEGORIES, module.PATTERNS) for k in range(count)]


def test_weights_are_read_with_spaces_in_names():
    assert vocab.weights("faux fur 2 knit .5") == (("faux fur", "knit"), (2.0, 2.5))
    assert vocab.weights("") == ((), ())


def test_pick_follows_the_weights():
    rng = random.Random(0)
    counts = Counter(vocab.pick(rng, "a 3 b 1 c 0") for _ in range(4000))
    assert counts["a"] / 4000 == pytest.approx(0.75, abs=0.03)
    assert counts["c"] == 0
    assert vocab.pick(rng, "") == ""


def test_same_seed_same_garment():
    assert sample_garment(random.Random("x"), "dress 1 tee 1") == sample_garment(random.Random("x"), "dress 1 tee 1")
    assert sample_garment(random.Random("x"), "dress 1 tee 1") != sample_garment(random.Random("y"), "dress 1 tee 1")


@pytest.mark.parametrize("layout", [name for name in layouts() if hasattr(layout_module(name), "CATEGORIES")])
def test_every_sampled_value_is_in_the_vocabulary(layout):
    for garment in _garments(layout, 400):
        low, high = vocab.HEMS[garment.length]
        assert low <= garment.hem <= high
        assert garment.color in vocab.COLORS
        assert bool(garment.sleeve_shape) == (garment.sleeve not in ("", "sleeveless"))
        assert bool(garment.neck) == (garment.kind != vocab.LOWER)
        assert garment.details <= {"pocket", "belt", "ruffle", "fringe"}


@pytest.mark.parametrize("layout", ["catalogue", "darn", "deepfashion", "imatfashion"])
def test_shared_patterns_occur_in_every_domain_and_patterns_have_a_long_tail(layout):
    counts = Counter(garment.pattern for garment in _garments(layout))
    assert all(counts[pattern] >= 30 for pattern in vocab.SHARED_PATTERNS)  # 2 %
    ranked = [count for _, count in counts.most_common()]
    assert ranked[0] < 0.6 * sum(ranked)
    assert ranked[0] > 10 * ranked[-1]


@pytest.mark.parametrize("base", [(30, 30, 34), (240, 238, 233), (140, 141, 146), (188, 34, 42)])
def test_contrast_can_be_told_from_its_ground(base):
    rng = random.Random(0)
    assert all(abs(lightness(contrast(rng, base)) - lightness(base)) >= 95 for _ in range(50))
