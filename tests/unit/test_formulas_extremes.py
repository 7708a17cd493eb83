"""Return levels: the definitions of L-moments, closed forms of the distribution, and samples of scipy's."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import scipy.stats
from scipy.special import gamma

from rainshaft.evaluation.formulas.extremes import (
    AnnualMaxima,
    gev_level,
    gev_of_l_moments,
    l_moments,
    return_levels,
)

SHAPES = (-0.4, -0.1, 0.0, 0.2, 0.5)


def test_l_moments_are_those_of_their_definition():
    """As expectations of ordered samples of two and of three values, over all samples of the data."""
    values = np.random.default_rng(0).gamma(2, 5, 12)
    pairs = np.sort(np.array(list(itertools.combinations(values, 2))), axis=1)
    triples = np.sort(np.array(list(itertools.combinations(values, 3))), axis=1)
    scale = (pairs[:, 1] - pairs[:, 0]).mean() / 2
    third = (triples[:, 2] - 2 * triples[:, 1] + triples[:, 0]).mean() / 3
    assert l_moments(values) == pytest.approx((values.mean(), scale, third / scale))


def theory(location, scale, shape):
    """L-moments of the distribution (Hosking and Wallis 1997, A.54 to A.56)."""
    if shape == 0:
        return location + 0.5772156649 * scale, scale * np.log(2), np.log(9 / 8) / np.log(2)
    mean = location + scale * (1 - gamma(1 + shape)) / shape
    spread = scale * (1 - 2.0**-shape) * gamma(1 + shape) / shape
    return mean, spread, 2 * (1 - 3.0**-shape) / (1 - 2.0**-shape) - 3


@pytest.mark.parametrize("shape", SHAPES)
def test_the_distribution_follows_from_its_l_moments(shape):
    found = gev_of_l_moments(*(np.float64(value) for value in theory(40, 12, shape)))
    assert found == (pytest.approx(40, rel=1e-4), pytest.approx(12, rel=1e-4), pytest.approx(shape, abs=1e-4))


@pytest.mark.parametrize("shape", SHAPES)
def test_levels_are_the_quantiles_of_scipy(shape):
    level = gev_level(*gev_of_l_moments(*(np.float64(v) for v in theory(40, 12, shape))), 50)
    assert level == pytest.approx(scipy.stats.genextreme.ppf(1 - 1 / 50, shape, 40, 12), rel=1e-3)


@pytest.mark.parametrize("shape", SHAPES)
def test_return_levels_of_a_long_sample_are_those_of_its_distribution(shape):
    sample = scipy.stats.genextreme.rvs(shape, 40, 12, size=(5000, 20), random_state=1)
    expected = scipy.stats.genextreme.ppf(1 - 1 / 20, shape, 40, 12)
    assert return_levels(sample, 20).mean() == pytest.approx(expected, rel=0.02)


def test_few_years_dry_and_missing_cells_have_no_level():
    rng = np.random.default_rng(4)
    maxima = rng.gamma(3, 10, (12, 5))
    maxima[:, 0], maxima[3, 1] = 0, np.nan
    found = return_levels(maxima, 20)
    assert np.isnan(found[:2]).all()
    assert np.isfinite(found[2:]).all()
    assert np.isnan(return_levels(maxima[:9], 20)).all()


def test_annual_maxima_are_those_of_whole_years():
    rng = np.random.default_rng(5)
    members, truth = rng.gamma(0.4, 9, (3, 100, 2, 7)), rng.gamma(0.4, 9, (3, 100, 7))
    truth[1, :20, 4] = np.nan  # a cell that misses a fifth of a year
    maxima = AnnualMaxima(2, 7)
    for y in range(3):
        for d in range(100 if y < 2 else 60):  # the last year is cut
            maxima.add(members[y, d], truth[y, d], 2001 + y)
    of_truth, of_members = maxima.result(100)
    expected = truth[:2].max(1)
    assert np.isnan(of_truth[1, 4])
    assert of_truth == pytest.approx(expected, nan_ok=True)
    assert of_members == pytest.approx(members[:2].max(1))
    assert len(AnnualMaxima(2, 7).result(100)[0]) == 0
