"""Scores over the pixel threshold: those of the thresholded ensemble, without writing one for each threshold."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from ensembles import FACTOR, SETTINGS, exchangeable
from fields import make_fields

from rainshaft.evaluation.catalogue import scores_of
from rainshaft.evaluation.evaluate import evaluate
from rainshaft.evaluation.thresholds import TRACED, TRIED, fss_of, trace
from rainshaft.files import write_netcdf
from rainshaft.sampling.threshold import matching_threshold, write_above

DAYS = 26
CHOSEN = 0.62  # a threshold that is not tried anyway


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Two shards of an ensemble that drizzles, with members that were dropped, and the fields of its days."""
    folder = tmp_path_factory.mktemp("data")
    members, truth = exchangeable(days=DAYS, members=4, height=16, width=20)
    rng = np.random.default_rng(0)
    members = members + rng.uniform(0, 0.9, members.shape).astype("f4")
    members[3, 1] = np.nan
    members[5, 1:] = np.nan  # one member left: the day takes no part
    valid = rng.random((16, 20)) > 0.2
    fields = make_fields(folder / "2001.nc", truth, factor=FACTOR, valid=valid)
    with xr.open_dataset(fields) as source:
        axes = {name: source[name].load() for name in ("lat", "lon")}
    split = np.array(["validation"] * DAYS, object)
    split[-2:] = "test"
    shards = []
    for number, days in enumerate((slice(0, 11), slice(11, DAYS))):
        coords = {"time": pd.date_range("2001-01-01", periods=DAYS)[days], **axes, "split": ("time", split[days])}
        coords["category"] = ("time", np.array(["moderate"] * DAYS, object)[days])
        rain = np.where(valid, members[days], np.nan)
        shards.append(folder / f"{number}.nc")
        write_netcdf(xr.Dataset({"pr": (("time", "member", "lat", "lon"), rain)}, coords), shards[-1])
    return shards, [fields]


@pytest.fixture(scope="module")
def table(data):
    return trace(*data, SETTINGS, CHOSEN, seed=3)


@pytest.mark.parametrize("threshold", [0.0, CHOSEN, 2.0])
def test_the_scores_are_those_of_the_ensemble_that_is_written(data, table, tmp_path, threshold):
    shards, fields = data
    opened = [xr.load_dataset(path) for path in shards]
    write_above(opened, threshold, tmp_path / "synth.nc")
    settings = SETTINGS.model_copy(update={"fss_thresholds": (0.1, 1.0, 10.0)})
    block = evaluate([tmp_path / "synth.nc"], fields, settings, seed=3)[0]["validation"]["all_days"]
    assert (block["days"], block["days_left_out"]) == (DAYS - 3, 1)
    factor = {score.key: score.factor for score in scores_of(settings)}
    (row,) = table[table["threshold"] == threshold].to_dict("records")
    for key in (*TRACED, "fss_0.1mm_5", "fss_10mm_5"):
        expected = {end: factor[key] * block["scores"][key][end] for end in ("value", "low", "high")}
        found = {"value": row[key], "low": row[f"{key}_low"], "high": row[f"{key}_high"]}
        assert found == pytest.approx(expected, rel=1e-9, abs=1e-12), key


def test_auto_is_the_threshold_that_would_be_applied(data, table):
    shards, fields = data
    auto = matching_threshold([xr.load_dataset(path) for path in shards], fields, SETTINGS.wet_threshold)
    assert auto > SETTINGS.wet_threshold
    (row,) = table[table["auto"]].to_dict("records")
    assert row["threshold"] == auto
    assert abs(row["wet_difference"]) < 0.5
    again = trace(shards, fields, SETTINGS, "auto", seed=3)
    assert again.loc[again["chosen"], "threshold"].tolist() == [auto]
    kept = table[~table["chosen"]].reset_index(drop=True)
    pd.testing.assert_frame_equal(again.drop(columns="chosen"), kept.drop(columns="chosen"))


def test_a_higher_threshold_takes_more_away(table):
    auto = table.loc[table["auto"], "threshold"].tolist()
    assert table["threshold"].tolist() == sorted({*TRIED, CHOSEN, *auto})
    assert table.loc[table["chosen"], "threshold"].tolist() == [CHOSEN]
    wet = table["threshold"] > SETTINGS.wet_threshold
    assert table.loc[~wet, "wet_fraction"].nunique() == 1, "a cell with less rain is dry anyway"
    assert (np.diff(table.loc[wet, "wet_fraction"]) < 0).all()
    assert (np.diff(table["mass_bias"]) < 0).all()
    below = table["threshold"] <= 1
    assert table.loc[below, "wet_difference_1mm"].nunique() == 1
    assert table["fss_10mm_5"].nunique() == 1


def test_the_change_of_the_crps_is_paired(table):
    crps, change = table["fair_crps"], table["crps_change"]
    np.testing.assert_allclose(change, 100 * (crps / crps[0] - 1))
    assert table.loc[0, ["crps_change", "crps_change_low", "crps_change_high"]].tolist() == [0, 0, 0]
    width = table["crps_change_high"] - table["crps_change_low"]
    unpaired = 100 * (table["fair_crps_high"] - table["fair_crps_low"]) / crps
    assert (width < 0.5 * unpaired).all()


def test_without_validation_days_there_is_no_row(data, tmp_path):
    shards, fields = data
    test = xr.load_dataset(shards[1]).isel(time=[-2, -1])
    write_netcdf(test, tmp_path / "test.nc")
    empty = trace([tmp_path / "test.nc"], fields, SETTINGS, 0.1)
    assert empty.empty
    assert list(empty) == list(trace(shards, fields, SETTINGS, 0.1))


def test_fractions_skill_scores_are_that_of_wet_cells_and_that_of_the_table():
    assert fss_of(SETTINGS) == {"fss_thresholds": (0.1, 10.0), "fss_scales": (5,)}
    none = SETTINGS.model_copy(update={"fss_thresholds": ()})
    assert fss_of(none) == {"fss_thresholds": (), "fss_scales": ()}
    one = SETTINGS.model_copy(update={"fss_thresholds": (0.1,), "fss_scales": (3,)})
    assert fss_of(one) == {"fss_thresholds": (0.1,), "fss_scales": (3,)}
