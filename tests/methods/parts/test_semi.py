"""Batches of labelled images beside others, the clock, and pseudo-labels of a pool."""

import dataclasses

import numpy as np
import torch

from methods.parts.semi import Clock, SemiBatches, mean_over_types, pseudo_classes, weak_answers

CPU = torch.device("cpu")


def test_a_batch_has_labels_on_its_first_part_alone(toy):
    batches = SemiBatches(toy.labeled, toy.unlabeled, 8, 3)
    plan = batches.epoch(np.random.default_rng(0))
    assert len(plan) == (160 + 80) // 24
    for step in plan:
        known, others = batches.load(step)
        assert known.images.shape == (8, 3, 64, 64)
        assert others.shape == (24, 3, 64, 64)
        assert set(known.labels) == {"color", "type", "marks"}
        assert np.array_equal(known.images.permute(0, 2, 3, 1).numpy(), toy.labeled.images(step[0]))


def test_the_pool_is_all_images_and_an_epoch_goes_through_it_once(toy):
    plan = SemiBatches(toy.labeled, toy.unlabeled, 8, 3).epoch(np.random.default_rng(0))
    others = np.concatenate([step[1] for step in plan])
    assert sorted(others) == list(range(240))
    known = np.concatenate([step[0] for step in plan])
    assert len(set(known.tolist())) == len(known) == 80


def test_without_unlabeled_images_the_labeled_ones_are_the_pool(toy):
    nobody = dataclasses.replace(toy.unlabeled, rows=toy.unlabeled.rows[:0], keys=toy.unlabeled.keys[:0])
    batches = SemiBatches(toy.labeled, nobody, 8, 1, draws=320)
    plan = batches.epoch(np.random.default_rng(0))
    assert len(plan) == 40
    assert max(step[1].max() for step in plan) < 160
    assert batches.load(plan[0])[1].shape == (8, 3, 64, 64)


def test_a_clock_tells_the_share_of_steps():
    clock = Clock()
    shares = [clock.share().item()]
    for step in (1, 2, 3, 4):
        clock.after_step(torch.nn.Module(), step, 4)
        shares.append(clock.share().item())
    assert shares == [0.0, 0.25, 0.5, 0.75, 1.0]
    other = Clock()
    other.state.load_state_dict(clock.state.state_dict())  # as a run that goes on
    assert other.share().item() == 1.0


def test_types_of_either_kind_meet_their_loss():
    logits = {"a": torch.ones(2, 3), "b": torch.ones(2, 2)}
    found = mean_over_types(frozenset({"a"}), lambda first, second: first.sum(), lambda first, second: 10 * second.sum(), logits, logits)
    assert found.item() == (6 + 40) / 2


class Remembering(torch.nn.Module):
    """A layer that keeps its cast weights as older versions of torch do under autocast, whether or not they have a gradient."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(3, 3))
        self.kept = None

    def forward(self, images):
        self.kept = self.weight.bfloat16() if self.kept is None else self.kept
        return {"color": images.bfloat16() @ self.kept}


def test_weak_answers_leave_nothing_that_the_pass_that_learns_would_take(monkeypatch):
    module, images = Remembering(), torch.randn(2, 3)
    monkeypatch.setattr(torch, "clear_autocast_cache", lambda: setattr(module, "kept", None))
    answers = weak_answers(module, images)["color"]
    assert not answers.requires_grad
    again = module(images)["color"]
    assert torch.equal(again, answers)
    again.sum().backward()
    assert module.weight.grad.any()


def test_pseudo_labels_of_a_pool(toy):
    def predict(images):
        red = images.float().mean(dim=(2, 3))[:, :1]
        return {"color": torch.cat([red * 0 + 3.0, red * 0, red * 0], dim=1)}

    (sure,) = pseudo_classes(predict, toy.unlabeled, ["color"], 0.9, CPU).values()
    assert sure.shape == (80,)
    assert set(sure.tolist()) == {0}  # exp 3 of exp 3 + 2 is .909
    assert set(pseudo_classes(predict, toy.unlabeled, ["color"], 0.95, CPU)["color"].tolist()) == {-1}
