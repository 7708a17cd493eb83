"""The header of a raw file is one field for each time, with times that are beyond doubt; or the file is refused."""

import itertools

import cftime
import numpy as np
import pytest
import xarray as xr

from rainshaft.data.header import open_header
from rainshaft.data.sources import InputError, Source

DAYS = 3
CELLS = {
    "lat": ("lat", [41.0, 40.0], {"units": "degrees_north"}),
    "lon": ("lon", [10.0, 11.0], {"units": "degrees_east"}),
}


def source(path, variable="pr", quantity="rain", **keys):
    return Source("predictors.0", "predictor pr", (str(path),), variable, quantity, **keys)


def raw(stamps=(0.0, 1.0, 2.0), dims=("time", "lat", "lon"), **attributes):
    """Rain of three days as it lies in a file; the attributes are those of the time."""
    values = np.arange(4 * len(stamps), dtype="float32").reshape(len(stamps), 2, 2)
    time = ("time", np.asarray(stamps), attributes)
    return xr.Dataset({"pr": (dims, values, {"units": "mm/day"})}, {"time": time, **CELLS})


@pytest.fixture
def read(tmp_path):
    """Writes a file into a folder of its own and opens the header of a variable."""
    folders = (tmp_path / str(i) for i in itertools.count())

    def read(file, name="rain.nc", pattern=None, **keys):
        folder = next(folders)
        folder.mkdir()
        file.to_netcdf(folder / name)
        with open_header(source(folder / (pattern or name), **keys), folder / name) as header:
            pass
        header.file.close()
        return header

    return read


@pytest.fixture
def refusal(read):
    def refusal(file, **keys):
        with pytest.raises(InputError) as caught:
            read(file, **keys)
        return str(caught.value)

    return refusal


def dates(header):
    axis = header.data[header.data.dims[0]]
    return [str(stamp)[:10] for stamp in axis.values]


def is_not_loaded(header):
    return not isinstance(header.data.variable._data, np.ndarray)


# ------------------------------------------------------------------------------------------ times

FIRST_DAYS = ["2001-01-01", "2001-01-02", "2001-01-03"]


@pytest.mark.parametrize(
    ("first", "attributes"),
    [
        (0, {"units": "days since 2001-01-01"}),
        (0, {"units": "Days Since 2001-1-1", "calendar": "Gregorian"}),
        (0, {"units": "day since 20010101"}),
        (0, {"units": "days since 2001"}),
        (0, {"units": "days since 2001-01-01 00:00:00 UTC", "calendar": ""}),
        (0, {"units": "days since 2001-01-01T00:00:00Z", "calendar": "none"}),
        (0, {"units": "days since 2001-01-01", "calendar": "NOLEAP"}),
        (0, {"units": "days since 2001-01-01", "calendar_type": "THIRTY_DAY_MONTHS", "calendar": "360"}),
        (0, {"units": "days since 2001-01-01", "calendar": "julian"}),
        (2451911, {"units": "julian_day", "calendar": "standard"}),
        (20010101, {"units": "day as %Y%m%d.%f"}),
        (20010101, {"units": "YYYYMMDD"}),
        (20010101, {}),
        (730851, {"units": "days since 0000-01-01", "calendar": "proleptic_gregorian"}),
        (730852, {"units": "days since -0001-12-31", "calendar": "proleptic_gregorian"}),
        (730851 - 366, {"units": "days since 0001-01-01", "calendar": "proleptic_gregorian"}),
        (730851 - 366 + 2, {"units": "days since 1-1-1 00:00:0.0"}),
    ],
    ids=lambda value: str(value)[:60],
)
def test_times_are_read_as_people_write_them(read, first, attributes):
    stamps = np.arange(first, first + DAYS)
    assert dates(read(raw(stamps, **attributes))) == FIRST_DAYS
    assert dates(read(raw(stamps.astype("float64"), **attributes))) == FIRST_DAYS


@pytest.mark.parametrize(
    ("attributes", "words"),
    [
        ({"units": "months since 1960-01-01"}, ["'months since 1960-01-01'", "no daily values"]),
        ({}, ["the time time with no units", "ncatted -a units,time,o,c,'days since YYYY-MM-DD'"]),
        ({"units": "days"}, ["the time time with units 'days'"]),
        ({"units": "days since 2/1/2001"}, ["'days since 2/1/2001'", "ambiguous"]),
        ({"units": "days since 2001-13-01"}, ["'days since 2001-13-01'", "cannot be decoded"]),
        ({"units": "days since 2001-01-01", "calendar": "mayan"}, ["calendar 'mayan'", "one of standard"]),
    ],
    ids=lambda value: str(value)[:40],
)
def test_times_that_are_in_doubt_are_refused_with_the_attribute(refusal, attributes, words):
    message = refusal(raw(**attributes))
    assert all(word in message for word in words), message


@pytest.mark.parametrize("epoch", ["0000-01-01 00:00:00", "0-1-1"])
def test_an_epoch_in_the_year_zero_is_refused_with_the_dates_it_may_mean(refusal, epoch):
    message = refusal(raw(np.arange(730851.0, 730854.0), units=f"days since {epoch}"))
    assert "its first stamp is 2001-01-01, or 2000-12-31 if it is a `datenum` of MATLAB" in message
    assert "ncatted -a calendar,time,o,c,'proleptic_gregorian'" in message
    assert "ncatted -a units,time,o,c,'days since -0001-12-31'" in message


def test_julian_is_kept_where_it_is_not_the_standard_calendar(read):
    header = read(raw(units="days since 0001-01-01", calendar="julian"))
    assert header.data.time.dt.calendar == "julian"
    assert read(raw(units="days since 2001-01-01", calendar="julian")).notes == (
        "Predictor pr: calendar julian read as standard; both have the same days from 1901 to 2099.",
    )


def test_a_time_that_nobody_asked_for_may_be_in_doubt(read):
    file = raw(units="days since 2001-01-01").assign(reftime=("time", [1, 2, 3], {"units": "months since 0000-01-01"}))
    assert dates(read(file)) == FIRST_DAYS
    undated = raw(units="months since 1960-01-01").isel(time=0)
    assert read(undated, quantity="elevation").data.dims == ("lat", "lon")


def test_dates_written_as_texts_are_read(read, refusal):
    file = raw().drop_vars("time")
    texts = np.array([f"{day}_00:00:00" for day in FIRST_DAYS], "S19")
    for names in (texts, texts.astype(str).astype(object)):
        header = read(file.assign(Times=("time", names)))
        assert dates(header) == FIRST_DAYS
        assert header.notes == ("Predictor pr: dates read from the texts of Times.",)
    assert "texts such as 'Monday'" in refusal(file.assign(Times=("time", np.array(["Monday", "a", "b"], object))))


@pytest.mark.parametrize("calendar", ["standard", "noleap"])
@pytest.mark.parametrize("units", [{}, {"units": "days"}])
@pytest.mark.parametrize("order", [("time", "nv"), ("nv", "time")])
def test_bounds_take_the_units_and_the_calendar_of_their_axis(read, calendar, units, order):
    file = raw((0.5, 1.5, 2.5), units="days since 2001-01-01", calendar=calendar, bounds="time_bnds")
    bounds = xr.DataArray([[0.0, 1.0], [1.0, 2.0], [2.0, 3.0]], dims=("time", "nv"), attrs=units)
    header = read(file.assign(time_bnds=bounds.transpose(*order)))
    decoded = header.file["time_bnds"]
    assert decoded.dims == ("time", "nv")
    assert [str(start)[:10] for start in decoded.values[:, 0]] == FIRST_DAYS
    assert isinstance(decoded.values[0, 0], cftime.DatetimeNoLeap) == (calendar == "noleap")


def test_bounds_keep_their_own_epoch_and_take_the_calendar(read):
    file = raw((0.5, 1.5, 2.5), units="days since 2001-01-01", calendar="noleap", bounds="time_bnds")
    starts = np.array([0.0, 1.0, 2.0]) + 365 * 141
    file["time_bnds"] = (("time", "nv"), np.stack([starts, starts + 1], 1), {"units": "days since 1860-01-01"})
    assert [str(start)[:10] for start in read(file).file["time_bnds"].values[:, 0]] == FIRST_DAYS


# ------------------------------------------------------------------------------------------ axes


def test_coordinates_under_other_names_than_their_dimensions_are_found(read):
    file = raw(units="days since 2001-01-01").rename_dims(time="t", lat="nlat", lon="nlon")
    file = file.reset_index(["time", "lat", "lon"], drop=False) if "t" in file.indexes else file
    header = read(file)
    assert header.data.dims == ("t", "nlat", "nlon")
    assert list(header.file["nlat"].values) == [41, 40]
    assert header.file["nlon"].attrs["standard_name"] == "longitude"
    assert dates(header) == FIRST_DAYS


def wrf(turn=0.0):
    """Raw output of WRF on 3 x 4 cells; `turn` in degrees a cell."""
    y, x = np.meshgrid(np.arange(3.0), np.arange(4.0), indexing="ij")
    dims = ("south_north", "west_east")
    return xr.Dataset(
        {
            "pr": (("Time", *dims), np.zeros((2, 3, 4), "f4"), {"units": "mm"}),
            "XLAT": (dims, (40 + 0.1 * y + turn * x).astype("f4"), {"units": "degree_north"}),
            "XLONG": (dims, (10 + 0.1 * x + turn * y).astype("f4"), {"units": "degree_east"}),
            "Times": ("Time", np.array(["2001-01-01_00:00:00", "2001-01-02_00:00:00"], "S19")),
        }
    )


def test_wrf_is_read_on_latitudes_and_longitudes_and_refused_on_a_projection(read, refusal):
    header = read(wrf())
    np.testing.assert_allclose(header.file["south_north"], [40, 40.1, 40.2], atol=1e-5)
    assert "Predictor pr: axes taken from XLAT and XLONG." in header.notes
    assert "raw output of WRF" in refusal(wrf(turn=0.01))
    assert "xwrf" in refusal(wrf(turn=0.01))


# ------------------------------------------------------------------------------------------ one field for each time


def releases(*entries):
    """The third day is in ERA5T only."""
    file = raw(units="days since 2001-01-01")
    final, early = file.pr.where(file.time < 2), file.pr.where(file.time >= 2)
    parts = {1: final, 5: early}
    stacked = xr.concat([parts[int(e)] for e in entries], xr.DataArray(list(entries), dims="expver", name="expver"))
    return stacked.transpose("time", "expver", ...).to_dataset(name="pr").assign_coords(time=file.time)


@pytest.mark.parametrize("entries", [(1, 5), (5, 1), ("0001", "0005")])
def test_era5_and_its_early_release_are_combined(read, entries):
    header = read(releases(*entries))
    assert header.data.dims == ("time", "lat", "lon")
    assert is_not_loaded(header)
    assert header.data.attrs["units"] == "mm/day"
    np.testing.assert_array_equal(header.data.values, raw().pr.values)
    assert header.notes == (
        "Predictor pr: expver combined: the values of ERA5, and those of ERA5T where ERA5 has none.",
    )


def test_records_of_the_early_release_are_noted(read):
    file = raw(units="days since 2001-01-01").assign_coords(expver=("time", np.array(["0001", "0001", "0005"], object)))
    file["pr"].attrs["coordinates"] = "expver"
    assert read(file).notes == ("Predictor pr: 1 of 3 records are of the early release, ERA5T.",)


def levels(values=(850.0, 500.0), name="pressure_level", **attributes):
    file = raw(units="days since 2001-01-01")
    stacked = xr.concat([file.pr + value for value in values], xr.DataArray(list(values), dims=name, name=name))
    stacked[name].attrs = attributes
    return stacked.transpose("time", name, ...).to_dataset(name="pr")


def test_a_level_is_chosen_without_reading(read):
    header = read(levels(units="hPa"), level=500.0)
    assert header.data.dims == ("time", "lat", "lon")
    assert is_not_loaded(header)
    assert float(header.data[0, 0, 0]) == 500
    assert header.notes == ("Predictor pr: level 500 hPa of pressure_level taken.",)
    assert float(read(levels((0.1, 0.3), name="foo", axis="Z"), level=0.3000001).data[0, 0, 0]) == np.float32(0.3)
    assert read(levels((850.0,), units="hPa")).data.dims == ("time", "pressure_level", "lat", "lon")


def test_a_level_in_doubt_is_refused_with_the_levels(refusal):
    assert "2 levels: 850, 500 hPa" in refusal(levels(units="hPa"))
    assert "write predictors.0.level, for example `level: 850`" in refusal(levels(units="hPa"))
    assert "found the levels 850, 500 hPa, expected level 700" in refusal(levels(units="hPa"), level=700.0)
    in_pa = refusal(levels((85000.0, 50000.0), name="plev", units="Pa"), level=500.0)
    assert "the axis plev counts in Pa: write `level: 50000`" in in_pa
    assert "found the levels 850 hPa, expected level 500" in refusal(levels((850.0,), units="hPa"), level=500.0)
    scalar = levels((850.0,), units="hPa").isel(pressure_level=0)
    assert "found the level 850 hPa, expected level 500" in refusal(scalar, level=500.0)
    assert "no level, expected level 500" in refusal(raw(units="days since 2001-01-01"), level=500.0)


def test_a_scalar_level_that_is_asked_for_is_accepted(read):
    assert read(levels((850.0,), units="hPa").isel(pressure_level=0), level=850.0).data.ndim == 3


@pytest.mark.parametrize("attributes", [{}, {"standard_name": "realization"}])
def test_an_ensemble_is_refused_with_its_members(refusal, attributes):
    name = "run" if attributes else "number"
    message = refusal(levels((0, 1, 2), name=name, **attributes))
    assert f"an ensemble, a dimension {name} of length 3: 0, 1, 2" in message
    assert f"ncks -d {name},0" in message


# ------------------------------------------------------------------------------------------ dates in names


def test_a_map_without_dates_takes_that_of_its_name(read, refusal):
    file = raw().isel(time=0, drop=True)
    header = read(file, name="pr_20010102.nc", pattern="pr_{year}{month}{day}.nc")
    assert header.data.dims == ("time", "lat", "lon")
    assert dates(header) == ["2001-01-02"]
    assert is_not_loaded(header)
    assert str(header.file["time"].values[0])[:10] == "2001-01-02"
    assert header.notes == ("Predictor pr: dates taken from the names of the files.",)
    bare = raw((0.0,)).drop_vars("time")
    assert dates(read(bare, name="pr_20010103.nc", pattern="pr_{year}{month}{day}.nc")) == ["2001-01-03"]
    assert "write {year}{month}{day} in predictors.0.files" in refusal(
        file, name="pr_20010102.nc", pattern="pr_{year}*.nc"
    )


def test_a_date_in_the_file_goes_before_that_of_its_name(read):
    file = raw(units="days since 2001-01-01").isel(time=[1])
    assert dates(read(file, name="pr_20010105.nc", pattern="pr_{year}{month}{day}.nc")) == ["2001-01-02"]


def test_a_scalar_time_stays_as_it_is(read):
    header = read(raw(units="days since 2001-01-01").isel(time=1))
    assert header.data.dims == ("lat", "lon")
    assert is_not_loaded(header)
