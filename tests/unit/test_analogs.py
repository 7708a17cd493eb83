"""Analogs as a part of the dense network: which days are chosen, how often, and by what share."""

import numpy as np
import pytest
import torch

from rainshaft.models.analogs import POOL, Analogs, BestShare

DAYS, COMPONENTS, CELLS = 60, 3, 5


def season_of(days: torch.Tensor) -> torch.Tensor:
    angle = 2 * torch.pi * days / 365
    return torch.stack([angle.cos(), angle.sin()], 1)


def some_analogs(of_one_season: bool = False) -> Analogs:
    generator = torch.Generator().manual_seed(1)
    analogs = Analogs(DAYS, COMPONENTS, CELLS, of_one_season)
    weather = torch.randn(DAYS, COMPONENTS, generator=generator)
    rain = torch.arange(DAYS).float()[:, None].expand(-1, CELLS)  # so that rain tells the day
    analogs.learn(weather, season_of(torch.linspace(0, 364, DAYS)), rain)
    return analogs


def test_the_pool_is_that_of_the_nearest_days():
    analogs = some_analogs()
    weather = torch.randn(4, COMPONENTS, generator=torch.Generator().manual_seed(2))
    found = analogs.pool(weather, season_of(torch.zeros(4)))
    distance = (weather[:, None] - analogs.weather_TP).square().sum(2)
    assert found.shape == (4, POOL)
    for day in range(4):
        assert set(found[day].tolist()) == set(distance[day].argsort()[:POOL].tolist())


def test_a_training_day_is_no_analog_of_itself():
    analogs = some_analogs()
    found = analogs.pool(analogs.weather_TP + 1e-6, analogs.season_T2)
    assert not (found == torch.arange(DAYS)[:, None]).any()


def test_days_of_the_pool_are_of_one_season_where_there_are_enough():
    analogs = some_analogs(of_one_season=True)
    day = torch.linspace(0, 364, DAYS)
    found = analogs.pool(torch.zeros(1, COMPONENTS), season_of(torch.tensor([180.0])))
    assert ((day[found] - 180).abs() <= 46).all()
    analogs.season_T2[:] = season_of(torch.zeros(DAYS))  # all of January: none of July
    assert analogs.pool(torch.zeros(1, COMPONENTS), season_of(torch.tensor([180.0]))).shape == (1, POOL)


def test_a_member_is_an_analog_with_the_probability_of_the_share_by_itself():
    analogs, members = some_analogs(), 4000
    rain = torch.full((1, members, CELLS), -1.0)
    weather, season = torch.zeros(1, COMPONENTS), season_of(torch.zeros(1))
    chance = torch.randn(1, members, 2, generator=torch.Generator().manual_seed(3))
    assert analogs.mixed(rain, weather, season, chance) is rain
    analogs.share.fill_(0.3)
    mixed = analogs.mixed(rain, weather, season, chance)
    assert (mixed == mixed[..., :1]).all(), "a member is one day as a whole"
    is_analog = mixed[0, :, 0] >= 0
    assert abs(float(is_analog.float().mean()) - 0.3) < 0.03
    _, counts = mixed[0, is_analog, 0].unique(return_counts=True)
    assert len(counts) == POOL
    assert counts.min() > 0.7 * counts.max()
    halves = is_analog.float().view(2, -1)
    assert abs(float(((halves[0] - 0.3) * (halves[1] - 0.3)).mean())) < 0.02, "members choose by themselves"


def mixture_crps(drawn: np.ndarray, pool: np.ndarray, observed: np.ndarray, share: float, seed: int) -> float:
    """The CRPS of a mixture, by drawing many pairs from it."""
    rng = np.random.default_rng(seed)
    days = len(observed)

    def draws() -> np.ndarray:
        which = rng.random((days, 3000)) < share
        one = np.take_along_axis(pool, rng.integers(0, pool.shape[1], (days, 3000)), 1)
        other = np.take_along_axis(drawn, rng.integers(0, drawn.shape[1], (days, 3000)), 1)
        return np.where(which, one, other)

    first, second = draws(), draws()
    return float(np.mean(np.abs(first - observed[:, None]) - np.abs(first - second) / 2))


@pytest.mark.parametrize(("noise", "bias"), [(1.0, 0.0), (0.3, 1.0), (1.0, 1.5)])
def test_the_best_share_has_the_lowest_crps_of_the_mixture(noise, bias):
    rng = np.random.default_rng(4)
    truth = rng.normal(0, 1, 40)
    observed = truth + rng.normal(0, 0.7, 40)
    drawn = truth[:, None] + rng.normal(0, 0.8, (40, 200))
    pool = truth[:, None] + bias * rng.normal(0, 1, (40, 1)) + rng.normal(0, noise, (40, 10))
    found = BestShare()
    for part in (slice(0, 15), slice(15, 40)):
        tensors = [torch.from_numpy(values[part, ..., None]).float() for values in (drawn, pool, observed)]
        found.add(*tensors, torch.ones_like(tensors[2]))
    at_best = mixture_crps(drawn, pool, observed, found.share, 1)
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        assert at_best <= mixture_crps(drawn, pool, observed, share, 1) + 0.003


def test_cells_without_observations_do_not_choose_the_share():
    observed, weights = torch.zeros(3, 2), torch.tensor([[1.0, 0.0]]).expand(3, -1)
    good, bad = torch.randn(3, 10, 2) * 0.1, torch.randn(3, 10, 2) * 0.1 + 5
    found = BestShare()
    found.add(
        torch.stack([good[..., 0], bad[..., 1]], 2), torch.stack([bad[..., 0], good[..., 1]], 2), observed, weights
    )
    assert found.share < 0.1


def test_without_any_rain_no_member_is_an_analog():
    found = BestShare()
    nothing = torch.zeros(3, 10, 2)
    found.add(nothing, nothing, torch.zeros(3, 2), torch.ones(3, 2))
    assert found.share == 0
