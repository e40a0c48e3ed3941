"""Philox 4x32-10: the published answers, a slow loop in whole numbers, and what counts as the counter."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datasets.corruptions import _philox

WORD = st.integers(0, 2**32 - 1)


def slow_philox(counter, key):
    """Salmon et al. 2011, Sec. 3.3, one block."""
    for _ in range(10):
        first, second = counter[0] * 0xD2511F53, counter[2] * 0xCD9E8D57
        counter = [second >> 32 ^ counter[1] ^ key[0], second % 2**32, first >> 32 ^ counter[3] ^ key[1], first % 2**32]
        key = [(key[0] + 0x9E3779B9) % 2**32, (key[1] + 0xBB67AE85) % 2**32]
    return counter


@pytest.mark.parametrize(
    ("counter", "key", "answer"),
    [  # of the authors' Random123, file kat_vectors
        ([0, 0, 0, 0], [0, 0], "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
        ([0xFFFFFFFF] * 4, [0xFFFFFFFF] * 2, "408f276d 41c83b0e a20bc7c6 6d5451fd"),
        ([0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344], [0xA4093822, 0x299F31D0], "d16cfe09 94fdcceb 5001e420 24126ea1"),
    ],
)
def test_published_answers(counter, key, answer):
    assert " ".join(f"{word:08x}" for word in slow_philox(counter, key)) == answer


@given(st.lists(WORD, min_size=4, max_size=4), st.integers(0, 9), st.integers(1, 41))
@settings(max_examples=50, deadline=None)
def test_words_are_the_blocks_of_the_counter(identity, stream, count):
    drawn = _philox.words(np.array([identity], dtype=np.uint32), count, stream)
    blocks = [slow_philox([block, stream, *identity[2:]], identity[:2]) for block in range(-(-count // 4))]
    assert drawn.dtype == np.uint32
    assert drawn[0].tolist() == [word for block in blocks for word in block][:count]


def test_an_image_draws_the_same_in_any_company():
    identities = np.random.default_rng(0).integers(0, 2**32, (5, 4), dtype=np.uint32)
    for draw in (_philox.words, _philox.uniforms, _philox.normals):
        together = draw(identities, 1001)
        for number in range(5):
            np.testing.assert_array_equal(draw(identities[number : number + 1], 1001)[0], together[number])
        np.testing.assert_array_equal(draw(identities, 10), together[:, :10])
        assert len(np.unique(together[:, 0])) == 5


def test_ranges():
    identities = np.zeros((1, 4), dtype=np.uint32)
    uniforms = _philox.uniforms(identities, 100_000)
    assert 0 < uniforms.min() < 1e-4
    assert 1 - 1e-4 < uniforms.max() < 1
    integers = _philox.integers(identities, 1000, 5)
    assert set(integers.ravel().tolist()) == set(range(5))
