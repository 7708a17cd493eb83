"""Sequences of days, against the same values from the whole record at once."""

from __future__ import annotations

import cftime
import numpy as np
import pytest
import scipy.stats
import xarray as xr
import xclim.indices.run_length as run_length

from rainshaft.evaluation.formulas.ensemble import fair_crps
from rainshaft.evaluation.formulas.sequences import (
    LONGEST,
    SUM_DAYS,
    Sequence,
    lag1_correlation,
    long_spells,
    mean_spell,
    wet_after,
)

DAYS, MEMBERS, CELLS = 40, 4, 6


def weather(rng, days=DAYS, persistence=0.0):
    """Rain of members and of the truth from one process, (days, M + 1, N); each cell depends on the day before."""
    noise = rng.standard_normal((days, MEMBERS + 1, CELLS))
    for t in range(1, days):
        noise[t] = persistence * noise[t - 1] + np.sqrt(1 - persistence**2) * noise[t]
    return np.maximum(8 * np.exp(0.5 * noise) - 8, 0)


def dates(days, gaps=()):
    every = np.arange("2001-01-20", "2031-01-01", dtype="datetime64[D]")
    return [day for day in every[: days + len(gaps)].tolist() if day not in gaps][:days]


def follow(rain, when):
    """Sum what each day adds, and the last spells."""
    sequence = Sequence(MEMBERS, CELLS)
    totals: dict[str, np.ndarray] = {}
    for fields, date in zip(rain, when, strict=True):
        for name, value in sequence.add(fields[1:], fields[0], np.datetime64(date)).items():
            totals[name] = totals.get(name, 0) + np.nan_to_num(value)
    for name, value in sequence.end().items():
        totals[name] = totals[name] + value
    return totals


def blocks(rain, when):
    """The days without a gap, as separate records."""
    cuts = [i for i in range(1, len(when)) if (when[i] - when[i - 1]).days != 1]
    return np.split(rain, cuts)


@pytest.fixture(params=["whole", "gaps"])
def record(request):
    rain = weather(np.random.default_rng(0), persistence=0.6)
    start = np.datetime64("2001-01-20")
    gaps = [] if request.param == "whole" else [(start + i).item() for i in (3, 9, 10, 30)]
    return rain, dates(DAYS, gaps)


def test_sums_of_five_days_are_those_of_the_record(record):
    rain, when = record
    found = follow(rain, when)
    crps, variance, error, count = 0.0, 0.0, 0.0, 0
    for block in blocks(rain, when):
        for start in range(len(block) - SUM_DAYS + 1):
            total = block[start : start + SUM_DAYS].sum(0)
            crps += fair_crps(total[1:], total[0]).sum()
            variance += total[1:].var(0, ddof=1).sum() * (MEMBERS + 1) / MEMBERS
            error += ((total[1:].mean(0) - total[0]) ** 2).sum()
            count += CELLS
    assert found["sum5_cells"] == count > 0
    assert [found[f"sum5_{name}"] for name in ("crps", "variance", "squared_error")] == pytest.approx(
        [crps, variance, error]
    )


def test_spells_are_those_of_xclim(record):
    rain, when = record
    found = follow(rain, when)
    for kind, is_wet in ((0, False), (1, True)):
        expected = np.zeros((MEMBERS + 1, LONGEST))
        for block in blocks(rain, when):
            events = xr.DataArray((block >= 1) == is_wet, dims=("time", "side", "cell"))
            lengths = (
                run_length.rle(events).transpose(*events.dims).values
            )  # the length at the first day of a run, else 0 or NaN
            for side in range(MEMBERS + 1):
                runs = lengths[:, side][lengths[:, side] > 0].astype(int)
                expected[side] += np.bincount(runs - 1, minlength=LONGEST)
        assert found["spells_observed"][kind] == pytest.approx(expected[0])
        assert found["spells_samples"][kind] == pytest.approx(expected[1:].mean(0))
    # each day of each cell is in one spell
    assert (found["spells_observed"] @ np.arange(1, LONGEST + 1)).sum() == DAYS * CELLS


def test_pairs_and_moments_are_those_of_the_record(record):
    rain, when = record
    found = follow(rain, when)
    x = np.concatenate([block[:-1, 0] for block in blocks(rain, when)]).ravel()
    y = np.concatenate([block[1:, 0] for block in blocks(rain, when)]).ravel()
    pairs = np.array([[((x >= 1) == a) & ((y >= 1) == b) for b in (False, True)] for a in (False, True)]).sum(-1)
    assert (found["pairs_observed"] == pairs).all()
    after_dry, after_wet = wet_after(found["pairs_observed"])
    assert (after_dry, after_wet) == pytest.approx(((y >= 1)[x < 1].mean(), (y >= 1)[x >= 1].mean()))
    assert lag1_correlation(found["moments_observed"]) == pytest.approx(scipy.stats.pearsonr(x, y).statistic)


def test_only_a_few_days_are_held_and_results_do_not_wait_for_the_end():
    sequence = Sequence(MEMBERS, CELLS)
    rain = weather(np.random.default_rng(1))
    added = [sequence.add(f[1:], f[0], np.datetime64(d)) for f, d in zip(rain, dates(DAYS), strict=True)]
    assert len(sequence._held) == SUM_DAYS
    assert np.isnan([day["sum5_cells"] for day in added[:4]]).all()
    assert [day["sum5_cells"] for day in added[4:]] == [CELLS] * (DAYS - 4)
    assert {name: np.shape(value) for name, value in added[0].items()} == {
        name: np.shape(value) for name, value in added[-1].items()
    }


def test_missing_values_end_sequences_of_their_cell_alone():
    rain = np.full((7, MEMBERS + 1, CELLS), 2.0)
    rain[3, 0, 0] = np.nan  # the truth at one cell
    rain[2, 2] = np.nan  # a member that was dropped
    found = follow(rain, dates(7))
    spells = found["spells_observed"][1]
    assert (spells[2], spells[6]) == (2, CELLS - 1)
    assert found["spells_samples"][1, 6] == pytest.approx(CELLS * (MEMBERS - 1) / MEMBERS)
    assert found["sum5_cells"] == 3 * (CELLS - 1)  # the first cell misses a day in each of the three windows
    assert found["sum5_crps"] == pytest.approx(0)
    assert found["pairs_observed"].sum() == 6 * CELLS - 2


def test_other_calendars_and_disorder():
    sequence = Sequence(1, 2)
    wet = np.full((1, 2), 3.0)
    days = [cftime.DatetimeNoLeap(2004, 2, 28), cftime.DatetimeNoLeap(2004, 3, 1), cftime.DatetimeNoLeap(2004, 3, 3)]
    pairs = [sequence.add(wet, wet[0], day)["pairs_observed"].sum() for day in days]
    assert pairs == [0, 2, 0]
    with pytest.raises(ValueError, match="ascend"):
        sequence.add(wet, wet[0], days[1])


def test_persistence_is_seen_in_spells_pairs_and_correlation():
    """Members of days that know nothing of each other have the same days and shorter spells."""
    rng = np.random.default_rng(2)
    rain = weather(rng, days=4000, persistence=0.7)
    rain[:, 1:] = weather(rng, days=4000)[:, 1:]
    found = follow(rain, dates(4000))
    observed, samples = (mean_spell(found[f"spells_{side}"]) for side in ("observed", "samples"))
    assert (observed > 1.3 * samples).all()
    share = (rain[:, 0] >= 1).mean()
    # days that know nothing of each other have geometric spells
    assert samples == pytest.approx([1 / share, 1 / (1 - share)], rel=0.05)
    assert long_spells(found["spells_observed"], 5)[0] > 1.2 * long_spells(found["spells_samples"], 5)[0]
    assert wet_after(found["pairs_samples"]) == (pytest.approx(share, abs=0.02), pytest.approx(share, abs=0.02))
    assert wet_after(found["pairs_observed"])[1] > share + 0.15
    assert lag1_correlation(found["moments_samples"]) == pytest.approx(0, abs=0.03)
    assert lag1_correlation(found["moments_observed"]) > 0.3
    # the sum of independent days spreads too little against an error that persists
    assert found["sum5_variance"] / found["sum5_squared_error"] < 0.8


def test_an_exchangeable_ensemble_has_the_spread_of_its_five_day_sums():
    rain = weather(np.random.default_rng(3), days=3000, persistence=0.7)
    found = follow(rain, dates(3000))
    assert np.sqrt(found["sum5_variance"] / found["sum5_squared_error"]) == pytest.approx(1, abs=0.06)
    assert mean_spell(found["spells_samples"]) == pytest.approx(mean_spell(found["spells_observed"]), rel=0.05)


def test_shares_of_long_spells_by_hand():
    spells = np.zeros(LONGEST)
    spells[[0, 2]] = 3, 1  # three of one day, one of three days
    assert mean_spell(spells) == pytest.approx(1.5)
    assert long_spells(spells, 2) == pytest.approx(0.5)
    assert np.isnan(mean_spell(0 * spells))
    assert np.isnan(long_spells(0 * spells, 2))
