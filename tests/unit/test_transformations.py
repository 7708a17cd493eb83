"""Files that say one thing in different ways give equal canonical fields, also when many such ways come together."""

import numpy as np
import pytest
import xarray as xr
from rawmakers import YEAR, assert_same_fields, coarse_file, rain_file, settings

from rainshaft.config.sections import PredictorFiles
from rainshaft.data.prepare import prepare_year

RAIN = "pr"


def mirror_rows(ds, rng):
    return ds.isel({y_of(ds): slice(None, None, -1)})


def mirror_columns(ds, rng):
    return ds.isel({x_of(ds): slice(None, None, -1)})


def turn_longitudes(ds, rng):
    name = x_of(ds)
    return ds.assign_coords({name: (ds[name] + rng.choice([-360, 360])).assign_attrs(ds[name].attrs)})


def reorder(ds, rng):
    return ds.transpose(*rng.permutation(list(ds.sizes)))


def rename(ds, rng):
    y, x = (("latitude", "longitude"), ("nav_lat", "nav_lon"), ("y", "x"), ("a", "b"))[rng.integers(4)]
    named = ds.rename({y_of(ds): y, x_of(ds): x, "time": ("time", "valid_time", "T", "day")[rng.integers(4)]})
    named[y].attrs = {"standard_name": "latitude", "units": "degrees_north"}
    named[x].attrs = {"standard_name": "longitude", "units": "degrees_east"}
    return named


def shuffle_days(ds, rng):
    return ds.isel({time_of(ds): rng.permutation(ds.sizes[time_of(ds)])})


def other_hour(ds, rng):
    name = time_of(ds)
    return ds.assign_coords({name: ds[name].dt.floor("D") + np.timedelta64(int(rng.integers(24)), "h")})


def other_units(ds, rng):
    name = next(iter(ds.data_vars))
    scales = {
        "mm/day": (("m", 1e-3), ("cm", 0.1), ("kg m-2 s-1", 1 / 86400), ("inches", 1 / 25.4)),
        "K": (("degC", 1),),
    }
    units, scale = scales[ds[name].attrs["units"]][rng.integers(len(scales[ds[name].attrs["units"]]))]
    values = ds[name].astype("float64") * scale - (273.15 if units == "degC" else 0)
    return ds.assign({name: values.assign_attrs(ds[name].attrs | {"units": units})})


def extra_dimension(ds, rng):
    return ds.expand_dims(("height", "number", "expver")[rng.integers(3)], axis=int(rng.integers(3)))


def text_epoch(ds, rng):
    name = time_of(ds)
    epoch = ("1900-01-01", "1970-1-1 00:00:0.0", "0001-01-01 00:00:00")[rng.integers(3)]
    unit = ("days", "hours", "minutes", "seconds")[rng.integers(4)]
    ds[name].encoding = {"units": f"{unit} since {epoch}", "calendar": "proleptic_gregorian", "dtype": "float64"}
    return ds


WAYS = (
    mirror_rows,
    mirror_columns,
    turn_longitudes,
    reorder,
    rename,
    shuffle_days,
    other_hour,
    other_units,
    extra_dimension,
    text_epoch,
)


def y_of(ds):
    return next(str(d) for d in ds.dims if ds[d].attrs.get("units") == "degrees_north")


def x_of(ds):
    return next(str(d) for d in ds.dims if ds[d].attrs.get("units") == "degrees_east")


def time_of(ds):
    return next(str(d) for d in ds.dims if d in ds.coords and ds[d].dtype.kind == "M")


def packed(ds, rng):
    """How to store the file: chunks, compression, byte order, single or double precision."""
    name = next(iter(ds.data_vars))
    chunks = tuple(int(rng.integers(1, size + 1)) for size in ds[name].shape)
    return {
        name: {
            "zlib": bool(rng.integers(2)),
            "shuffle": bool(rng.integers(2)),
            "fletcher32": bool(rng.integers(2)),
            "chunksizes": chunks,
            "dtype": ("float32", "float64", ">f4")[rng.integers(3)],
            "_FillValue": (-9999.0, 1e20, np.nan)[rng.integers(3)],
        }
    }


def write(ds, folder, rng):
    """Write a file whole or in parts, as netCDF of some kind or as zarr. Give the patterns that name it."""
    way, time = ("netcdf", "classic", "parts", "parts with a copy", "zarr")[rng.integers(5)], time_of(ds)
    name = next(iter(ds.data_vars))
    if way == "classic":
        ds.to_netcdf(folder / f"{name}.nc", format=("NETCDF3_CLASSIC", "NETCDF3_64BIT")[rng.integers(2)])
    elif way == "zarr":
        ds.to_zarr(folder / f"{name}.zarr", zarr_format=int(rng.integers(2, 4)), consolidated=False)
        return [str(folder / f"{name}.zarr")]
    elif way == "netcdf":
        ds.to_netcdf(folder / f"{name}.nc", encoding=packed(ds, rng))
    else:
        cut, overlap = int(rng.integers(30, 300)), 5 if way == "parts with a copy" else 0
        for i, part in enumerate((slice(0, cut + overlap), slice(cut, None))):
            piece = ds.isel({time: part})
            piece.to_netcdf(folder / f"{name}_{i}.nc", encoding=packed(piece, rng))
        return [str(folder / f"{name}_*.nc")]
    return [str(folder / f"{name}.nc")]


def temperature():
    return coarse_file(cells=(5, 7), size=0.37, south=19.8, west=69.7)


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    folder = tmp_path_factory.mktemp("plain")
    tas = {"tas": (temperature(), {"quantity": "temperature"})}
    prepare_year(settings(folder, rain_file(), tas), YEAR, folder / "fields.nc")
    with xr.open_dataset(folder / "fields.nc") as fields:
        return fields.load()


@pytest.mark.parametrize("seed", range(24))
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_any_ways_together_make_no_difference(tmp_path, plain, seed):
    rng = np.random.default_rng(seed)
    patterns = {}
    for name, ds in ((RAIN, rain_file()), ("tas", temperature())):
        for way in rng.choice(len(WAYS), size=4, replace=False):
            ds = WAYS[way](ds, rng)
        patterns[name] = write(ds, tmp_path, rng)
    tas = PredictorFiles(files=patterns["tas"], variable="tas", quantity="temperature")
    configured = settings(tmp_path, rain={"files": patterns[RAIN], "variable": RAIN})
    configured = configured.model_copy(update={"predictors": (tas,)})
    prepare_year(configured, YEAR, tmp_path / "fields.nc")
    with xr.open_dataset(tmp_path / "fields.nc") as fields:
        assert_same_fields(fields, plain, rtol=1e-5)


def test_another_place_is_noticed(tmp_path, plain):
    """The comparison can fail: a predictor half a cell away gives other fields."""
    moved = temperature()
    moved = moved.assign_coords(lat=moved.lat + 0.05)
    configured = settings(tmp_path, rain_file(), {"tas": (moved, {"quantity": "temperature"})})
    prepare_year(configured, YEAR, tmp_path / "fields.nc")
    with xr.open_dataset(tmp_path / "fields.nc") as fields, pytest.raises(AssertionError):
        assert_same_fields(fields, plain, rtol=1e-5)
