"""Patterns of the configuration find the raw files. A message about a wrong pattern names its key."""

import os
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest
from fields import slice_of

from rainshaft.config.sections import Dataset
from rainshaft.config.slices import PrepareSettings
from rainshaft.data.sources import InputError, Source, date_in_name, file_stamps, files_of, source_files


def refused(dataset, years):
    with pytest.raises(InputError) as caught:
        source_files(dataset, years)
    return str(caught.value)


def named(*patterns, **keys):
    rain = {"files": list(patterns), "variable": "pr"}
    dataset = Dataset(years=[2001, 2002], factor=4, rain=rain, split={"by": "blocks"}, **keys)
    return slice_of(dataset, PrepareSettings)


def test_source_files(tmp_path, monkeypatch):
    for name in ("a_2001.nc", "a_2002.nc", "b.nc", "z.nc"):
        (tmp_path / name).touch()
    monkeypatch.setenv("RAIN", str(tmp_path))
    elevation = {"file": "${RAIN}/z.nc", "variable": "z"}
    dataset = named("$RAIN/a_{year}.nc", "$RAIN/b*", "$RAIN/b.nc", elevation=elevation)
    names = [path.name for path in source_files(dataset, [2001, 2002])]
    assert names == ["a_2001.nc", "a_2002.nc", "b.nc", "z.nc"]
    assert [path.name for path in source_files(dataset, [2002])] == ["a_2002.nc", "b.nc", "z.nc"]
    message = refused(named("$RAIN/c_{year}.nc"), [2001])
    assert "rain.files" in message
    assert "c_2001.nc" in message
    monkeypatch.delenv("RAIN")
    message = refused(dataset, [2001])
    assert "export RAIN=" in message


def test_data_folder_has_a_default(tmp_path, monkeypatch):
    monkeypatch.delenv("RAINSHAFT_DATA", raising=False)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "rain_2001.nc").touch()
    monkeypatch.chdir(tmp_path)
    assert source_files(named("$RAINSHAFT_DATA/rain_{year}.nc"), [2001]) == [tmp_path / "data" / "rain_2001.nc"]


def test_naming_files_imports_no_heavy_library():
    heavy = ("xarray", "dask", "numpy", "scipy")
    code = f"import sys, rainshaft.data.sources; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def source(*patterns):
    return Source("rain", "rain", patterns, "pr", "rain")


def make_store(folder, version=2):
    """The folders of a zarr store with one array, without the values."""
    (folder / "pr").mkdir(parents=True)
    if version == 2:
        (folder / ".zgroup").write_text('{"zarr_format": 2}', encoding="utf-8")
        (folder / "pr" / ".zarray").write_text('{"zarr_format": 2}', encoding="utf-8")
        (folder / "pr" / "0.0.0").write_bytes(bytes(1000))
    else:
        (folder / "zarr.json").write_text('{"zarr_format": 3, "node_type": "group"}', encoding="utf-8")
        (folder / "pr" / "zarr.json").write_text('{"zarr_format": 3, "node_type": "array"}', encoding="utf-8")
        (folder / "pr" / "c" / "0").mkdir(parents=True)
        (folder / "pr" / "c" / "0" / "0").write_bytes(bytes(1000))
    return folder


def test_square_brackets_in_a_path_are_taken_as_they_are(tmp_path):
    folder = tmp_path / "data [v2]"
    folder.mkdir()
    for name in ("rain_2001.nc", "rain_2002.nc", "other.nc"):
        (folder / name).touch()
    (tmp_path / "data v").mkdir()
    (tmp_path / "data v" / "rain_2001.nc").touch()
    assert files_of(source(f"{folder}/rain_*.nc"), 2001) == [folder / "rain_2001.nc", folder / "rain_2002.nc"]
    assert files_of(source(f"{folder}/rain_{{year}}.nc"), 2001) == [folder / "rain_2001.nc"]
    assert files_of(source(f"{folder}/rain_200?.nc"), 2001) == [folder / "rain_2001.nc", folder / "rain_2002.nc"]


@pytest.mark.parametrize("version", [2, 3])
def test_a_zarr_store_is_found_and_a_common_folder_is_not(tmp_path, version):
    store = make_store(tmp_path / "rain_2001.zarr", version)
    (tmp_path / "rain_notes").mkdir()
    assert files_of(source(f"{tmp_path}/rain_*"), 2001) == [store]
    assert files_of(source(f"{store}/"), 2001) == [store]
    with pytest.raises(InputError, match=r"found a folder for .*rain_notes/\*\.nc"):
        files_of(source(f"{tmp_path}/rain_notes"), 2001)


def test_an_address_is_passed_on_with_the_year():
    address = "simplecache::s3://bucket/rain_*_{year}.zarr"
    assert files_of(source(address), 2001) == ["simplecache::s3://bucket/rain_*_2001.zarr"]
    assert file_stamps(["s3://bucket/rain.zarr"]) == [["s3://bucket/rain.zarr"]]


def test_the_stamp_of_a_file_changes_when_an_older_one_replaces_it(tmp_path):
    path = tmp_path / "rain.nc"
    path.write_bytes(bytes(10))
    before = file_stamps([path])
    assert before == [[str(path), 10, path.stat().st_mtime_ns]]
    os.utime(path, (1e9, 1e9))
    assert file_stamps([path]) == [[str(path), 10, 10**18]]


@pytest.mark.parametrize("version", [2, 3])
def test_the_stamp_of_a_zarr_store_is_that_of_its_description(tmp_path, version):
    store = make_store(tmp_path / "rain.zarr", version)
    described = store / "pr" / (".zarray" if version == 2 else "zarr.json")
    os.utime(described, (2e9, 2e9))
    ((name, size, time),) = file_stamps([store])
    assert (name, time) == (str(store), 2 * 10**18)
    assert size < 200  # the values are not counted
    described.write_text(described.read_text(encoding="utf-8") + " ", encoding="utf-8")
    os.utime(described, (2e9, 2e9))
    assert file_stamps([store]) == [[str(store), size + 1, time]]


def test_the_date_of_a_file_is_found_in_its_name(tmp_path):
    folder = tmp_path / "ppt [v1]" / "2001"
    folder.mkdir(parents=True)
    for name in ("PRISM_ppt_20010102_bil.nc", "PRISM_ppt_20010103_bil.nc", "PRISM_ppt_2001_bil.nc"):
        (folder / name).touch()
    days = source(f"{tmp_path}/ppt [v1]/{{year}}/PRISM_*_{{year}}{{month}}{{day}}_*.nc")
    assert [date_in_name(days, path) for path in files_of(days, 2001)] == [date(2001, 1, 2), date(2001, 1, 3)]
    assert date_in_name(source(f"{tmp_path}/**/PRISM_*_{{year}}*.nc"), folder / "PRISM_ppt_20010102_bil.nc") is None
    deep = source(f"{tmp_path}/**/PRISM_*_{{year}}{{month}}{{day}}_bil.nc")
    assert date_in_name(deep, folder / "PRISM_ppt_20010102_bil.nc") == date(2001, 1, 2)
    with pytest.raises(InputError, match="2001-13-02"):
        date_in_name(deep, Path(folder / "PRISM_ppt_20011302_bil.nc"))


def test_a_name_without_two_digits_for_the_day_is_refused(tmp_path):
    (tmp_path / "pr_2001-1-5.nc").touch()
    with pytest.raises(InputError, match="two digits for each"):
        files_of(source(f"{tmp_path}/pr_{{year}}-{{month}}-{{day}}.nc"), 2001)
