"""Raw files of a made-up dataset, for the demo and the tests. They look like files of observations and of CMIP.

Input: `datasets.NAME` with a section `synthetic`. Output: CF netCDF4 files in one folder, latitude ascending:

    rain_{year}.nc                pr      fine grid, mm/day, stamped 00 UTC
    {name}_day_coarse_{year}.nc   pr kg m-2 s-1, tas tasmax tasmin K, huss 1, sfcWind m s-1; CMIP style, stamped 12 UTC
    fixed.nc                      orog m, sftlf %, fine grid

The coarse cells are whole blocks of `factor` x `factor` fine cells, counted from the north-west corner. Where they do
not fit into the fine grid, the last row and column of them reach beyond it. The coarse `pr` is their exact mean rain.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from rainshaft.config.slices import RawSettings
from rainshaft.demo import weather
from rainshaft.demo.weather import CELL_KM, Geography
from rainshaft.files import RAIN_ATTRIBUTES, atomic

SOUTH, WEST, CELL = 24.0, 15.0, 0.04  # degrees  # ASSUME a made-up subtropical coast with cells of 4 to 4.5 km

COARSE: dict[str, dict[str, Any]] = {
    "pr": {"standard_name": "precipitation_flux", "long_name": "Precipitation", "units": "kg m-2 s-1"},
    "tas": {"standard_name": "air_temperature", "long_name": "Near-Surface Air Temperature", "units": "K"},
    "huss": {"standard_name": "specific_humidity", "long_name": "Near-Surface Specific Humidity", "units": "1"},
    "sfcWind": {"standard_name": "wind_speed", "long_name": "Near-Surface Wind Speed", "units": "m s-1"},
    "tasmax": {"standard_name": "air_temperature", "long_name": "Daily Maximum Temperature", "units": "K"},
    "tasmin": {"standard_name": "air_temperature", "long_name": "Daily Minimum Temperature", "units": "K"},
}
CELL_METHODS = {"tasmax": "area: mean time: maximum", "tasmin": "area: mean time: minimum"}
HEIGHT = {"tas": 2.0, "tasmax": 2.0, "tasmin": 2.0, "huss": 2.0, "sfcWind": 10.0}  # m above the ground


def make(dataset: RawSettings, folder: Path) -> None:
    """Write the raw files of all years; an equal seed and equal sizes give equal values.

    Parameters
    ----------
    dataset
        Seed, sizes, years and factor.
    folder
        Where the files go; made if it is not there.
    """
    seed, size = dataset.synthetic.seed, (dataset.synthetic.height, dataset.synthetic.width)
    rows, columns = (-(-cells // dataset.factor) * dataset.factor for cells in size)
    ground = weather.geography(seed, rows, columns, dataset.factor)
    _write(_fixed(ground, size), folder / "fixed.nc")
    for year in dataset.years:
        days = weather.weather_of(seed, year)
        rain = weather.rain_of(seed, year, days, ground)
        _write(_rain(rain, year, size), folder / f"rain_{year}.nc")
        for name, field in weather.coarse_of(seed, year, days, rain, ground).items():
            _write(_predictor(name, field, year, dataset.factor), folder / f"{name}_day_coarse_{year}.nc")


def _fixed(ground: Geography, size: tuple[int, int]) -> xr.Dataset:
    """Height of the ground and land fraction."""
    # ASSUME the coast crosses the cells whose middle is nearer to it than half a cell; they are part land, part sea
    land = np.clip(0.5 + ground.crop(ground.inland) / CELL_KM[0], 0, 1) * 100
    orog = {"standard_name": "surface_altitude", "long_name": "Surface Altitude", "units": "m"}
    sftlf = {
        "standard_name": "land_area_fraction",
        "long_name": "Percentage of the Cell Occupied by Land",
        "units": "%",
    }
    return xr.Dataset(
        {
            "orog": (("lat", "lon"), _fine(ground.crop(ground.elevation), size), orog | {"cell_methods": "area: mean"}),
            "sftlf": (("lat", "lon"), _fine(land.astype("f4"), size), sftlf | {"cell_methods": "area: mean"}),
        },
        _grid(ground.shape, size),
        {"title": "Ground of a made-up coast"},
    )


def _rain(rain: np.ndarray, year: int, size: tuple[int, int]) -> xr.Dataset:
    """Rain on the fine grid, as a gridded observation has it."""
    return xr.Dataset(
        {"pr": (("time", "lat", "lon"), _fine(rain, size), RAIN_ATTRIBUTES)},
        {"time": _time(year, hour=0), **_grid(rain.shape[1:], size)},
        {"title": "Daily rain of a made-up coast (stochastic weather generator)"},
    )


def _predictor(name: str, field: np.ndarray, year: int, factor: int) -> xr.Dataset:
    """One variable on the coarse grid, as a CMIP file has it, with bounds."""
    size = field.shape[1:]
    coordinates: dict[str, Any] = {"time": _time(year, hour=12), **_grid(size, size, factor)}
    bounds = {}
    for axis, half in {"time": np.timedelta64(12, "h"), "lat": factor * CELL / 2, "lon": factor * CELL / 2}.items():
        middle = coordinates[axis][1]
        edges = np.stack([middle - half, middle + half], axis=1)
        bounds[f"{axis}_bnds"] = ((axis, "bnds"), edges if axis == "time" else edges.round(6))
        coordinates[axis][2]["bounds"] = f"{axis}_bnds"
    if name in HEIGHT:
        coordinates["height"] = (
            (),
            HEIGHT[name],
            {"standard_name": "height", "units": "m", "positive": "up", "axis": "Z"},
        )
    attributes = COARSE[name] | {"cell_methods": CELL_METHODS.get(name, "area: time: mean")}
    return xr.Dataset(
        {name: (("time", "lat", "lon"), field, attributes), **bounds},
        coordinates,
        {"title": f"{name} of a made-up coast", "frequency": "day", "source_id": "rainshaft", "variable_id": name},
    )


def _fine(field: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The part of whole coarse cells that the fine grid covers; row 0 is the south."""
    height, width = size
    return field[..., field.shape[-2] - height :, :width]


def _grid(
    whole: tuple[int, ...], size: tuple[int, ...], step: int = 1
) -> dict[str, tuple[str, np.ndarray, dict[str, str]]]:
    """Axes of the part `size` of a grid of `whole` cells, each `step` fine cells wide; degrees, both ascending."""
    lat = (SOUTH + CELL * step * (np.arange(whole[0]) + 0.5)).round(6)[whole[0] - size[0] :]
    lon = (WEST + CELL * step * (np.arange(whole[1]) + 0.5)).round(6)[: size[1]]
    return {
        "lat": (
            "lat",
            lat,
            {"standard_name": "latitude", "long_name": "latitude", "units": "degrees_north", "axis": "Y"},
        ),
        "lon": (
            "lon",
            lon,
            {"standard_name": "longitude", "long_name": "longitude", "units": "degrees_east", "axis": "X"},
        ),
    }


def _time(year: int, hour: int) -> tuple[str, np.ndarray, dict[str, str]]:
    """The days of a year, all stamped at one hour."""
    days = np.arange(f"{year}-01-01", f"{year + 1}-01-01", dtype="datetime64[D]")
    return "time", days.astype("datetime64[ns]") + np.timedelta64(hour, "h"), {"standard_name": "time", "axis": "T"}


def _write(content: xr.Dataset, path: Path) -> None:
    """Write one raw file, whole or not at all: 1e20 for missing values, days since 1850."""
    content.attrs = {"Conventions": "CF-1.7", **content.attrs}
    encoding: dict[str, dict[str, Any]] = {str(name): {"_FillValue": None} for name in content.variables}
    for name, variable in content.data_vars.items():
        if variable.dtype == "f4":
            encoding[str(name)] = {
                "zlib": True,
                "complevel": 1,
                "shuffle": True,
                "_FillValue": 1e20,
                "missing_value": 1e20,
            }
    if "time" in content.dims:
        encoding["time"] |= {"units": "days since 1850-01-01", "calendar": "standard", "dtype": "float64"}
    unlimited = [dim for dim in ("time",) if dim in content.dims]
    with atomic(path) as temporary:
        content.to_netcdf(temporary, engine="netcdf4", encoding=encoding, unlimited_dims=unlimited)
