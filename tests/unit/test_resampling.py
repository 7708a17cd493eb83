"""Resamples of days: seasons, runs, and intervals against theory."""

import numpy as np
import pandas as pd
import pytest

from rainshaft.evaluation.resampling import Resamples, seasons_of

YEAR = pd.date_range("2001-01-01", "2001-12-31").month.to_numpy()


@pytest.mark.parametrize(
    ("months", "sizes"),
    [
        (YEAR, [90, 92, 92, 91]),
        (YEAR[::4], [46, 46]),  # 22 days a season are too few, half a year is not
        (YEAR[::9], [41]),
        (np.full(100, 7), [100]),
        (np.array([12] * 50 + [7] * 30), [80]),
    ],
)
def test_days_are_divided_by_season_as_far_as_enough_are_in_each(months, sizes):
    found = seasons_of(months)
    assert [len(season) for season in found] == sizes
    assert np.array_equal(np.sort(np.concatenate(found)), np.arange(len(months)))


def test_a_resample_has_as_many_days_of_each_season_as_the_record():
    rain = np.random.default_rng(0).gamma(0.5, 4, len(YEAR))
    resamples = Resamples.of(rain, YEAR, 50, 1)
    for season in seasons_of(YEAR):
        assert set(resamples.weights[: 1 + 50, season].sum(axis=1)) == {len(season)}


def test_the_change_of_the_seasons_is_no_chance():
    rng = np.random.default_rng(0)
    wet = np.isin(YEAR, (6, 7, 8))
    rain = np.where(wet, 10, 1) + rng.standard_normal(len(YEAR))
    resamples = Resamples.of(rain, YEAR, 400, 1)
    found = resamples.interval(resamples.weights @ rain / resamples.weights.sum(axis=1))
    width = 2 * 1.645 / np.sqrt(len(YEAR))
    assert width < found["high"] - found["low"] < 1.6 * width, "that of independent days, widened for few of them"


def test_days_that_are_alike_make_a_wide_interval():
    rng = np.random.default_rng(0)
    alone = rng.standard_normal(365)
    alike = np.repeat(rng.standard_normal(37), 10)[:365]
    widths = []
    for rain in (alone, alike):
        resamples = Resamples.of(rain, YEAR, 400, 1)
        found = resamples.interval(resamples.weights @ rain / resamples.weights.sum(axis=1))
        widths.append(found["high"] - found["low"])
    assert 2 < widths[1] / widths[0] < 5  # the square root of 10 in theory


def test_a_few_days_have_no_interval():
    resamples = Resamples.of(np.arange(7.0), np.full(7, 1), 50, 1)
    assert resamples.draws == 0
    assert np.isnan(resamples.share)
    assert resamples.interval(np.array([3.0])) == {"value": 3.0, "low": None, "high": None}
