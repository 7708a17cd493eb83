"""What the scores say of ensembles that are perfect, calibrated, collapsed, shifted, climatological, or too round."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import scipy.ndimage
from ensembles import FACTOR, SETTINGS, block, exchangeable, rain, scored, value

from rainshaft.evaluation.days import Setting
from rainshaft.evaluation.scoring import Climate, Part, score

EVENTS = ("1mm", "10mm")
CLASSES = ("0mm", "1mm", "10mm")


@pytest.fixture(scope="module")
def ensemble():
    return exchangeable(days=40)


@pytest.fixture(scope="module")
def calibrated(ensemble):
    return block(*ensemble)


def test_a_perfect_ensemble():
    truth = rain(np.random.default_rng(0), 8, 20, 26)
    found = block(np.repeat(truth[:, None], 4, 1), truth)
    zero = ["variogram_score", "pool_crps", "sum5_crps", "lsd_db", "ralsd_db"]
    zero += ["sal_structure", "sal_amplitude", "sal_location"]
    zero += [f"{name}_{event}" for name in ("twcrps", "brier", "brier_reliability") for event in EVENTS]
    one = ["elongation_ratio", "axis_ratio_ratio", "max_ratio"]
    one += [f"{name}_{event}" for name in ("brier_skill", "roc_area") for event in EVENTS]
    assert {name: value(found, name) for name in zero} == pytest.approx(dict.fromkeys(zero, 0), abs=1e-5)
    assert {name: value(found, name) for name in one} == pytest.approx(dict.fromkeys(one, 1), abs=1e-5)
    same = [name for name, entry in found["scores"].items() if "observed" in entry]
    assert {"axis_ratio", "wet_spell", "lag1_correlation", "correlation_3_cells_x"} < set(same)
    for name in same:
        assert value(found, name) == pytest.approx(found["scores"][name]["observed"], rel=1e-5, abs=1e-9), name


def test_a_calibrated_ensemble(calibrated):
    near_one = ["pool_spread_skill", *(f"spread_skill_from_{edge}" for edge in CLASSES)]
    assert {name: value(calibrated, name) for name in near_one} == pytest.approx(dict.fromkeys(near_one, 1), abs=0.12)
    near_zero = ["rank_slope", "rank_convexity", *(f"rank_slope_from_{edge}" for edge in CLASSES[:2])]
    assert {name: value(calibrated, name) for name in near_zero} == pytest.approx(dict.fromkeys(near_zero, 0), abs=0.1)
    assert value(calibrated, "elongation_ratio") == pytest.approx(1, abs=0.03)
    assert value(calibrated, "axis_ratio_ratio") == pytest.approx(1, abs=0.08)
    assert value(calibrated, "reliability_index") < 0.1
    assert abs(value(calibrated, "sal_structure")) < 0.1
    assert value(calibrated, "ralsd_db") > 3 * value(calibrated, "lsd_db")
    for event in EVENTS:
        assert value(calibrated, f"brier_skill_{event}") > 0.1
        assert value(calibrated, f"roc_area_{event}") > 0.6


def test_floors_hold_the_scores_of_a_calibrated_ensemble(calibrated):
    with_floor = ("pool_crps", "pool_spread_skill", "ralsd_db", "lsd_db", "elongation_ratio", "rank_chi_square")
    for name in with_floor:
        floor = calibrated["scores"][name]["floor"]
        width = floor["high"] - floor["low"] + 0.05
        assert floor["low"] - width <= value(calibrated, name) <= floor["high"] + width, name


def test_a_collapsed_ensemble(ensemble, calibrated):
    members, truth = ensemble
    mean = members.mean(1, keepdims=True)
    narrow = block(mean + 0.2 * (members - mean), truth)
    assert value(narrow, "rank_convexity") > 0.5
    assert value(narrow, "rank_chi_square") > 5 * value(calibrated, "rank_chi_square")
    for name in ("pool_spread_skill", "sum5_spread_skill", *(f"spread_skill_from_{edge}" for edge in CLASSES)):
        assert value(narrow, name) < 0.6, name
    # the mean of the members is smooth: it lacks structure, power and events
    assert value(narrow, "lsd_db") > value(calibrated, "lsd_db") + 1
    assert value(narrow, "variogram_score") > value(calibrated, "variogram_score")
    assert value(narrow, "brier_reliability_1mm") > 2 * value(calibrated, "brier_reliability_1mm")
    for event in EVENTS:
        assert value(narrow, f"twcrps_{event}") > value(calibrated, f"twcrps_{event}")
        assert value(narrow, f"brier_skill_{event}") < value(calibrated, f"brier_skill_{event}")


def test_a_dry_and_a_wet_ensemble(ensemble):
    members, truth = ensemble
    dry, wet = (block(factor * members, truth) for factor in (0.6, 1.6))
    assert value(dry, "rank_slope") > 0.1 > -0.1 > value(wet, "rank_slope")
    assert value(dry, "sal_amplitude") < -0.2 < 0.2 < value(wet, "sal_amplitude")
    for found in (dry, wet):
        # the amount says nothing of the shape
        assert value(found, "elongation_ratio") == pytest.approx(1, abs=0.03)
        assert abs(value(found, "sal_structure")) < 0.1


def test_a_shifted_ensemble(ensemble, calibrated):
    members, truth = ensemble
    shifted = block(np.roll(members, 6, axis=3), truth)
    assert value(shifted, "sal_location") > value(calibrated, "sal_location")
    for event in EVENTS:
        assert value(shifted, f"roc_area_{event}") == pytest.approx(0.5, abs=0.07)
        assert value(shifted, f"brier_skill_{event}") < 0.05
    # texture and climate are right
    assert value(shifted, "elongation_ratio") == pytest.approx(1, abs=0.03)
    assert value(shifted, "lsd_db") < 1


def test_a_climatological_ensemble(ensemble, calibrated):
    members, truth = ensemble
    order = np.random.default_rng(1).permutation(len(truth))
    climate = block(members[order], truth)
    assert value(climate, "roc_area_1mm") == pytest.approx(0.5, abs=0.05)
    assert value(climate, "brier_skill_1mm") < 0.02
    for name in ("pool_crps", "sum5_crps", "variogram_score", "twcrps_10mm"):
        assert value(climate, name) > value(calibrated, name), name
    assert value(climate, "lsd_db") < 1


def test_members_that_are_too_round():
    """The observed storms are long from west to east, as those of the members are not."""
    rng = np.random.default_rng(2)
    noise = rng.standard_normal((30, 4, 64, 64))
    long, round_ = (scipy.ndimage.gaussian_filter(noise, (0, 0, *sides)) for sides in ((2, 4), (2.8, 2.8)))
    long, round_ = (np.maximum(8 * np.exp(0.5 * f / f.std()) - 6, 0) for f in (long, round_))
    right, wrong = (block(fields[:, 1:], long[:, 0]) for fields in (long, round_))
    assert value(right, "axis_ratio") == pytest.approx(2, rel=0.15)
    assert right["scores"]["axis_ratio"]["observed"] == pytest.approx(2, rel=0.15)
    assert value(right, "axis_angle") == pytest.approx(0, abs=8)
    assert value(right, "elongation_ratio") == pytest.approx(1, abs=0.06)
    assert value(wrong, "axis_ratio") == pytest.approx(1, abs=0.15)
    high = wrong["scores"]["elongation_ratio"]["high"]
    assert value(wrong, "elongation_ratio") < high < 0.85
    assert wrong["scores"]["axis_ratio_ratio"]["high"] < 0.8
    assert value(wrong, "correlation_3_cells_x") < wrong["scores"]["correlation_3_cells_x"]["observed"] - 0.1
    assert value(wrong, "correlation_3_cells_y") > wrong["scores"]["correlation_3_cells_y"]["observed"] + 0.1


def test_members_whose_coarse_cells_know_nothing_of_each_other():
    """Every coarse cell has its rain. Where it falls in the cell is common to all members, or their own."""
    rng = np.random.default_rng(3)
    inside = rng.gamma(0.5, 1, (60, 7, 8, FACTOR, 8, FACTOR)) + 0.01
    inside /= inside.mean((3, 5), keepdims=True)
    coarse = rng.gamma(1, 6, (60, 1, 8, 1, 8, 1))
    fields = (coarse * inside).reshape(60, 7, 8 * FACTOR, 8 * FACTOR)
    good = block(fields[:, 1:], fields[:, 0])
    assert value(good, "pool_spread_skill") == pytest.approx(1, abs=0.08)
    mean = fields[:, 1:].mean(1, keepdims=True)
    assert value(block(mean + 0.5 * (fields[:, 1:] - mean), fields[:, 0]), "pool_spread_skill") < 0.6


def weather(persistence, days=200, members=5, seed=4):
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal((days, members + 1, 6, 6))
    for t in range(1, days):
        noise[t] = persistence * noise[t - 1] + np.sqrt(1 - persistence**2) * noise[t]
    return np.maximum(10 * np.exp(0.5 * noise) - 10, 0)


def test_members_that_forget_the_day_before():
    truth = weather(0.7)[:, 0]
    remembering, forgetting = (block(weather(p, seed=5)[:, 1:], truth) for p in (0.7, 0.0))
    assert value(remembering, "sum5_spread_skill") == pytest.approx(1, abs=0.1)
    assert value(forgetting, "sum5_spread_skill") < 0.8
    tolerances = {"wet_spell": 0.2, "dry_spell": 0.2, "lag1_correlation": 0.08, "wet_after_wet": 0.05}
    for name, tolerance in tolerances.items():
        observed = remembering["scores"][name]["observed"]
        assert value(remembering, name) == pytest.approx(observed, abs=tolerance), name
        assert value(forgetting, name) < observed - 2 * tolerance, name
    assert value(forgetting, "spread_skill") == pytest.approx(1, abs=0.05)  # single days do not show it


def days_of(members, truth, times):
    """What `score` takes."""
    dates = np.array([f"{time:%Y-%m-%d}" for time in times])
    setting = Setting(members.shape[1], np.ones(truth.shape[1:], bool), FACTOR, SETTINGS)
    part = Part(dates, np.full(len(dates), "moderate"), truth.mean((1, 2)), np.array(times, "datetime64[ns]"))
    return zip(members.astype("f4"), truth.astype("f4"), strict=True), part, setting


def test_sequences_end_where_days_are_missing_and_the_last_spell_counts():
    fields = weather(0.5, days=12)
    times = [*pd.date_range("2001-01-01", periods=6), *pd.date_range("2001-02-01", periods=6)]
    found = score(*days_of(fields[:, 1:], fields[:, 0], times))
    lengths = np.arange(1, found.sums["spells_observed"].shape[-1] + 1)
    assert (found.sums["spells_observed"] @ lengths).sum() == 12 * 36
    assert found.sums["pairs_observed"].sum() == 10 * 36
    assert np.isfinite(found.by_day["sum5_crps"].values).tolist() == 2 * ([False] * 4 + [True] * 2)


def maps_of(fields, times):
    days, part, setting = days_of(fields[:, 1:], fields[:, 0], times)
    climate = Climate(part, setting)
    for _ in climate.watching(days):
        pass
    return climate.maps()


def test_maps_and_return_levels_are_those_of_the_record():
    rng = np.random.default_rng(6)
    times = pd.date_range("2001-01-01", "2010-12-31")
    fields = rng.gamma(0.3, 9, (len(times), 3, 3, 4)).astype("f4")
    maps = maps_of(fields, times)
    assert maps["map_mean_observed"].values == pytest.approx(fields[:, 0].mean(0), rel=1e-4)
    assert maps["map_mean_samples"].values == pytest.approx(fields[:, 1:].mean((0, 1)), rel=1e-4)
    assert maps["map_wet_frequency_observed"].values == pytest.approx((fields[:, 0] >= 1).mean(0))
    assert maps["map_p99_samples"].values == pytest.approx(np.quantile(fields[:, 1:], 0.99, axis=(0, 1)), rel=1e-4)
    yearly = pd.Series(range(len(times)), times).groupby(times.year)
    maxima = np.array([fields[days, 0].max(0) for _, days in yearly])
    level = maps["map_level_observed"].values
    assert level.shape == (3, 4)
    assert (level > np.quantile(maxima, 0.7, axis=0)).all()
    assert (level < 2 * maxima.max(0)).all()
    assert "map_level_observed" not in maps_of(fields[:900], times[:900])


def test_days_with_dropped_members_take_part_where_they_can(ensemble):
    members, truth = (one[:10].copy() for one in ensemble)
    members[3, 2] = np.nan
    members[7, 1:] = np.nan  # one member is left: the day does not count
    found = scored(members, truth)
    assert np.isnan(found.by_day["variogram_score"].values).tolist() == [day == 7 for day in range(10)]
    # events are counted by the number of members, so only on days with all of them
    cells = truth[0].size
    assert found.sums["events"].sum(axis=(1, 2)).tolist() == [8 * cells] * 2
    assert found.sums["class_ranks"].sum() == 8 * cells
    assert found.blocks["all_days"]["days"] == 9
