"""Scores of events: other implementations, closed forms, and ensembles of which theory tells the scores."""

from __future__ import annotations

import operator

import numpy as np
import pytest
import scipy.stats
import scores.probability
import xarray as xr

from rainshaft.evaluation.formulas.events import (
    brier_decomposition,
    brier_score,
    brier_skill,
    event_counts,
    reliability_curve,
    roc_area,
    roc_curve,
)

THRESHOLDS = (1.0, 10.0, 50.0)


def ensemble(rng, members, cells=3000):
    """Members and truth from one distribution in each cell."""
    fields = rng.gamma(1, 6, cells) * rng.gamma(0.8, 1, (members + 1, cells))
    return fields[1:], fields[0]


@pytest.mark.parametrize("members", [1, 2, 9])
def test_brier_score_is_that_of_scores(members):
    m, y = ensemble(np.random.default_rng(0), members)
    m[0, :20] = 1.0  # rain of the threshold reaches it
    theirs = scores.probability.brier_score_for_ensemble(
        xr.DataArray(m, dims=("member", "cell")),
        xr.DataArray(y, dims="cell"),
        "member",
        list(THRESHOLDS),
        fair_correction=members > 1,
        event_threshold_operator=operator.ge,
    )
    assert brier_score(event_counts(m, y, THRESHOLDS)) == pytest.approx(theirs.values)


def test_counts_of_days_add_up():
    m, y = ensemble(np.random.default_rng(1), 4)
    parts = event_counts(m[:, :900], y[:900], THRESHOLDS) + event_counts(m[:, 900:], y[900:], THRESHOLDS)
    assert (parts == event_counts(m, y, THRESHOLDS)).all()
    assert (parts.sum((1, 2)) == y.size).all()


def test_decomposition_is_the_brier_score_and_that_of_its_definition():
    m, y = ensemble(np.random.default_rng(2), 7)
    probability, event = (m >= 10).mean(0), (y >= 10).astype(float)
    reliability, resolution, uncertainty = (part[0] for part in brier_decomposition(event_counts(m, y, (10.0,))))
    assert reliability - resolution + uncertainty == pytest.approx(((probability - event) ** 2).mean())
    assert uncertainty == pytest.approx(event.var())
    groups = [event[probability == value] for value in np.unique(probability)]
    assert resolution == pytest.approx(sum(g.size * (g.mean() - event.mean()) ** 2 for g in groups) / y.size)


def test_reliability_curve_by_hand():
    m = np.array([[2.0, 2.0, 0.0, 0.0], [2.0, 2.0, 2.0, 0.0]])
    y = np.array([5.0, 0.0, 5.0, 0.0])
    probability, observed, cases = reliability_curve(event_counts(m, y, (1.0,)))
    assert probability.tolist() == [0, 0.5, 1]
    assert cases.tolist() == [[1, 1, 2]]
    assert observed.tolist() == [[0, 1, 0.5]]


def test_roc_area_is_the_mann_whitney_statistic_and_the_curve_is_monotone():
    m, y = ensemble(np.random.default_rng(3), 9)
    counts = event_counts(m, y, THRESHOLDS)
    for threshold, area in zip(THRESHOLDS, roc_area(counts), strict=True):
        above, event = (m >= threshold).sum(0), y >= threshold
        statistic = scipy.stats.mannwhitneyu(above[event], above[~event]).statistic
        assert area == pytest.approx(statistic / (event.sum() * (~event).sum()))
    for rate in roc_curve(counts):
        assert (rate[:, 0] == 0).all()
        assert (rate[:, -1] == 1).all()
        assert (np.diff(rate) >= 0).all()


def test_the_brier_score_does_not_reward_the_ensemble_size():
    m, y = ensemble(np.random.default_rng(4), 20, cells=200_000)
    two, twenty = (brier_score(event_counts(m[:k], y, (10.0,)))[0] for k in (2, 20))
    assert two == pytest.approx(twenty, rel=0.01)


def test_perfect_reliable_and_blind_ensembles():
    rng = np.random.default_rng(5)
    m, y = ensemble(rng, 10, cells=200_000)
    perfect = event_counts(np.repeat(y[None], 10, 0), y, (10.0,))
    assert (brier_score(perfect)[0], brier_skill(perfect)[0], roc_area(perfect)[0]) == pytest.approx((0, 1, 1))

    counts = event_counts(m, y, (10.0,))
    assert 0.2 < brier_skill(counts)[0] < 1
    # a calibrated ensemble has the mean of i (M - i) / (M^2 (M - 1)) as its reliability, or less
    above = np.arange(11)
    noise = (counts[0].sum(1) * above * (10 - above) / (100 * 9)).sum() / counts.sum()
    assert brier_decomposition(counts)[0][0] < 1.1 * noise

    blind = event_counts(rng.permutation(m.ravel()).reshape(m.shape), y, (10.0,))
    assert brier_skill(blind)[0] == pytest.approx(0, abs=0.01)
    assert roc_area(blind)[0] == pytest.approx(0.5, abs=0.01)

    wet = event_counts(m + 8, y, (10.0,))
    assert brier_decomposition(wet)[0][0] > 5 * brier_decomposition(counts)[0][0]
    assert brier_skill(wet)[0] < 0


def test_an_event_that_never_happens_has_no_skill():
    counts = event_counts(np.ones((3, 50)), np.ones(50), (10.0,))
    assert brier_score(counts) == 0
    assert np.isnan(brier_skill(counts)).all()
    assert np.isnan(roc_area(counts)).all()
    assert np.isnan(brier_score(np.zeros((2, 4, 2)))).all()
