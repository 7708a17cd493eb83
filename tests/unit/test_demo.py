import numpy as np
import pytest
import xarray as xr
from fields import slice_of

from rainshaft.config.sections import Dataset
from rainshaft.config.slices import RawSettings
from rainshaft.demo import rawfiles, weather

YEARS = (2003, 2004, 2005)  # with a leap year


def settings(seed=1, height=64, width=64, factor=8, years=YEARS):
    split = {"by": "blocks"}
    rain = {"files": ("rain_{year}.nc",), "variable": "pr"}
    made = {"seed": seed, "height": height, "width": width}
    return slice_of(Dataset(years=years, factor=factor, rain=rain, split=split, synthetic=made), RawSettings)


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    """Three years of 64 x 64 cells, factor 8."""
    folder = tmp_path_factory.mktemp("raw")
    rawfiles.make(settings(), folder)
    return folder


@pytest.fixture(scope="module")
def rain(raw):
    """Fine rain of three years, mm/day."""
    return np.concatenate([read(raw, f"rain_{year}").pr.values for year in YEARS])


def read(folder, name):
    with xr.open_dataset(folder / f"{name}.nc") as opened:
        return opened.load()


def made(tmp_path, **keys):
    """One year of some other dataset."""
    keys = {"height": 16, "width": 16, "factor": 4, "years": (2003,)} | keys
    rawfiles.make(settings(**keys), tmp_path)
    return read(tmp_path, "rain_2003").pr, read(tmp_path, "pr_day_coarse_2003").pr


# ---------------------------------------------------------------------------------------- files


def test_files_look_as_other_peoples_do(raw):
    fine, coarse = read(raw, "rain_2004"), read(raw, "tas_day_coarse_2004")
    assert fine.pr.shape == (366, 64, 64)
    assert coarse.tas.shape == (366, 8, 8)
    assert fine.pr.dtype == coarse.tas.dtype == np.float32
    for axes in (fine, coarse):
        assert (np.diff(axes.lat) > 0).all()
        assert axes.lat.attrs["standard_name"] == "latitude"
    assert set(fine.time.dt.hour.values) == {0}
    assert set(coarse.time.dt.hour.values) == {12}
    np.testing.assert_allclose(coarse.lat, fine.lat.values.reshape(8, 8).mean(1), atol=1e-6)
    np.testing.assert_allclose(coarse.lon, fine.lon.values.reshape(8, 8).mean(1), atol=1e-6)
    np.testing.assert_allclose(coarse.lat_bnds[1:, 0], coarse.lat_bnds[:-1, 1], atol=1e-6)
    units = {name: read(raw, f"{name}_day_coarse_2004")[name].attrs["units"] for name in rawfiles.COARSE}
    assert units == {"pr": "kg m-2 s-1", "tas": "K", "tasmax": "K", "tasmin": "K", "huss": "1", "sfcWind": "m s-1"}


def test_ground_is_a_coast_with_mountains(raw):
    fixed = read(raw, "fixed")
    assert (fixed.orog.attrs["units"], fixed.sftlf.attrs["units"]) == ("m", "%")
    land = fixed.sftlf.values > 50
    assert 0.4 < land.mean() < 0.85
    assert fixed.sftlf.values.min() == 0
    assert fixed.sftlf.values.max() == 100
    assert 1200 < fixed.orog.values.max() < 3500
    assert (fixed.orog.values[fixed.sftlf.values == 0] == 0).all()
    assert (fixed.orog.values[land] > 0).all()


# --------------------------------------------------------------------------------------- values


def test_same_seed_same_values_whatever_the_other_years(tmp_path):
    first, again = made(tmp_path / "a"), made(tmp_path / "b", years=(2002, 2003))
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, other)
    another_seed, _ = made(tmp_path / "c", seed=2)
    assert (first[0].values != another_seed.values).mean() > 0.1


def test_a_coarse_cell_may_be_larger_than_the_domain(tmp_path):
    fine, coarse = made(tmp_path, factor=20)
    assert fine.shape == (365, 16, 16)
    assert coarse.shape == (365, 1, 1)
    assert np.corrcoef(fine.mean(("lat", "lon")), coarse[:, 0, 0])[0, 1] > 0.9


@pytest.mark.parametrize(("height", "width", "factor"), [(24, 36, 12), (17, 29, 4), (20, 16, 3)])
def test_coarse_rain_is_the_block_mean(tmp_path, height, width, factor):
    fine, coarse = made(tmp_path, height=height, width=width, factor=factor)
    assert fine.shape == (365, height, width)
    assert coarse.shape == (365, -(-height // factor), -(-width // factor))
    rows, columns = height // factor, width // factor  # whole blocks, counted from the north-west
    north_first = fine.values[:, ::-1][:, : rows * factor, : columns * factor].astype("f8")
    blocks = north_first.reshape(-1, rows, factor, columns, factor).mean((2, 4))
    np.testing.assert_allclose(coarse.values[:, ::-1][:, :rows, :columns] * 86400.0, blocks, rtol=1e-5, atol=1e-9)


def test_coarse_rain_of_the_demo_is_the_block_mean(raw, rain):
    coarse = np.concatenate([read(raw, f"pr_day_coarse_{year}").pr.values for year in YEARS])
    blocks = rain.astype("f8").reshape(-1, 8, 8, 8, 8).mean((2, 4))
    np.testing.assert_allclose(coarse * 86400.0, blocks, rtol=1e-5, atol=1e-9)


def test_temperatures_are_in_order_and_moisture_is_bounded(raw):
    fields = {name: read(raw, f"{name}_day_coarse_2003")[name].values.astype("f8") for name in rawfiles.COARSE}
    assert (fields["tasmin"] <= fields["tas"]).all()
    assert (fields["tas"] <= fields["tasmax"]).all()
    assert (fields["tasmax"] - fields["tasmin"]).max() < 30
    assert fields["tasmin"].min() > 255
    assert fields["tasmax"].max() < 325
    highest = 75000  # Pa, at 2500 m: nowhere is saturated air moister than there
    saturated = 0.622 * 611.2 * np.exp(17.67 * (fields["tas"] - 273.15) / (fields["tas"] - 29.65)) / highest
    assert (fields["huss"] > 0.001).all()
    assert (fields["huss"] < saturated).all()
    assert (fields["sfcWind"] > 0).all()
    assert fields["sfcWind"].max() < 40


def test_rain_is_rain(rain):
    assert np.isfinite(rain).all()
    assert rain.min() == 0
    assert (rain[rain > 0] >= weather.DETECTION).all()
    assert 0.2 < (rain > 1).mean() < 0.35
    assert 35 < np.percentile(rain, 99) < 60
    for year in np.split(rain, [365, 731]):
        assert 120 < year.max() < 300


def test_days_follow_each_other_in_spells(rain):
    mean = rain.mean((1, 2))
    assert 0.3 < np.corrcoef(mean[1:], mean[:-1])[0, 1] < 0.6
    dry = (rain >= 1).mean((1, 2)) < 0.05
    assert 0.15 < dry.mean() < 0.5
    assert dry[1:][dry[:-1]].mean() > dry.mean() + 0.1


def test_rain_is_sharp_and_does_not_wrap_round(rain):
    wet = np.log1p(rain[(rain > 1).mean((1, 2)) > 0.2])
    apart = [np.corrcoef(wet[:, :, 0].ravel(), wet[:, :, n].ravel())[0, 1] for n in (1, 8, 63)]
    assert 0.6 < apart[0] < 0.97  # neither noise nor blur
    assert apart[1] < apart[0] - 0.2
    within = wet - wet.mean((1, 2), keepdims=True)  # the weather of the whole domain apart
    for one, other in ((within[:, :, 0], within[:, :, 63]), (within[:, 0], within[:, 63])):
        assert np.corrcoef(one.ravel(), other.ravel())[0, 1] < 0.15
    edges = ((rain[:, :, 1:] > 3) & (rain[:, :, :-1] == 0)).sum() / (
        (rain[:, :, 1:] > 0) & (rain[:, :, :-1] == 0)
    ).sum()
    assert edges > 0.1  # rain begins with a step


def test_mountains_shape_the_rain_and_the_coarse_fields_do_not_tell_all(raw, rain):
    fixed = read(raw, "fixed")
    climate = rain.mean(0)
    slope = np.gradient(fixed.orog.values, axis=1)
    upwind, lee = slope > 80, (slope < -20) & (np.arange(64) > 40)
    assert climate[upwind].mean() > 1.8 * climate[lee].mean()
    assert climate.max() > 5 * climate.min()
    blocks = weather.geography(1, 64, 64, 8).coarsen(rain)
    known = np.kron(blocks, np.ones((1, 8, 8)))
    assert 0.6 < np.corrcoef(known.ravel(), rain.ravel())[0, 1] < 0.9


def test_warm_moist_days_have_smaller_cells():
    ground = weather.geography(1, 64, 64, 8)
    days = weather.weather_of(1, 2003)
    mountains = np.fft.rfft2(ground.elevation)

    def neighbours(summer, warmth, moisture):
        state = {"summer": summer, "warmth": warmth, "moisture": moisture, "eastward": 1.0, "northward": 0.0}
        fixed = {name: np.full(20, value) for name, value in state.items()} | {"regime": np.full(20, weather.SHOWERY)}
        fixed |= {"strength": np.zeros(20), "band": np.zeros((20, 4))}
        made = weather.WeatherYear(**(vars(days) | fixed))
        drawn = [weather._rain_of_day(np.random.default_rng(d), made, d, ground, mountains) for d in range(20)]
        wet = np.log1p(np.stack(drawn))
        return np.corrcoef(wet[:, :, 2:].ravel(), wet[:, :, :-2].ravel())[0, 1]

    assert neighbours(1.0, 1.5, 1.0) < neighbours(-1.0, -1.5, -1.0) - 0.05
