"""The fan-out: one batch for all, each candidate on its own."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
import torch

from bench.evaluation import Candidate, ScoreError, evaluate, predict_all
from bench.metrics import best_thresholds, summarize
from bench.protocol import AttributeType, Examples, Schema

SCHEMA = Schema((AttributeType("colour", ("red", "green", "blue"), True), AttributeType("style", ("a", "b", "c", "d"), False)))
CPU = torch.device("cpu")


@pytest.fixture
def examples() -> Examples:
    rng = np.random.default_rng(0)
    pixels, rows = rng.integers(0, 256, (40, 8, 8, 3), dtype=np.uint8), rng.permutation(40)[:25]
    labels = {"colour": np.eye(3, dtype=np.int8)[rng.integers(0, 3, 25)], "style": (rng.random((25, 4)) < 0.4).astype(np.int8)}
    return Examples(pixels, rows, labels, rng.integers(0, 2**63, 25).astype(np.uint64))


class Corruption:
    """Adds the key to the image, and remembers what it was asked."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, int, list[int]]] = []

    def __call__(self, images, name, severity, keys):
        self.calls.append((name, severity, keys.tolist()))
        return images + keys.astype(np.uint8)[:, None, None, None]


def means(images: torch.Tensor) -> dict[str, torch.Tensor]:
    """Scores from the mean colours of four quarters: they depend on every image alone."""
    colour = images.float().mean(dim=(2, 3))
    return {"colour": colour, "style": torch.stack([images[:, :, :4].float().mean((1, 2, 3)), *colour.T], dim=1) / 255}


def without(name: str):
    return lambda images: {key: value for key, value in means(images).items() if key != name}


@pytest.mark.parametrize("batch_size", [1, 7, 25, 256])
def test_equals_scoring_everything_at_once(examples, batch_size):
    corrupt = Corruption()
    thresholds = {"style": best_thresholds(predict_all(means, examples, CPU)["style"], examples.labels["style"])}
    candidates = [Candidate("x", means, thresholds=thresholds), Candidate("y", means, logits=False)]
    first, second = evaluate(candidates, examples, SCHEMA, "fog", 3, corrupt=corrupt, device=CPU, batch_size=batch_size)

    shown = torch.from_numpy(Corruption()(examples.images(slice(None)), "fog", 3, examples.keys)).permute(0, 3, 1, 2)
    scores = {name: values.numpy() for name, values in means(shown).items()}
    expected = summarize(scores, examples.labels, SCHEMA, logits=True, thresholds=thresholds)
    assert first.summary.metrics == pytest.approx(expected.metrics, rel=1e-5)
    assert "f2" in first.summary.metrics
    np.testing.assert_array_equal(first.summary.arrays["top_classes"], expected.arrays["top_classes"])
    assert set(first.summary.metrics) - set(second.summary.metrics) == {"cross_entropy", "f2", "f2@0.5"}
    assert [(outcome.key, outcome.error) for outcome in (first, second)] == [("x", None), ("y", None)]
    assert len(corrupt.calls) == -(-25 // batch_size)  # once, not once a candidate
    assert {call[:2] for call in corrupt.calls} == {("fog", 3)}
    assert [key for call in corrupt.calls for key in call[2]] == examples.keys.tolist()


def failing(images):
    if len(images) < 10:  # only the last, smaller batch
        raise MemoryError("no room")
    return means(images)


def with_nan(images):
    scores = means(images)
    scores["style"][0, 1] = torch.nan
    return scores


def wide(images):
    return means(images) | {"colour": torch.zeros(len(images), 4)}


def endless(images):
    return means(images) | {"colour": torch.full((len(images), 3), torch.inf)}


@pytest.mark.parametrize(
    ("predict", "error", "message"),
    [
        (failing, MemoryError, "no room"),
        (with_nan, ScoreError, "type 'style': 1 of 40 scores are NaN"),
        (wide, ScoreError, r"type 'colour': scores \(10, 4\), expected \(10, 3\)"),
        (without("style"), ScoreError, "type 'style': no scores"),
        (lambda images: means(images) | {"shape": images}, ScoreError, "type 'shape': scores for an unknown type; there are colour, style"),
        (endless, ValueError, r"type 'colour': \d+ of \d+ scores are \+inf"),
    ],
)
def test_a_candidate_that_fails_costs_only_itself(examples, predict, error, message):
    candidates = [Candidate("before", means), Candidate("bad", predict), Candidate("after", means)]
    before, bad, after = evaluate(candidates, examples, SCHEMA, "none", 0, corrupt=Corruption(), device=CPU, batch_size=10)
    assert bad.summary is None
    assert bad.key == "bad"
    with pytest.raises(error, match=message):
        raise bad.error
    alone = evaluate([Candidate("before", means)], examples, SCHEMA, "none", 0, corrupt=Corruption(), device=CPU, batch_size=10)[0]
    assert before.error is None
    assert before.summary.metrics == after.summary.metrics == alone.summary.metrics


def test_a_candidate_that_ends_the_process_costs_only_itself(examples):
    def leaving(images):
        raise SystemExit(3)

    bad, after = evaluate(
        [Candidate("bad", leaving), Candidate("after", means)], examples, SCHEMA, "none", 0, corrupt=Corruption(), device=CPU, batch_size=10
    )
    assert isinstance(bad.error, SystemExit)
    assert after.error is None


def test_a_candidate_that_failed_is_not_asked_again(examples):
    asked = []

    def predict(images):
        asked.append(len(images))
        raise RuntimeError("once")

    evaluate([Candidate("bad", predict)], examples, SCHEMA, "none", 0, corrupt=Corruption(), device=CPU, batch_size=5)
    assert asked == [5]


def test_an_interrupt_is_not_swallowed(examples):
    def predict(images):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate([Candidate("x", predict)], examples, SCHEMA, "none", 0, corrupt=Corruption(), device=CPU)


def test_candidates_cannot_change_each_others_images(examples):
    def painting(images):
        images.zero_()
        return means(images)

    outcomes = evaluate(
        [Candidate("x", painting), Candidate("y", means)], examples, SCHEMA, "none", 0, corrupt=lambda images, *_: images, device=CPU
    )
    alone = evaluate([Candidate("y", means)], examples, SCHEMA, "none", 0, corrupt=lambda images, *_: images, device=CPU)
    np.testing.assert_array_equal(outcomes[1].summary.arrays["top_scores"], alone[0].summary.arrays["top_scores"])
    assert outcomes[0].summary.metrics != outcomes[1].summary.metrics


def test_images_come_as_the_protocol_says(examples):
    def predict(images):
        assert images.dtype == torch.uint8
        assert images.shape[1:] == (3, 8, 8)
        assert torch.is_inference_mode_enabled()
        return means(images)

    assert evaluate([Candidate("x", predict)], examples, SCHEMA, "none", 0, corrupt=Corruption(), device=CPU)[0].error is None


@pytest.mark.parametrize("batch_size", [1, 7, 13, 25])
def test_the_overlap_changes_nothing(examples, batch_size):
    """Scores that depend on the images, a candidate that fails half-way and one that paints over its images."""

    def painting(images):
        scores = means(images)
        images.zero_()
        return scores

    found = []
    for overlap in (True, False):
        corrupt = Corruption()
        candidates = [Candidate("x", means), Candidate("bad", failing), Candidate("y", painting)]
        settings = {"corrupt": corrupt, "device": CPU, "batch_size": batch_size, "overlap": overlap}
        found.append((evaluate(candidates, examples, SCHEMA, "fog", 3, **settings), corrupt.calls))
    (first, calls), (second, same_calls) = found
    assert calls == same_calls
    for one, other in zip(first, second, strict=True):
        assert (one.key, repr(one.error)) == (other.key, repr(other.error))
        if one.summary is not None:
            assert one.summary.metrics == other.summary.metrics
            assert one.summary.arrays.keys() == other.summary.arrays.keys()
            for name, values in one.summary.arrays.items():
                np.testing.assert_array_equal(values, other.summary.arrays[name])


def test_the_next_batch_is_made_while_a_model_predicts(examples):
    """Without a thread of its own the second batch would be waited for in vain."""
    made = threading.Event()
    calls = []

    def corrupt(images, *_):
        calls.append(len(images))
        if len(calls) == 2:
            made.set()
        return images

    def predict(images):
        assert made.wait(timeout=30)
        return means(images)

    outcomes = evaluate([Candidate("x", predict)], examples, SCHEMA, "fog", 3, corrupt=corrupt, device=CPU, batch_size=10)
    assert outcomes[0].error is None
    assert calls == [10, 10, 5]


@pytest.mark.parametrize("overlap", [True, False])
def test_what_corrupting_raises_is_raised(examples, overlap):
    def corrupt(images, *_):
        if len(images) < 10:  # the last batch, which a thread makes
            raise RuntimeError("cannot corrupt")
        return images

    with pytest.raises(RuntimeError, match="cannot corrupt"):
        evaluate([Candidate("x", means)], examples, SCHEMA, "fog", 3, corrupt=corrupt, device=CPU, batch_size=10, overlap=overlap)


def test_no_images_are_scored_without_a_batch(examples):
    nobody = Examples(examples.pixels, examples.rows[:0], {name: values[:0] for name, values in examples.labels.items()}, examples.keys[:0])
    [outcome] = evaluate([Candidate("x", means)], nobody, SCHEMA, "fog", 3, corrupt=Corruption(), device=CPU)
    assert outcome.error is None
    assert "recall@1" not in outcome.summary.metrics


def test_all_seconds_add_up_to_the_time_that_passed(examples):
    """Reading that a prediction hides is nobody's: here each of three batches takes as long to make as to look at."""
    pause = 0.05

    def corrupt(images, *_):
        time.sleep(pause)
        return images

    def predict(images):
        time.sleep(pause)
        return means(images)

    started = time.perf_counter()
    [outcome] = evaluate([Candidate("x", predict)], examples, SCHEMA, "fog", 3, corrupt=corrupt, device=CPU, batch_size=10)
    passed = time.perf_counter() - started
    assert outcome.seconds >= 3 * pause
    assert outcome.shared_seconds >= 0.9 * pause  # the first batch has nothing to hide behind
    assert 0.6 * passed < outcome.seconds + outcome.shared_seconds <= passed


def test_times_belong_to_their_candidate(examples, monkeypatch):
    clock = iter(range(1000))
    monkeypatch.setattr("bench.evaluation.time.perf_counter", lambda: float(next(clock)))
    outcomes = evaluate(
        [Candidate("x", means), Candidate("y", means)], examples, SCHEMA, "none", 0, corrupt=Corruption(), device=CPU, batch_size=5
    )
    for outcome in outcomes:  # five batches and the metrics, each one tick
        assert outcome.seconds == 6
        assert outcome.images_per_second == 25 / 5
        assert outcome.shared_seconds == 5


def test_predict_all_over_batches(examples):
    def half_precision(images):
        return {name: values.bfloat16() for name, values in means(images).items()}

    whole, parts = predict_all(means, examples, CPU), predict_all(means, examples, CPU, batch_size=4)
    assert {name: (array.dtype.name, array.shape) for name, array in parts.items()} == {
        "colour": ("float32", (25, 3)),
        "style": ("float32", (25, 4)),
    }
    for name, array in whole.items():
        np.testing.assert_allclose(parts[name], array, rtol=1e-6)
    assert predict_all(half_precision, examples, CPU)["colour"].dtype == np.float32
    with pytest.raises(ScoreError, match="type 'style': 1 of 28 scores are NaN"):
        predict_all(with_nan, examples, CPU, batch_size=7)
    sizes = iter([means, without("colour")])
    with pytest.raises(ScoreError, match="type 'colour': no scores"):
        predict_all(lambda images: next(sizes)(images), examples, CPU, batch_size=20)
