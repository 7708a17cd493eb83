"""Raw files of every form give equal canonical fields. Faulty files are refused with a message that helps."""

import netCDF4
import numpy as np
import pyproj
import pytest
import torch
import xarray as xr
from rawmakers import (
    COMPRESSED,
    FACTOR,
    HEIGHT,
    WIDTH,
    YEAR,
    assert_same_fields,
    axis,
    check_sources,
    coarse_file,
    days_of,
    rain_file,
    refused,
    settings,
    tas,
)

from rainshaft.baselines.methods.bilinear import bilinear
from rainshaft.config.slices import PrepareSettings
from rainshaft.data.prepare import prepare_year
from rainshaft.models import grids

# --------------------------------------------------------------------------- canonical form


def test_fields_have_the_agreed_form(make):
    raw = rain_file()
    fields, _ = make(raw)
    no_context = {"context_channel": 0, "v": 0, "u": 0}
    assert dict(fields.sizes) == {"time": 365, "lat": 12, "lon": 16, "channel": 1, "y": 3, "x": 4, **no_context}
    assert fields.pr.dims == ("time", "lat", "lon")
    assert fields.predictors.dims == ("time", "channel", "y", "x")
    assert {n: fields[n].dtype.str for n in ("pr", "predictors", "valid", "land")} == {
        "pr": "<f4",
        "predictors": "<f4",
        "valid": "|i1",
        "land": "<f4",
    }
    assert fields.attrs["factor"] == FACTOR
    assert fields.attrs["rain_channel"] == "pr"
    assert list(fields.channel.values) == ["pr"]
    assert list(fields.channel_units.values) == ["mm/day"]
    np.testing.assert_array_equal(fields.pr, raw.pr)
    assert np.isnan(fields.coast_distance).all()  # no sea
    assert (fields.land == 1).all()
    assert fields.pr.attrs["units"] == "mm/day"
    assert fields.pr.attrs["standard_name"] == "lwe_precipitation_rate"
    assert fields.lat.attrs["standard_name"] == "latitude"


def test_file_is_cf_on_disk(make, tmp_path):
    make(rain_file(hour=12), check=False)
    with netCDF4.Dataset(tmp_path / "fields.nc") as file:
        assert file.Conventions.startswith("CF-1")
        assert file["time"].dtype == "f8"
        assert "_FillValue" not in file["lat"].ncattrs()
        assert file["pr"].filters()["fletcher32"]
        assert np.all(file["time"][:] % 1 == 0)


def test_coarsened_predictor_is_block_mean(make):
    fields, _ = make(rain_file())
    blocks = fields.pr.values.reshape(365, 3, FACTOR, 4, FACTOR).mean((2, 4))
    np.testing.assert_allclose(fields.predictors[:, 0], blocks, rtol=1e-5)
    assert fields.y.values == pytest.approx([21.0, 20.6, 20.2])
    assert fields.x.values == pytest.approx([70.2, 70.6, 71.0, 71.4])


def turn_rows(ds):
    return ds.isel(lat=slice(None, None, -1))


def turn_columns(ds):
    return ds.isel(lon=slice(None, None, -1))


def lat_lon_time(ds):
    return ds.transpose("lon", "lat", "time")


def with_height(ds):
    return ds.expand_dims(height=[2.0], axis=1)


def at_noon(ds):
    return ds.assign_coords(time=ds.time + np.timedelta64(12, "h"))


def with_end_stamps(ds):
    bounds = np.stack([ds.time.values, ds.time.values + np.timedelta64(1, "D")], axis=1)
    ds = ds.assign_coords(time=ds.time + np.timedelta64(1, "D")).assign(time_bnds=(("time", "nv"), bounds))
    ds.time.attrs["bounds"] = "time_bnds"
    return ds


def hours_of_floats(ds):
    time = (ds.time.values - np.datetime64("1900-01-01")) / np.timedelta64(1, "h") + 9.0 - 1e-9
    return ds.assign_coords(time=("time", time, {"units": "hours since 1900-01-01 00:00:0.0"}))


def absolute_days(ds):
    time = ds.time.dt.year * 10000 + ds.time.dt.month * 100 + ds.time.dt.day + 0.5
    return ds.assign_coords(time=("time", time.values.astype(float), {"units": "day as %Y%m%d.%f"}))


def shuffled(ds):
    return ds.isel(time=np.random.default_rng(1).permutation(ds.sizes["time"]))


def other_names(ds):
    ds = ds.rename(lat="y", lon="x", time="valid_time")
    ds.valid_time.attrs["standard_name"] = "time"
    return ds


def bare_names(ds):
    ds = ds.rename(lat="latitude", lon="longitude")
    ds.latitude.attrs, ds.longitude.attrs = {}, {}
    return ds


def longitudes_west(ds):
    return ds.assign_coords(lon=ds.lon.assign_attrs(ds.lon.attrs) - 360)


def double(ds):
    return ds.astype("float64")


@pytest.mark.parametrize(
    ("habit", "said"),
    [
        (turn_rows, "north to south"),
        (turn_columns, "west to east"),
        (lat_lon_time, "order time, y, x"),
        (with_height, "height of length 1"),
        (at_noon, "stamps at 12:00"),
        (with_end_stamps, "end of the day"),
        (hours_of_floats, "stamps at 09:00"),
        (absolute_days, "stamps at 12:00"),
        (shuffled, None),
        (other_names, None),
        (bare_names, None),
        (longitudes_west, "counted as"),
        (double, "double precision"),
    ],
)
@pytest.mark.filterwarnings("ignore:Variable time has datetime type")
def test_habits_make_no_difference(make, plain, habit, said):
    expected, silence = plain
    fields, notes = make(habit(rain_file()), check=False)
    assert_same_fields(fields, expected)
    assert any(said in note for note in notes) if said else notes == silence


@pytest.mark.parametrize(
    ("units", "per_mm_day"),
    [
        ("kg m-2 s-1", 1 / 86400),
        ("kg m**-2 s**-1", 1 / 86400),
        ("mm s-1", 1 / 86400),
        ("m s-1", 1e-3 / 86400),
        ("m", 1e-3),
        ("m/day", 1e-3),
        ("cm", 0.1),
        ("mm", 1),
        ("mm d-1", 1),
        ("mm day**-1", 1),
        ("MM/DAY", 1),
        ("mm/24h", 1),
        ("kg m-2", 1),
        ("mm h-1", 1 / 24),
        ("m of water equivalent", 1e-3),
        ("inches/day", 1 / 25.4),
    ],
)
def test_rain_units(make, units, per_mm_day):
    raw = rain_file()
    fields, notes = make((raw * per_mm_day).assign(pr=lambda ds: ds.pr.assign_attrs(units=units)), check=False)
    np.testing.assert_allclose(fields.pr, raw.pr, rtol=1e-5, atol=1e-4)
    assert per_mm_day == 1 or any("converted to mm/day" in note for note in notes)


@pytest.mark.parametrize(
    ("units", "value"), [("K", 280.0), ("degC", 6.85), ("Celsius", 6.85), ("degrees_C", 6.85), ("degF", 44.33)]
)
def test_temperature_units(make, units, value):
    raw = coarse_file()
    scale = 1.8 if units == "degF" else 1.0
    raw = (raw * 0 + (raw - 280.0) * scale + value).assign_attrs(raw.attrs)
    raw.tas.attrs["units"] = units
    fields, _ = make(rain_file(), tas(raw))
    np.testing.assert_allclose(fields.predictors[:, 0], coarse_file().tas, rtol=1e-6)
    assert list(fields.channel_units.values) == ["K"]


def test_units_come_from_the_configuration_only_where_the_file_is_silent(make, tmp_path):
    raw = rain_file() / 10
    del raw.pr.attrs["units"]
    rain = {"files": [str(tmp_path / "rain.nc")], "variable": "pr"}
    assert "no units" in refused(make, raw)
    assert "rain.units" in refused(make, raw, check=False)
    fields, notes = make(raw, settings=settings(tmp_path, raw, rain={**rain, "units": "mm/h"}))
    np.testing.assert_allclose(fields.pr, raw.pr * 24, rtol=1e-6)
    assert any("taken as mm/h" in note for note in notes)
    message = refused(make, settings=settings(tmp_path, rain_file(), rain={**rain, "units": "kg m-2 s-1"}))
    assert "'mm/day'" in message
    assert "kg m-2 s-1" in message
    assert "units 'K'" in refused(make, rain_file(units="K"))


def test_packed_integers(make):
    raw = rain_file()
    packing = {"pr": {"dtype": "int16", "scale_factor": 0.01, "add_offset": 100.0, "_FillValue": -32768}}
    fields, _ = make(raw, encoding=packing)
    np.testing.assert_allclose(fields.pr, raw.pr, atol=0.006)


def test_domain_across_the_greenwich_meridian_is_put_in_one_piece(make):
    plain = rain_file().assign_coords(lon=axis(-0.8, WIDTH, 0.1).round(6))
    plain.lon.attrs["units"] = "degrees_east"
    expected, _ = make(plain)
    broken = plain.assign_coords(lon=plain.lon % 360)
    broken.lon.attrs["units"] = "degrees_east"
    for order in (slice(None), np.argsort(broken.lon.values)):
        fields, _ = make(broken.isel(lon=order))
        assert_same_fields(fields, expected)


def test_domain_across_the_date_line(make):
    plain = rain_file().assign_coords(lon=axis(179.2, WIDTH, 0.1).round(6))
    plain.lon.attrs["units"] = "degrees_east"
    fields, notes = make(plain)
    np.testing.assert_allclose(fields.lon, plain.lon)
    assert not any("counted" in note for note in notes)


# --------------------------------------------------------------------------- masks, coast, statics


def sea(rain, cells):
    return rain.assign(pr=rain.pr.where(~xr.DataArray(cells, dims=("lat", "lon"))))


def test_sea_of_nan_is_the_mask_and_makes_the_coast(make):
    cells = np.zeros((HEIGHT, WIDTH), bool)
    cells[:, :4] = True
    raw = rain_file()
    fields, notes = make(sea(raw, cells))
    np.testing.assert_array_equal(fields.valid, ~cells)
    np.testing.assert_array_equal(fields.land, ~cells)
    assert np.isnan(fields.pr.values[:, cells]).all()
    np.testing.assert_array_equal(fields.predictors[:, 0, :, 0], fields.predictors[:, 0, :, 1])  # from the nearest land
    np.testing.assert_allclose(
        fields.predictors[:, 0, :, 1:], raw.pr.values[:, :, 4:].reshape(365, 3, 4, 3, 4).mean((2, 4)), rtol=1e-5
    )
    width = 6371 * np.radians(0.1) * np.cos(np.radians(fields.lat.values))
    np.testing.assert_allclose(fields.coast_distance[:, 3], width, rtol=1e-4)
    np.testing.assert_allclose(fields.coast_distance[:, 4], width, rtol=1e-4)
    np.testing.assert_allclose(fields.coast_distance[:, 5], 2 * width, rtol=1e-3)
    assert any("48 of 192 cells never have a value" in note for note in notes)


def test_block_mean_takes_valid_cells_only(make):
    cells = np.zeros((HEIGHT, WIDTH), bool)
    cells[0, :2] = True
    raw = rain_file()
    fields, _ = make(sea(raw, cells))
    block = np.where(cells, np.nan, raw.pr.values)[:, :4, :4]
    np.testing.assert_allclose(fields.predictors[:, 0, 0, 0], np.nanmean(block, axis=(1, 2)), rtol=1e-5)


def static(values, name, units, like=None):
    like = rain_file() if like is None else like
    return xr.Dataset({name: (("lat", "lon"), values, {"units": units})}, {"lat": like.lat, "lon": like.lon})


def test_elevation_and_land(make, tmp_path):
    height = np.linspace(-50, 500, HEIGHT * WIDTH).reshape(HEIGHT, WIDTH)
    turned = static(height / 1000, "z", "km").isel(lat=slice(None, None, -1))
    turned.to_netcdf(tmp_path / "z.nc")
    elevation = {"elevation": {"file": str(tmp_path / "z.nc"), "variable": "z"}}
    fields, _ = make(rain_file(), **elevation)
    np.testing.assert_allclose(fields.elevation, height, rtol=1e-5)
    np.testing.assert_array_equal(fields.land, height > 0)
    share = np.tile(np.linspace(0, 100, WIDTH), (HEIGHT, 1))
    static(share, "sftlf", "%").to_netcdf(tmp_path / "land.nc")
    land = {"land": {"file": str(tmp_path / "land.nc"), "variable": "sftlf"}}
    fields, notes = make(rain_file(), **elevation, **land)
    np.testing.assert_array_equal(fields.land, share > 50)
    assert any("percent" in note for note in notes)
    static(share > 50, "sftlf", "1").to_netcdf(tmp_path / "bool.nc")
    fields, _ = make(rain_file(), **elevation, land={"file": str(tmp_path / "bool.nc"), "variable": "sftlf"})
    np.testing.assert_array_equal(fields.land, share > 50)
    static(np.where(height > 0, height, -9999), "z", "m").to_netcdf(tmp_path / "z.nc")
    assert "z: found -9999 in" in refused(make, rain_file(), **elevation)


def test_elevation_on_another_grid_is_refused(tmp_path):
    like = rain_file().assign_coords(lat=rain_file().lat + 0.05)
    static(np.zeros((HEIGHT, WIDTH)), "z", "m", like).to_netcdf(tmp_path / "z.nc")
    message = refused(
        check_sources, settings(tmp_path, rain_file(), elevation={"file": str(tmp_path / "z.nc"), "variable": "z"})
    )
    assert "z.nc" in message
    assert "grid of the rain" in message


@pytest.mark.parametrize(("names", "scale"), [(("northing", "easting"), 1), (("y", "x"), 1), (("y", "x"), 1e-3)])
def test_projected_axes(make, names, scale):
    raw = rain_file().rename(lat=names[0], lon=names[1])
    units = "m" if scale == 1 else "km"
    attrs = {"units": units}
    north, east = (axis(4e6, HEIGHT, 5000)[::-1] * scale, axis(6e5, WIDTH, 5000) * scale)
    raw = raw.assign_coords({names[0]: (names[0], north, attrs), names[1]: (names[1], east, attrs)})
    raw = raw.where(raw[names[1]] > raw[names[1]][3])
    raw.pr.attrs = {"units": "mm", "grid_mapping": "utm"}
    raw["utm"] = xr.DataArray(np.int32(0), attrs={"grid_mapping_name": "transverse_mercator"})
    fields, _ = make(raw)
    assert fields.coast_distance.values[0, 3:6] == pytest.approx([5, 5, 10])
    assert fields.lat.attrs["standard_name"] == "projection_y_coordinate"
    assert fields.lat.attrs["units"] == units
    assert fields[fields.pr.attrs["grid_mapping"]].attrs["grid_mapping_name"] == "transverse_mercator"
    assert "predictors: coarsened" in refused(make, raw, tas())


def test_rotated_axes(make):
    raw = rain_file().rename(lat="rlat", lon="rlon")
    raw.rlat.attrs = {"standard_name": "grid_latitude", "units": "degrees"}
    raw.rlon.attrs = {"standard_name": "grid_longitude", "units": "degrees"}
    fields, _ = make(raw)
    np.testing.assert_array_equal(fields.pr, raw.pr)
    assert fields.lat.attrs["standard_name"] == "grid_latitude"


def test_axes_without_units_or_coordinates_are_refused(tmp_path):
    raw = rain_file().rename(lat="y", lon="x")
    raw.y.attrs, raw.x.attrs = {}, {}
    assert "units" in refused(check_sources, settings(tmp_path, raw))
    assert "coordinate" in refused(check_sources, settings(tmp_path, rain_file().drop_vars(["lat", "lon"])))
    members = xr.concat([rain_file(), rain_file()], "member")
    assert "member of length 2" in refused(check_sources, settings(tmp_path, members))
    holed = rain_file().isel(lat=[0, 1, 2, 4, 5, 6, 7, 8, 9, 10, 11])
    assert "steps from 0.1 to 0.2" in refused(check_sources, settings(tmp_path, holed))


# --------------------------------------------------------------------------- predictors and grids


def test_predictor_on_the_coarse_grid_is_used_as_it_is(make):
    raw = coarse_file()
    fields, notes = make(rain_file(), tas(turn_rows(raw)))
    np.testing.assert_array_equal(fields.predictors[:, 0], raw.tas)
    assert any("used as they are" in note for note in notes)
    assert fields.attrs["rain_channel"] == ""


def test_predictor_longitudes_may_be_counted_otherwise(make):
    plain = rain_file().assign_coords(lon=axis(-80.0, WIDTH, 0.1))
    plain.lon.attrs["units"] = "degrees_east"
    raw = coarse_file(cells=(3, 900), west=0.0, units="Pa")
    fields, _ = make(plain, {"tas": (raw, {})})
    np.testing.assert_allclose(fields.predictors[:, 0], raw.tas.values[:, :, 700:704], rtol=1e-6)
    np.testing.assert_allclose(fields.x, raw.lon[700:704] - 360)


@pytest.mark.parametrize("extra", [0, 3])
def test_finer_predictor_that_nests_is_averaged(make, extra):
    raw = coarse_file(cells=(6 + 2 * extra, 8 + 2 * extra), size=0.2, south=20 - 0.2 * extra, west=70 - 0.2 * extra)
    fields, notes = make(rain_file(), tas(raw))
    inner = raw.tas.values[:, extra : extra + 6, extra : extra + 8]
    np.testing.assert_allclose(fields.predictors[:, 0], inner.reshape(365, 3, 2, 4, 2).mean((2, 4)), rtol=1e-6)
    assert any("blocks of 2 x 2" in note for note in notes)


@pytest.mark.parametrize(
    ("grid", "method"),
    [
        ({"cells": (20, 25), "size": 0.13, "south": 19.5, "west": 69.2}, "conservative"),
        ({"cells": (8, 8), "size": 1.0, "south": 16.3, "west": 66.4}, "linear"),
        ({"cells": (3, 3), "size": 0.6, "south": 19.7, "west": 69.9}, "linear"),
    ],
)
def test_other_predictors_are_regridded(make, grid, method):
    fields, notes = make(rain_file(), tas(coarse_file(**grid)))
    assert any(method in note for note in notes)
    expected = 280 + (fields.y - 20) + 2 * (fields.x - 70) + 0.01 * xr.DataArray(np.arange(365), dims="time")
    inner = np.abs(fields.predictors[:, 0].drop_vars("time") - expected.transpose("time", "y", "x"))
    assert float(inner.max()) < (0.06 if method == "conservative" else 0.5 * grid["size"])
    if grid["size"] == 1.0:
        assert float(inner.max()) < 1e-3  # a plane, far from the edge


def test_predictor_that_does_not_cover_the_domain_is_refused(tmp_path):
    message = refused(
        check_sources, settings(tmp_path, rain_file(), tas(coarse_file(cells=(5, 5), size=0.3, west=70.6)))
    )
    assert "longitude 70.6 to 72.1" in message
    assert "longitude 70 to 71.6" in message


def test_predictor_that_asks_for_another_factor_is_refused(tmp_path):
    rain = rain_file(height=12, width=18)
    message = refused(check_sources, settings(tmp_path, rain, tas(coarse_file(cells=(4, 6), size=0.3))))
    assert "set factor: 3" in message


def test_fine_grid_is_cropped_to_whole_blocks(make):
    raw = rain_file(height=15, width=17)
    fields, notes = make(raw)
    assert fields.pr.shape == (365, 12, 16)
    np.testing.assert_array_equal(fields.pr, raw.pr[:, 1:13, 0:16])
    assert any("15 x 17 to 12 x 16" in n and "1 in the north, 2 in the south, 1 in the east" in n for n in notes)


def test_crop_is_aligned_to_a_coarse_predictor(make):
    raw = rain_file(height=15, width=17)
    coarse = coarse_file(cells=(3, 4), size=0.4, south=20.3, west=70.1)
    fields, _ = make(raw, tas(coarse))
    np.testing.assert_array_equal(fields.pr, raw.pr[:, 0:12, 1:17])
    np.testing.assert_array_equal(fields.predictors[:, 0], coarse.tas)


def test_thirteen_by_eleven_of_twelve(make):
    raw = rain_file(height=13, width=11)
    raw = raw.isel(lat=np.repeat(np.arange(13), 12), lon=np.repeat(np.arange(11), 12))
    raw = raw.assign_coords(lat=axis(20.0, 156, 0.1)[::-1], lon=axis(70.0, 132, 0.1))
    coarse = coarse_file(cells=(13, 11), size=1.2)
    fields, _ = make(raw, tas(coarse), factor=12)
    assert fields.pr.shape == (365, 156, 132)
    np.testing.assert_array_equal(fields.predictors[:, 0], coarse.tas)


def test_factor_too_large(tmp_path):
    message = refused(check_sources, settings(tmp_path, rain_file(), factor=7))
    assert "factor 6 or less" in message


def test_coarse_rain_predictor(make):
    raw = coarse_file(value=3.0, units="kg m-2 s-1").rename(tas="prc")
    raw = raw.assign(prc=(raw.prc / 86400).assign_attrs(units="kg m-2 s-1"))
    fields, _ = make(rain_file(), {**tas(), "prc": (raw, {"quantity": "rain"})})
    assert list(fields.channel.values) == ["tas", "prc"]
    assert list(fields.channel_units.values) == ["K", "mm/day"]
    assert fields.attrs["rain_channel"] == "prc"
    np.testing.assert_allclose(fields.predictors[:, 1], raw.prc * 86400, rtol=1e-5)


# --------------------------------------------------------------------------- context


def weather(name="msl", units="Pa", **kwargs):
    """Make a field far wider than the rain. It rises with latitude, longitude and day, so values tell the place."""
    raw = coarse_file((5, 7), 2.5, 15.0, 65.0, units, **{"value": 1e5, **kwargs})
    return raw.rename(tas=name).astype("float64")


def on_projected_axes(rain):
    """The rain on axes in km."""
    rain = rain.assign_coords(lat=4000 - 5.0 * np.arange(HEIGHT), lon=800 + 5.0 * np.arange(WIDTH))
    rain.lat.attrs = {"standard_name": "projection_y_coordinate", "units": "km"}
    rain.lon.attrs = {"standard_name": "projection_x_coordinate", "units": "km"}
    return rain


@pytest.mark.parametrize("rain", [rain_file, lambda: on_projected_axes(rain_file())], ids=["lat/lon", "projected"])
@pytest.mark.parametrize("turn", [lambda ds: ds, turn_rows, turn_columns, lat_lon_time, longitudes_west])
def test_context_stays_whole_on_its_own_axes_north_and_west_first(make, rain, turn):
    raw, warm = weather(), weather("t", "degC", value=10.0)
    files = {"msl": (turn(raw), {"context": True})}
    files |= {"t": (turn(warm), {"context": True, "quantity": "temperature"})}
    fields, notes = make(rain(), files)
    assert fields.context.dims == ("time", "context_channel", "v", "u")
    assert fields.context.dtype == "f4"
    assert list(fields.context_channel.values) == ["msl", "t"]
    assert list(fields.context_units.values) == ["Pa", "K"]
    np.testing.assert_allclose(fields.context[:, 0], raw.msl, rtol=1e-6)
    np.testing.assert_allclose(fields.context[:, 1], warm.t + 273.15, rtol=1e-6)
    np.testing.assert_allclose(fields.v, raw.lat)  # from north to south, as lat
    np.testing.assert_allclose((fields.u - raw.lon.values) % 360, 0)
    assert (np.sign(np.diff(fields.v)) == np.sign(np.diff(fields.lat))[0]).all()
    assert fields.v.attrs["standard_name"] == "latitude"
    assert "Predictor msl: used as context, 5 x 7 cells of 2.5 x 2.5." in notes
    assert fields.sizes["channel"] == 0
    assert fields.predictors.shape == (365, 0, 3, 4)
    assert fields.attrs["rain_channel"] == ""


def test_context_stands_beside_coarse_predictors_and_leaves_their_grid_alone(make):
    expected, _ = make(rain_file(), tas())
    fields, _ = make(rain_file(), {"msl": (weather(), {"context": True}), **tas()})
    assert_same_fields(fields[["pr", "predictors", "channel_units"]], expected[["pr", "predictors", "channel_units"]])
    assert list(fields.context_channel.values) == ["msl"]


def test_context_on_two_grids_is_refused(tmp_path):
    other = weather("z").isel(lon=slice(5))
    files = {"msl": (weather(), {"context": True}), "z": (other, {"context": True})}
    message = refused(check_sources, settings(tmp_path, rain_file(), files))
    assert "z.nc, variable z: found 5 x 5 cells" in message
    assert "msl.nc, 5 x 7 cells" in message


def test_context_whose_grid_changes_from_year_to_year_is_refused(tmp_path):
    rain_file((2001, 2002)).to_netcdf(tmp_path / "rain.nc")
    later = weather().assign_coords(time=days_of(2002, hour=12))
    for year, raw in ((2001, weather()), (2002, later.isel(lat=slice(4)))):
        raw.to_netcdf(tmp_path / f"msl_{year}.nc")
    msl = {"files": [str(tmp_path / "msl_{year}.nc")], "variable": "msl", "context": True}
    configured = PrepareSettings(**settings(tmp_path).model_dump() | {"predictors": [msl]})
    message = refused(check_sources, configured, [2001, 2002])
    assert "msl_2002.nc, variable msl: found 4 x 7 cells" in message


def test_axes_of_another_kind_lead_to_context_but_not_for_rain(tmp_path):
    msl = {"msl": (weather(), {})}
    assert "`context: true`" in refused(check_sources, settings(tmp_path, on_projected_axes(rain_file()), msl))
    rain = {"tas": (coarse_file(units="mm"), {"quantity": "rain"})}
    message = refused(check_sources, settings(tmp_path, on_projected_axes(rain_file()), rain))
    assert "axes of the kind latitude/longitude" in message
    assert "context" not in message


# --------------------------------------------------------------------------- places


POLE = {
    "grid_mapping_name": "rotated_latitude_longitude",
    "grid_north_pole_latitude": 40.0,
    "grid_north_pole_longitude": -170.0,
}


def on_pole(ds, mapping=None, cells=False, south=-0.6, west=0.2):
    """The field on rotated axes. `mapping` names the pole, and `cells` gives each cell its latitude and longitude."""
    name = next(name for name in ds.data_vars)
    size = float(abs(ds.lat[1] - ds.lat[0]))
    ds = ds.rename(lat="rlat", lon="rlon").assign_coords(
        rlat=("rlat", axis(south, ds.sizes["lat"], size)[::-1], {"standard_name": "grid_latitude"}),
        rlon=("rlon", axis(west, ds.sizes["lon"], size), {"standard_name": "grid_longitude"}),
    )
    if mapping:
        ds["pole"] = xr.DataArray(np.int32(0), attrs=mapping)
        ds[name].attrs["grid_mapping"] = "pole"
    if cells:
        lat, lon = true_places(ds.rlat.values[:, None], ds.rlon.values[None])
        ds = ds.assign_coords(
            lat=(("rlat", "rlon"), lat, {"units": "degrees_north"}),
            lon=(("rlat", "rlon"), lon, {"units": "degrees_east"}),
        )
    return ds


def true_places(rlat, rlon):
    """Latitude and longitude of rotated coordinates for `POLE`."""
    y, x = np.broadcast_arrays(np.radians(rlat), np.radians(rlon))
    tilt = np.radians(90 - 40)
    lat = np.arcsin(np.sin(y) * np.cos(tilt) + np.cos(y) * np.cos(x) * np.sin(tilt))
    lon = np.arctan2(np.cos(y) * np.sin(x), np.cos(tilt) * np.cos(y) * np.cos(x) - np.sin(tilt) * np.sin(y))
    return np.degrees(lat), np.degrees(lon) + 10


def world(size=2.0, east=0.0):
    """A predictor of the whole Earth whose values are 250 + latitude + longitude / 10."""
    time, lat, lon = days_of(YEAR), np.arange(-90 + size / 2, 90, size), np.arange(east, east + 360, size)
    values = 250 + lat[:, None] + ((lon + 180) % 360 - 180) / 10 + np.zeros((len(time), 1, 1))
    ds = xr.Dataset({"tas": (("time", "lat", "lon"), values.astype("f4"), {"units": "K"})})
    ds = ds.assign_coords(time=time, lat=lat, lon=lon)
    ds.lat.attrs, ds.lon.attrs = {"units": "degrees_north"}, {"units": "degrees_east"}
    return ds


def assert_true_values(fields, tolerance=0.02):
    """The predictor of `world` at the true places of the coarse cells."""
    lat, lon = true_places(fields.y.values[:, None], fields.x.values[None])
    np.testing.assert_allclose(fields.predictors[7, 0], 250 + lat + lon / 10, atol=tolerance)


@pytest.mark.parametrize("told", [{"mapping": POLE}, {"cells": True}, {"mapping": POLE, "cells": True}])
@pytest.mark.parametrize("size", [2.0, 0.1])
def test_predictor_on_true_axes_is_brought_to_the_true_places_of_rotated_rain(make, told, size):
    raw = (
        world(size)
        if size == 2.0
        else world(1.0)
        .sel(lat=slice(47, 53), lon=slice(5, 15))
        .interp(lat=np.arange(48, 52, size), lon=np.arange(8, 13, size))
    )
    raw.lat.attrs, raw.lon.attrs = {"units": "degrees_north"}, {"units": "degrees_east"}
    fields, notes = make(on_pole(rain_file(), **told), tas(raw))
    assert_true_values(fields)
    assert any("true places of the coarse cells" in note for note in notes)


def test_predictor_on_another_pole_is_brought_to_true_places(make):
    other = {**POLE, "grid_north_pole_latitude": 41.0}
    raw = on_pole(coarse_file((12, 16)), other, south=-2.4, west=-2.4)
    crs = pyproj.CRS.from_cf(other)
    to_true = pyproj.Transformer.from_crs(crs, crs.source_crs, always_xy=True)
    lon, lat = to_true.transform(*np.meshgrid(raw.rlon, raw.rlat))
    raw["tas"] = raw.tas.copy(data=np.broadcast_to(250 + lat + lon / 10, raw.tas.shape))
    fields, notes = make(on_pole(rain_file(), POLE), tas(raw))
    assert_true_values(fields)
    same, notes = make(on_pole(rain_file(), POLE), tas(on_pole(coarse_file(), POLE)))
    np.testing.assert_allclose(same.predictors[:, 0], coarse_file().tas, rtol=1e-6)
    assert "Predictor tas: its cells are the coarse cells, used as they are." in notes


def test_rotated_predictor_is_brought_to_rain_on_true_axes(make):
    raw = on_pole(coarse_file((30, 30), 0.2), POLE, cells=True, south=-3.0, west=-3.0)
    raw["tas"] = raw.tas.copy(data=np.broadcast_to(250 + raw.lat + raw.lon / 10, raw.tas.shape))
    rain = rain_file().assign_coords(lat=axis(49.5, HEIGHT, 0.1)[::-1], lon=axis(9.0, WIDTH, 0.1))
    rain.lat.attrs, rain.lon.attrs = {"units": "degrees_north"}, {"units": "degrees_east"}
    fields, _ = make(rain, tas(raw))
    np.testing.assert_allclose(fields.predictors[3, 0], 250 + fields.y + fields.x / 10, atol=0.02)


def test_rain_without_axes_is_placed_by_its_cells(make):
    rain = on_pole(rain_file(), cells=True).isel(rlat=slice(None, None, -1)).drop_vars(["rlat", "rlon"])
    rain = rain.assign(pr=rain.pr.where(rain.rlon > 3))
    fields, notes = make(rain.rename(rlat="y", rlon="x"), tas(world()))
    lat, lon = true_places(axis(-0.6, 3, 0.4)[::-1, None], axis(0.2, 4, 0.4)[None])
    np.testing.assert_allclose(fields.predictors[7, 0], 250 + lat + lon / 10, atol=0.02)
    assert fields.lat.attrs["units"] == "km"
    assert fields.coast_distance.values[0, 3] == pytest.approx(6371 * np.radians(0.1), rel=0.01)
    assert any("no axes in the file" in note for note in notes)


def test_predictor_that_does_not_cover_the_true_places_is_refused(tmp_path):
    message = refused(check_sources, settings(tmp_path, on_pole(rain_file(), POLE), tas(coarse_file((8, 8)))))
    assert "lacks 12 of 12 coarse cells, the first at latitude" in message


def test_without_true_places_the_predictor_is_refused_with_the_cure(tmp_path):
    message = refused(check_sources, settings(tmp_path, on_pole(rain_file()), tas(world())))
    assert "axes of the kind latitude/longitude" in message
    assert "complete grid mapping" in message


def test_equal_axes_without_a_pole_are_taken_as_one_place_with_a_note(make):
    _, notes = make(on_pole(rain_file(), POLE), tas(on_pole(coarse_file())))
    assert any("equal coordinates are taken for one place" in note for note in notes)


def test_elevation_on_another_pole_is_refused_with_both_values(make, tmp_path):
    height = {"elevation": {"file": str(tmp_path / "z.nc"), "variable": "z"}}
    flat = static(np.full((HEIGHT, WIDTH), 100.0), "z", "m")
    on_pole(flat, {**POLE, "grid_north_pole_latitude": 41.0}).to_netcdf(tmp_path / "z.nc")
    message = refused(check_sources, settings(tmp_path, on_pole(rain_file(), POLE), **height))
    assert "grid_north_pole_latitude 41" in message
    assert "grid_north_pole_latitude 40" in message
    on_pole(flat, POLE).expand_dims(time=days_of(YEAR)[:1]).to_netcdf(tmp_path / "z.nc")
    fields, _ = make(on_pole(rain_file(), POLE), **height)
    assert (fields.elevation == 100).all()


@pytest.mark.parametrize("told", [{"mapping": POLE}, {"cells": True}])
def test_years_on_different_poles_are_refused(tmp_path, told):
    rain = rain_file((2001, 2002))
    for year in (2001, 2002):
        part = on_pole(rain.sel(time=str(year)), **told)
        if year == 2002 and "cells" in told:
            part["lat"] = part.lat + 1.0
        elif year == 2002:
            part.pole.attrs["grid_north_pole_longitude"] = -160.0
        part.to_netcdf(tmp_path / f"rain_{year}.nc")
    configured = settings(tmp_path, rain={"files": [str(tmp_path / "rain_{year}.nc")], "variable": "pr"})
    assert "rain_2002.nc" in refused(check_sources, configured, [2001, 2002])


@pytest.mark.parametrize("east", [0.0, -180.0])
def test_predictor_of_the_whole_earth_at_its_seam(make, east):
    rain = rain_file().assign_coords(lon=axis(-0.8, WIDTH, 0.1) + (east == -180.0) * 180)
    rain.lon.attrs = {"units": "degrees_east"}
    raw = world(2.0, east)
    raw["tas"] = raw.tas.copy(data=np.broadcast_to(250 + np.cos(np.radians(raw.lon.values)), raw.tas.shape))
    fields, _ = make(rain, tas(raw))
    expected = 250 + 0 * fields.y + np.cos(np.radians(fields.x))
    np.testing.assert_allclose(fields.predictors[0, 0], expected, atol=1e-3)


def test_gaussian_latitudes_are_even_enough(make):
    lat = np.degrees(np.arcsin(np.polynomial.legendre.leggauss(96)[0]))
    raw = world(1.875).isel(lat=slice(0, 96)).assign_coords(lat=lat)
    raw["tas"] = raw.tas.copy(data=np.broadcast_to(250 + lat[:, None], raw.tas.shape))
    raw.lat.attrs = {"units": "degrees_north"}
    fields, _ = make(rain_file(), tas(raw))
    np.testing.assert_allclose(fields.predictors[0, 0], 250 + fields.y + 0 * fields.x, atol=1e-3)


# --------------------------------------------------------------------------- coasts


def drizzle(ds):
    """Rain of 10 mm/day on the land, and none over the sea in the west."""
    name = next(name for name in ds.data_vars)
    return ds.assign({name: xr.full_like(ds[name], 10).where(ds.lon > 70.4)})


@pytest.mark.parametrize("source", ["coarsened", "own grid", "finer", "wider"])
def test_interpolation_at_a_coast_takes_no_rain_away(make, source):
    coarse = {
        "own grid": coarse_file(),
        "finer": coarse_file((12, 16), 0.1),
        "wider": coarse_file((5, 7), 0.5, 19.5, 69.5),
    }
    raw = coarse[source] if source != "coarsened" else coarse_file()
    raw = drizzle(raw.rename(tas="tp").assign(tp=raw.tas.assign_attrs(units="mm/day").variable))
    given = None if source == "coarsened" else {"tp": (raw, {"quantity": "rain"})}
    fields, notes = make(drizzle(rain_file()), given)
    coarse_rain = fields.predictors[:1, :1].values
    land = fields.valid.values == 1
    assert land.sum() == HEIGHT * (WIDTH - 4)
    np.testing.assert_allclose(bilinear(coarse_rain[0, 0], FACTOR)[land], 10, rtol=1e-6)
    np.testing.assert_allclose(grids.bilinear(torch.tensor(coarse_rain), FACTOR)[0, 0].numpy()[land], 10, rtol=1e-6)
    assert any("never have a value and take that of the nearest one that has" in note for note in notes)


def test_predictor_without_values_where_rain_is_observed_is_refused(make):
    raw = coarse_file()
    raw.tas[:, :, 2:] = np.nan
    message = refused(make, rain_file(), tas(raw))
    assert "no value within 2 cells of the coarse cell at" in message
    cells = np.zeros((HEIGHT, WIDTH), bool)
    cells[:, 12:] = True
    fields, _ = make(sea(rain_file(), cells), tas(raw))
    np.testing.assert_array_equal(fields.predictors[:, 0, :, 3], fields.predictors[:, 0, :, 1])


# --------------------------------------------------------------------------- values that cannot be


def test_negative_rain(make):
    raw = rain_file()
    raw.pr[5, 2, 3] = -0.05
    fields, notes = make(raw)
    assert fields.pr[5, 2, 3] == 0
    assert any("1 values between" in note for note in notes)
    raw.pr[5, 2, 3] = -7
    message = refused(make, raw)
    assert "-7 mm/day on 2001-01-06" in message
    assert "_FillValue" in message


def test_absurd_values_point_at_the_units(make):
    assert "check its units 'm'" in refused(make, rain_file(units="m"))
    raw = rain_file()
    raw.pr[:] = raw.pr / 86400
    assert "no value over" in refused(make, raw)
    coarse = coarse_file(value=1e-4, units="mm/day").rename(tas="tp").clip(max=1e-3)
    message = refused(make, rain_file(), {"tp": (coarse, {"quantity": "rain"})})
    assert "tp: found no value over" in message
    celsius = coarse_file(value=10.0)
    assert "10." in (message := refused(make, rain_file(), tas(celsius)))
    assert "check its units 'K'" in message


@pytest.mark.parametrize(
    ("cells", "size"), [((3, 4), 0.4), ((6, 8), 0.2), ((5, 7), 0.5)], ids=["same", "nest", "other"]
)
def test_a_day_with_a_gap_leaves_the_other_days_alone(make, cells, size):
    raw = coarse_file(cells, size, south=20.0 if size < 0.5 else 19.5, west=70.0 if size < 0.5 else 69.5)
    whole, _ = make(rain_file(), tas(raw))
    raw.tas[30, 1, 1] = np.nan
    fields, _ = make(rain_file(), tas(raw))
    kept = np.delete(np.arange(365), 30)
    np.testing.assert_array_equal(fields.predictors.values, whole.predictors.values[kept])


def test_predictor_without_any_value_is_refused(make):
    assert "no day of 365 with values" in refused(make, rain_file(), tas(coarse_file().where(False)))


def test_undeclared_fill_value_is_refused(make):
    raw = coarse_file(units="Pa")
    raw.tas[30, 1, 1] = 1e20
    assert "_FillValue" in refused(make, rain_file(), {"tas": (raw, {})})


# --------------------------------------------------------------------------- damaged and missing files


def assert_refused_without_output(folder, dataset, *words):
    message = refused(prepare_year, dataset, YEAR, folder / "fields.nc")
    assert all(word in message for word in words), message
    assert not [p for p in folder.iterdir() if "fields" in p.name]


@pytest.mark.parametrize("form", ["NETCDF3_CLASSIC", "NETCDF3_64BIT", "NETCDF3_64BIT_DATA", "NETCDF4"])
@pytest.mark.parametrize("unlimited", [[], ["time"]])
def test_truncated_file(tmp_path, form, unlimited):
    dataset = settings(tmp_path)
    rain_file().to_netcdf(tmp_path / "rain.nc", format=form, unlimited_dims=unlimited, engine="netcdf4")
    check_sources(dataset)
    whole = (tmp_path / "rain.nc").read_bytes()
    for share in (0.999, 0.001):
        (tmp_path / "rain.nc").write_bytes(whole[: int(len(whole) * share)])
        assert "rain.nc" in refused(check_sources, dataset)
        assert_refused_without_output(tmp_path, dataset, "rain.nc", "copy it again")


def test_flipped_byte(tmp_path):
    dataset = settings(tmp_path, rain_file(), tas(), encoding={"pr": COMPRESSED})
    whole = bytearray((tmp_path / "rain.nc").read_bytes())
    whole[len(whole) // 2] ^= 0xFF
    (tmp_path / "rain.nc").write_bytes(whole)
    check_sources(dataset)  # reads no bulk data
    assert_refused_without_output(tmp_path, dataset, "rain.nc", "variable pr", "cannot be read from 2001-")


def test_a_full_disk_is_no_fault_of_the_input(tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(xr.Dataset, "to_netcdf", full)
    dataset = settings(tmp_path)
    rain_file().pr.to_netcdf(tmp_path / "rain.nc")
    with pytest.raises(OSError, match="No space"):
        prepare_year(dataset, YEAR, tmp_path / "fields.nc")


def test_all_faults_are_listed_at_once(tmp_path):
    other = coarse_file().isel(lat=slice(1))
    dataset = settings(tmp_path, rain_file(units="K"), tas(other), elevation={"file": "$NOWHERE/z.nc", "variable": "z"})
    lines = refused(check_sources, dataset).split("\n")
    assert len(lines) == 3
    assert "units 'K'" in lines[0]
    assert "two or more cells" in lines[1]
    assert "elevation.file" in lines[2]
    assert "NOWHERE" in lines[2]


def test_missing_variable_names_those_there(tmp_path):
    message = refused(check_sources, settings(tmp_path, rain_file().rename(pr="precip")))
    assert "precip" in message
    assert "rain.variable" in message
    (tmp_path / "rain.nc").write_text("date,rain\n", encoding="utf-8")
    assert "netCDF" in refused(check_sources, settings(tmp_path))


def test_grid_that_changes_from_year_to_year_is_refused(tmp_path):
    for year, height in ((2001, 12), (2002, 16)):
        rain_file((year,), height=height).to_netcdf(tmp_path / f"rain_{year}.nc")
    rain = {"files": [str(tmp_path / "rain_{year}.nc")], "variable": "pr"}
    message = refused(check_sources, settings(tmp_path, rain=rain), [2001, 2002])
    assert "rain_2002.nc" in message
    assert "16 x 16" in message
