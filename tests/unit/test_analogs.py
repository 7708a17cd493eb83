"""Analogs as a part of the dense network: which days are chosen, and how often."""

import torch

from rainshaft.models.analogs import POOL, Analogs

DAYS, COMPONENTS, CELLS = 60, 3, 5


def season_of(days: torch.Tensor) -> torch.Tensor:
    angle = 2 * torch.pi * days / 365
    return torch.stack([angle.cos(), angle.sin()], 1)


def some_analogs(of_one_season: bool = False) -> Analogs:
    generator = torch.Generator().manual_seed(1)
    analogs = Analogs(DAYS, COMPONENTS, CELLS, of_one_season, 0.3)
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


def test_dry_days_that_are_all_alike_are_analogs_of_a_dry_day():
    analogs = some_analogs()
    analogs.weather_TP[:30] = -1.0
    found = analogs.pool(torch.full((1, COMPONENTS), -1.0), analogs.season_T2[7:8])
    assert (found < 30).all()
    assert not (found == 7).any()


def test_few_days_are_all_in_the_pool_but_the_day_itself():
    analogs = Analogs(4, COMPONENTS, CELLS, False, 0.3)
    analogs.learn(torch.randn(4, COMPONENTS), season_of(torch.arange(4) * 50.0), torch.zeros(4, CELLS))
    assert sorted(analogs.pool(analogs.weather_TP, analogs.season_T2)[2].tolist()) == [0, 1, 3]


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
    mixed = analogs.mixed(rain, weather, season, chance)
    assert (mixed == mixed[..., :1]).all(), "a member is one day as a whole"
    is_analog = mixed[0, :, 0] >= 0
    assert abs(float(is_analog.float().mean()) - 0.3) < 0.03
    _, counts = mixed[0, is_analog, 0].unique(return_counts=True)
    assert len(counts) == POOL
    assert counts.min() > 0.7 * counts.max()
    halves = is_analog.float().view(2, -1)
    assert abs(float(((halves[0] - 0.3) * (halves[1] - 0.3)).mean())) < 0.02, "members choose by themselves"
