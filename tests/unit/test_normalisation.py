import json

import numpy as np
import pytest
import xarray as xr
from fields import make_fields, slice_of

from rainshaft.config.sections import Dataset, Split
from rainshaft.config.slices import NormalisationSettings
from rainshaft.data import normalisation as module
from rainshaft.data.normalisation import fit_normalisation, ingest_of, split_days
from rainshaft.data.pairing import Origin
from rainshaft.errors import UserError
from rainshaft.files import write_netcdf

YEARS = Split(train=(2001,), validation=(2002,), test=(2003,))
BLOCKS = Split(by="blocks", block_days=3, cycle=("train", "validation", "test"))


def settings(split=YEARS, **keys):
    rain = {"files": ("rain.nc",), "variable": "pr"}
    dataset = Dataset(years=(2001, 2002, 2003), factor=2, rain=rain, split=split, **keys)
    return slice_of(dataset, NormalisationSettings)


def showers(days, seed=0, height=8, width=12):
    rng = np.random.default_rng(seed)
    rain = rng.gamma(0.6, 12, (days, height, width)) * (rng.random((days, height, width)) < 0.5)
    return (rain * rng.lognormal(0, 0.8, (days, 1, 1))).astype("f4")


@pytest.fixture
def years(tmp_path):
    """Three years of forty days."""
    return [make_fields(tmp_path / f"{y}.nc", showers(40, y), f"{y}-01-01") for y in (2001, 2002, 2003)]


@pytest.fixture
def in_weather(tmp_path):
    """Three years of forty days with context, a pressure and one that never changes; and the pressure of each."""
    rng = np.random.default_rng(3)
    paths, pressure = [], []
    for y in (2001, 2002, 2003):
        msl = 1e5 + 500 * np.arange(30).reshape(5, 6) + rng.normal(0, 800, (40, 5, 6)) * np.linspace(0.5, 2, 6)
        pressure.append(msl.astype("f4"))
        context = {"msl": msl, "still": np.broadcast_to(280 + np.arange(30).reshape(5, 6), msl.shape)}
        paths.append(make_fields(tmp_path / f"w{y}.nc", showers(40, y), f"{y}-01-01", context=context))
    return paths, pressure


# ----------------------------------------------------------------------------------------- split


@pytest.mark.parametrize("calendar", ["standard", "noleap", "360_day"])
def test_split_by_years(calendar):
    time = xr.date_range("2001-12-29", "2003-01-02", calendar=calendar, use_cftime=calendar != "standard")
    part = split_days(time, YEARS)
    assert list(part[:2]) == ["train", "train"]
    assert set(part[[day.year == 2002 for day in time]]) == {"validation"}
    assert list(part[-2:]) == ["test", "test"]


def test_days_of_years_that_the_split_does_not_name_are_unused():
    time = xr.date_range("2003-12-31", "2004-01-01")
    assert list(split_days(time, YEARS)) == ["test", "unused"]


@pytest.mark.parametrize("calendar", ["standard", "360_day"])
def test_split_by_blocks_counts_days_not_entries(calendar):
    time = xr.date_range("2001-02-27", periods=12, calendar=calendar, use_cftime=calendar != "standard")
    expected = ["train"] * 3 + ["validation"] * 3 + ["test"] * 3 + ["train"] * 3
    assert list(split_days(time, BLOCKS)) == expected
    keep = [0, 1, 4, 7, 8, 11]  # gaps do not shift the blocks
    assert list(split_days(xr.DataArray(time, dims="time")[keep], BLOCKS)) == [expected[i] for i in keep]


def test_a_part_without_days_is_refused_by_its_key(tmp_path):
    fields = [make_fields(tmp_path / "a.nc", showers(9))]
    with pytest.raises(UserError, match=r"split\.validation: found no validation day in the 9 days from 2001-01-01"):
        fit_normalisation(fields, settings())
    with pytest.raises(UserError, match=r"split\.cycle: found no test day .* shorter block_days"):
        fit_normalisation(fields, settings(BLOCKS.model_copy(update={"block_days": 5})))


# ------------------------------------------------------------------------------------ normalisation


def test_the_numbers_are_those_of_the_training_days(years):
    result = fit_normalisation(years, settings())
    first = xr.open_dataset(years[0])
    rain = first.pr.values.astype("f8")
    assert float(result.rain_mean) == pytest.approx(rain.mean(), rel=1e-6)
    assert float(result.rain_log_std) == pytest.approx(np.log1p(rain).std(), rel=1e-5)
    maxima = rain.max((1, 2))
    assert float(result.heavy_threshold) == pytest.approx(np.percentile(maxima, 90))
    assert float(result.extreme_threshold) == pytest.approx(np.percentile(maxima, 99))
    coarse, tas = (first.predictors.values[:, i].astype("f8") for i in (0, 1))
    np.testing.assert_allclose(result.channel_mean, [0, tas.mean()], rtol=1e-6)
    np.testing.assert_allclose(result.channel_std, [np.log1p(coarse).std(), tas.std()], rtol=1e-5)
    assert list(result.channel.values) == ["pr", "tas"]
    assert result.attrs["rain_channel"] == "pr"
    assert result.attrs["factor"] == 2


def test_other_days_do_not_leak_into_the_numbers(years, tmp_path):
    before = fit_normalisation(years, settings())
    wetter = [make_fields(tmp_path / f"w{y}.nc", 3 * showers(40, y), f"{y}-01-01") for y in (2002, 2003)]
    after = fit_normalisation([years[0], *wetter], settings())
    for name in before.data_vars:
        np.testing.assert_array_equal(before[name], after[name], err_msg=str(name))
    assert before.attrs["data_fingerprint"] != after.attrs["data_fingerprint"]
    assert (before.category.values[:40] == after.category.values[:40]).all()
    assert (before.category.values[40:] != after.category.values[40:]).any()


def test_p99_of_wet_values_is_accurate(tmp_path):
    rain = showers(90, 5, 24, 24)
    time = [make_fields(tmp_path / f"{y}.nc", rain, f"{y}-01-01") for y in (2001, 2002, 2003)]
    assert float(fit_normalisation(time, settings()).p99_wet) == pytest.approx(
        np.percentile(rain[rain >= 1], 99), rel=5e-3
    )


def test_slabs_and_files_do_not_change_the_result(years, tmp_path, monkeypatch):
    whole = fit_normalisation(years, settings())
    monkeypatch.setattr(module, "SLAB_VALUES", 7 * 8 * 12)
    pieces = []
    for path in years:
        with xr.open_dataset(path) as year:
            for part in (slice(0, 13), slice(13, None)):
                pieces.append(tmp_path / f"{path.stem}-{part.start}.nc")
                write_netcdf(year.isel(time=part).load(), pieces[-1])
    cut = fit_normalisation(pieces, settings())
    xr.testing.assert_allclose(whole, cut, rtol=1e-6)
    assert whole.attrs == cut.attrs  # the fingerprint too


@pytest.mark.parametrize("name", ["pr", "predictors", "context", "elevation", "land", "coast_distance", "valid"])
def test_fingerprint_sees_every_field(in_weather, tmp_path, name):
    years, _ = in_weather
    with xr.open_dataset(years[0]) as year:
        changed = year.load()
    changed[name].values.flat[3] = 0 if name == "valid" else 5.5
    write_netcdf(changed, tmp_path / "changed.nc")
    before, after = (fit_normalisation([path, *years[1:]], settings()) for path in (years[0], tmp_path / "changed.nc"))
    assert before.attrs["data_fingerprint"] != after.attrs["data_fingerprint"]


def test_fingerprint_sees_the_dates(tmp_path):
    split = BLOCKS.model_copy(update={"block_days": 5})
    same, other = (make_fields(tmp_path / f"{year}.nc", showers(40), f"{year}-01-01") for year in (2001, 2002))
    prints = [fit_normalisation([path], settings(split)).attrs["data_fingerprint"] for path in (same, other)]
    assert prints[0] != prints[1]


def test_cells_that_are_not_valid_take_no_part(tmp_path):
    rain, valid = showers(40), np.ones((8, 12))
    valid[2:5, 3:] = 0
    loud = rain.copy()
    loud[:, valid == 0] = 900
    later = np.ones((8, 12))
    later[0, 0] = 0  # valid in the first year, not in the second
    paths = [make_fields(tmp_path / "2001.nc", loud, valid=valid)]
    paths += [make_fields(tmp_path / f"{y}.nc", rain, f"{y}-01-01", valid=later) for y in (2002, 2003)]
    result = fit_normalisation(paths, settings())
    both = (valid * later).astype(bool)
    np.testing.assert_array_equal(result.valid, both)
    assert float(result.rain_mean) == pytest.approx(rain[:, both].mean(dtype="f8"), rel=1e-6)
    assert float(result.extreme_threshold) == pytest.approx(np.percentile(rain[:, both].max(1), 99), rel=1e-6)


def test_no_rain_to_learn_from_is_refused(tmp_path):
    paths = [make_fields(tmp_path / "2001.nc", showers(20) * 0 + 0.5)]
    paths += [make_fields(tmp_path / f"{y}.nc", showers(20), f"{y}-01-01") for y in (2002, 2003)]
    with pytest.raises(UserError, match=r"split\.train: the 20 training days .*highest value: 0\.5 mm/day"):
        fit_normalisation(paths, settings())


def test_years_on_different_grids_are_refused(years, tmp_path):
    odd = make_fields(tmp_path / "odd.nc", showers(20, height=6), "2003-01-01")
    with pytest.raises(UserError, match=r"odd\.nc: lat differs"):
        fit_normalisation([*years[:2], odd], settings())


def test_land_is_that_of_the_year_with_most_of_it(tmp_path):
    land = np.ones((8, 12))
    land[:, :3] = 0
    found = []
    for order in ((2001, 2002, 2003), (2002, 2001, 2003)):
        paths = [make_fields(tmp_path / f"{y}.nc", showers(40, y), f"{y}-01-01") for y in order]
        with xr.open_dataset(tmp_path / "2002.nc") as opened:
            void = opened.load()
        void["land"] = ("lat", "lon"), land.astype("f4")  # as after a year without rain in the west
        write_netcdf(void, tmp_path / "2002.nc")
        found.append(fit_normalisation(paths, settings()))
    assert "land" not in found[0].static
    assert "land" not in found[1].static


def test_a_constant_predictor_is_not_divided_by_zero(tmp_path):
    tas = np.full((40, 4, 6), 288.15)
    paths = [
        make_fields(tmp_path / f"{y}.nc", showers(40, y), f"{y}-01-01", temperature=tas) for y in (2001, 2002, 2003)
    ]
    assert fit_normalisation(paths, settings()).channel_std.values[1] == 1


def test_context_has_a_mean_for_each_cell_and_one_standard_deviation_of_the_anomalies(in_weather, tmp_path):
    paths, pressure = in_weather
    write_netcdf(fit_normalisation(paths, settings()), tmp_path / "normalisation.nc")
    result = xr.load_dataset(tmp_path / "normalisation.nc")
    training = pressure[0].astype("f8")
    np.testing.assert_allclose(result.context_mean[0], training.mean(0), rtol=1e-6)
    assert float(result.context_std[0]) == pytest.approx((training - training.mean(0)).std(), rel=1e-5)
    still = xr.load_dataset(paths[0]).context[:, 1]
    np.testing.assert_array_equal((still - result.context_mean[1]) / result.context_std[1], 0)
    assert list(result.context_channel.values) == ["msl", "still"]
    assert list(result.channel.values) == ["pr", "tas"]


def test_context_on_another_grid_in_another_year_is_refused(in_weather, tmp_path):
    paths, _ = in_weather
    with xr.open_dataset(paths[2]) as year:
        write_netcdf(year.isel(u=slice(5)).load(), tmp_path / "odd.nc")
    with pytest.raises(UserError, match=r"odd\.nc: u differs"):
        fit_normalisation([*paths[:2], tmp_path / "odd.nc"], settings())


def test_beside_context_stands_where_a_cell_is(in_weather):
    result = fit_normalisation(in_weather[0], settings())
    assert list(result.static.values) == ["north", "east"]
    north, east = result.static_maps.values
    assert (north[0] == 1).all()  # row 0 is the north
    assert (north[-1] == -1).all()
    assert (east[:, 0] == -1).all()
    assert (east[:, -1] == 1).all()


def test_static_maps_are_those_that_vary(years, tmp_path):
    assert fit_normalisation(years, settings()).sizes["static"] == 0
    hills = np.add.outer(np.arange(8) * 100.0, np.arange(12))
    coast = np.tile(np.arange(12) * 25.0, (8, 1))
    made = [
        make_fields(tmp_path / f"{y}.nc", showers(40), f"{y}-01-01", elevation=hills, coast_distance=coast)
        for y in (2001, 2002, 2003)
    ]
    result = fit_normalisation(made, settings())
    assert list(result.static.values) == ["elevation", "coast"]
    elevation, near = result.static_maps.values
    assert abs(elevation.mean()) < 1e-5
    assert elevation.std() == pytest.approx(1, rel=1e-5)
    np.testing.assert_allclose(near[0, [0, 2]], [1, np.exp(-1)], rtol=1e-6)


@pytest.mark.parametrize("calendar", ["standard", "noleap"])
def test_normalisation_survives_a_file(tmp_path, calendar):
    paths = [
        make_fields(tmp_path / f"{y}.nc", showers(40), f"{y}-01-01", calendar=calendar) for y in (2001, 2002, 2003)
    ]
    result = fit_normalisation(paths, settings())
    write_netcdf(result, tmp_path / "normalisation.nc")
    with xr.open_dataset(tmp_path / "normalisation.nc") as back:
        xr.testing.assert_allclose(result, back, rtol=1e-6)
        assert back.attrs["data_fingerprint"] == result.attrs["data_fingerprint"]
        assert list(back.split.values) == list(result.split.values)


def test_the_log_says_how_much_of_each_part_there_is(years, caplog):
    with caplog.at_level("INFO", logger="rainshaft"):
        fit_normalisation(years, settings(YEARS.model_copy(update={"test": (2003,), "validation": (2002,)})))
    assert "train: 40 days from 2001-01-01 to 2001-02-09" in caplog.messages
    assert "test: 40 days from 2003-01-01 to 2003-02-09" in caplog.messages


def test_ingest_joins_notes_and_ranges_of_all_years(years):
    for path, low in zip(years, (0.0, -1.5, 2.0), strict=True):
        with xr.open_dataset(path) as opened:
            year = opened.load()
        values = {"rain": {"units": "mm/day", "min": low, "max": 30.0 + low, "values": 100, "missing": 0.1 + low / 100}}
        year.attrs |= {"ingest": json.dumps([f"a sentence {low}"]), "values": json.dumps(values)}
        write_netcdf(year, path)
    found = ingest_of(years, fit_normalisation(years, settings()))
    assert found["2002"] == ["a sentence -1.5"]
    assert found["all years"] == []
    assert found["values"]["2003"]["rain"]["min"] == 2.0
    joined = found["values"]["all years"]["rain"]
    assert joined == {"units": "mm/day", "min": -1.5, "max": 32.0, "values": 300, "missing": pytest.approx(0.1017)}


def test_training_on_predictors_of_another_day_is_refused(tmp_path):
    origins = [Origin("rain", "rain", "rain", day_is_stated=False)]
    origins += [Origin(f"predictors.{i}", name, "other", day_is_stated=False) for i, name in enumerate(("pr", "tas"))]
    origins[1] = Origin("predictors.0", "predictor pr", "rain", day_is_stated=False)
    paths = []
    for y in (2001, 2002, 2003):
        path = make_fields(tmp_path / f"{y}.nc", showers(90, y), f"{y}-01-01", sources=origins)
        with xr.open_dataset(path) as opened:
            year = opened.load()
        year["predictors"] = year.predictors.roll(time=1)
        write_netcdf(year, path)
        paths.append(path)
    with pytest.raises(UserError, match=r"predictors\.0\.files .*one day late"):
        fit_normalisation(paths, settings())


# ------------------------------------------------------------------------------------ categories


def categorise(tmp_path, rain, **keys):
    """Categories of the given days, as test days after training days whose daily maxima are 1 to 100 mm/day."""
    coast = keys.pop("coast_distance", np.tile(np.arange(12) * 10.0, (8, 1)))
    training = np.zeros((100, 8, 12))
    training[np.arange(100), 7, 11] = np.arange(1, 101)
    parts = {2001: training, 2002: training[-1:], 2003: rain}
    paths = [make_fields(tmp_path / f"{y}.nc", r, f"{y}-01-01", coast_distance=coast) for y, r in parts.items()]
    result = fit_normalisation(paths, settings(heavy_min_cells=4, coast_km=25, **keys))
    assert float(result.heavy_threshold) == pytest.approx(90.1)
    assert float(result.extreme_threshold) == pytest.approx(99.01)
    return list(result.category.values[-len(rain) :])


def test_categories_of_constructed_days(tmp_path):
    rain = np.zeros((8, 8, 12))
    rain[0, :4, 0:2] = 95  # wide and heavy, 5 km from the coast on average
    rain[1, :4, 9:11] = 95  # as wide and heavy, but inland
    rain[2, 0, 11] = 99.5  # one extreme cell inland
    rain[3, 0, 0] = 99.5  # one at the coast
    rain[4, 0, :3] = 95  # three heavy cells are not enough, and too few cells are wet
    rain[5, :, :] = 0.99  # everywhere a little less than wet
    rain[6, :, 0] = 1.0  # 8 of 96 cells wet
    rain[7, :2, [0, 9]] = 95  # heavy at the coast and inland: 45 km on average
    assert categorise(tmp_path, rain) == [
        "heavy-coast",
        "heavy-interior",
        "heavy-interior",
        "heavy-coast",
        "dry",
        "dry",
        "moderate",
        "heavy-interior",
    ]


def test_days_are_sorted_for_training_by_their_coarse_rain_alone(tmp_path):
    rain = np.random.default_rng(1).gamma(0.5, 4.0, (40, 8, 8))
    rain[::4] = 0.0
    path = make_fields(tmp_path / "2001.nc", rain)
    dataset = settings(Split(by="blocks", block_days=5), heavy_percentile=80)
    before = fit_normalisation([path], dataset)
    coarse = rain.reshape(40, 4, 2, 4, 2).mean((2, 4)).max((1, 2))
    training = before.split.values == "train"
    heavy = coarse >= np.percentile(coarse[training], 80)
    expected = np.where(heavy, "heavy", np.where(np.arange(40) % 4 == 0, "dry", "moderate"))
    np.testing.assert_array_equal(before.coarse_category.values, expected)
    with xr.open_dataset(path) as opened:
        other = opened.load()
    other["pr"] = other.pr * 3  # the observed rain changes, the coarse rain does not
    other.to_netcdf(tmp_path / "other.nc")
    np.testing.assert_array_equal(fit_normalisation([tmp_path / "other.nc"], dataset).coarse_category, expected)
    alone = other.isel(channel=[1]).assign_attrs(rain_channel="")
    alone.to_netcdf(tmp_path / "alone.nc")
    assert (fit_normalisation([tmp_path / "alone.nc"], dataset).coarse_category == "moderate").all()


def test_the_sea_has_no_say_in_the_category_of_the_coarse_rain(tmp_path):
    rain = np.zeros((40, 8, 8))
    rain[:, :2, :2] = 5.0  # the only land, 1 of 16 coarse cells: below the share that makes a dry day, were it all land
    valid = np.zeros((8, 8), bool)
    valid[:2, :2] = True
    path = make_fields(tmp_path / "2001.nc", rain, valid=valid)
    dataset = settings(Split(by="blocks", block_days=5), dry_wet_fraction=0.1)
    assert (fit_normalisation([path], dataset).coarse_category != "dry").all()


def test_another_split_of_the_same_fields_is_other_data(years):
    one = fit_normalisation(years, settings())
    other = fit_normalisation(years, settings(Split(train=(2003,), validation=(2002,), test=(2001,))))
    assert one.attrs["data_fingerprint"] != other.attrs["data_fingerprint"]


def test_without_a_coast_heavy_days_are_interior(tmp_path):
    rain = np.full((1, 8, 12), 95.0)
    assert categorise(tmp_path, rain, coast_distance=np.full((8, 12), np.nan)) == ["heavy-interior"]


def test_dry_wet_fraction_is_a_share_of_the_cells(tmp_path):
    rain = np.zeros((2, 8, 12))
    rain[0, 0, :] = 5  # 12 of 96 cells
    rain[1, 0, :11] = 5
    assert categorise(tmp_path, rain, dry_wet_fraction=0.125) == ["moderate", "dry"]


def test_drizzle_in_a_desert_is_not_heavy(tmp_path):
    rain = np.zeros((50, 8, 12))
    rain[0] = 30
    parts = {2001: rain, 2002: rain, 2003: np.full((1, 8, 12), 0.2)}
    paths = [make_fields(tmp_path / f"{y}.nc", r, f"{y}-01-01") for y, r in parts.items()]
    result = fit_normalisation(paths, settings())  # P90 of the maxima is 0
    assert result.category.values[-1] == "dry"
    assert (result.category.values[:50] == "dry").sum() == 49
