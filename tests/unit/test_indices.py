"""Indices of rain: values computed by hand, gaps, calendars, several realizations, and what is refused."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from fields import make_fields

from rainshaft.application.summary import markdown, of_season, summary_of, table_of
from rainshaft.data import indices
from rainshaft.data.indices import (
    INDICES,
    indices_of_coarse_year,
    indices_of_observed_year,
    indices_of_rain,
    indices_of_year,
)
from rainshaft.errors import UserError
from rainshaft.files import write_netcdf

LAT = ("lat", [60.0, 0.0], {"units": "degrees_north", "standard_name": "latitude"})
LON = ("lon", [10.0, 10.5, 11.0], {"units": "degrees_east", "standard_name": "longitude"})


def days(first: str, count: int, calendar: str = "standard") -> np.ndarray:
    return xr.date_range(first, periods=count, calendar=calendar, use_cftime=calendar != "standard").values


def write_rain(path: Path, time: Any, series: Any, members: int = 1, realization: Any = None, **attrs: Any) -> Path:
    """Write a year of members, each cell with the same series of days, or with (day, member, lat, lon) of its own."""
    rain = np.asarray(series, "f4")
    if rain.ndim == 1:
        rain = np.broadcast_to(rain[:, None, None, None], (rain.size, members, 2, 3)).copy()
    number = np.arange(rain.shape[1])
    realization = np.zeros_like(number) if realization is None else realization
    data = {"pr": (("time", "member", "lat", "lon"), rain, {"units": "mm/day"})}
    coords = {"time": time, "member": number, "realization": ("member", realization), "lat": LAT, "lon": LON}
    write_netcdf(xr.Dataset(data, coords, {"model": "m", "grid_kind": "latitude/longitude"} | attrs), path)
    return path


def year_of(path: Path, year: int, series: Any, **keys: Any) -> xr.Dataset:
    count = len(series)
    return indices_of_year(write_rain(path, days(f"{year}-01-01", count), series, **keys))


def one_cell(found: xr.Dataset) -> dict[str, float]:
    return {name: float(found[name][0, 0, 0]) for name in INDICES}


# 10 wet days of 1 to 10 mm, then 20 dry ones of 0.9 mm, then 3 dry ones between wet ones, dry until the end of December
SERIES = np.concatenate([np.arange(1, 11), np.full(20, 0.9), [5, 0, 0, 0, 5], np.zeros(330)])


def test_a_year_of_a_longer_ensemble_has_the_indices_of_that_year(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rain, time = rng.gamma(0.4, 9, (730, 2, 2, 3)), days("2081-01-01", 730)
    alone = indices_of_year(write_rain(tmp_path / "2082.nc", time[365:], rain[365:]))
    with xr.open_dataset(write_rain(tmp_path / "both.nc", time, rain)) as both:
        found = indices_of_rain(both["pr"].sel(time="2082"), "both.nc", {})
    for name in INDICES:
        np.testing.assert_array_equal(found[name], alone[name])


def test_indices_are_those_computed_by_hand(tmp_path: Path) -> None:
    found = one_cell(year_of(tmp_path / "r.nc", 2081, SERIES))
    ordered = np.sort(SERIES)
    # the 98th percentile of 365 values lies at place 0.98 * 364 = 356.72, counted from 0
    p98 = ordered[356] + 0.72 * (ordered[357] - ordered[356])
    p999 = ordered[363] + 0.636 * (ordered[364] - ordered[363])  # at place 363.636
    by_hand = {
        "mean": (55 + 18 + 10) / 365,
        "wet_days": 100 * 12 / 365,
        "sdii": 65 / 12,
        "rx1day": 10,
        "p98": p98,
        "p999": p999,
        "cdd": 330,
        "cwd": 10,
    }
    assert found == pytest.approx(by_hand, rel=1e-5)
    assert p98 == pytest.approx(4.72), "the wet days are 1, 2, 3, 4, 5, 5, 5, 6, 7, 8, 9 and 10 mm"
    assert p999 == pytest.approx(9.636)


@pytest.mark.parametrize(("calendar", "count"), [("noleap", 365), ("360_day", 360), ("standard", 366)])
def test_calendars(tmp_path: Path, calendar: str, count: int) -> None:
    rain = np.where(np.arange(count) % 2, 4.0, 0.0)
    found = indices_of_year(write_rain(tmp_path / "r.nc", days("2080-01-01", count, calendar), rain))
    wet = count // 2
    values = one_cell(found)
    assert values["mean"] == pytest.approx(4 * wet / count)
    assert values["wet_days"] == pytest.approx(100 * wet / count)
    assert values["sdii"] == 4
    assert (values["cdd"], values["cwd"]) == (1, 1)
    assert int(found["days"].sum()) == found.attrs["days"] == count
    assert found.attrs["comment"].startswith(f"{count} of the {count} days")
    assert int(found["year"]) == 2080


def winter(path: Path, year: int = 1983, calendar: str = "standard") -> Path:
    """January, February and December: dry, apart from 2 mm in the last days of February and on 1 December."""
    count = {"standard": 365, "noleap": 365, "360_day": 360}[calendar]
    time = days(f"{year}-01-01", count, calendar)
    month = xr.DataArray(time, dims="time").dt.month.values
    kept = np.isin(month, [1, 2, 12])
    rain = np.zeros(count)
    rain[np.flatnonzero(month == 2)[-3:]] = 2
    rain[np.flatnonzero(month == 12)[0]] = 2
    return write_rain(path, time[kept], rain[kept])


@pytest.mark.parametrize(("calendar", "count"), [("standard", 90), ("noleap", 90), ("360_day", 90)])
def test_a_record_of_winters(tmp_path: Path, calendar: str, count: int) -> None:
    found = indices_of_year(winter(tmp_path / "r.nc", calendar=calendar))
    values = one_cell(found)
    assert values["mean"] == pytest.approx(8 / count), "the last day before the gap counts as one day"
    assert values["sdii"] == pytest.approx(2)
    assert values["wet_days"] == pytest.approx(100 * 4 / count), "the missing days are not dry days"
    assert values["cwd"] == 3, "no wet spell reaches from February to December"
    assert values["cdd"] == {"standard": 56, "noleap": 56, "360_day": 57}[calendar]
    assert found.attrs["comment"].startswith(f"{count} of the {360 if calendar == '360_day' else 365} days")
    assert found["days"].values[[1, 5]].tolist() == [28 if calendar != "360_day" else 30, 0]


def test_a_missing_day_ends_a_spell(tmp_path: Path) -> None:
    kept = np.arange(365) != 100
    dry = indices_of_year(write_rain(tmp_path / "r.nc", days("2081-01-01", 365)[kept], np.zeros(364)))
    wet = indices_of_year(write_rain(tmp_path / "r.nc", days("2081-01-01", 365)[kept], np.full(364, 3.0)))
    assert one_cell(dry)["cdd"] == 264
    assert np.isnan(one_cell(dry)["sdii"]), "without a wet day there is no rain of wet days"
    assert (one_cell(wet)["cwd"], one_cell(wet)["cdd"]) == (264, 0)
    assert one_cell(wet)["wet_days"] == 100


def test_cells_without_rain_are_empty_and_those_with_gaps_are_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rain = np.full((365, 2, 2, 3), 3.0)
    rain[:, :, 0, 0] = np.nan
    with caplog.at_level(logging.WARNING):
        found = indices_of_year(write_rain(tmp_path / "r.nc", days("2081-01-01", 365), rain))
    assert not caplog.records
    assert all(found[name][:, 0, 0].isnull().all() for name in INDICES)
    assert int(found["mean"].isnull().sum()) == 2
    rain[7, 1, 1, 2] = np.nan
    found = indices_of_year(write_rain(tmp_path / "r.nc", days("2081-01-01", 365), rain))
    assert "1 series of a cell and member miss rain on some days" in caplog.text
    assert all(np.isnan(found[name][1, 1, 2]) for name in INDICES)
    assert np.isfinite(found["mean"][0, 1, 2])


def test_rows_read_apart_give_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rain = np.random.default_rng(1).gamma(0.5, 6, (60, 3, 2, 3))
    path = write_rain(tmp_path / "r.nc", days("2081-03-01", 60), rain)
    whole = indices_of_year(path)
    monkeypatch.setattr(indices, "READ_VALUES", 1)
    xr.testing.assert_identical(indices_of_year(path), whole)


def test_the_file_tells_what_is_in_it(tmp_path: Path) -> None:
    found = year_of(tmp_path / "r.nc", 2081, SERIES, members=2, realization=[4, 5])
    write_netcdf(found, tmp_path / "i.nc")
    with xr.open_dataset(tmp_path / "i.nc") as file:
        assert file["cdd"].attrs["units"] == "day"
        assert file["cdd"].attrs["standard_name"].endswith("below_threshold")
        assert file["cdd"].attrs["cell_methods"] == "time: maximum"
        assert float(file["threshold"]) == 1
        assert file["threshold"].attrs["units"] == "mm"
        assert file["lat"].attrs["units"] == "degrees_north"
        assert file["realization"].values.tolist() == [4, 5]
        assert file.attrs["model"] == "m"
        assert "xclim" in file.attrs["references"]
        assert all(file[name].attrs["long_name"] and file[name].dtype == np.float32 for name in INDICES)


def test_days_of_two_years_or_twice_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="days of 2 years"):
        indices_of_year(write_rain(tmp_path / "r.nc", days("2081-12-01", 40), np.zeros(40)))
    twice = np.concatenate([days("2081-01-01", 5), days("2081-01-05", 5)])
    with pytest.raises(UserError, match="10 entries for 9 days"):
        indices_of_year(write_rain(tmp_path / "r.nc", twice, np.zeros(10)))


def test_a_file_without_members_is_refused(tmp_path: Path) -> None:
    path = make_fields(tmp_path / "f.nc", np.zeros((3, 4, 4)))
    with pytest.raises(UserError, match=r"found pr\(time, lat, lon\), expected pr\(time, member, lat, lon\)"):
        indices_of_year(path)


def test_rain_in_other_units_is_refused(tmp_path: Path) -> None:
    path = write_rain(tmp_path / "r.nc", days("2081-01-01", 5), np.zeros(5))
    file = xr.load_dataset(path)
    file["pr"].attrs["units"] = "kg m-2 s-1"
    write_netcdf(file, path)
    with pytest.raises(UserError, match="found rain in kg m-2 s-1, expected mm/day"):
        indices_of_year(path)


def write_predictors(path: Path, rain: np.ndarray, time: Any, rain_channel: str = "pr") -> Path:
    """Write predictors of an application: temperature and rain (time, realization, y, x)."""
    both = np.stack([np.full_like(rain, 280), rain], axis=2).astype("f4")
    channel = np.array(["tas", "pr"])
    data = {
        "predictors": (("time", "realization", "channel", "y", "x"), both),
        "channel_units": ("channel", np.array(["K", "mm/day"])),
    }
    coords = {"time": time, "realization": np.arange(rain.shape[1]), "channel": channel}
    axes = {
        "y": ("y", 45.0 - np.arange(rain.shape[2]), {"units": "degrees_north"}),
        "x": ("x", 10.0 + np.arange(rain.shape[3]), {"units": "degrees_east"}),
    }
    write_netcdf(xr.Dataset(data, coords | axes, {"rain_channel": rain_channel}), path)
    return path


def test_coarse_rain_has_a_member_for_each_realization(tmp_path: Path) -> None:
    rain = np.zeros((365, 2, 2, 3))
    rain[10:14, 0], rain[20, 1, 1, 2] = 5, 50
    path = write_predictors(tmp_path / "p.nc", rain, days("2081-01-01", 365, "noleap"))
    found = indices_of_coarse_year(path)
    assert found["cwd"].dims == ("member", "lat", "lon")
    assert found["cwd"].values[0].tolist() == [[4] * 3] * 2
    assert float(found["rx1day"][1, 1, 2]) == 50
    assert float(found["rx1day"][1, 0, 0]) == 0
    assert found["realization"].values.tolist() == [0, 1]


def test_predictors_without_rain_are_refused(tmp_path: Path) -> None:
    path = write_predictors(tmp_path / "p.nc", np.zeros((5, 1, 2, 2)), days("2081-01-01", 5), rain_channel="")
    with pytest.raises(UserError, match="no channel of rain among tas, pr"):
        indices_of_coarse_year(path)


def test_observed_rain(tmp_path: Path) -> None:
    rain = np.broadcast_to(SERIES[:, None, None], (365, 4, 4))
    path = make_fields(tmp_path / "f.nc", rain, "2001-01-01", calendar="noleap")
    everywhere = xr.DataArray(np.full((4, 4), True))
    observed = indices_of_observed_year(path, everywhere)
    members = year_of(tmp_path / "r.nc", 2081, SERIES)
    assert observed.sizes["member"] == 1
    assert one_cell(observed) == one_cell(members)
    everywhere[0, 0] = False
    assert indices_of_observed_year(path, everywhere)["mean"].isnull().sum() == 1


# --------------------------------------------------------------------------------- over the years


def constant(path: Path, year: int, values: Any, count: int = 365, **keys: Any) -> xr.Dataset:
    """Indices of a year with the same rain on each day, (member, lat, lon) or a number for all."""
    rain = np.broadcast_to(np.asarray(values, float), (count, *np.broadcast_shapes(np.shape(values), (1, 2, 3))))
    return indices_of_year(write_rain(path, days(f"{year}-01-01", count), rain, **keys))


def test_summary_is_the_mean_over_the_years(tmp_path: Path) -> None:
    years = [constant(tmp_path / "r.nc", 2081 + i, rain) for i, rain in enumerate((2.0, 3.0, 7.0))]
    summary = summary_of(years)
    assert summary["mean"].values == pytest.approx(np.full((1, 2, 3), 4.0))
    assert summary["mean_year_std"].values == pytest.approx(np.full((2, 3), np.std([2, 3, 7], ddof=1)))
    assert summary["mean_of_year"].values[:, 0].tolist() == pytest.approx([2, 3, 7])
    assert summary["year"].values.tolist() == [2081, 2082, 2083]
    assert summary.attrs["days"] == 3 * 365
    assert summary.attrs["years_left_out"] == ""
    assert (summary.attrs["first_day"], summary.attrs["last_day"]) == ("2081-01-01", "2083-12-31")


def test_summary_reads_files_in_any_order_and_is_written(tmp_path: Path) -> None:
    paths = []
    for year, rain in ((2082, 3.0), (2081, 2.0)):
        paths.append(tmp_path / f"{year}.nc")
        write_netcdf(constant(tmp_path / "r.nc", year, rain), paths[-1])
    summary = summary_of(paths)
    assert summary["mean_of_year"].values[:, 0].tolist() == pytest.approx([2, 3])
    write_netcdf(summary, tmp_path / "s.nc")
    with xr.open_dataset(tmp_path / "s.nc") as again:
        assert again["mean"].values == pytest.approx(summary["mean"].values)


def test_area_means_weigh_cells_by_their_area(tmp_path: Path) -> None:
    rows = np.array([[[2.0] * 3, [8.0] * 3]])  # cells at 60 degrees have half the area of those at the equator
    summary = summary_of([constant(tmp_path / "r.nc", 2081, rows)])
    assert float(summary["mean_of_year"][0, 0]) == pytest.approx((0.5 * 2 + 8) / 1.5)


def test_a_short_year_is_left_out_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    years = [constant(tmp_path / "r.nc", year, 2.0) for year in (2081, 2082)]
    years.append(constant(tmp_path / "r.nc", 2083, 9.0, count=200))
    summary = summary_of(years)
    assert summary.attrs["years_left_out"] == "2083"
    assert "2083 (200 days): left out" in caplog.text
    assert summary["mean"].values == pytest.approx(np.full((1, 2, 3), 2.0))


def test_winters_are_averaged_and_another_season_is_left_out(tmp_path: Path) -> None:
    years = [indices_of_year(winter(tmp_path / "r.nc", year)) for year in (1983, 1985, 1986)]
    summer = indices_of_year(write_rain(tmp_path / "r.nc", days("1987-06-01", 90), np.full(90, 4.0)))
    summary = summary_of([*years, summer])
    assert summary["year"].values.tolist() == [1983, 1985, 1986]
    assert summary.attrs["years_left_out"] == "1987"
    with pytest.raises(UserError, match="different months"):
        summary_of([years[0], summer])


def test_only_cells_of_all_years_take_part(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    holed = np.full((1, 2, 3), 5.0)
    holed[0, 1, 0] = np.nan
    summary = summary_of([constant(tmp_path / "r.nc", 2081, 3.0), constant(tmp_path / "r.nc", 2082, holed)])
    assert "5 cells that all years have take part" in caplog.text
    assert summary["mean"].isnull().values[0].tolist() == [[False] * 3, [True, False, False]]
    assert float(summary["weight"][1, 0]) == 0
    assert summary["mean_of_year"].values[:, 0].tolist() == pytest.approx([3, 5])
    empty = constant(tmp_path / "r.nc", 2083, np.full((1, 2, 3), np.nan))
    with pytest.raises(UserError, match="no cell with rain"):
        summary_of([empty])


def test_sdii_is_over_the_years_with_wet_days(tmp_path: Path) -> None:
    summary = summary_of([constant(tmp_path / "r.nc", 2081, 0.0), constant(tmp_path / "r.nc", 2082, 6.0)])
    assert summary["sdii"].values == pytest.approx(np.full((1, 2, 3), 6.0))
    assert summary["wet_days"].values == pytest.approx(np.full((1, 2, 3), 50.0))


def test_years_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    first = constant(tmp_path / "r.nc", 2081, 2.0)
    with pytest.raises(UserError, match="found 2081 twice"):
        summary_of([first, first])
    with pytest.raises(UserError, match="found model other, expected model m as in 2081"):
        summary_of([first, constant(tmp_path / "r.nc", 2082, 2.0, model="other")])
    with pytest.raises(UserError, match="members of the realizations 0 1"):
        summary_of([first, constant(tmp_path / "r.nc", 2082, np.full((2, 2, 3), 2.0), realization=[0, 1])])
    moved = constant(tmp_path / "r.nc", 2082, 2.0)
    moved = moved.assign_coords(lon=moved["lon"] + 10)
    with pytest.raises(UserError, match="the grid of 2 x 3 cells, lat 60 to 0, lon 20"):
        summary_of([first, moved])
    with pytest.raises(UserError, match="found no year"):
        summary_of([])


def test_coarse_rain_is_averaged_over_the_valid_cells(tmp_path: Path) -> None:
    """A coarse cell counts by the valid fine cells in it, so the sea beside the land does not."""
    rain = np.zeros((365, 4, 4))
    valid = np.ones((4, 4))
    valid[:, 2:] = 0
    valid[0, 2] = 1
    fields = make_fields(tmp_path / "f.nc", rain + 2, "2081-01-01", calendar="noleap", valid=valid)
    fine = indices_of_observed_year(fields, xr.DataArray(valid == 1))
    summary = summary_of([fine])
    blocks = np.zeros((365, 1, 2, 2))
    blocks[..., 0], blocks[..., 0, 1], blocks[..., 1, 1] = 2, 8, 1000
    coarse = indices_of_coarse_year(write_predictors(tmp_path / "p.nc", blocks, days("2081-01-01", 365, "noleap")))
    coarse = coarse.assign_coords(
        lat=("lat", summary["lat"].values.reshape(2, 2).mean(1), coarse["lat"].attrs),
        lon=("lon", summary["lon"].values.reshape(2, 2).mean(1), coarse["lon"].attrs),
    )
    mean = float(summary_of([coarse], like=summary)["mean_of_year"][0, 0])
    assert mean == pytest.approx((8 * 2 + 1 * 8) / 9, rel=1e-3)
    with pytest.raises(UserError, match="expected one whose cells hold a whole number"):
        summary_of([coarse.assign_coords(lat=coarse["lat"] + 0.05)], like=summary)


# ------------------------------------------------------------------------------------------ table


def several(tmp_path: Path) -> xr.Dataset:
    """Four members of two realizations: 2 and 4 mm/day of the first, 6 and 10 of the second, 1 more in another year."""
    rain = np.array([2.0, 4.0, 6.0, 10.0])[:, None, None] * np.ones((4, 2, 3))
    return summary_of(
        [constant(tmp_path / "r.nc", 2081 + i, rain + i, realization=[0, 0, 1, 1]) for i in range(2)],
    )


def test_table_has_the_spreads(tmp_path: Path) -> None:
    summary = several(tmp_path)
    rows = table_of({"downscaled": summary, "one": constant_summary(tmp_path)})
    assert len(rows) == 2 * len(INDICES)
    first = rows[0]
    assert (first["index"], first["name"], first["units"]) == ("mean", "downscaled", "mm/day")
    assert first["mean"] == pytest.approx(6.0)
    assert first["member_std"] == pytest.approx(np.std([2, 4, 6, 10], ddof=1))
    assert first["realization_std"] == pytest.approx(np.std([3, 8], ddof=1))
    assert first["year_std"] == pytest.approx(np.std([0, 1], ddof=1))
    assert (first["years"], first["days"], first["members"], first["cells"]) == (2, 730, 4, 6)
    single = rows[1]
    assert (single["member_std"], single["realization_std"], single["year_std"]) == (None, None, None)


def constant_summary(tmp_path: Path) -> xr.Dataset:
    return summary_of([constant(tmp_path / "r.nc", 2081, 0.0)])


def test_markdown_lays_the_records_side_by_side(tmp_path: Path) -> None:
    text = markdown(table_of({"downscaled": several(tmp_path), "one": constant_summary(tmp_path)}))
    lines = text.splitlines()
    assert lines[0] == "| index | downscaled | one |"
    assert lines[2] == "| mean rain (mm/day) | 6.00 ± 3.42 [3.54] | 0.00 |"
    assert lines[4].endswith("| – |"), "without a wet day there is no rain of wet days"
    assert "downscaled: 2 years, 730 days, 4 members, 6 cells" in text
    assert "In brackets" in text


def test_a_record_of_another_season_is_left_out_of_the_table(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    year, winter = (
        summary_of([indices_of_year(write_rain(tmp_path / f"{count}.nc", days("2001-01-01", count), np.ones(count)))])
        for count in (365, 90)
    )
    assert list(of_season({"downscaled": year, "coarse input": year, "observed": winter})) == [
        "downscaled",
        "coarse input",
    ]
    assert "observed: left out of the table" in caplog.text
