"""Makers of raw files as users have them, and of the settings that name them."""

import numpy as np
import pytest
import xarray as xr
from fields import slice_of

from rainshaft.config.sections import Dataset
from rainshaft.config.slices import PrepareSettings
from rainshaft.data import prepare
from rainshaft.data.sources import InputError

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
