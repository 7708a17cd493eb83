"""The first bytes of a raw file say what it is. What is not read is called by its name, with a cure."""

import bz2
import gzip
import lzma
import re
import shutil
import subprocess
import sys
import zipfile

import numpy as np
import pytest
import xarray as xr

from rainshaft.data.formats import format_of
from rainshaft.data.header import open_header
from rainshaft.data.sources import InputError, Source, files_of

SHAPE = (3, 4, 5)


def source(*patterns, variable="pr", quantity="rain", **keys):
    return Source("rain", "rain", tuple(map(str, patterns)), variable, quantity, **keys)


def rain():
    """Three days of rain, north first."""
    values = np.arange(np.prod(SHAPE), dtype="float32").reshape(SHAPE)
    axes = {
        "time": np.arange("2001-01-01", "2001-01-04", dtype="datetime64[D]").astype("datetime64[ns]"),
        "lat": ("lat", [43.0, 42.0, 41.0, 40.0], {"units": "degrees_north"}),
        "lon": ("lon", [10.0, 11.0, 12.0, 13.0, 14.0], {"units": "degrees_east"}),
    }
    return xr.Dataset({"pr": (("time", "lat", "lon"), values, {"units": "mm/day"})}, axes)


def values(location, **keys):
    """What is read of a file: the values, the axes and the notes."""
    with open_header(source(location, **keys), location) as header:
        data = header.data.load()
    header.file.close()
    return data, header


def refusal(location, **keys):
    with pytest.raises(InputError) as caught, open_header(source(location, **keys), location):
        pass
    return str(caught.value)


def assert_is_rain(data):
    np.testing.assert_array_equal(data.values, rain().pr.values)
    np.testing.assert_array_equal(data[data.dims[0]].values, rain().time.values)


@pytest.mark.parametrize(
    "form", ["NETCDF3_CLASSIC", "NETCDF3_64BIT", "NETCDF3_64BIT_DATA", "NETCDF4", "NETCDF4_CLASSIC"]
)
def test_netcdf_of_every_kind_is_read_under_any_name(tmp_path, form):
    rain().to_netcdf(tmp_path / "rain.grib", format=form, engine="netcdf4")
    assert_is_rain(values(tmp_path / "rain.grib")[0])


def packed(pack):
    return lambda path: path.write_bytes(pack(b"CDF\x01" + bytes(100)))


def text(words):
    return lambda path: path.write_text(words, encoding="utf-8")


def archive(path):
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("data_stream-oper.nc", "x")
        file.writestr("other.nc", "x")


NO_NETCDF = {
    "zip": (archive, "a zip archive that holds data_stream-oper.nc, other.nc", "unzip rain.nc"),
    "gzip": (packed(gzip.compress), "gzip has packed", "gunzip"),
    "bzip2": (packed(bz2.compress), "bzip2 has packed", "bunzip2"),
    "xz": (packed(lzma.compress), "xz has packed", "unxz"),
    "hdf4": (lambda path: path.write_bytes(b"\x0e\x03\x13\x01" + bytes(50)), "an HDF4 file", "convert it to netCDF"),
    "page": (text("\n<!DOCTYPE HTML>\n<html><title> Log in\n here</title>"), "a web page (Log in here)", "log in"),
    "xml": (text('<?xml version="1.0"?>\n<Error><Code>AccessDenied</Code></Error>'), "an XML text", "AccessDenied"),
    "json": (text('{"error": "too many requests"}'), "a JSON text", "too many requests"),
    "empty": (lambda path: path.touch(), "an empty file", "download it again"),
    "zeros": (lambda path: path.write_bytes(bytes(5000)), "nothing but zeros", "download it again"),
    "table": (text("date,lat,lon,pr\n2001-01-01,40,10,0.5\n"), "a text (date,lat,lon,pr", "on a grid as netCDF"),
    "lfs": (text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n"), "pointer of Git LFS", "git lfs pull"),
    "ncdump": (text("netcdf rain {\ndimensions:\n"), "the text that ncdump writes", "ncgen"),
    "numbers": (lambda path: path.write_bytes(b"\x00\x80\xfe\x43" * 9), "no known format", "cdo -f nc import_binary"),
    "hdf5": (lambda path: path.write_bytes(b"\x89HDF\r\n\x1a\n\x00"), "damaged or cut short", "copy it again"),
    "grib": (lambda path: path.write_bytes(b"GRIB\x00\x00\x5a\x01" + bytes(90)), "a GRIB file that cannot", "copy it"),
}


@pytest.mark.parametrize("kind", NO_NETCDF)
def test_a_file_that_is_no_netcdf_is_called_what_it_is(tmp_path, kind):
    if kind == "grib":
        pytest.importorskip("cfgrib")
    make, *words = NO_NETCDF[kind]
    make(tmp_path / "rain.nc")
    message = refusal(tmp_path / "rain.nc")
    assert all(word in message for word in words), message


def test_a_netcdf4_file_that_is_cut_short_says_so(tmp_path):
    rain().to_netcdf(tmp_path / "rain.nc")
    whole = (tmp_path / "rain.nc").read_bytes()
    (tmp_path / "rain.nc").write_bytes(whole[:-10])
    assert f"found {len(whole) - 10} bytes, expected {len(whole)} bytes" in refusal(tmp_path / "rain.nc")


def test_a_missing_file_is_named(tmp_path):
    assert "no such file" in refusal(tmp_path / "rain.nc")


# ------------------------------------------------------------------------------------------ groups


def test_a_variable_in_a_group_is_found_with_the_coordinates_around_it(tmp_path):
    path = tmp_path / "rain.nc"
    rain()[["lat", "lon"]].to_netcdf(path, group="Grid")
    rain().drop_vars(["lat", "lon"]).to_netcdf(path, group="Grid/Daily", mode="a")
    for variable in ("pr", "Grid/Daily/pr", "/Grid/Daily/pr"):
        data, header = values(path, variable=variable)
        assert_is_rain(data)
        assert list(header.file.lat.values) == [43.0, 42.0, 41.0, 40.0]
        assert header.notes == ("Rain: variable Grid/Daily/pr read.",)


def test_groups_are_listed_where_the_name_does_not_decide(tmp_path):
    path = tmp_path / "rain.nc"
    rain().to_netcdf(path, group="Day")
    rain().to_netcdf(path, group="Night", mode="a")
    assert "several variables of this name: Day/pr, Night/pr" in refusal(path)
    assert "found the variables Day/pr, Night/pr" in refusal(path, variable="rain")
    assert "found the variables Day/pr, Night/pr" in refusal(path, variable="Noon/pr")


# ------------------------------------------------------------------------------------------ filters

READ = """
import sys
from pathlib import Path
from rainshaft.data.header import open_header
from rainshaft.data.sources import Source
path = Path(sys.argv[1])
with open_header(Source("rain", "rain", (str(path),), "pr", "rain"), path) as header:
    print(float(header.data.sum()))
"""


def read_apart(path, plugins, code=READ):
    """Read a file in a new process, as HDF5 looks for its filters only once."""
    command = [sys.executable, "-c", code, str(path)]
    return subprocess.run(
        command, capture_output=True, text=True, encoding="utf-8", env={"HDF5_PLUGIN_PATH": plugins}, check=False
    )


@pytest.mark.parametrize("filter_name", ["zstd", "bzip2", "blosc_lz4"])
def test_filters_of_netcdf_are_seen_where_the_machine_has_others(tmp_path, filter_name):
    packing = {"pr": {"compression": filter_name, "chunksizes": SHAPE}}
    rain().to_netcdf(tmp_path / "rain.nc", encoding=packing, engine="netcdf4")
    done = read_apart(tmp_path / "rain.nc", str(tmp_path))
    assert done.stdout.strip() == str(float(rain().pr.sum())), done.stderr


def test_a_missing_filter_is_named_in_the_header_check(tmp_path):
    packing = {"pr": {"compression": "zstd", "chunksizes": SHAPE}}
    rain().to_netcdf(tmp_path / "rain.nc", encoding=packing, engine="netcdf4")
    hidden = "import netCDF4\n" + READ  # loads HDF5 before rainshaft can show it the filters
    message = read_apart(tmp_path / "rain.nc", str(tmp_path), hidden).stderr
    assert "the filter zstandard, which cannot be read here" in message
    assert "HDF5_PLUGIN_PATH" in message


# ------------------------------------------------------------------------------------------ zarr


@pytest.fixture
def stored(tmp_path):
    """Rain as a zarr store."""
    pytest.importorskip("zarr")

    def stored(version=3, consolidated=True):
        rain().to_zarr(tmp_path / "rain.zarr", zarr_format=version, consolidated=consolidated)
        return tmp_path / "rain.zarr"

    return stored


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("consolidated", [True, False])
@pytest.mark.filterwarnings("ignore")
def test_a_zarr_store_is_read(stored, version, consolidated):
    store = stored(version, consolidated)
    assert files_of(source(store), 2001) == [store]
    assert_is_rain(values(store)[0])
    assert_is_rain(values(f"file://{store}")[0])


@pytest.mark.parametrize("folder", ["", "rain.zarr"])
def test_a_zarr_store_in_a_zip_is_read(tmp_path, stored, folder):
    store = stored(2)
    shutil.make_archive(str(tmp_path / "packed"), "zip", tmp_path if folder else store, folder or None)
    assert_is_rain(values(tmp_path / "packed.zip")[0])


def test_addresses_are_opened_by_fsspec(tmp_path, stored):
    fsspec = pytest.importorskip("fsspec")
    memory = fsspec.filesystem("memory")
    memory.put(str(stored()), "/rain.zarr", recursive=True)
    rain().to_netcdf(tmp_path / "rain.nc")
    memory.put(str(tmp_path / "rain.nc"), "/rain.nc")
    assert_is_rain(values("memory://rain.zarr")[0])
    assert_is_rain(values("simplecache::memory://rain.nc")[0])
    assert "simplecache::memory://rain.nc" in refusal("memory://rain.nc")
    assert "nothing at this address" in refusal("memory://snow.zarr")
    assert "cannot be reached (Protocol not known: nowhere)" in refusal("nowhere://snow.zarr")


def test_a_missing_package_is_named_with_its_extra(tmp_path, monkeypatch):
    (tmp_path / "rain.tif").write_bytes(b"II*\x00" + bytes(100))
    (tmp_path / "rain.grib").write_bytes(b"GRIB" + bytes(100))
    monkeypatch.setitem(sys.modules, "rioxarray", None)
    monkeypatch.setitem(sys.modules, "cfgrib.xarray_plugin", None)
    monkeypatch.setitem(sys.modules, "fsspec", None)
    assert 'pip install "rainshaft[geotiff]"' in refusal(tmp_path / "rain.tif")
    assert 'pip install "rainshaft[grib]"' in refusal(tmp_path / "rain.grib")
    assert 'pip install "rainshaft[zarr]"' in refusal("s3://bucket/rain.zarr")


# ------------------------------------------------------------------------------------------ GRIB


@pytest.fixture
def grib(tmp_path):
    """Writes a GRIB file of fields of 5 x 4 cells, each with the given keys on top."""
    eccodes = pytest.importorskip("eccodes")
    pytest.importorskip("cfgrib")
    path = tmp_path / "rain.grib"

    def grib(*fields, sample="regular_ll_sfc_grib2"):
        with open(path, "wb") as file:
            for i, keys in enumerate(fields):
                message = eccodes.codes_grib_new_from_samples(sample)
                grid = {
                    "Ni": 5,
                    "Nj": 4,
                    "latitudeOfFirstGridPointInDegrees": 43,
                    "longitudeOfFirstGridPointInDegrees": 10,
                }
                grid |= {"latitudeOfLastGridPointInDegrees": 40, "longitudeOfLastGridPointInDegrees": 14}
                grid |= {"iDirectionIncrementInDegrees": 1, "jDirectionIncrementInDegrees": 1}
                stated = {**grid, "shortName": "2t", "dataTime": 0, **keys}
                cells = stated["Ni"] * stated["Nj"]
                for key, value in {"numberOfDataPoints": cells, **stated}.items():
                    eccodes.codes_set(message, key, value)
                eccodes.codes_set_values(message, 270.0 + i + np.arange(cells))
                eccodes.codes_write(message, file)
                eccodes.codes_release(message)
        return path

    return grib


DAYS = [{"dataDate": 20010101 + i} for i in range(3)]
SUM = {"shortName": "tp", "productDefinitionTemplateNumber": 8, "typeOfStatisticalProcessing": 1}


def test_grib_is_read_and_leaves_no_index_behind(grib):
    path = grib(*DAYS)
    for variable in ("2t", "t2m"):
        data, header = values(path, variable=variable)
        assert data.dims == ("valid_time", "latitude", "longitude")
        np.testing.assert_array_equal(data.valid_time.values, rain().time.values)
        np.testing.assert_allclose(data[:, 0, 0], [270, 271, 272], atol=0.01)
        assert header.data.attrs["units"] == "K"
    assert [p.name for p in path.parent.iterdir()] == ["rain.grib"]


def test_sums_of_a_forecast_have_the_bounds_of_their_steps(grib):
    path = grib(*({**SUM, **day, "stepRange": "6-30"} for day in DAYS))
    data, header = values(path, variable="tp")
    bounds = header.file[header.file.valid_time.attrs.get("bounds", header.file.valid_time.encoding.get("bounds"))]
    assert str(data.valid_time.values[0])[:16] == "2001-01-02T06:00"
    assert [str(stamp)[:16] for stamp in bounds.values[0]] == ["2001-01-01T06:00", "2001-01-02T06:00"]


def test_sums_since_the_start_of_a_forecast_are_refused(grib):
    path = grib(*({**SUM, "dataDate": 20010101, "stepRange": f"0-{end}"} for end in (24, 48)))
    assert "spans overlap (steps 0-24, 0-48)" in refusal(path, variable="tp")


def test_grib_of_several_kinds_of_fields_is_refused_with_the_kinds(grib):
    finer = {"Ni": 3, "iDirectionIncrementInDegrees": 2}
    message = refusal(grib(DAYS[0], {**DAYS[1], **finer}), variable="2t")
    assert re.search(r"2 kinds of fields: .*5 x 4.*3 x 4", message)
    levels = ({"shortName": "t", "typeOfLevel": kind, "level": 500} for kind in ("isobaricInhPa", "heightAboveGround"))
    message = refusal(grib(*levels), variable="t")
    assert re.search(r"2 kinds of fields: .*typeOfLevel=isobaricInhPa.*typeOfLevel=heightAboveGround", message)
    assert "found the variables 2t" in refusal(grib(*DAYS), variable="tp")
    message = refusal(grib({"dataDate": 20010101, "step": 24}, {"dataDate": 20010102}), variable="2t")
    assert "2 fields for 20010102 0000 (steps 0, 24)" in message


def test_grib_that_is_no_regular_grid_is_refused(tmp_path):
    eccodes = pytest.importorskip("eccodes")
    message = eccodes.codes_grib_new_from_samples("reduced_gg_sfc_grib2")
    with open(tmp_path / "rain.grib", "wb") as file:
        eccodes.codes_write(message, file)
    name = eccodes.codes_get(message, "shortName")
    assert "a reduced Gaussian grid" in refusal(tmp_path / "rain.grib", variable=name)


# ------------------------------------------------------------------------------------------ rasters


def write_raster(path, bands=1, driver="GTiff", crs="EPSG:4326", names=()):
    rasterio = pytest.importorskip("rasterio")
    pytest.importorskip("rioxarray")
    raster = np.arange(bands * 20, dtype="float32").reshape(bands, 4, 5)
    raster[:, 0, 0] = -9999
    shape = rasterio.transform.from_origin(9.5, 43.5, 1, 1)
    profile = {"count": bands, "height": 4, "width": 5, "dtype": "float32", "crs": crs, "nodata": -9999}
    with rasterio.open(path, "w", driver=driver, transform=shape, **profile) as file:
        file.write(raster)
        for i, name in enumerate(names, 1):
            file.set_band_description(i, name)


@pytest.mark.parametrize(("driver", "end"), [("GTiff", "tif"), ("EHdr", "bil"), ("AAIGrid", "asc")])
def test_a_raster_with_its_date_in_its_name_is_read(tmp_path, driver, end):
    if driver == "AAIGrid":
        pytest.importorskip("rasterio")
        rows = "\n".join(
            " ".join(map(str, row)) for row in [[-9999, 1, 2, 3, 4], *np.arange(5, 20).reshape(3, 5).tolist()]
        )
        header = "ncols 5\nnrows 4\nxllcorner 9.5\nyllcorner 39.5\ncellsize 1\nNODATA_value -9999\n"
        (tmp_path / "ppt_20010102.asc").write_text(header + rows + "\n", encoding="utf-8")
    else:
        write_raster(tmp_path / f"ppt_20010102.{end}", driver=driver)
    path = tmp_path / f"ppt_20010102.{end}"
    dated = source(tmp_path / f"ppt_{{year}}{{month}}{{day}}.{end}", variable="ppt")
    assert files_of(dated, 2001) == [path]
    with open_header(dated, path) as header:
        data = header.data.load()
    assert data.dims == ("time", "y", "x")
    assert str(data.time.values[0])[:10] == "2001-01-02"
    assert np.isnan(data.values[0, 0, 0])
    assert data.values[0, 1, 1] == 6
    np.testing.assert_allclose(data.y.values, [43, 42, 41, 40])
    if driver == "GTiff":
        assert data.y.attrs["standard_name"] == "latitude"
        assert header.file[data.attrs.get("grid_mapping", data.encoding.get("grid_mapping"))].attrs["grid_mapping_name"]
    assert "Rain: dates taken from the names of the files." in header.notes
    assert "write {year}{month}{day} in rain.files" in refusal(path)


def test_a_raster_may_be_a_map_that_does_not_change(tmp_path):
    write_raster(tmp_path / "dem.tif")
    data, _ = values(tmp_path / "dem.tif", variable="height", quantity="elevation")
    assert data.dims == ("y", "x")


def test_a_raster_of_many_bands_is_refused_and_one_of_its_bands_is_read(tmp_path):
    write_raster(tmp_path / "ppt_20010101.tif", bands=3, names=("a", "b", "c"))
    assert "a raster of 3 bands (a, b, c), and nothing that dates them" in refusal(tmp_path / "ppt_20010101.tif")
    for name in ("b", "Band2"):
        data, _ = values(tmp_path / "ppt_20010101.tif", variable=name, quantity="elevation")
        assert data.values[1, 1] == 26


def test_formats_are_told_apart_by_their_first_bytes(tmp_path):
    rain().to_netcdf(tmp_path / "a.tif")
    rain().to_netcdf(tmp_path / "b.zip", format="NETCDF3_CLASSIC")
    (tmp_path / "c.nc").write_bytes(bytes(512) + (tmp_path / "a.tif").read_bytes())
    (tmp_path / "d.nc").write_bytes(b"TTAA00 KWBC\r\r\n" + b"GRIB")
    assert [format_of(path) for path in sorted(tmp_path.iterdir())] == ["HDF5", "netCDF", "HDF5", "GRIB"]
