"""Patterns of the configuration find the raw files. A message about a wrong pattern names its key."""

import subprocess
import sys

import pytest
from fields import slice_of

from rainshaft.config.sections import Dataset
from rainshaft.config.slices import PrepareSettings
from rainshaft.data.sources import InputError, source_files


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
