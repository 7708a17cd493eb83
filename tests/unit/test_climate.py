"""The climate of predictors: it describes the days asked for, by month and cell, whatever the layout of the files."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from fields import make_fields, normalisation_of, showers
from predictor_files import make_predictors

from rainshaft.data import climate
from rainshaft.data.climate import LEVELS, climate_of
from rainshaft.data.conventions import TRAIN
from rainshaft.data.fields import dates_of
from rainshaft.errors import UserError
from rainshaft.files import write_netcdf


def years_of_fields(tmp_path, days=70):
    """Two years of fields, each from 1 January."""
    rng = np.random.default_rng(3)
    paths = []
    for year in (2001, 2002):
        context = {"msl": rng.normal(1e5, 500, (days, 3, 2))}
        rain = showers(rng, days, 4, 6)
        temperature = rng.normal(280, 5, (days, 2, 3))
        path = tmp_path / f"{year}.nc"
        paths.append(make_fields(path, rain, f"{year}-01-01", temperature=temperature, context=context))
    return paths


def test_it_holds_only_the_training_days_of_each_month(tmp_path):
    paths = years_of_fields(tmp_path)
    normalisation = normalisation_of(*paths)
    dates = dates_of(normalisation)[normalisation["split"].values == TRAIN]
    found = climate_of(paths, dates)
    days = xr.concat([xr.load_dataset(path)[["predictors", "context"]] for path in paths], "time")
    days = days.isel(time=np.isin(dates_of(days), dates))
    february = days.isel(time=days.time.dt.month.values == 2)
    assert 0 < february.sizes["time"] < 56
    assert found["days"].sel(month=2) == february.sizes["time"]
    assert found.attrs["number_of_days"] == len(dates)
    for prefix, name in (("", "predictors"), ("context_", "context")):
        values = february[name].astype("f8")
        of_month = found.sel(month=2)
        np.testing.assert_allclose(of_month[f"{prefix}mean"], values.mean("time"), rtol=1e-6)
        np.testing.assert_allclose(of_month[f"{prefix}std"], values.std("time"), rtol=1e-5)
        np.testing.assert_array_equal(of_month[f"{prefix}minimum"], values.min("time"))
        np.testing.assert_array_equal(of_month[f"{prefix}maximum"], values.max("time"))
        expected = values.quantile(LEVELS, "time").transpose("quantile", ...)
        np.testing.assert_allclose(of_month[f"{prefix}quantiles"], expected, rtol=1e-6, atol=1e-6)


def test_months_without_days_have_no_numbers(tmp_path):
    found = climate_of(years_of_fields(tmp_path))
    assert found["days"].values.tolist() == [62, 56, 22] + [0] * 9
    assert found["mean"].sel(month=[1, 2, 3]).notnull().all()
    for name in ("mean", "std", "minimum", "maximum", "quantiles", "context_mean", "context_quantiles"):
        assert found[name].sel(month=slice(4, 12)).isnull().all()


def test_realizations_are_pooled(tmp_path):
    path = make_predictors(tmp_path / "2081.nc", realizations=3, calendar="360_day", days=360)
    found = climate_of([path])
    values = xr.load_dataset(path)
    february = values.isel(time=values.time.dt.month.values == 2)
    assert found["days"].values.tolist() == [30] * 12
    assert found.attrs["calendar"] == "360_day"
    assert (found.attrs["first_date"], found.attrs["last_date"]) == ("2081-01-01", "2081-12-30")
    np.testing.assert_allclose(
        found["std"].sel(month=2), february["predictors"].astype("f8").std(("time", "realization")), rtol=1e-5
    )
    np.testing.assert_array_equal(
        found["context_maximum"].sel(month=2), february["context"].max(("time", "realization"))
    )


def test_small_blocks_give_the_same(tmp_path, monkeypatch):
    paths = years_of_fields(tmp_path)
    whole = climate_of(paths)
    monkeypatch.setattr(climate, "BLOCK_VALUES", 1)
    xr.testing.assert_identical(climate_of(paths), whole)


def test_files_without_context_or_without_channels(tmp_path):
    rain = showers(np.random.default_rng(0), 40, 4, 6)
    found = climate_of([make_fields(tmp_path / "2001.nc", rain)])
    assert found["context_quantiles"].shape == (len(LEVELS), 12, 0, 0, 0)
    context = {"msl": np.ones((40, 2, 2))}
    found = climate_of([make_fields(tmp_path / "2002.nc", rain, context=context, coarse=False)])
    assert found["quantiles"].size == 0
    assert found["context_std"].sel(month=1).values.tolist() == [[[0, 0], [0, 0]]]
    assert found.attrs["rain_channel"] == ""


def test_it_survives_the_disk(tmp_path):
    found = climate_of(years_of_fields(tmp_path))
    write_netcdf(found, tmp_path / "climate.nc")
    again = xr.load_dataset(tmp_path / "climate.nc")
    for name in found.data_vars:
        np.testing.assert_array_equal(again[name], found[name])
    assert again["channel_units"].values.tolist() == ["mm/day", "K"]


def test_a_large_domain_needs_less_than_100_mb():
    assert len(LEVELS) * 12 * 5 * 75 * 175 * 4 < 1e8
    assert (np.diff(LEVELS) > 0).all()
    np.testing.assert_allclose(LEVELS + LEVELS[::-1], 1)


def test_what_cannot_be_described_is_refused(tmp_path):
    paths = years_of_fields(tmp_path)
    with pytest.raises(UserError, match="none of the days asked for"):
        climate_of(paths, ["1999-01-01"])
    with pytest.raises(UserError, match="no file"):
        climate_of([])
    other = make_fields(tmp_path / "2003.nc", showers(np.random.default_rng(0), 9, 4, 6), "2003-01-01")
    with pytest.raises(UserError, match=r"2003.nc: found context_channel \[\], expected \['msl'\]"):
        climate_of([*paths, other])
    hole = xr.load_dataset(paths[1])
    hole["predictors"][40, 1, 0, 0] = np.nan
    write_netcdf(hole, paths[1])
    with pytest.raises(UserError, match=r"2002.nc: found missing values of tas in February"):
        climate_of(paths)
