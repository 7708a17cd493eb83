"""To which day a record belongs, and which days and cells take part where something is missing."""

import cftime
import numpy as np
import pytest
import xarray as xr
from rawmakers import (
    HEIGHT,
    WIDTH,
    YEAR,
    assert_same_fields,
    check_sources,
    coarse_file,
    days_of,
    rain_file,
    refused,
    settings,
    tas,
)

from rainshaft.data import prepare
from rainshaft.data.sources import source_files

DAY, HOUR = np.timedelta64(1, "D"), np.timedelta64(1, "h")


def rain_of(folder, **entry):
    return {"files": [str(folder / "rain.nc")], "variable": "pr", **entry}


def with_bounds(ds, start, end, **attributes):
    """Add bounds, as times or, with `units` among the attributes, as numbers."""
    ds = ds.assign(time_bnds=(("time", "nv"), np.stack([start, end], 1), attributes))
    ds.time.attrs["bounds"] = "time_bnds"
    return ds


# --------------------------------------------------------------------------- daily records

END_STAMPS = rain_file().time.values + DAY


def bounds_of_the_day(ds):
    return with_bounds(ds.assign_coords(time=END_STAMPS), END_STAMPS - DAY, END_STAMPS)


def bounds_in_plain_days(ds):
    number = np.arange(ds.sizes["time"], dtype=float)
    ds = ds.assign_coords(time=("time", number + 1, {"units": f"days since {YEAR}-01-01", "calendar": "standard"}))
    return with_bounds(ds, number, number + 1, units="days")


def bounds_without_units(ds):
    ds = bounds_in_plain_days(ds)
    del ds.time_bnds.attrs["units"]
    return ds


def bounds_from_morning_to_morning(ds):
    start = ds.time.values + 9 * HOUR
    return with_bounds(ds.assign_coords(time=start + 24 * HOUR), start, start + 24 * HOUR)


def bounds_that_miss_a_second(ds):
    return with_bounds(ds, ds.time.values, ds.time.values + DAY - np.timedelta64(1, "s"))


def a_first_record_of_no_length(ds):
    ds = bounds_of_the_day(ds)
    start = ds.isel(time=[0]).assign_coords(time=ds.time.values[:1] - DAY)
    return with_bounds(
        xr.concat([start, ds], "time"),
        np.concatenate([start.time.values, ds.time_bnds.values[:, 0]]),
        np.concatenate([start.time.values, ds.time_bnds.values[:, 1]]),
    )


@pytest.mark.parametrize(
    ("habit", "said"),
    [
        (bounds_of_the_day, "end of the day counted to the day before"),
        (bounds_in_plain_days, "end of the day counted to the day before"),
        (bounds_without_units, "end of the day counted to the day before"),
        (bounds_from_morning_to_morning, "stamps at 09:00"),
        (bounds_that_miss_a_second, None),
        (a_first_record_of_no_length, "1 record(s) of no length left out"),
    ],
)
@pytest.mark.filterwarnings("ignore:Variable time has datetime type")
def test_the_middle_of_its_bounds_is_the_day_of_a_record(make, plain, habit, said):
    expected, silence = plain
    fields, notes = make(habit(rain_file()), check=False)
    assert_same_fields(fields, expected)
    assert any(said in note for note in notes) if said else notes == silence


def test_the_configuration_says_that_stamps_stand_at_the_end(make, plain, tmp_path):
    raw = rain_file().assign_coords(time=END_STAMPS)
    wrong, _ = make(raw)
    assert wrong.sizes["time"] == 364  # the first day seems to be missing
    fields, notes = make(settings=settings(tmp_path, rain=rain_of(tmp_path, day="end")))
    assert_same_fields(fields, plain[0])
    assert any("as the configuration says" in note for note in notes)


@pytest.mark.filterwarnings("ignore:Variable time has datetime type")
def test_the_configuration_outweighs_bounds(make, plain, tmp_path):
    raw = with_bounds(rain_file(), rain_file().time.values - DAY, rain_file().time.values)
    raw.to_netcdf(tmp_path / "rain.nc")
    fields, _ = make(settings=settings(tmp_path, rain=rain_of(tmp_path, day="start")))
    assert_same_fields(fields, plain[0])


@pytest.mark.filterwarnings("ignore:Variable time has datetime type")
def test_bounds_that_contradict_their_stamps_are_refused(tmp_path):
    raw = with_bounds(rain_file(), rain_file().time.values + 40 * DAY, rain_file().time.values + 41 * DAY)
    message = refused(check_sources, settings(tmp_path, raw))
    assert "a stamp 40 days before its bounds" in message
    assert "rain.day: start" in message


@pytest.mark.filterwarnings("ignore:Variable time has datetime type")
def test_stamps_at_midnight_without_bounds_are_a_doubt_that_is_told_once(tmp_path):
    raw, other = rain_file(), coarse_file(hour=0)
    doubts = prepare.check_sources(settings(tmp_path, raw, tas(other)), [YEAR])
    (doubt,) = [sentence for sentence in doubts if "without bounds" in sentence]
    assert doubt.startswith("rain, predictor tas: stamps at 00:00")
    assert "day: end" in doubt
    bounded = with_bounds(raw, raw.time.values, raw.time.values + DAY)
    doubts = prepare.check_sources(settings(tmp_path, bounded, tas(coarse_file(hour=12))), [YEAR])
    assert not [sentence for sentence in doubts if "without bounds" in sentence]


def test_noon_and_midnight_meet(make):
    fields, _ = make(rain_file(hour=0), tas(coarse_file(hour=12)))
    assert fields.sizes["time"] == 365
    assert np.isfinite(fields.predictors).all()


# --------------------------------------------------------------------------- records that are no days


@pytest.mark.parametrize(
    ("distance", "words"), [(31, "records of 31 days"), (5, "records of 5 days"), (7, "records of 7 days")]
)
def test_months_and_weeks_are_no_days(tmp_path, distance, words):
    message = refused(check_sources, settings(tmp_path, rain_file().isel(time=slice(None, None, distance))))
    assert words in message
    assert "daily version" in message


def test_one_record_alone_says_nothing_of_its_length(tmp_path):
    assert "one record without bounds" in refused(check_sources, settings(tmp_path, rain_file().isel(time=[3])))


def test_a_date_in_the_name_of_a_file_is_a_whole_day(make, tmp_path):
    """One such file alone is enough: its name says that it is that of a day."""
    day = rain_file().isel(time=40)
    day.drop_vars("time").to_netcdf(tmp_path / "rain_20010210.nc")
    rain = {"files": [str(tmp_path / "rain_{year}{month}{day}.nc")], "variable": "pr"}
    fields, notes = make(settings=settings(tmp_path, rain=rain))
    assert list(fields.time.dt.strftime("%Y-%m-%d").values) == ["2001-02-10"]
    np.testing.assert_allclose(fields.pr[0], day.pr)
    assert any("names of the files" in note for note in notes)


def hourly(step=1, shift=0, units="mm", **attributes):
    """Rain in steps of some hours; the amounts of a day add up to that of `rain_file`."""
    daily, count = rain_file(), 24 // step
    share = np.random.default_rng(3).dirichlet(np.ones(count), len(daily.time)).astype("f4")
    values = (daily.pr.values[:, None] * share[:, :, None, None]).reshape(-1, HEIGHT, WIDTH)
    time = np.arange(len(values)) * step * HOUR + daily.time.values[0] + shift * HOUR
    pr = xr.DataArray(
        values, {"time": time, "lat": daily.lat, "lon": daily.lon}, ("time", "lat", "lon"), attrs={"units": units}
    )
    return pr.assign_attrs(attributes).to_dataset(name="pr")


def as_rate(ds):
    return ds.assign(pr=(24 * ds.pr).assign_attrs(units="mm/day"))


@pytest.mark.parametrize("step", [1, 3, 6])
def test_amounts_of_hours_are_summed_to_days(make, plain, step):
    fields, notes = make(hourly(step, shift=step))  # the stamp is at the end, as in reanalyses
    assert_same_fields(fields, plain[0], rtol=1e-5)
    assert any(f"{24 // step} records a day, summed" in note for note in notes)


@pytest.mark.filterwarnings("ignore:Variable time has datetime type")
def test_rates_of_hours_are_averaged_to_days(make, plain):
    raw = hourly(shift=0)
    bounded = with_bounds(as_rate(raw), raw.time.values, raw.time.values + HOUR)
    fields, notes = make(bounded)
    assert_same_fields(fields, plain[0], rtol=1e-5)
    assert any("24 records a day, averaged" in note for note in notes)


def test_the_stamps_of_hours_may_stand_at_their_start(make, plain, tmp_path):
    hourly().to_netcdf(tmp_path / "rain.nc")
    fields, _ = make(settings=settings(tmp_path, rain=rain_of(tmp_path, day="start")))
    assert_same_fields(fields, plain[0], rtol=1e-5)


@pytest.mark.parametrize(("starts", "hours"), [("03:00", 3), ("-21:00", -21), ("00:30", 0.5)])
def test_days_begin_when_the_configuration_says(make, plain, tmp_path, starts, hours):
    raw = hourly()
    raw = raw.assign_coords(time=raw.time.values + np.timedelta64(int(60 * hours), "m"))
    raw.to_netcdf(tmp_path / "rain.nc")
    fields, notes = make(settings=settings(tmp_path, rain=rain_of(tmp_path, day={"starts": starts, "stamps": "start"})))
    assert_same_fields(fields, plain[0], rtol=1e-5)
    assert any(f"for days from {starts}" in note for note in notes)


def test_a_start_of_days_has_no_meaning_for_daily_records(tmp_path):
    rain_file().to_netcdf(tmp_path / "rain.nc")
    message = refused(check_sources, settings(tmp_path, rain=rain_of(tmp_path, day={"starts": "03:00"})))
    assert "records of a day" in message


def test_incomplete_days_are_left_out(make):
    raw = hourly(shift=1)
    fields, notes = make(raw.isel(time=np.delete(np.arange(raw.sizes["time"]), 24 * 50 + 7)))
    assert fields.sizes["time"] == 364
    assert "2001-02-20" not in fields.time.dt.strftime("%Y-%m-%d").values
    assert any("1 day(s) without all their 24 records, the first 2001-02-20" in note for note in notes)


@pytest.mark.parametrize(("method", "of_day"), [("mean", 13.0), ("maximum", 25.0), ("minimum", 1.0)])
def test_other_variables_are_gathered_as_their_cell_methods_say(make, method, of_day):
    daily = coarse_file(hour=0)
    hours = daily.isel(time=np.repeat(np.arange(365), 4)).assign_coords(
        time=daily.time.values[0] + np.arange(1460) * 6 * HOUR
    )
    values = np.tile([1.0, 9.0, 17.0, 25.0], 365)[:, None, None] + 0 * hours.tas
    hours = hours.assign(tas=values.assign_attrs(units="degC", cell_methods=f"time: {method}"))
    fields, _ = make(rain_file(), tas(hours))
    np.testing.assert_allclose(fields.predictors, of_day + 273.15, rtol=1e-6)


# --------------------------------------------------------------------------- files, years, calendars


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


def in_parts(folder, *parts):
    for i, part in enumerate(parts):
        part.to_netcdf(folder / f"part{i}.nc")
    return settings(folder, rain={"files": [str(folder / "part*.nc")], "variable": "pr"})


def test_days_that_alternate_between_files(make, plain, tmp_path):
    raw = rain_file()
    parts = in_parts(tmp_path, raw.isel(time=slice(0, None, 2)), raw.isel(time=slice(1, None, 2)))
    assert_same_fields(make(settings=parts)[0], plain[0])


def test_days_in_two_files_are_taken_once_if_they_are_equal(make, plain, tmp_path):
    raw = rain_file()
    parts = in_parts(tmp_path, raw.isel(time=slice(0, 210)), raw.isel(time=slice(190, None)))
    fields, notes = make(settings=parts)
    assert_same_fields(fields, plain[0])
    assert any("20 record(s) are in the files twice, with equal values" in note for note in notes)


def test_days_in_two_files_with_different_values_are_refused(make, tmp_path):
    raw = rain_file()
    message = refused(
        make, settings=in_parts(tmp_path, raw.isel(time=slice(0, 210)), 2 * raw.isel(time=slice(190, None)))
    )
    assert "part1.nc" in message
    assert "other values for 2001-07-10 than in" in message


def test_a_day_twice_in_one_file(make, plain, tmp_path):
    raw = rain_file()
    fields, _ = make(xr.concat([raw, raw.isel(time=[7])], "time"))
    assert_same_fields(fields, plain[0])
    message = refused(make, xr.concat([raw, raw.isel(time=[7]) + 1], "time"))
    assert "two records with different values for 2001-01-08" in message


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


@pytest.mark.parametrize(
    ("calendar", "count", "lost"),
    [
        ("julian", 366, None),
        ("noleap", 365, "1 day(s) of the rain are not there (calendar noleap beside standard), the first 2000-02-"),
        ("360_day", 359, "7 day(s)"),
    ],
)
def test_calendars_are_joined_by_date(make, calendar, count, lost):
    days = {"julian": 366, "noleap": 365, "360_day": 360}[calendar]
    time = xr.date_range("2000-01-01", periods=days, calendar=calendar, use_cftime=True)
    values = np.array([100.0 * t.month + t.day for t in time], "f4")
    other = coarse_file().isel(time=np.zeros(days, int)).assign_coords(time=time)
    other = other.assign(tas=(other.tas * 0 + xr.DataArray(values, dims="time")).assign_attrs(units="1"))
    fields, notes = make(rain_file((2000,)), {"tas": (other, {})}, year=2000)
    assert fields.sizes["time"] == count
    np.testing.assert_array_equal(fields.predictors[:, 0, 0, 0], 100 * fields.time.dt.month + fields.time.dt.day)
    assert any(lost in note for note in notes) if lost else not any("not there" in note for note in notes)


# --------------------------------------------------------------------------- what is missing


def test_missing_days_take_no_part(make, plain):
    raw, gone = rain_file(), [40, 41, 200]
    fields, _ = make(raw.isel(time=np.delete(np.arange(365), gone)))
    kept = np.delete(np.arange(365), gone)
    assert_same_fields(fields, plain[0].isel(time=kept))
    other = coarse_file()
    fields, notes = make(raw, tas(other.isel(time=np.delete(np.arange(365), 99))))
    assert fields.sizes["time"] == 364
    np.testing.assert_allclose(fields.predictors[99, 0], other.tas[100], rtol=1e-6)  # the day after
    assert any("Predictor tas: 1 day(s) of the rain are not there, the first 2001-04-10" in note for note in notes)


def test_a_year_without_any_common_day_is_refused(tmp_path):
    raw = rain_file()
    assert "records from about 2001 to 2001" in refused(check_sources, settings(tmp_path, raw), [1999])
    winter, summer = raw.isel(time=slice(0, 60)), coarse_file().isel(time=slice(150, 250))
    message = refused(check_sources, settings(tmp_path, winter, tas(summer)))
    assert "100 days from 2001-05-31 to 2001-09-07" in message
    assert "60 days from 2001-01-01 to 2001-03-01" in message


def test_a_leap_day_may_be_missing(make):
    raw = rain_file((2000,))
    fields, _ = make(raw.sel(time=raw.time != np.datetime64("2000-02-29")), year=2000)
    assert fields.sizes["time"] == 365
    assert fields.time.dtype.kind == "M"


def test_gaps_make_cells_invalid_and_days_with_many_gaps_take_no_part(make):
    raw = rain_file()
    raw.pr[10, 2, 3] = np.nan
    fields, notes = make(raw)
    assert fields.valid.values.sum() == HEIGHT * WIDTH - 1
    assert np.isnan(fields.pr[:, 2, 3]).all()
    assert any("1 of 192 cells miss some days" in note for note in notes)
    assert fields.land.all()  # a gap is no sea
    raw.pr[11, :4] = np.nan
    raw.pr[12] = np.nan
    fields, notes = make(raw)
    assert fields.sizes["time"] == 363
    assert fields.valid.values.sum() == HEIGHT * WIDTH - 1
    assert any(
        "2 day(s) with more than 20% of the cells without a value left out, the first is 2001-01-12" in n for n in notes
    )
    assert "no day of 365 with values" in refused(make, raw.where(False))
    for i in range(60):
        raw.pr[20 + i].values.flat[i] = np.nan
    assert "60 of 192 cells miss some days" in refused(make, raw)


def test_days_with_a_gap_in_a_predictor_take_no_part(make):
    other = coarse_file()
    other.tas[30, 1, 1] = np.nan
    fields, notes = make(rain_file(), tas(other))
    assert fields.sizes["time"] == 364
    assert np.isfinite(fields.predictors).all()
    assert any("1 day(s) with a cell without a value left out, the first is 2001-01-31" in note for note in notes)


def test_days_with_a_gap_in_the_context_take_no_part(make):
    lat, lon = np.linspace(60, 0, 7), np.linspace(40, 100, 5)
    values = np.random.default_rng(0).normal(1e5, 500, (365, 7, 5))
    values[30, 4, 4] = np.nan  # far from the rain
    msl = xr.Dataset(
        {"msl": (("time", "lat", "lon"), values, {"units": "Pa"})}, {"time": days_of(YEAR), "lat": lat, "lon": lon}
    )
    fields, _ = make(rain_file(), {"msl": (msl, {"context": True})})
    assert fields.sizes["time"] == 364
    assert np.isfinite(fields.context).all()
