"""Scores of members against the truth: other implementations, closed forms, and what theory says of ensembles."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import scipy.ndimage
import scoringrules
from ensembles import rain

from rainshaft.evaluation.formulas.ensemble import (
    VARIOGRAM_LAGS,
    fair_crps,
    fair_variogram_score,
    intensity_class,
    pool_means,
    rank_chi_square,
    ranks_by_class,
    ranks_of_truth,
    reliability_index,
    spread_and_error,
    sums_by_class,
    threshold_weighted_crps,
)

EDGES = (0.5, 1.5, 3.0)


def showers(rng, *shape):
    """Gamma rain with many dry cells, so that there are ties."""
    return np.maximum(rng.gamma(0.4, 9, shape) - 1, 0)


# ------------------------------------------------------------------------------------- threshold-weighted CRPS


@pytest.mark.parametrize("threshold", [0.0, 10.0, 50.0])
def test_threshold_weighted_crps_is_that_of_scoringrules_and_sorting_changes_nothing(threshold):
    rng = np.random.default_rng(0)
    m, y = showers(rng, 7, 400), showers(rng, 400)
    ours = threshold_weighted_crps(m, y, threshold)
    theirs = scoringrules.twcrps_ensemble(y, m, a=threshold, m_axis=0, estimator="fair", backend="numpy")
    assert ours == pytest.approx(theirs, abs=1e-9)
    assert threshold_weighted_crps(np.sort(m, axis=0), y, threshold, is_sorted=True) == pytest.approx(ours)
    assert fair_crps(np.sort(m, axis=0), y, is_sorted=True) == pytest.approx(fair_crps(m, y))


def test_threshold_weighted_crps_sees_only_what_is_above_and_is_the_crps_at_zero():
    rng = np.random.default_rng(1)
    m, y = showers(rng, 5, 200), showers(rng, 200)
    assert threshold_weighted_crps(m, y, 0) == pytest.approx(fair_crps(m, y))
    assert not threshold_weighted_crps(np.minimum(m, 9), np.minimum(y, 10), 10).any()
    assert threshold_weighted_crps(m[:1], y, 5) == pytest.approx(np.abs(np.maximum(m[0], 5) - np.maximum(y, 5)))


# ---------------------------------------------------------------------------------------- spread and error


def test_spread_equals_error_for_an_exchangeable_ensemble_of_any_size():
    rng = np.random.default_rng(2)
    for size in (2, 3, 10):
        fields = rng.gamma(0.5, 8, (size + 1, 200_000))
        variance, error = spread_and_error(fields[1:], fields[0])
        assert variance.sum() / error.sum() == pytest.approx(1, abs=0.03)


def test_spread_by_hand_and_of_one_member():
    variance, error = spread_and_error(np.array([[1.0], [3.0]]), np.array([5.0]))
    assert variance == pytest.approx([2.0 * 3 / 2])
    assert error == pytest.approx([9.0])
    variance, error = spread_and_error(np.array([[1.0]]), np.array([5.0]))
    assert np.isnan(variance).all()
    assert error == pytest.approx([16.0])


# ------------------------------------------------------------------------------------------ variogram score


def weights(shape, lags):
    """The weight of every ordered pair of cells: half of it, since scoringrules takes each pair twice."""
    places = [np.array(place) for place in np.ndindex(*shape)]
    table = np.zeros((len(places), len(places)))
    for (i, a), (j, b) in itertools.product(enumerate(places), repeat=2):
        if tuple(b - a) in lags:
            table[i, j] = table[j, i] = 0.5 / np.hypot(*(b - a))
    return table


@pytest.mark.parametrize("members", [1, 2, 6])
@pytest.mark.parametrize("hole", [False, True])
def test_variogram_score_is_that_of_scoringrules(members, hole):
    rng = np.random.default_rng(3)
    shape = (7, 10)
    m, y, cells = rng.gamma(0.5, 8, (members, *shape)), rng.gamma(0.5, 8, shape), np.ones(shape, bool)
    if hole:
        cells[2:5, 3:6] = False
        m[:, ~cells], y[~cells] = 1e6, -1e6  # values that must not count
    table = weights(shape, VARIOGRAM_LAGS)[np.ix_(cells.ravel(), cells.ravel())]
    estimator = "fair" if members > 1 else "nrg"
    theirs = scoringrules.vs_ensemble(
        y[cells], m[:, cells], w=table, m_axis=0, v_axis=1, p=0.5, estimator=estimator, backend="numpy"
    )
    assert fair_variogram_score(m, np.maximum(y, 0), cells) == pytest.approx(theirs / table.sum())


def test_variogram_score_prefers_the_right_texture():
    rng = np.random.default_rng(4)
    cells = np.ones((40, 40), bool)

    def score(smooth):
        values = [
            fair_variogram_score(rain(rng, 6, 40, 40, smooth=smooth), rain(rng, 40, 40, smooth=2), cells)
            for _ in range(30)
        ]
        return np.mean(values)

    right = score(2)
    assert right < 0.97 * min(score(1), score(4))
    truth = rain(rng, 40, 40)
    assert fair_variogram_score(np.repeat(truth[None], 3, 0), truth, cells) == pytest.approx(0, abs=1e-6)
    assert np.isnan(fair_variogram_score(truth[None], truth, np.zeros((40, 40), bool)))


def test_variogram_score_does_not_reward_the_ensemble_size():
    rng = np.random.default_rng(5)
    cells = np.ones((30, 30), bool)
    fields = rain(rng, 150, 11, 30, 30, smooth=2)
    two, ten = (np.mean([fair_variogram_score(f[1 : k + 1], f[0], cells) for f in fields]) for k in (2, 10))
    assert two == pytest.approx(ten, rel=0.04)


# -------------------------------------------------------------------------------------------------- pools


def test_pools_by_hand():
    field = np.arange(36.0).reshape(1, 6, 6)
    cells = np.ones((6, 6), bool)
    assert pool_means(field, cells, 2, 0)[0] == pytest.approx(field[0].reshape(3, 2, 3, 2).mean((1, 3)).ravel())
    assert pool_means(field, cells, 2, 1)[0] == pytest.approx(
        [field[0, i : i + 2, j : j + 2].mean() for i in (1, 3) for j in (1, 3)]
    )
    cells[:2, :2] = [[True, False], [False, False]]  # a quarter: left out
    cells[0, 2] = False  # three quarters: the mean of these
    pools = pool_means(field, cells, 2, 0)[0]
    assert pools[:2] == pytest.approx([(3 + 8 + 9) / 3, np.mean([4, 5, 10, 11])])
    assert pools.size == 8


def test_pools_across_coarse_cells_see_members_that_are_alike_there():
    """Where coarse cells have their rain, only how it lies in them differs. Pools inside them see no spread."""
    rng = np.random.default_rng(6)
    fields = (rain(rng, 40, 9, 32, 32, smooth=1) + 0.1).reshape(40, 9, 8, 4, 8, 4).astype(float)
    fields *= fields[:, :1].mean((3, 5), keepdims=True) / fields.mean((3, 5), keepdims=True)
    fields = fields.reshape(40, 9, 32, 32)
    cells = np.ones((32, 32), bool)

    def ratio(offset, narrow=1.0):
        sums = np.zeros(2)
        for field in fields:
            pools = pool_means(field, cells, 4, offset)
            members = pools[1:].mean(0) + narrow * (pools[1:] - pools[1:].mean(0))
            sums += [part.sum() for part in spread_and_error(members, pools[0])]
        return np.sqrt(sums[0] / sums[1]), sums[1]

    assert ratio(0)[1] < 1e-3 * ratio(2)[1]
    assert ratio(2)[0] == pytest.approx(1, abs=0.1)
    assert ratio(2, narrow=0.5)[0] < 0.6


# --------------------------------------------------------------------------------------- classes and ranks


def in_classes(rng, members, truth):
    """Spread/skill and reliability index of each class."""
    index = intensity_class(members, truth, EDGES)
    parts = [sums_by_class(values, index, 4) for values in spread_and_error(members, truth)]
    ranks = ranks_by_class(ranks_of_truth(members, truth, rng), index, 4, len(members) + 1)
    assert ranks.sum() == truth.size
    assert [part.sum() for part in parts] == pytest.approx([v.sum() for v in spread_and_error(members, truth)])
    return np.sqrt(parts[0] / parts[1]), reliability_index(ranks)


def test_a_calibrated_ensemble_is_calibrated_in_each_class_of_intensity():
    rng = np.random.default_rng(7)
    level = rng.gamma(1, 2, 400_000)
    fields = level * rng.gamma(1, 1, (6, level.size))
    ratio, index = in_classes(rng, fields[1:], fields[0])
    assert ratio == pytest.approx(1, abs=0.05)
    assert (index < 0.02).all()
    narrow = level + 0.5 * (fields[1:] - level)
    ratio, index = in_classes(rng, narrow, fields[0])
    assert (ratio[1:] < 0.75).all()
    assert (index[1:] > 0.1).all()


def test_classes_of_the_truth_or_of_the_members_alone_would_blame_a_calibrated_ensemble():
    """Why the classes are those of the mean of the truth and the members together."""
    rng = np.random.default_rng(8)
    level = rng.gamma(1, 2, 400_000)
    fields = level * rng.gamma(1, 1, (6, level.size))
    ranks = ranks_of_truth(fields[1:], fields[0], rng)
    of_all = ranks[intensity_class(fields[1:], fields[0], EDGES) == 3]
    of_truth, of_members = ranks[fields[0] >= EDGES[2]], ranks[fields[1:].mean(0) >= EDGES[2]]
    assert of_all.mean() == pytest.approx(2.5, abs=0.02)
    assert of_truth.mean() > 3.3
    assert of_members.mean() < 2.4


def test_reliability_index_and_chi_square_by_hand():
    counts = np.array([[10, 10, 10, 10], [40, 0, 0, 0], [20, 0, 0, 20], [0, 0, 0, 0]])
    assert reliability_index(counts) == pytest.approx([0, 2 * 3 / 4, 1, np.nan], nan_ok=True)
    chi_square, slope, convexity = rank_chi_square(counts)
    expected = [((row - 10.0) ** 2 / 10).sum() / 40 for row in counts[:3]]
    assert chi_square[:3] == pytest.approx(expected)
    assert np.isnan(chi_square[3])
    assert slope[0] == pytest.approx(0)
    assert slope[1] < -1  # the truth is below all members
    assert (slope[2], convexity[2] ** 2) == pytest.approx((0, chi_square[2]))
    assert convexity[2] > 0


def test_contrasts_are_parts_of_the_chi_square():
    """For three bins the two contrasts are all there is; a slope and a curve have no other part."""
    rng = np.random.default_rng(9)
    chi_square, slope, convexity = rank_chi_square(rng.integers(0, 50, (20, 3)))
    assert slope**2 + convexity**2 == pytest.approx(chi_square)
    chi_square, slope, convexity = rank_chi_square(100 + np.arange(11))
    assert (slope**2, convexity) == (pytest.approx(chi_square), pytest.approx(0, abs=1e-9))


def test_chi_square_of_a_calibrated_ensemble_is_that_of_theory():
    rng = np.random.default_rng(10)
    counts = rng.multinomial(500, np.full(9, 1 / 9), size=4000)
    chi_square, slope, convexity = rank_chi_square(counts)
    assert chi_square.mean() * 500 == pytest.approx(8, rel=0.03)
    assert (slope**2).mean() * 500 == pytest.approx(1, rel=0.1)
    assert (convexity**2).mean() * 500 == pytest.approx(1, rel=0.1)


def test_a_shifted_and_a_collapsed_ensemble_show_in_the_contrasts():
    rng = np.random.default_rng(11)
    fields = scipy.ndimage.gaussian_filter(rng.standard_normal((9, 300, 300)), (0, 1, 1)).reshape(9, -1)

    def contrasts(members):
        return rank_chi_square(np.bincount(ranks_of_truth(members, fields[0], rng), minlength=9))[1:]

    dry, _ = contrasts(fields[1:] - 0.2)
    slope, collapsed = contrasts(0.4 * fields[1:])
    assert dry > 0.3
    assert (abs(slope) < 0.1, collapsed > 0.5) == (True, True)
    assert contrasts(2 * fields[1:])[1] < -0.3
