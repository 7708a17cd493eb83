"""Every term of the loss: what it is 0 for, what it sees, and that masked cells take no part."""

import numpy as np
import pytest
import torch

from rainshaft.evaluation.formulas.texture import radial_spectrum
from rainshaft.training import losses

VALID = torch.ones(2, 1, 16, 16)


def rain(seed, members=1):
    generator = torch.Generator().manual_seed(seed)
    return torch.relu(torch.randn(2, members, 16, 16, generator=generator) * 10)


def rec(y, y_hat, valid, **changes):
    settings = {"scale": 10.0, "w_min": 0.5, "w_max": 5.0, "tail_boost": 1.0, "p99": 1e9} | changes
    return losses.almost_fair_crps(y_hat, y, losses.intensity_weight(y, valid, **settings), 0.95)


SCORES = {
    "rec": rec,
    "mass": losses.mass_loss,
    "grad": losses.gradient_loss,
    "crps": lambda y, y_hat, valid: losses.almost_fair_crps(y_hat, y, valid, 0.95),
    "pool": lambda y, y_hat, valid: losses.pooled_crps(y_hat, y, valid, 0.95, (2, 4, 8)),
    "crps_log": lambda y, y_hat, valid: losses.log_crps(y_hat, y, valid, 0.95),
    "crps_grad": lambda y, y_hat, valid: losses.gradient_crps(y_hat, y, valid, 0.95),
    "crps_spectrum": lambda y, y_hat, valid: losses.spectral_crps(y_hat, y, valid, 0.95),
}


@pytest.mark.parametrize("term", SCORES.values(), ids=SCORES)
def test_a_perfect_forecast_costs_nothing_and_another_does(term):
    assert term(rain(1), rain(1), VALID) == pytest.approx(0, abs=1e-6)
    assert term(rain(1), rain(2) * 2, VALID) > 0.1


@pytest.mark.parametrize("term", SCORES.values(), ids=SCORES)
def test_masked_cells_take_no_part(term):
    valid = VALID.clone()
    valid[:, :, 3:9, 5:12] = 0
    y, y_hat = rain(1), rain(2)
    before = term(y, y_hat, valid)
    changed = torch.where(valid == 0, 500.0, y_hat)
    assert term(y, changed, valid) == pytest.approx(before.item(), rel=1e-5)


@pytest.mark.parametrize("term", SCORES.values(), ids=SCORES)
def test_masked_cells_have_no_gradient_and_the_others_have(term):
    valid = VALID.clone()
    valid[:, :, 3:9, 5:12] = 0
    y_hat = rain(2).requires_grad_()
    term(rain(1), y_hat, valid).backward()
    assert (y_hat.grad[valid == 0] == 0).all()
    assert (y_hat.grad[valid == 1] != 0).any()


def test_gradient_loss_is_the_formula_and_blind_to_sign_and_level():
    y, y_hat = rain(1), rain(2)
    expected = sum((y.diff(dim=d).abs() - y_hat.diff(dim=d).abs()).abs().mean() for d in (-1, -2))
    assert losses.gradient_loss(y, y_hat, VALID) == pytest.approx(expected.item(), rel=1e-5)
    assert losses.gradient_loss(y, 100 - y, VALID) == pytest.approx(0, abs=1e-4)
    smooth = torch.full_like(y, y.mean())
    assert losses.gradient_loss(y, smooth, VALID) > losses.gradient_loss(y, y.roll(1, -1), VALID)


def test_weights_of_the_reconstruction():
    y, y_hat = torch.tensor([[[[0.0, 40.0]]]]), torch.tensor([[[[1.0, 38.0]]]])
    valid = torch.ones_like(y)
    assert rec(y, y_hat, valid, w_min=1.0, w_max=1.0) == pytest.approx(1.5)
    assert rec(y, y_hat, valid) == pytest.approx((0.5 * 1 + 4 * 2) / 4.5)
    assert rec(y, y_hat, valid, tail_boost=2.0, p99=30.0) == pytest.approx((0.5 * 1 + 8 * 2) / 8.5)


def test_reconstruction_by_members_that_differ_is_scored_as_an_ensemble():
    y, both = torch.tensor([[[[0.0, 40.0]]]]), torch.tensor([[[[1.0, 38.0]], [[3.0, 44.0]]]])
    pairs = 1 - 0.05 / 2  # of the mean absolute difference, halved: 2 and 6
    expected = (0.5 * (2 - pairs * 2 / 2) + 4 * (3 - pairs * 6 / 2)) / 4.5
    assert rec(y, both, torch.ones_like(y)) == pytest.approx(expected)


def test_gradient_loss_is_the_mean_over_members():
    y, both = rain(1), rain(2, 2)
    each = [losses.gradient_loss(y, both[:, m : m + 1], VALID).item() for m in range(2)]
    assert losses.gradient_loss(y, both, VALID) == pytest.approx(sum(each) / 2, rel=1e-5)


def test_mass_loss_sees_the_sum_alone():
    y = rain(1)
    assert losses.mass_loss(y, y.flip(-1), VALID) == pytest.approx(0, abs=1e-4)
    assert losses.mass_loss(y, y + 2, VALID) == pytest.approx(4, rel=1e-5)
    assert losses.mass_loss(y, torch.cat([y + 1, y + 3], 1), VALID) == pytest.approx(3, rel=1e-5)
    assert losses.mass_loss(y, torch.cat([y + 1, y + 3, y - 2], 1), VALID) == pytest.approx((3 - 2 - 6) / 3, rel=1e-5)
    opposite = y + torch.tensor([2.0, -2.0])[:, None, None, None]  # one day too wet, one too dry: no bias
    assert losses.mass_loss(y, opposite, VALID) == pytest.approx(0, abs=1e-4)


def test_mass_loss_does_not_punish_members_that_differ():
    generator = torch.Generator().manual_seed(1)
    y = rain(1)
    offsets = 3 * torch.randn(2000, 3, generator=generator)  # of members without a bias, for the whole batch
    found = torch.stack([losses.mass_loss(y, y + of[:, None, None], VALID) for of in offsets])
    assert found.mean().abs() < 3 * found.std() / len(found) ** 0.5


def test_crps_of_one_member_is_the_mae():
    y, y_hat = rain(1), rain(2)
    assert losses.almost_fair_crps(y_hat, y, VALID, 0.95) == pytest.approx((y - y_hat).abs().mean().item())


@pytest.mark.parametrize(("members", "alpha"), [(2, 0.95), (3, 0.95), (5, 1.0)])
def test_crps_is_the_formula(members, alpha):
    y, x = rain(1), rain(2, members)
    pairs = (x[:, :, None] - x[:, None]).abs().sum((1, 2))
    factor = (1 - (1 - alpha) / members) / (2 * members * (members - 1))
    expected = ((x - y).abs().mean(1) - factor * pairs).mean()
    assert losses.almost_fair_crps(x, y, VALID, alpha) == pytest.approx(expected.item(), rel=1e-5)


def test_the_calibrated_ensemble_has_the_best_crps():
    generator = torch.Generator().manual_seed(3)
    y = torch.randn(64, 1, 16, 16, generator=generator)
    x = torch.randn(64, 4, 16, 16, generator=generator)
    valid = torch.ones_like(y)
    right = losses.almost_fair_crps(x, y, valid, alpha=1.0)
    assert right < losses.almost_fair_crps(0.5 * x, y, valid, alpha=1.0)
    assert right < losses.almost_fair_crps(1.7 * x, y, valid, alpha=1.0)
    assert right < losses.almost_fair_crps(x + 0.5, y, valid, alpha=1.0)


def test_blocks_count_alike_however_few_of_their_cells_are_valid():
    y, valid = rain(1), torch.zeros_like(VALID)
    valid[:, :, 3:5, 6:9] = 1  # a block of the whole patch has 6 of 256 cells
    for size in (8, 16):
        assert losses.pooled_crps(y + 3, y, valid, 1.0, (size,)) == pytest.approx(3, rel=1e-4)
    assert losses.pooled_crps(y + 3, y, VALID, 1.0, (2, 4, 16)) == pytest.approx(9, rel=1e-4)
    assert losses.pooled_crps(y + 3, y, VALID, 1.0, (4, 32)) == pytest.approx(3, rel=1e-4), (
        "no block that a patch does not hold"
    )


def test_only_large_blocks_see_that_whole_days_differ():
    """Each cell of a member may be right by itself, and their mean wrong: too little spread of whole days."""
    generator = torch.Generator().manual_seed(5)
    day, cell = torch.randn(400, 5, 1, 1, generator=generator), torch.randn(400, 5, 16, 16, generator=generator)
    fields, valid = day + cell, torch.ones(400, 1, 16, 16)
    y, right = fields[:, :1], fields[:, 1:]
    alike = 2**0.5 * cell[:, 1:]
    cells = [losses.almost_fair_crps(x, y, valid, alpha=1.0).item() for x in (alike, right)]
    assert cells[0] == pytest.approx(cells[1], rel=0.03)
    assert losses.pooled_crps(alike, y, valid, 1.0, (16,)) > 1.2 * losses.pooled_crps(right, y, valid, 1.0, (16,))


def test_gradient_crps_sees_the_sign():
    y = rain(1)
    assert losses.gradient_crps(100 - y, y, VALID, 1.0) > 1


def test_spectral_crps_sees_how_rough_the_rain_is_and_not_where_it_falls():
    y = rain(1)
    assert losses.spectral_crps(y.flip(-1).roll(1, -1), y, VALID, 1.0) == pytest.approx(0, abs=1e-4)  # mirrored
    smooth = torch.nn.functional.avg_pool2d(y, 3, 1, 1)
    assert losses.spectral_crps(smooth, y, VALID, 1.0) > 0.3 * losses.spectral_crps(0 * y, y, VALID, 1.0)


@pytest.mark.parametrize(("height", "width"), [(16, 16), (24, 33), (15, 10)])
def test_spectral_crps_is_the_error_of_the_gradients_spectrum(height, width):
    generator = torch.Generator().manual_seed(7)
    y, x = torch.relu(torch.randn(2, 3, 1, height, width, dtype=torch.float64, generator=generator))
    hann = torch.hann_window(height, dtype=torch.float64)[:, None] * torch.hann_window(width, dtype=torch.float64)
    power = [radial_spectrum((field * hann).numpy()[:, 0] / (hann**2).mean().sqrt().item()) for field in (y, x)]
    k = np.arange(1, power[0].shape[-1] + 1) / min(height, width)
    expected = np.abs(2 * np.pi * k * (np.sqrt(power[0]) - np.sqrt(power[1]))).mean()
    valid = torch.ones_like(y)
    assert losses.spectral_crps(x.float(), y.float(), valid.float(), 1.0) == pytest.approx(expected, rel=1e-4)


def test_a_patch_counts_in_the_spectral_crps_by_what_is_valid_in_it():
    y, valid = rain(1), VALID.clone()
    valid[0] = 0
    assert losses.spectral_crps(2 * y, y, valid, 1.0) == pytest.approx(
        losses.spectral_crps(2 * y[1:], y[1:], VALID[1:], 1.0).item(), rel=1e-5
    )


def test_processes_that_share_a_batch_have_its_mass_loss_and_gradient():
    """Each process gets the value of the whole batch, and the mean of their gradients is the gradient of the batch."""
    y, members, valid = rain(1), torch.cat([rain(2), rain(3) * 2, rain(4) + 1], 1), VALID.clone()
    valid[0, :, :9] = 0  # one process has fewer cells than the other
    whole = members.clone().requires_grad_()
    expected = losses.mass_loss(y, whole, valid)
    expected.backward()
    halves = [slice(0, len(y) // 2), slice(len(y) // 2, None)]
    own = members.clone().requires_grad_()
    total = 0.0
    for half, other in (halves, halves[::-1]):
        # what the other process would bring to each mean, in the order in which they are taken
        n = valid[other].sum()
        theirs = iter([n, ((members - y) * valid)[other].sum((0, 2, 3)) / ((valid[half].sum() + n) / 2)])

        def across(value, theirs=theirs):
            mean = (value.detach() + next(theirs)) / 2
            return value + (mean - value.detach()) if value.requires_grad else mean

        value = losses.mass_loss(y[half], own[half], valid[half], across)
        assert value.item() == pytest.approx(expected.item(), rel=1e-5)
        total = total + value / 2
    total.backward()
    torch.testing.assert_close(own.grad, whole.grad)


def test_each_term_has_a_name_of_its_own_and_a_few_words_for_the_figure():
    names = [term.name for term in losses.TERMS]
    assert len(set(names)) == len(names)
    assert set(losses.LABELS) == set(names)
    assert all(0 < len(label) <= 40 for label in losses.LABELS.values())
