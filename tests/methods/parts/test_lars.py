"""LARS: by hand on two numbers, its groups, and as an optimiser that can stop and go on."""

import copy

import pytest
import torch
from torch import nn

from methods.parts.lars import LARS, param_groups


def vector(*values):
    return nn.Parameter(torch.tensor(values, dtype=torch.float64))


@pytest.mark.parametrize(("length", "slope"), [(0.01, 5.0), (5.0, 0.01), (1.0, 1.0)])
def test_short_vectors_are_adapted_too(length, slope):
    parameter = vector(0.6 * length, 0.8 * length)
    parameter.grad = torch.tensor([slope, 0.0], dtype=torch.float64)
    LARS([parameter], lr=1.0, momentum=0.0, weight_decay=0.5).step()
    ratio = 0.001 * length / (slope + 0.5 * length)
    start = torch.tensor([0.6 * length, 0.8 * length], dtype=torch.float64)
    torch.testing.assert_close(parameter.data, start - ratio * (parameter.grad + 0.5 * start))


def test_momentum_is_nine_tenths():
    parameter = vector(3.0, 4.0)
    assert LARS([parameter], lr=1.0).param_groups[0]["momentum"] == 0.9


def test_two_steps_by_hand():
    """|p| = 5 and |g| = 10: the first rate is .001 * 5 / (10 + .1 * 5)."""
    parameter = vector(3.0, 4.0)
    optimizer = LARS([parameter], lr=2.0, momentum=0.5, weight_decay=0.1, eps=0.0)
    parameter.grad = torch.tensor([6.0, 8.0], dtype=torch.float64)
    optimizer.step()
    ratio = 0.001 * 5 / (10 + 0.1 * 5)
    velocity = 2.0 * ratio * torch.tensor([6.3, 8.4], dtype=torch.float64)
    expected = torch.tensor([3.0, 4.0], dtype=torch.float64) - velocity
    torch.testing.assert_close(parameter.data, expected)
    optimizer.step()
    length = expected.norm()
    ratio = 0.001 * length / (10 + 0.1 * length)
    velocity = 0.5 * velocity + 2.0 * ratio * (torch.tensor([6.0, 8.0], dtype=torch.float64) + 0.1 * expected)
    torch.testing.assert_close(parameter.data, expected - velocity)


def test_the_step_does_not_depend_on_the_gradients_length():
    moved = []
    for scale in (1.0, 1000.0):
        parameter = vector(3.0, 4.0)
        parameter.grad = scale * torch.tensor([1.0, -2.0], dtype=torch.float64)
        LARS([parameter], lr=1.0, momentum=0.0, eps=0.0).step()
        moved.append(parameter.data.clone())
    torch.testing.assert_close(*moved)


@pytest.mark.parametrize(("start", "gradient"), [((0.0, 0.0), (1.0, 2.0)), ((1.0, 2.0), (0.0, 0.0))])
def test_a_length_of_zero_means_no_adaptation(start, gradient):
    parameter = vector(*start)
    parameter.grad = torch.tensor(gradient, dtype=torch.float64)
    LARS([parameter], lr=0.5, momentum=0.0).step()
    torch.testing.assert_close(parameter.data, torch.tensor(start, dtype=torch.float64) - 0.5 * parameter.grad)


def test_without_adaptation_it_is_sgd():
    torch.manual_seed(0)
    first, second = nn.Linear(3, 2), nn.Linear(3, 2)
    second.load_state_dict(first.state_dict())
    ours = LARS(first.parameters(), lr=0.1, momentum=0.9, weight_decay=0.01, adapt=False)
    theirs = torch.optim.SGD(second.parameters(), lr=0.1, momentum=0.9, weight_decay=0.01)
    for _ in range(5):
        for network, optimizer in ((first, ours), (second, theirs)):
            optimizer.zero_grad()
            network(torch.ones(1, 3)).square().sum().backward()
            optimizer.step()
    torch.testing.assert_close(first.weight, second.weight)
    torch.testing.assert_close(first.bias, second.bias)


def test_biases_and_norms_are_left_out():
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 2))
    network[3].weight.requires_grad_(False)
    adapted, plain = param_groups(network, 0.01)
    assert [id(parameter) for parameter in adapted["params"]] == [id(network[0].weight)]
    assert {parameter.ndim for parameter in plain["params"]} == {1}
    assert len(plain["params"]) == 4
    assert (adapted["adapt"], adapted["weight_decay"]) == (True, 0.01)
    assert (plain["adapt"], plain["weight_decay"]) == (False, 0.0)
    assert len(param_groups(nn.BatchNorm1d(3), 0.01)) == 1
    linear = nn.Linear(4, 2)
    adapted, plain = param_groups(linear, 0.01)
    assert (adapted["params"][0] is linear.weight, plain["params"][0] is linear.bias) == (True, True)
    assert len(adapted["params"]) == len(plain["params"]) == 1


def test_its_state_can_be_saved_and_goes_on_alike():
    parameter = vector(3.0, 4.0)
    optimizer = LARS([parameter], lr=2.0)
    parameter.grad = torch.ones(2, dtype=torch.float64)
    optimizer.step()
    other = vector(*parameter.tolist())
    resumed = LARS([other], lr=2.0)
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    other.grad = torch.ones(2, dtype=torch.float64)
    for one in (optimizer, resumed):
        one.step()
    assert torch.equal(parameter, other)


def test_parameters_without_a_gradient_stay_and_a_closure_is_called():
    first, second = vector(1.0), vector(1.0)

    def closure():
        (2 * first).sum().backward()
        return 7.0

    assert LARS([first, second], lr=1.0).step(closure) == 7.0
    assert second.item() == 1.0
    assert first.item() != 1.0


@pytest.mark.parametrize("name", ["lr", "momentum", "weight_decay", "trust", "eps"])
def test_negative_values_are_refused(name):
    with pytest.raises(ValueError, match=f"LARS: {name} is -1.0; expected >= 0"):
        LARS([vector(1.0)], **{"lr": 0.1, name: -1.0})
