"""The days of a dataset are found by their date, whatever file they are in."""

import numpy as np
import pytest
import xarray as xr
from fields import make_fields, showers

from rainshaft.data.fields import DAILY, Fields, dates_of
from rainshaft.errors import UserError

HEIGHT, WIDTH = 4, 6


def rain_of(year, days=20):
    return showers(np.random.default_rng(year), days, HEIGHT, WIDTH).astype("f4")


@pytest.fixture
def paths(tmp_path):
    """Three years of twenty days, in the order in which the configuration names them."""
    context = {"msl": np.arange(20 * 6, dtype="f4").reshape(20, 2, 3)}
    return [
        make_fields(tmp_path / f"{year}.nc", rain_of(year), f"{year}-01-01", context=context)
        for year in (2002, 2001, 2003)
    ]


@pytest.fixture
def fields(paths):
    with Fields(paths) as opened:
        yield opened


def test_days_stand_in_the_order_of_the_files(fields):
    assert len(fields.dates) == 60
    assert [fields.dates[i] for i in (0, 19, 20, 40)] == ["2002-01-01", "2002-01-20", "2001-01-01", "2003-01-01"]
    np.testing.assert_array_equal(fields.time.dt.strftime("%Y-%m-%d"), fields.dates)
    assert (fields.factor, fields.grid_kind) == (2, "latitude/longitude")
    assert (fields.rain_channel, fields.rain_channel_index) == ("pr", 0)


@pytest.mark.parametrize(
    "dates",
    [
        ["2001-01-03"],
        ["2001-01-07", "2001-01-02", "2001-01-08"],
        ["2003-01-05", "2002-01-01", "2001-01-02", "2001-01-20", "2002-01-02", "2003-01-04"],
    ],
    ids=["one day", "one year", "several years"],
)
def test_days_come_in_the_order_asked_for(fields, dates):
    days = fields.read(dates)
    assert list(dates_of(days)) == dates
    for i, date in enumerate(dates):
        np.testing.assert_array_equal(days.pr[i], rain_of(int(date[:4]))[int(date[-2:]) - 1])
    assert {name: days[name].shape[0] for name in DAILY} == dict.fromkeys(DAILY, len(dates))
    assert days.elevation.dims == ("lat", "lon")  # maps get no axis of time
    np.testing.assert_array_equal(fields.rain(dates), days.pr)


def test_rain_is_nan_where_a_cell_is_not_valid(tmp_path):
    valid = np.ones((HEIGHT, WIDTH))
    valid[0, :2] = 0
    with Fields([make_fields(tmp_path / "a.nc", rain_of(2001), valid=valid)]) as fields:
        assert np.isnan(fields.rain(["2001-01-05"])[0, 0]).tolist() == [True, True, False, False, False, False]
        np.testing.assert_array_equal(fields.rain(["2001-01-05"]), fields.read(["2001-01-05"]).pr)


@pytest.mark.parametrize("calendar", ["standard", "noleap", "360_day"])
def test_days_are_joined_by_date_in_any_calendar_and_at_any_hour(tmp_path, calendar):
    path = make_fields(tmp_path / "a.nc", rain_of(2001, 10), "2001-02-25", calendar=calendar)
    noon = xr.date_range("2001-02-26", periods=3, calendar=calendar, use_cftime=calendar != "standard").shift(12, "h")
    ensemble = xr.Dataset(coords={"time": noon})
    with Fields([path]) as fields:
        fields.require(dates_of(ensemble), "days of the ensemble")
        np.testing.assert_array_equal(fields.rain(dates_of(ensemble)), rain_of(2001, 10)[1:4])
        assert ("2001-02-30" in fields.dates) == (calendar == "360_day")


def test_a_missing_day_is_named(fields, paths):
    fields.require(["2001-01-01", "2003-01-20"], "days of the ensemble")
    with pytest.raises(UserError, match=r"days of the ensemble: 2 days are not in the fields") as caught:
        fields.require(["2001-01-20", "2001-01-21", "2004-01-01"], "days of the ensemble")
    assert str(caught.value).endswith("the first is 2001-01-21")
    assert str(paths[0]) in str(caught.value)


def test_axes_that_differ_by_single_precision_are_those_of_the_first_year(paths, tmp_path):
    with xr.open_dataset(paths[2]) as opened:
        other = opened.load()
    for name in ("lat", "lon", "y", "x", "v", "u"):
        other[name] = other[name].dims, other[name].values.astype("f4").astype("f8") + 1e-7
    other["land"] = other.land + 1  # so that the ground is that of this year
    other.to_netcdf(tmp_path / "other.nc")
    with Fields([*paths[:2], tmp_path / "other.nc"]) as fields, xr.open_dataset(paths[0]) as first:
        for name in ("lat", "lon", "y", "x", "v", "u"):
            for found in (fields.ground, fields.read(["2003-01-04"]), fields.read(["2003-01-04", "2002-01-01"])):
                np.testing.assert_array_equal(found[name], first[name])
        assert fields.ground.land.max() == 2


@pytest.mark.parametrize("name", ["lat", "channel", "channel_units", "u"])
def test_grids_or_predictors_that_differ_are_refused(paths, tmp_path, name):
    with xr.open_dataset(paths[2]) as opened:
        other = opened.load()
    axis = other[name].values
    other[name] = other[name].dims, np.array([f"{word}2" for word in axis]) if axis.dtype.kind in "OU" else axis + 1
    other.to_netcdf(tmp_path / "other.nc")
    with pytest.raises(UserError, match=rf"other\.nc: {name} differs from that in .*2002\.nc"):
        Fields([*paths[:2], tmp_path / "other.nc"])


@pytest.mark.parametrize(("name", "value"), [("factor", 4), ("rain_channel", "tas"), ("grid_kind", None)])
def test_attributes_that_differ_or_are_missing_are_refused(paths, tmp_path, name, value):
    year = xr.load_dataset(paths[1])
    year.attrs = {key: kept for key, kept in (year.attrs | {name: value}).items() if kept is not None}
    year.to_netcdf(tmp_path / "other.nc")
    with pytest.raises(UserError, match=f"other.nc: found {name} .*in all years"):
        Fields([paths[0], tmp_path / "other.nc"])


def test_a_day_that_two_files_hold_is_refused(paths, tmp_path):
    make_fields(tmp_path / "again.nc", rain_of(7), "2002-01-10", context={"msl": np.zeros((20, 2, 3), "f4")})
    with pytest.raises(UserError, match="found 2 entries for 2002-01-10"):
        Fields([paths[0], tmp_path / "again.nc"])


def test_no_year_is_refused():
    with pytest.raises(UserError, match="at least one year"):
        Fields([])


def test_a_batch_never_crosses_a_file(fields):
    wanted = [*fields.dates[10:], "1999-01-01"]
    batches = list(fields.batches(wanted, 7))
    assert [len(batch) for batch in batches] == [7, 3, 7, 7, 6, 7, 7, 6]
    assert all(len({date[:4] for date in batch}) == 1 for batch in batches)
    assert [date for batch in batches for date in batch] == fields.dates[10:]
    backwards = list(fields.batches(wanted[::-1], 7))
    assert backwards == batches  # the files give the order


def test_slabs_go_through_all_days_in_order(fields):
    a_day = HEIGHT * WIDTH + 6
    rain = np.zeros((60, HEIGHT, WIDTH), "f4")
    for days, values, predictors, context in fields.slabs(7 * a_day):
        assert len(values) == len(predictors) == len(context) <= 7
        rain[days] = values
    np.testing.assert_array_equal(rain, fields.rain(fields.dates))


def test_a_cell_is_valid_if_it_is_valid_in_every_year(tmp_path):
    maps = np.ones((3, HEIGHT, WIDTH))
    maps[1, 0, 0] = maps[2, 3, 5] = 0
    paths = [
        make_fields(tmp_path / f"{year}.nc", rain_of(year), f"{year}-01-01", valid=valid)
        for year, valid in zip((2001, 2002, 2003), maps, strict=True)
    ]
    with Fields(paths) as fields:
        np.testing.assert_array_equal(fields.valid, maps.all(0))
