"""Muon for the kernels of convolutions, AdamW for all else."""

import pytest
import torch
from torch import nn

from rainshaft.training.optimiser import Optimiser

LR = 0.01


@pytest.fixture
def stepped():
    """A small network, its weights before a step, and the optimiser; its last two layers have no gradient."""
    torch.manual_seed(0)
    idle = nn.Conv2d(4, 4, 3)
    model = nn.ModuleList([nn.Conv2d(3, 8, 3), nn.Conv2d(8, 4, 1), nn.Conv2d(4, 1, 3), idle, nn.Linear(2, 2)])
    model.to(memory_format=torch.channels_last)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    optimiser = Optimiser(model, LR, weight_decay=0.0)
    h = torch.randn(2, 3, 9, 9)
    for layer in list(model)[:3]:
        h = torch.tanh(layer(h))
    optimiser.zero_grad()
    h.square().mean().backward()
    optimiser.step()
    return model, before, optimiser


def update(model, before, name):
    return (model.state_dict()[name] - before[name]) / LR


def test_the_update_of_a_kernel_is_nearly_orthogonal_and_as_large_as_that_of_adamw(stepped):
    change = update(*stepped[:2], "0.weight").flatten(1)
    gradient = torch.linalg.svdvals(stepped[0][0].weight.grad.flatten(1))
    assert gradient.min() < 0.1 * gradient.max()
    values = torch.linalg.svdvals(change)
    assert values.min() > 0.5 * values.max()
    assert change.square().mean().sqrt() == pytest.approx(0.2, rel=0.3)  # Liu et al. 2025


@pytest.mark.parametrize("name", ["0.bias", "1.weight", "2.weight"])
def test_all_else_takes_the_first_step_of_adamw(stepped, name):
    assert update(*stepped[:2], name).abs() == pytest.approx(torch.ones_like(stepped[1][name]), rel=1e-3)


@pytest.mark.parametrize("name", ["3.weight", "4.weight"])
def test_what_has_no_gradient_stays(stepped, name):
    assert not update(*stepped[:2], name).any()


def test_the_learning_rate_is_that_of_the_next_step(stepped):
    model, _, optimiser = stepped
    optimiser.set_lr(0.0)
    before = [p.clone() for p in model.parameters()]
    optimiser.step()
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


def test_a_model_that_is_not_channels_last_is_refused():
    with pytest.raises(RuntimeError, match="view"):
        Optimiser(nn.Conv2d(3, 8, 3), LR, weight_decay=0.0)
