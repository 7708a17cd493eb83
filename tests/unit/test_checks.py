"""Values that cannot be true are refused or named, and values that only look odd pass."""

import json

import numpy as np
import pytest
import xarray as xr
from fields import slice_of

from rainshaft.config.sections import Dataset
from rainshaft.config.slices import PrepareSettings
from rainshaft.data.prepare import prepare_year
from rainshaft.data.sources import InputError

DAYS = np.arange("2003-01-01", "2004-01-01", dtype="datetime64[D]").astype("datetime64[ns]")
pytestmark = pytest.mark.filterwarnings("ignore:saving variable x:xarray.SerializationWarning")

SHAPE = (len(DAYS), 6, 8)


def drawn(low, high, seed=1):
    """Values between two numbers (day, row, column)."""
    return np.random.default_rng(seed).uniform(low, high, SHAPE)


def showers():
    """Smooth rain in mm/day that comes and goes."""
    rng = np.random.default_rng(3)
    return np.maximum(rng.normal(0, 12, (SHAPE[0], 1, 1)) + rng.normal(0, 1, SHAPE), 0)


@pytest.fixture
def prepared(tmp_path):
    """Prepare a year of rain with one predictor; give the notes and the ranges of values."""

    def prepared(rain=None, values=None, encoding=None, attrs=None, units="1", maps=None, **keys):
        _write(tmp_path / "rain.nc", "pr", showers() if rain is None else rain, "mm/day")
        dataset = {
            "years": [2003],
            "factor": 2,
            "rain": {"files": [str(tmp_path / "rain.nc")], "variable": "pr"},
            "split": {"by": "blocks"},
        }
        if values is not None:
            _write(tmp_path / "x.nc", "x", values, units, encoding, attrs)
            dataset["predictors"] = [{"files": [str(tmp_path / "x.nc")], "variable": "x", **keys}]
        for name, (field, unit) in (maps or {}).items():
            _write(tmp_path / f"{name}.nc", name, np.broadcast_to(field, SHAPE), unit)
            with xr.open_dataset(tmp_path / f"{name}.nc") as opened:
                still = opened.isel(time=0, drop=True).load()
            still.to_netcdf(tmp_path / f"{name}.nc")
            dataset[name] = {"file": str(tmp_path / f"{name}.nc"), "variable": name}
        prepare_year(slice_of(Dataset(**dataset), PrepareSettings), 2003, tmp_path / "fields.nc")
        with xr.open_dataset(tmp_path / "fields.nc") as fields:
            return json.loads(fields.attrs["ingest"]), json.loads(fields.attrs["values"])

    return prepared


def _write(path, name, values, units, encoding=None, attrs=None):
    lat, lon = 45.5 - np.arange(6), 7.5 + np.arange(8)
    data = xr.DataArray(values.astype("f4"), {"time": DAYS, "lat": lat, "lon": lon}, ("time", "lat", "lon"))
    data.attrs = {"units": units, **(attrs or {})}
    data["lat"].attrs, data["lon"].attrs = {"units": "degrees_north"}, {"units": "degrees_east"}
    data.to_dataset(name=name).to_netcdf(path, encoding={name: {"_FillValue": None, **(encoding or {})}})


def refused(call, *args, **keys):
    with pytest.raises(InputError) as caught:
        call(*args, **keys)
    return str(caught.value)


# ------------------------------------------------------------------------------------- marks of no value


@pytest.mark.parametrize("mark", [-9999, -999.9, -99, -32768, 9999, 999, 65535, 1e20, 9.96921e36, -1e34])
@pytest.mark.parametrize(
    ("low", "high", "keys"),
    [
        (0, 100, {}),
        (-30, 30, {}),
        (230, 310, {"units": "K", "quantity": "temperature"}),
        (-30, 35, {"units": "degC", "quantity": "temperature"}),
        (0, 60, {"units": "mm/day", "quantity": "rain"}),
    ],
)
def test_a_mark_of_no_value_is_named_with_its_first_day(prepared, mark, low, high, keys):
    values = drawn(low, high)
    values[40, 2, 3] = values[200, 1, 1:4] = mark
    message = refused(prepared, values=values, **keys)
    assert "2003-02-10" in message
    assert "_FillValue" in message
    if abs(mark) < 1e15:
        assert f"{mark:g} 4 times on 2 day(s)" in message


@pytest.mark.parametrize(
    ("mark", "low", "high", "units"),
    [
        (999, 960, 1030, "hPa"),
        (999, 990, 998.9, "hPa"),
        (9999, 9000, 9998, "m"),
        (-99, -120, 40, "1"),
        (99999, 9e4, 99998, "Pa"),
    ],
)
def test_a_value_that_only_looks_like_a_mark_passes(prepared, mark, low, high, units):
    values = drawn(low, high)
    values[40, 2, 3] = mark
    _, ranges = prepared(values=values, units=units)
    assert ranges["predictor x"]["max"] == pytest.approx(values.max())


@pytest.mark.parametrize(("dtype", "mark"), [("i2", -32768), ("u2", 65535), ("u1", 255), ("i2", 32767)])
def test_a_mark_of_packed_values_is_found(prepared, dtype, mark):
    scale, offset = 0.02, 250.0
    values = drawn(251, 253)
    values[40, 2, 3] = mark * scale + offset
    message = refused(prepared, values=values, encoding={"dtype": dtype, "scale_factor": scale, "add_offset": offset})
    assert f"{mark} (packed) 1 times" in message
    assert "2003-02-10" in message


def test_packing_that_uses_the_whole_range_is_no_mark(prepared):
    values = drawn(250, 310)
    scale = (values.max() - values.min()) / 65534
    offset = values.min() + 32767 * scale
    prepared(values=values, encoding={"dtype": "i2", "scale_factor": scale, "add_offset": offset})


def test_marks_in_the_rain_are_found(prepared):
    rain = showers()
    rain[:, :, 0] = -99.9
    assert "-99.9 2190 times on 365 day(s), the first is 2003-01-01" in refused(prepared, rain)


def test_marks_in_maps_are_found(prepared):
    height = np.linspace(0, 4000, 48).reshape(6, 8)
    height[0, 0] = -999
    assert "elevation: found -999 in 1 cells" in refused(prepared, maps={"elevation": (height, "m")})
    land = np.ones((6, 8))
    land[2, 2] = -9999
    assert "land: found -9999 in 1 cells" in refused(prepared, maps={"land": (land, "1")})
    bathymetry = np.linspace(-2000, 500, 48).reshape(6, 8)
    bathymetry[0, 0] = -9999 / 5  # a depth among other depths
    prepared(maps={"elevation": (bathymetry, "m")})


# ------------------------------------------------------------------------------------- impossible values


@pytest.mark.parametrize(
    ("name", "units", "low", "high"),
    [
        ("specific_humidity", "kg kg-1", 3, 12),
        ("surface_air_pressure", "Pa", 900, 1000),
        ("relative_humidity", "%", 0, 300),
    ],
)
def test_values_that_no_air_has_are_refused_by_their_standard_name(prepared, name, units, low, high):
    message = refused(prepared, values=drawn(low, high), units=units, attrs={"standard_name": name})
    assert "check its units" in message


@pytest.mark.parametrize(
    ("name", "units", "low", "high"),
    [
        ("specific_humidity", "g kg-1", 3, 12),
        ("surface_air_pressure", "hPa", 900, 1000),
        ("relative_humidity", "%", 0, 104),
        ("relative_humidity", "1", 0, 1.04),
        ("eastward_wind", "m s-1", -80, 80),
    ],
)
def test_values_that_air_has_pass(prepared, name, units, low, high):
    prepared(values=drawn(low, high), units=units, attrs={"standard_name": name})


# ------------------------------------------------------------------------------------- running sums


@pytest.mark.parametrize("restarts", [400, 31])
@pytest.mark.parametrize("is_fine", [True, False])
def test_a_running_sum_is_refused_with_its_cure(prepared, is_fine, restarts):
    """Also where it starts anew with every month."""
    sums = np.concatenate([np.cumsum(showers()[i : i + restarts] / 5, 0) for i in range(0, SHAPE[0], restarts)])
    keys = {"rain": sums} if is_fine else {"values": sums, "units": "mm", "quantity": "rain"}
    message = refused(prepared, **keys)
    assert "this is a running sum" in message
    assert "differences" in message


@pytest.mark.parametrize("seed", range(3))
def test_rare_rain_is_no_running_sum(prepared, seed):
    rng = np.random.default_rng(seed)
    rain = np.where(rng.random((SHAPE[0], 1, 1)) < 0.05, rng.gamma(1, 10, SHAPE), 0)
    rain[5] += 2
    prepared(rain)


# ------------------------------------------------------------------------------------- lone values, ranges


def test_a_lone_value_is_named_and_kept(prepared, tmp_path):
    rain = showers()
    rain[278, 1, 2] = 822
    rain[278, 0:3, 1:4][rain[278, 0:3, 1:4] < 822] = 20
    (note,) = [note for note in prepared(rain)[0] if "kept" in note]
    assert "822 mm/day on 2003-10-06 in one cell at 44.5, 9.5" in note
    assert "no neighbour has more than 20 mm/day" in note
    with xr.open_dataset(tmp_path / "fields.nc") as fields:
        assert fields.pr[278, 1, 2] == 822


def test_rough_rain_and_wide_storms_are_not_named(prepared):
    rough = np.random.default_rng(0).gamma(0.3, 60, SHAPE)
    assert (rough > 150).sum() > 50
    wide = showers()
    wide[100] = np.linspace(100, 400, 48).reshape(6, 8)
    for rain in (rough, wide):
        assert not [note for note in prepared(rain)[0] if "kept" in note]


def test_ranges_are_those_of_the_canonical_values(prepared):
    rain = showers()
    rain[:, 0, 0] = np.nan
    values = drawn(-20, 30)
    _, ranges = prepared(rain, values=values, units="degC", quantity="temperature")
    assert ranges["rain"]["missing"] == pytest.approx(1 / 48, abs=1e-4)
    assert ranges["predictor x"]["units"] == "K"
    assert ranges["predictor x"]["min"] == pytest.approx(values.min() + 273.15, rel=1e-5)
    assert ranges["predictor x"]["max"] == pytest.approx(values.max() + 273.15, rel=1e-5)
    assert ranges["predictor x"]["values"] == values.size
