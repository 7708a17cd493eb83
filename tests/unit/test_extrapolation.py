"""Beyond the training range: counts and distances add up, ordinary years pass, other climates do not."""

from __future__ import annotations

import json

import numpy as np
import pytest
import xarray as xr
from predictor_files import predictors_of

from rainshaft.application import extrapolation
from rainshaft.application.extrapolation import beyond, join, judge, markdown, sentence, shares, table
from rainshaft.data.climate import climate_of
from rainshaft.errors import UserError
from rainshaft.files import write_netcdf

SHAPE = (365, 1, 2, 3)


def year(seed, warmer=0.0, moister=1.0, wetter=1.0, days=365, **keys):
    """A year of weather: temperature follows the season and lasts some days, all cells together."""
    rng = np.random.default_rng(seed)
    noise = np.convolve(rng.normal(0, 1, days + 20), 0.8 ** np.arange(21), "valid") * 0.6
    local = 0.2 * rng.normal(0, 1, (days, 1, 2, 3))
    tas = 285 - 10 * np.cos(2 * np.pi * np.arange(days) / 365) + 3 * noise
    hus = 0.007 * np.exp(0.3 * noise)[:, None, None, None] * (1 + local)
    rain = rng.gamma(0.6, 6, (days, 1, 2, 3))
    channels = {"pr": wetter * rain, "tas": tas[:, None, None, None] + local + warmer, "hus": moister * hus}
    return predictors_of(channels, {"msl": 1e5 + 600 * (noise[:, None, None, None] + local)}, calendar="noleap", **keys)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The climate of ten years."""
    folder = tmp_path_factory.mktemp("training")
    for seed in range(10):
        write_netcdf(year(seed), folder / f"{seed}.nc")
    return climate_of(sorted(folder.glob("*.nc")))


def row_of(sums, channel, month="all"):
    return next(row for row in table(sums) if (row["channel"], row["month"]) == (channel, month))


def test_counts_and_distances_by_hand(trained):
    days = year(0).isel(time=slice(0, 31))  # a training month: nothing is beyond
    here = {"channel": "tas", "y": 1, "x": 2}
    january = {name: float(trained[name].sel(month=1, channel="tas").isel(y=1, x=2)) for name in ("std", "maximum")}
    low = float(trained["minimum"].sel(month=1, channel="tas").isel(y=0, x=0))
    assert beyond(days, trained)["above"].sum() == 0
    tas = days["predictors"].sel(channel="tas").values
    tas[3, 0, 1, 2] = january["maximum"] + 2 * january["std"]
    tas[5, 0, 1, 2] = january["maximum"] + 0.5 * january["std"]
    tas[6, 0, 0, 0] = low - 1
    days["predictors"].loc[{"channel": "tas"}] = tas
    sums = beyond(days, trained)
    assert sums["above"].sel(channel="tas").values.tolist() == [2] + [0] * 11
    assert sums["below"].sel(channel="tas").values.tolist() == [1] + [0] * 11
    assert sums["map"].sel(channel="tas").values.tolist() == [[1, 0, 0], [0, 0, 2]]
    assert sums["map"].sum() == 3
    row = row_of(sums, here["channel"], "January")
    assert row["farthest"] == pytest.approx(2, abs=1e-4)
    assert row["share"] == pytest.approx(3 / (31 * 6))
    assert row["chance"] == pytest.approx(2 / 311)
    assert row["mean_distance"] == pytest.approx(float(sums["distance"].sel(channel="tas").sum() / 3))
    assert float(shares(sums)["share"].sel(channel="tas").isel(y=1, x=2)) == pytest.approx(2 / 31)


def test_years_and_realizations_add_up(trained):
    parts = [year(50, warmer=4), year(51, warmer=5)]
    both = xr.concat(parts, "realization", data_vars=["predictors", "context"], coords="minimal", compat="override")
    joined = join([beyond(part, trained) for part in parts])
    whole = beyond(both, trained)
    for name in ("values", "above", "below", "distance", "farthest", "map", "context_above", "context_map", "chance"):
        np.testing.assert_allclose(joined[name], whole[name])
    assert joined["days"].sum() == 730
    assert whole["days"].sum() == 365


@pytest.mark.parametrize("seed", range(100, 110))
def test_ordinary_years_are_not_flagged(trained, seed):
    assert judge(beyond(year(seed), trained)) == ""


def test_chance_is_what_independent_values_give():
    rng = np.random.default_rng(0)
    climate, new = (predictors_of({"tas": rng.normal(280, 3, (31, 4, 30, 30))}) for _ in range(2))
    values = climate["predictors"].astype("f8").values.reshape(-1, 1, 30, 30)
    one = xr.Dataset(
        {
            name: (("month", "channel", "y", "x"), np.where(np.arange(12)[:, None, None, None] == 0, found, np.nan))
            for name, found in {
                "minimum": values.min(0),
                "maximum": values.max(0),
                "std": values.std(0),
                "mean": values.mean(0),
            }.items()
        }
        | {
            f"context_{name}": (("month", "context_channel", "v", "u"), np.empty((12, 0, 0, 0)))
            for name in ("minimum", "maximum", "std", "mean")
        }
        | {"days": ("month", np.array([124] + [0] * 11))},
        {"month": range(1, 13)},
        {"grid_kind": "", "rain_channel": ""},
    ).merge(climate[["channel_units", "context_units"]])
    one = one.assign_coords({name: climate[name] for name in ("y", "x", "v", "u")})
    row = row_of(beyond(new, one), "tas")
    assert row["share"] == pytest.approx(row["chance"], rel=0.1)


@pytest.mark.parametrize(
    ("change", "channel"), [({"warmer": 6}, "tas"), ({"moister": 2}, "hus"), ({"warmer": -6}, "tas")]
)
def test_other_climates_are_flagged_with_numbers(trained, change, channel):
    sums = join([beyond(year(seed, **change), trained) for seed in (200, 201)])
    fault = judge(sums)
    row = row_of(sums, channel)
    assert f"{100 * row['share']:.0f} % of {channel} beyond the training range" in fault
    assert "out_of_range: accept" in fault
    assert "msl" not in fault
    assert sentence(sums).startswith(f"{channel} is most often beyond the training range of its month and cell: ")


def test_a_single_month_can_be_too_far_out(trained):
    sums = join([beyond(year(seed), trained) for seed in range(10)])  # years of the training: nothing is beyond
    assert judge(sums) == ""
    sums["above"].loc[{"month": 7, "channel": "tas"}] = 0.3 * 310 * 6
    assert not row_of(sums, "tas")["too_far"]
    assert "30 % of tas in July beyond the training range" in judge(sums)


def test_months_that_training_never_saw_are_named(trained):
    winter = trained.copy()
    for name, variable in trained.data_vars.items():
        if "month" in variable.dims and name != "days":
            winter[name] = variable.where(variable["month"] < 3)
    winter["days"] = trained["days"].where(trained["month"] < 3, 0)
    sums = beyond(year(1), winter)
    assert sums["unseen_days"].sum() == 365 - 59
    assert sums["days"].sum() == 59
    assert "306 days in months that training never saw (March, April, May" in judge(sums)
    assert sentence(sums).endswith("November, December).")
    assert "–" in markdown(sums)
    only = beyond(year(1).isel(time=slice(90, 100)), winter)
    assert table(only) == []
    assert "10 days in months that training never saw (April)" in sentence(only)
    assert "April" in judge(only)
    assert "April" in markdown(only)


def test_the_table_can_be_read_by_people_and_by_programs(trained):
    sums = beyond(year(7, warmer=6), trained)
    rows = table(sums)
    assert json.loads(json.dumps(rows, allow_nan=False)) == rows
    assert rows[0]["channel"] == "tas"
    assert len(rows) == 4 * 13
    lines = [line for line in markdown(sums).splitlines() if line.startswith("|")]
    assert len(lines) == 6
    assert len({len(line) for line in lines}) == 1
    assert "**" in lines[2]
    assert "**" not in "".join(lines[3:])


def test_cells_without_change_have_a_finite_distance(trained):
    constant = trained.copy()
    for name in ("minimum", "maximum", "std"):
        constant[name] = trained[name].copy(deep=True)
        constant[name].loc[{"channel": "pr", "month": 7}] = 0
    sums = beyond(year(1), constant)
    assert 0 < row_of(sums, "pr", "July")["farthest"] < 200
    assert np.isfinite(sums["distance"]).all()
    usual = float(np.sqrt((constant["std"].sel(channel="pr") ** 2).mean()))
    most = float(year(1)["predictors"].sel(channel="pr").isel(time=slice(181, 212)).max())
    assert row_of(sums, "pr", "July")["farthest"] == pytest.approx(most / (extrapolation.LEAST_STD * usual), rel=1e-3)


def test_other_cells_are_refused(trained):
    with pytest.raises(UserError, match="axis x differs"):
        beyond(year(1).assign_coords(x=[1.0, 2.0, 3.0]), trained)


def test_sums_survive_the_disk(trained, tmp_path):
    sums = beyond(year(7, warmer=6), trained)
    write_netcdf(sums, tmp_path / "sums.nc")
    again = xr.load_dataset(tmp_path / "sums.nc")
    assert judge(again) == judge(sums)
    assert markdown(join([again, sums])).count("|") == markdown(sums).count("|")


@pytest.mark.parametrize("factor", [1 / 24, 5])
def test_rain_of_another_size_is_named(trained, factor):
    assert "in the same months of the training" in judge(beyond(year(70, wetter=factor), trained))
    assert not judge(beyond(year(70, wetter=1.5), trained))
    few = year(70, wetter=factor).isel(time=slice(20))
    assert "in the same months" not in judge(beyond(few, trained)), "a few days do not tell"
