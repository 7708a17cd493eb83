"""The scores: invariants of good and bad ensembles, formulas by hand, and agreement with other libraries."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import scores.probability
import scores.spatial
import scoringrules
import xarray as xr
from ensembles import FACTOR, SETTINGS, block, exchangeable, rain, scored, value

from rainshaft.evaluation import scoring
from rainshaft.evaluation.formulas.ensemble import (
    correlations,
    cosine_distance,
    fair_crps,
    fair_energy_score,
    ranks_of_truth,
)
from rainshaft.evaluation.formulas.events import fractions_errors, neighbourhood_fractions
from rainshaft.evaluation.formulas.texture import gradient_sum, log_spectral_distance, radial_spectrum, wavenumbers
from rainshaft.evaluation.record import QUANTILES
from rainshaft.evaluation.resampling import Resamples


@pytest.fixture(scope="module")
def ensemble():
    return exchangeable()


@pytest.fixture(scope="module")
def calibrated(ensemble):
    return block(*ensemble, settings=SETTINGS.model_copy(update={"bootstrap": 200}))


# --------------------------------------------------------------------------------------- invariants


def test_perfect_forecast():
    truth = rain(np.random.default_rng(0), 6, 20, 26)
    found = block(np.repeat(truth[:, None], 4, 1), truth)
    zero = (
        "fair_crps",
        "domain_crps",
        "energy_score",
        "mass_bias",
        "wet_difference_1mm",
        "ks_above_p95",
        "lsd_db",
        "diversity",
    )
    one = ("correlation_member_truth", "correlation_member_member", "correlation_mean_truth", "gradient_ratio")
    one += ("p95_ratio", "p99_ratio", "p999_ratio", "fss_1mm_1", "fss_10mm_5")
    assert {name: value(found, name) for name in zero} == pytest.approx(dict.fromkeys(zero, 0), abs=1e-6)
    assert {name: value(found, name) for name in one} == pytest.approx(dict.fromkeys(one, 1), abs=1e-6)
    for name, entry in found["scores"].items():
        if "observed" in entry:
            assert entry["value"] == pytest.approx(entry["observed"], rel=1e-5), name


def test_crps_of_one_member_is_the_mae_and_ensemble_scores_are_null():
    rng = np.random.default_rng(0)
    members, truth = rain(rng, 5, 1, 20, 20), rain(rng, 5, 20, 20)
    found = block(members, truth)
    assert value(found, "fair_crps") == pytest.approx(np.abs(members[:, 0] - truth).mean(), rel=1e-6)
    null = {name for name, entry in found["scores"].items() if entry["value"] is None}
    assert null == {
        "spread_skill",
        "domain_spread_skill",
        "diversity",
        "correlation_member_member",
        "calibration_gap",
        "reliability_index",
        "rank_chi_square",
        "rank_slope",
        "rank_convexity",
        "pool_spread_skill",
        "sum5_spread_skill",
        *(f"{name}_from_{edge}mm" for name in ("spread_skill", "rank_slope") for edge in (0, 1, 10)),
    }


def test_exchangeable_ensemble_is_calibrated(calibrated):
    assert value(calibrated, "spread_skill") == pytest.approx(1, abs=0.05)
    assert value(calibrated, "calibration_gap") == pytest.approx(0, abs=0.02)
    assert value(calibrated, "reliability_index") < 0.06
    assert value(calibrated, "lsd_db") < 0.5
    assert abs(value(calibrated, "mass_bias")) < 0.05
    # the ensemble mean's correlation is the root of the pairs' (in the limit of many members)
    assert value(calibrated, "correlation_mean_truth") > value(calibrated, "correlation_member_truth")
    for name, entry in calibrated["scores"].items():
        assert entry["low"] <= entry["value"] <= entry["high"], name


def test_fair_crps_does_not_reward_or_punish_the_ensemble_size(ensemble):
    members, truth = ensemble
    two, eight = (value(block(members[:, :k], truth), "fair_crps") for k in (2, 8))
    assert two == pytest.approx(eight, rel=0.02)


def test_doubled_members_double_the_gradient_ratio(ensemble, calibrated):
    members, truth = ensemble
    doubled = block(2 * members, truth)
    assert value(doubled, "gradient_ratio") == pytest.approx(2 * value(calibrated, "gradient_ratio"), rel=1e-6)
    assert value(doubled, "mean") == pytest.approx(2 * value(calibrated, "mean"), rel=1e-6)
    assert value(doubled, "correlation_member_truth") == pytest.approx(value(calibrated, "correlation_member_truth"))
    assert value(doubled, "diversity") == pytest.approx(value(calibrated, "diversity"))


def test_underdispersed_ensemble_is_found_out(ensemble):
    members, truth = ensemble
    mean = members.mean(1, keepdims=True)
    narrow = block(mean + 0.3 * (members - mean), truth)
    assert value(narrow, "spread_skill") < 0.4
    assert value(narrow, "calibration_gap") < -0.1
    assert value(narrow, "reliability_index") > 0.5


def test_spread_of_whole_days_is_told_from_that_of_cells():
    rng = np.random.default_rng(3)
    days, size, cells = 400, 10, (12, 12)

    def draw(day, cell):
        """Members and truth are made alike: from a level of the whole day and noise of single cells."""
        level, noise = rng.normal(0, day, (days, size + 1, 1, 1)), rng.normal(0, cell, (days, size + 1, *cells))
        fields = np.maximum(20 + level + noise, 0).astype("f4")
        return fields[:, :size], fields[:, size]

    members, truth = draw(2.0, 3.0)
    assert value(block(members, truth), "domain_spread_skill") == pytest.approx(1, abs=0.08)
    # the CRPS of a Gaussian whose spread is its error is sigma / sqrt(pi) (Gneiting and Raftery 2007, eq. 21)
    assert value(block(members, truth), "domain_crps") == pytest.approx(2.0 / np.sqrt(np.pi), rel=0.08)
    alike = np.sqrt(3.0**2 + 2.0**2) / 3.0 * (draw(0.0, 3.0)[0] - 20) + 20  # one spread at every cell
    assert value(block(alike, truth), "spread_skill") == pytest.approx(1, abs=0.05)
    assert value(block(alike, truth), "domain_spread_skill") < 0.3


def test_no_spread_of_whole_days_is_told_where_their_mean_is_given():
    rng = np.random.default_rng(4)
    truth = rain(rng, 6, 20, 20)
    members = rain(rng, 6, 5, 20, 20)
    members *= (truth.mean((1, 2), dtype="f8")[:, None] / members.mean((2, 3), dtype="f8"))[..., None, None]
    for threshold in (0, 0.5):  # the pixel threshold takes some of the mass away
        found = block(np.where(members < threshold, 0, members), truth)
        assert value(found, "domain_spread_skill") is None
        assert value(found, "spread_skill") is not None


def test_masked_cells_do_not_matter():
    rng = np.random.default_rng(5)
    members, truth = rain(rng, 6, 3, 21, 17), rain(rng, 6, 21, 17)
    valid = rng.random((21, 17)) > 0.3
    with_nan = block(np.where(valid, members, np.nan), np.where(valid, truth, np.nan), valid)
    with_noise = block(np.where(valid, members, 1e4), np.where(valid, truth, -7), valid)
    assert with_nan == with_noise
    assert with_nan["scores"]["mean"]["observed"] == pytest.approx(truth[:, valid].mean(), rel=1e-6)


def test_truth_with_gaps_is_scored_on_the_other_cells():
    rng = np.random.default_rng(5)
    members, truth = rain(rng, 1, 3, 12, 12), rain(rng, 1, 12, 12)
    gap = truth.copy()
    gap[0, :4] = np.nan
    assert value(block(members, gap), "fair_crps") == pytest.approx(
        fair_crps(members[0, :, 4:].reshape(3, -1).astype(float), truth[0, 4:].ravel()).mean()
    )


# ---------------------------------------------------------------------------------------- streaming


def test_days_are_summed_a_few_at_a_time(ensemble, monkeypatch):
    whole = scored(*ensemble)
    monkeypatch.setattr(scoring, "DAYS_AT_ONCE", 7)
    parts = scored(*ensemble)
    for key, entry in whole.blocks["all_days"]["scores"].items():
        assert parts.blocks["all_days"]["scores"][key]["value"] == pytest.approx(entry["value"], rel=1e-9), key
    xr.testing.assert_identical(parts.by_day, whole.by_day)


def test_resamples_are_scores_of_the_resampled_days():
    """The scores from weighted sums are those of scoring the resampled days themselves."""
    members, truth = exchangeable(days=12, members=3, height=16, width=16)
    found = scored(members, truth, seed=4).resampled.sel(kind="all_days")
    resamples = Resamples.of(truth.mean((1, 2)), np.full(12, 6), SETTINGS.bootstrap, 4)
    for row in (1, 5, SETTINGS.bootstrap + 1):
        days = np.repeat(np.arange(12), resamples.weights[row])
        again = scored(members[days], truth[days], seed=4).blocks["all_days"]
        for name in ("spread_skill", "p99_ratio", "fair_crps", "fss_1mm_5", "lsd_db", "max_ratio"):
            assert float(found.sel(score=name)[row]) == pytest.approx(value(again, name)), name


def test_days_are_resampled_by_the_season_that_they_lie_in():
    members, truth = exchangeable(days=200, members=3, height=8, width=8)
    found = scored(members, truth, seed=4).blocks["all_days"]
    months = pd.date_range("2001-01-01", periods=200).month.to_numpy()
    digests = []
    for month in (months, np.ones(200, int)):
        resamples = Resamples.of(truth.mean((1, 2)), month, SETTINGS.bootstrap, 4)
        digests.append(resamples.digest)
        assert (found["share_of_run"] == pytest.approx(resamples.share)) == (month is months)
    assert found["resamples_digest"] == digests[0] != digests[1]


# ---------------------------------------------------------------------------- definitions and libraries


def test_crps_and_energy_score_agree_with_libraries():
    rng = np.random.default_rng(1)
    m, y = rng.gamma(0.4, 9, (7, 300)), rng.gamma(0.4, 9, 300)
    m[m < 1] = 0
    theirs = scores.probability.crps_for_ensemble(
        xr.DataArray(m, dims=("member", "cell")), xr.DataArray(y, dims="cell"), "member", method="fair"
    )
    assert fair_crps(m, y).mean() == pytest.approx(float(theirs))
    energy = scoringrules.es_ensemble(y, m, m_axis=0, v_axis=1, estimator="fair", backend="numpy")
    assert fair_energy_score(m, y) == pytest.approx(energy / np.sqrt(300))


@pytest.mark.parametrize("scale", [1, 5, 9])
def test_fss_agrees_with_library_where_windows_are_whole(scale):
    rng = np.random.default_rng(2)
    forecast, truth = rain(rng, 1, 30, 41), rain(rng, 30, 41)
    cells, half = np.ones(truth.shape, bool), scale // 2
    p = neighbourhood_fractions((forecast[0] >= 2).astype(float), cells, scale)
    o = neighbourhood_fractions((truth >= 2).astype(float), cells, scale)
    p, o = (f[half : 30 - half, half : 41 - half] for f in (p, o))
    theirs = scores.spatial.fss_2d(
        xr.DataArray(forecast[0], dims=("lat", "lon")),
        xr.DataArray(truth, dims=("lat", "lon")),
        event_threshold=2,
        window_size=(scale, scale),
        spatial_dims=("lat", "lon"),
        threshold_operator=np.greater_equal,
    )
    assert 1 - ((p - o) ** 2).sum() / (p**2 + o**2).sum() == pytest.approx(float(theirs))


def test_fss_of_a_shifted_field_grows_with_scale_and_ignores_masked_cells():
    truth = rain(np.random.default_rng(4), 40, 40)
    shifted = np.roll(truth, 3, axis=1)
    error, reference = fractions_errors(shifted[None], truth, np.ones((40, 40), bool), (5.0,), (1, 5, 15))
    fss = 1 - (error / reference)[0]
    assert 0 < fss[0] < fss[1] < fss[2] < 1
    half = np.zeros((40, 40), bool)
    half[:, :20] = True
    flat = neighbourhood_fractions(np.ones((40, 40)), half, 7)
    assert flat[half] == pytest.approx(1)
    assert not flat[~half].any()


def test_correlation_is_pearson_and_a_constant_member_counts_as_zero():
    rng = np.random.default_rng(6)
    fields = rng.gamma(1, 4, (3, 200))
    assert correlations(fields) == pytest.approx(np.corrcoef(fields))
    truth = rain(rng, 1, 15, 15)
    members = np.stack([truth, np.zeros_like(truth), np.full_like(truth, 0.1)], axis=1)
    found = block(members, truth)
    assert value(found, "correlation_member_truth") == pytest.approx(1 / 3)
    assert value(found, "correlation_member_member") == pytest.approx(0)


def test_dry_days_take_no_part_in_the_correlation():
    rng = np.random.default_rng(7)
    truth = rain(rng, 3, 15, 15)
    members = np.stack([truth, truth], axis=1)
    members[1] = rain(rng, 2, 15, 15)
    assert value(block(members, truth, category=["moderate", "dry", "heavy-coast"]), "correlation_member_truth") == (
        pytest.approx(1)
    )
    truth[1] = 0  # no variance: left out whatever its category
    assert value(block(members, truth), "correlation_member_truth") == pytest.approx(1)


def test_rank_histogram_is_flat_where_all_is_dry():
    rng = np.random.default_rng(8)
    ranks = ranks_of_truth(np.zeros((4, 50000)), np.zeros(50000), rng)
    assert np.bincount(ranks) / 10000 == pytest.approx(1, abs=0.03)
    assert ranks_of_truth(np.array([[1.0], [2.0], [5.0]]), np.array([3.0]), rng) == 2


def test_wet_rank_histogram_leaves_out_what_is_dry_everywhere():
    members, truth = np.zeros((1, 2, 10, 10)), np.zeros((1, 10, 10))
    truth[0, 0] = 5
    sums = scored(members, truth).sums
    assert sums["rank_histogram"].tolist() == [0, 0, 10]
    assert sums["rank_histogram_all"].sum() == 100


def test_gradient_by_hand():
    field = np.array([[0.0, 1.0, 5.0], [2.0, 2.0, 100.0]])
    cells = np.array([[True, True, True], [True, True, False]])
    for view in (slice(None), np.s_[::-1], np.s_[:, ::-1]):  # the cell that is not valid may be on either side
        assert gradient_sum(field[view], cells[view]) == (1 + 4 + 0 + 2 + 1, 5)


def test_gradient_across_the_edges_of_blocks():
    rng = np.random.default_rng(9)
    fields, cells = rng.random((4, 7, 10)), rng.random((7, 10)) > 0.2  # the last blocks are not whole
    pairs = [((i - 1, j), (i, j)) for i in (3, 6) for j in range(10)]
    pairs += [((i, j - 1), (i, j)) for i in range(7) for j in (3, 6, 9)]
    pairs = [(a, b) for a, b in pairs if cells[a] and cells[b]]
    total, count = gradient_sum(fields, cells, 3)
    assert count == len(pairs)
    assert total == pytest.approx(sum(abs(fields[:, *a] - fields[:, *b]) for a, b in pairs))


def test_steps_at_the_edges_of_coarse_cells_show(ensemble, calibrated):
    members, truth = ensemble
    assert value(calibrated, "edge_ratio") == pytest.approx(1, abs=0.05)
    rows, columns = np.indices(truth.shape[1:]) // FACTOR
    assert value(block(members * (1 + (rows + columns) % 2), truth), "edge_ratio") > 1.2


@pytest.mark.parametrize("shape", [(32, 32), (32, 80), (60, 24)])
def test_spectrum_finds_a_wave_on_any_domain(shape):
    """A wave of 8 cells stands at 1/8 cycle per cell along either axis of a domain that is not square."""
    rows, columns = np.indices(shape)
    centres = wavenumbers(*shape)
    for phase in (rows, columns):
        if shape[0] % 8 and phase is rows:
            continue
        power = radial_spectrum(np.sin(2 * np.pi * phase / 8))
        assert centres[power.argmax()] == pytest.approx(1 / 8)
    assert centres[-1] == pytest.approx(0.5)


def test_spectral_distance_in_db():
    power = np.array([1.0, 2.0, 3.0])
    assert log_spectral_distance(10 * power, power) == pytest.approx(10)
    assert log_spectral_distance(0 * power, power) == pytest.approx(100)
    assert np.isnan(log_spectral_distance(power, 0 * power))


def test_diversity_by_hand():
    assert cosine_distance(np.array([[1.0, 0], [0, 2.0], [3.0, 0]])) == pytest.approx(2 / 3)
    assert cosine_distance(np.array([[1.0, 0], [0, 0], [0, 0]])) == pytest.approx(2 / 3)
    assert np.isnan(cosine_distance(np.zeros((3, 4))))


def test_climate_values_by_hand(ensemble, calibrated):
    members, truth = ensemble
    observed = {name: entry.get("observed") for name, entry in calibrated["scores"].items()}
    samples = {name: entry["value"] for name, entry in calibrated["scores"].items()}
    assert observed["wet_fraction"] == pytest.approx((truth > 0.1).mean())
    assert samples["wet_fraction_1mm"] == pytest.approx((members > 1).mean())
    assert observed["mean_of_wet_days"] == pytest.approx(truth[truth >= 1].mean(), rel=1e-5)
    assert observed["max"] == pytest.approx(truth.max())
    assert samples["max"] == pytest.approx(members.max((0, 2, 3)).mean()), "fair to the number of members"
    for name, share in QUANTILES.items():
        assert observed[name] == pytest.approx(np.quantile(truth, share, method="inverted_cdf"), rel=0.005)
        assert samples[name] == pytest.approx(np.quantile(members, share, method="inverted_cdf"), rel=0.005)
    very_wet = np.quantile(truth[truth >= 1], 0.95)
    assert observed["very_wet_share"] == pytest.approx(truth[truth > very_wet].sum() / truth.sum(), rel=0.01)
    assert samples["very_wet_share"] == pytest.approx(members[members > very_wet].sum() / members.sum(), rel=0.01)
    assert value(calibrated, "mass_bias") == pytest.approx(members.mean() / truth.mean() - 1, rel=1e-4)
