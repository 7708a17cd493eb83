"""Files are whole or absent."""

import subprocess

import numpy as np
import pytest
import torch
import xarray as xr

from rainshaft import files
from rainshaft.errors import UserError


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.json"
    files.write_json({"b": 1}, path)

    def half():
        with files.atomic(path) as temporary:
            temporary.write_text("half", encoding="utf-8")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        half()
    assert path.read_text(encoding="utf-8") == '{\n  "b": 1\n}\n'
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


@pytest.fixture
def small_disk(tmp_path):
    """A folder with room for 2 MB."""
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(tmp_path)], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"a small disk needs the right to mount: {mounted.stderr.decode().strip()}")
    yield tmp_path
    subprocess.run(["umount", "--lazy", str(tmp_path)], check=True)  # netCDF keeps the failed file open


def test_a_full_disk_is_named_whatever_the_library_says(small_disk):
    noise = xr.Dataset({"pr": (("time", "x"), np.random.default_rng(0).random((10, 100_000)))})
    with pytest.raises(UserError, match="No space left on device"):
        files.write_netcdf(noise, small_disk / "a.nc")
    with pytest.raises(UserError, match="No space left on device"), files.atomic(small_disk / "a.pt") as temporary:
        torch.save(torch.rand(1_000_000), temporary)
    assert not list(small_disk.iterdir())


def test_json_refuses_nan(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        files.write_json({"a": float("nan")}, tmp_path / "a.json")
    assert not list(tmp_path.iterdir())


def test_netcdf_is_cf_compressed_and_checksummed_a_few_days_a_chunk(tmp_path):
    rain = xr.DataArray(np.zeros((40, 200, 300)), dims=("time", "lat", "lon"), name="pr")
    dataset = rain.to_dataset().assign_coords(time=xr.date_range("2001-01-01", periods=40), lat=np.arange(200.0))
    files.write_netcdf(dataset, tmp_path / "a.nc")
    with xr.open_dataset(tmp_path / "a.nc", decode_times=False) as back:
        assert back.attrs["Conventions"] == "CF-1.11"
        assert back.time.dtype == "f8"
        assert "_FillValue" not in back.lat.encoding
        encoding = back.pr.encoding
        assert encoding["dtype"] == "f4"
        assert encoding["zlib"]
        assert encoding["fletcher32"]
        assert encoding["chunksizes"] == (4, 200, 300)


def ensemble_days(count):
    coordinates = {name: ("time", ["test"] * count) for name in ("split", "category")}
    time = xr.date_range("2001-01-01", periods=count)
    return xr.Dataset(coords={"time": time, "lat": [1.0, 0.0], "lon": [5.0, 6.0, 7.0], **coordinates})


def test_an_ensemble_is_written_day_by_day(tmp_path):
    fields = np.random.default_rng(0).random((3, 2, 2, 3)).astype("f4")
    fields[0, 0, 0, 0] = np.nan
    files.write_ensemble(tmp_path / "a.nc", ensemble_days(3), 2, iter(fields), {"mode": "prior"})
    with xr.open_dataset(tmp_path / "a.nc") as back:
        np.testing.assert_array_equal(back.pr.values, fields)
        assert back.pr.attrs["units"] == "mm/day"
        assert back.member.attrs["standard_name"] == "realization"
        assert list(back.split.values) == ["test"] * 3


def test_an_ensemble_with_too_few_days_is_not_left_behind(tmp_path):
    with pytest.raises(RuntimeError, match="2 fields for 3 days"):
        files.write_ensemble(tmp_path / "a.nc", ensemble_days(3), 2, iter(np.zeros((2, 2, 2, 3))), {})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("calendar", ["standard", "noleap", "360_day"])
def test_years_of_any_calendar_are_joined_in_a_zarr_store(tmp_path, calendar):
    lat, lon = ("lat", [1.0, 0.0], {"units": "degrees_north"}), ("lon", [5.0, 6.0, 7.0], {"units": "degrees_east"})
    rng = np.random.default_rng(0)
    for year, count in ((2003, 40), (2004, 25)):
        time = xr.date_range(f"{year}-01-01", periods=count, calendar=calendar, use_cftime=calendar != "standard")
        days = xr.Dataset(coords={"time": time, "lat": lat, "lon": lon})
        fields = rng.gamma(1, 2, (count, 2, 2, 3)).astype("f4")
        files.write_ensemble(tmp_path / f"{year}.nc", days, 2, fields, {"title": f"rain of {year}", "references": ""})
    paths = [tmp_path / "2003.nc", tmp_path / "2004.nc"]
    files.write_zarr((xr.open_dataset(path, chunks={}) for path in paths), tmp_path / "rain.zarr", {"title": "both"})
    expected = xr.concat([xr.load_dataset(path) for path in paths], "time")
    with xr.open_zarr(tmp_path / "rain.zarr") as store:
        xr.testing.assert_equal(store.pr.load(), expected.pr)
        assert store.time.dt.calendar == expected.time.dt.calendar
        assert (store.time_bnds[:, 1] - store.time_bnds[:, 0] == np.timedelta64(1, "D")).all()
        assert (store.time_bnds[:, 0] == store.time).all()
        assert store.attrs["title"] == "both"
    assert "references" not in expected.attrs
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
