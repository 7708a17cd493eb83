"""What tests of several modules share."""

from __future__ import annotations

import json
from typing import Any

import pytest
import xarray as xr
from matplotlib.figure import Figure
from rawmakers import YEAR, check_sources, rain_file, settings

from rainshaft.data.prepare import prepare_year


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """Every figure that was saved."""
    seen: list[Figure] = []
    save = Figure.savefig

    def keep(self: Figure, *args: Any, **kwargs: Any) -> None:
        if self not in seen:  # a figure is saved as PNG and as PDF
            seen.append(self)
        save(self, *args, **kwargs)

    monkeypatch.setattr(Figure, "savefig", keep)
    return seen


@pytest.fixture
def make(tmp_path):
    """Write raw files, prepare a year of them, return the fields and what was said."""

    def make(rain=None, predictors=None, year=YEAR, encoding=None, check=True, **keys):
        configured = keys.pop("settings", None) or settings(tmp_path, rain, predictors, encoding, **keys)
        if check:
            check_sources(configured, [year])
        prepare_year(configured, year, tmp_path / "fields.nc")
        with xr.open_dataset(tmp_path / "fields.nc") as fields:
            return fields.load(), json.loads(fields.attrs["ingest"])

    return make


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """The fields of `rain_file()` as it stands, and what was said."""
    folder = tmp_path_factory.mktemp("plain")
    prepare_year(settings(folder, rain_file()), YEAR, folder / "fields.nc")
    with xr.open_dataset(folder / "fields.nc") as fields:
        return fields.load(), json.loads(fields.attrs["ingest"])
