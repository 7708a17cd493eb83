"""Raw files of every form give equal canonical fields. Faulty files are refused with a message that helps."""

import json

import cftime
import netCDF4
import numpy as np
import pytest
import xarray as xr
from fields import slice_of

from rainshaft.config.sections import Dataset
from rainshaft.config.slices import PrepareSettings
from rainshaft.data import prepare
from rainshaft.data.prepare import prepare_year
from rainshaft.data.sources import InputError, source_files

YEAR = 2001
HEIGHT, WIDTH, FACTOR = 12, 16, 4
COMPRESSED = {"zlib": True, "complevel": 1, "chunksizes": (50, HEIGHT, WIDTH)}


def days_of(*years, hour=0):
    return np.concatenate([np.arange(f"{y}-01-01", f"{y + 1}-01-01", dtype="datetime64[D]") for y in years]).astype(
        "datetime64[ns]"
    ) + np.timedelta64(hour, "h")


def axis(start, count, size):
    """Centres of cells, ascending."""
    return start + size * (np.arange(count) + 0.5)


def rain_file(years=(YEAR,), hour=0, height=HEIGHT, width=WIDTH, units="mm/day"):
    """Rain in mm/day, north first, as a user might have it."""
    rng = np.random.default_rng(5)
    time = days_of(*years, hour=hour)
    values = rng.gamma(0.3, 20, (len(time), height, width)).astype("float32").round(2)
    pr = xr.DataArray(
        values,
        dims=("time", "lat", "lon"),
        coords={"time": time, "lat": axis(20.0, height, 0.1)[::-1], "lon": axis(70.0, width, 0.1)},
        attrs={"units": units},
    )
    pr["lat"].attrs = {"units": "degrees_north", "standard_name": "latitude"}
    pr["lon"].attrs = {"units": "degrees_east", "standard_name": "longitude"}
    return pr.to_dataset(name="pr")


def coarse_file(cells=(3, 4), size=0.4, south=20.0, west=70.0, units="K", hour=12, value=280.0):
    """Make a predictor on its own grid. It is a plane that rises with latitude, longitude and the day."""
    time = days_of(YEAR, hour=hour)
    lat, lon = axis(south, cells[0], size)[::-1], axis(west, cells[1], size)
    plane = value + (lat[:, None] - 20) + 2 * (lon - 70)
    values = plane + 0.01 * np.arange(len(time))[:, None, None]
    data = xr.DataArray(values.astype("float32"), dims=("time", "lat", "lon"), attrs={"units": units})
    data = data.assign_coords(time=time, lat=lat, lon=lon)
    data["lat"].attrs, data["lon"].attrs = {"units": "degrees_north"}, {"units": "degrees_east"}
    return data.to_dataset(name="tas")


@pytest.fixture
def make(tmp_path):
    """Write raw files, prepare a year of them, return the fields and what was said."""

    def make(rain=None, predictors=None, year=YEAR, encoding=None, check=True, **keys):
        configured = keys.pop("settings", None) or settings(tmp_path, rain, predictors, encoding, **keys)
        if check:
            check_sources(configured, [year])
        prepare_year(configured, year, tmp_path / "fields.nc")
        with xr.open_dataset(tmp_path / "fields.nc") as fields:
            return fields.load(), json.loads(fields.attrs["ingest"])

    return make


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """The fields of `rain_file()` as it stands, and what was said."""
    folder = tmp_path_factory.mktemp("plain")
    prepare_year(settings(folder, rain_file()), YEAR, folder / "fields.nc")
    with xr.open_dataset(folder / "fields.nc") as fields:
        return fields.load(), json.loads(fields.attrs["ingest"])


def settings(folder, raw=None, predictors=None, encoding=None, **keys):
    """The settings for files that are written here; `predictors` are keyed by variable."""
    if raw is not None:
        raw.to_netcdf(folder / "rain.nc", encoding=encoding)
    files = []
    for variable, (ds, entry) in (predictors or {}).items():
        ds.to_netcdf(folder / f"{variable}.nc")
        files.append({"files": [str(folder / f"{variable}.nc")], "variable": variable, **entry})
    defaults = {
        "years": [YEAR],
        "factor": FACTOR,
        "rain": {"files": [str(folder / "rain.nc")], "variable": "pr"},
        "predictors": files or "coarsened",
        "split": {"by": "blocks"},
    }
    return slice_of(Dataset(**defaults | keys), PrepareSettings)


def check_sources(configured, years=(YEAR,)):
    prepare.check_sources(configured, years)


def tas(ds=None, **entry):
    return {"tas": (coarse_file() if ds is None else ds, {"quantity": "temperature", **entry})}


def refused(call, *args, **kwargs):
    with pytest.raises(InputError) as caught:
        call(*args, **kwargs)
    return str(caught.value)


def assert_same_fields(fields, expected, rtol=1e-6):
    xr.testing.assert_allclose(fields.drop_attrs(), expected.drop_attrs(), rtol=rtol, atol=1e-5)


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


# --------------------------------------------------------------------------- years, days, calendars


def test_one_file_of_several_years_is_as_good_as_a_file_a_year(make, tmp_path):
    years = (2000, 2001, 2002)
    whole = rain_file(years)
    expected, _ = make(whole)
    for year in years:
        whole.sel(time=str(year)).to_netcdf(tmp_path / f"a_{year}.nc")
    for pattern in ("a_{year}.nc", "a_*.nc"):
        split = settings(tmp_path, rain={"files": [str(tmp_path / pattern)], "variable": "pr"})
        check_sources(split, years)
        fields, _ = make(settings=split)
        assert_same_fields(fields, expected)
        assert len(source_files(split, years)) == 3


def test_a_file_a_day(make, plain, tmp_path):
    whole, (expected, _) = rain_file(), plain
    for i in range(40):
        day = whole.isel(time=slice(i, i + 1) if i % 2 else i)  # with and without a dimension of time
        day.to_netcdf(tmp_path / f"d{i:03d}.nc")
    whole.isel(time=slice(40, None)).to_netcdf(tmp_path / "drest.nc")
    rain = {"files": [str(tmp_path / "d*.nc")], "variable": "pr"}
    fields, _ = make(settings=settings(tmp_path, rain=rain), check=False)
    assert_same_fields(fields, expected)


def test_days_that_alternate_between_files(make, plain, tmp_path):
    for i in (0, 1):
        rain_file().isel(time=slice(i, None, 2)).to_netcdf(tmp_path / f"part{i}.nc")
    rain = {"files": [str(tmp_path / "part*.nc")], "variable": "pr"}
    fields, _ = make(settings=settings(tmp_path, rain=rain))
    assert_same_fields(fields, plain[0])


@pytest.mark.parametrize(("calendar", "days"), [("noleap", 365), ("360_day", 360), ("standard", 366)])
def test_calendars(make, calendar, days):
    rain, other = rain_file((2000,)), coarse_file()
    time = xr.date_range("2000-01-01", periods=days, calendar=calendar, use_cftime=True)
    rain = rain.isel(time=slice(days)).assign_coords(time=time)
    tail = np.minimum(np.arange(days), other.sizes["time"] - 1)
    other = other.isel(time=tail).assign_coords(time=time.shift(12, "h"))
    fields, _ = make(rain, tas(other), year=2000)
    assert fields.sizes["time"] == days
    if calendar != "standard":
        assert isinstance(fields.time.values[0], cftime.datetime)
        assert fields.time.dt.calendar == calendar


def test_calendars_that_differ_are_refused(tmp_path):
    other = coarse_file().convert_calendar("noleap", use_cftime=True)
    message = refused(check_sources, settings(tmp_path, rain_file(), tas(other)))
    assert "calendar noleap" in message
    assert "tas.nc" in message


def test_noon_and_midnight_meet(make):
    fields, _ = make(rain_file(hour=0), tas(coarse_file(hour=12)))
    assert fields.sizes["time"] == 365
    assert np.isfinite(fields.predictors).all()


def test_missing_and_duplicate_days_are_named(tmp_path):
    rain = rain_file()
    cut = rain.isel(time=np.delete(np.arange(365), [40, 41, 200]))
    message = refused(check_sources, settings(tmp_path, cut))
    assert "3 missing" in message
    assert "2001-02-10" in message
    other = coarse_file().isel(time=np.delete(np.arange(365), 99))
    message = refused(check_sources, settings(tmp_path, rain, tas(other)))
    assert "tas.nc" in message
    assert "2001-04-10" in message
    twice = xr.concat([rain, rain.isel(time=[7])], "time")
    message = refused(check_sources, settings(tmp_path, twice))
    assert "2 stamps on 2001-01-08" in message
    assert "2001-01-01 to 2001-12-31" in refused(check_sources, settings(tmp_path, rain), [1999])
    assert "make daily values" in refused(check_sources, settings(tmp_path, hourly()))


def hourly():
    rain = rain_file()
    noon = rain.assign_coords(time=rain.time + np.timedelta64(12, "h"))
    return xr.concat([rain, noon], "time")


def test_leap_day_missing_gives_the_hint(tmp_path):
    rain = rain_file((2000,))
    rain = rain.sel(time=rain.time != np.datetime64("2000-02-29"))
    message = refused(check_sources, settings(tmp_path, rain), [2000])
    assert "2000-02-29" in message
    assert "noleap" in message


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
    assert (fields.predictors[:, 0, :, 0] == 0).all()
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


def test_gaps_make_cells_invalid_and_too_many_are_refused(make):
    raw = rain_file()
    raw.pr[10, 2, 3] = np.nan
    fields, notes = make(raw)
    assert fields.valid.values.sum() == HEIGHT * WIDTH - 1
    assert np.isnan(fields.pr[:, 2, 3]).all()
    assert any("1 of 192 cells miss some days" in note for note in notes)
    assert fields.land.all()  # a gap is no sea
    assert "no value at all on 365 day(s)" in refused(make, raw.where(False))
    raw.pr[11, :4] = np.nan
    assert "64 of 192 cells miss some days" in refused(make, raw)
    raw.pr[12] = np.nan
    assert "no value at all on 1 day(s), the first is 2001-01-13" in refused(make, raw)


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


def test_context_is_checked_in_every_cell(make):
    raw = weather()
    raw.msl[30, 4, 6] = np.nan  # far from the rain
    message = refused(make, rain_file(), {"msl": (raw, {"context": True})})
    assert "2001-01-31 with 1 of 35 cells" in message


def test_axes_of_another_kind_lead_to_context_but_not_for_rain(tmp_path):
    msl = {"msl": (weather(), {})}
    assert "`context: true`" in refused(check_sources, settings(tmp_path, on_projected_axes(rain_file()), msl))
    rain = {"tas": (coarse_file(units="mm"), {"quantity": "rain"})}
    message = refused(check_sources, settings(tmp_path, on_projected_axes(rain_file()), rain))
    assert "axes of the kind latitude/longitude" in message
    assert "context" not in message


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


def test_predictor_with_missing_values_is_refused(make):
    raw = coarse_file()
    raw.tas[30, 1, 1] = np.nan
    message = refused(make, rain_file(), tas(raw))
    assert "2001-01-31" in message
    assert "1 of 12 cells" in message


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
    other = coarse_file().isel(time=slice(300))
    dataset = settings(tmp_path, rain_file(units="K"), tas(other), elevation={"file": "$NOWHERE/z.nc", "variable": "z"})
    lines = refused(check_sources, dataset).split("\n")
    assert len(lines) == 3
    assert "units 'K'" in lines[0]
    assert "65 missing" in lines[1]
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
