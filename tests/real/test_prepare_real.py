"""Canonical fields of real files: CHIRPS with ERA5 over central India, SPREAD over the Balearic Islands."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from rainshaft.config.slices import PrepareSettings
from rainshaft.data.prepare import check_sources, prepare_year

DATA = Path(os.environ.get("RAINSHAFT_DATA", Path(__file__).resolve().parents[2] / "data"))
CHIRPS = DATA / "chirps_mp" / "chirps_mp_2020_daily.nc"
ERA5 = DATA / "chirps_mp" / "era5_mp_2020_daily_0p1.nc"
SPREAD = DATA / "spread_balearic"

needs_chirps = pytest.mark.skipif(not CHIRPS.is_file(), reason=f"no {CHIRPS}; set RAINSHAFT_DATA to the real data")
needs_spread = pytest.mark.skipif(not SPREAD.is_dir(), reason=f"no {SPREAD}; set RAINSHAFT_DATA to the real data")


def prepare(folder, year, file, variable, **keys):
    rain = {"files": [str(file)], "variable": variable}
    settings = PrepareSettings(rain=rain, **{"predictors": "coarsened", "elevation": None, "land": None} | keys)
    check_sources(settings, [year])
    prepare_year(settings, year, folder / "fields.nc")
    with xr.open_dataset(folder / "fields.nc") as fields:
        return fields.load(), json.loads(fields.attrs["ingest"])


@needs_chirps
def test_chirps_coarsened(tmp_path):
    elevation = {"file": str(CHIRPS), "variable": "orog"}
    fields, notes = prepare(tmp_path, 2020, CHIRPS, "pr", factor=8, elevation=elevation)
    with xr.open_dataset(CHIRPS) as raw:
        np.testing.assert_array_equal(fields.pr, raw.pr)
        np.testing.assert_array_equal(fields.elevation, raw.orog)
        means = raw.pr.values.astype("float64").reshape(366, 16, 8, 16, 8).mean((2, 4))
    np.testing.assert_allclose(fields.predictors[:, 0], means, rtol=1e-4, atol=1e-5)
    assert fields.valid.all()
    assert len(notes) == 1


@needs_chirps
def test_chirps_with_era5(tmp_path):
    era5 = {"files": [str(ERA5)], "variable": "tp", "quantity": "rain"}
    fields, notes = prepare(tmp_path, 2020, CHIRPS, "pr", factor=8, predictors=[era5])
    with xr.open_dataset(ERA5) as raw:
        means = raw.tp.values.astype("float64").reshape(366, 16, 4, 16, 4).mean((2, 4))
    np.testing.assert_allclose(fields.predictors[:, 0], means, rtol=1e-4, atol=1e-5)
    assert fields.attrs["rain_channel"] == "tp"
    assert any("blocks of 4 x 4" in note for note in notes)
    coarse = fields.pr.coarsen(lat=8, lon=8).mean().values
    agreement = np.corrcoef(coarse.ravel(), fields.predictors.values.ravel())[0, 1]
    assert agreement > 0.5
    assert agreement > np.corrcoef(coarse[:, ::-1].ravel(), fields.predictors.values.ravel())[0, 1]


@needs_chirps
def test_era5_regridded(tmp_path):
    era5 = {"files": [str(ERA5)], "variable": "tp", "quantity": "rain"}
    fields, notes = prepare(tmp_path, 2020, CHIRPS, "pr", factor=9, predictors=[era5])
    assert fields.sizes["y"] == 14
    assert any("conservative" in note for note in notes)
    with xr.open_dataset(ERA5) as raw:
        assert float(fields.predictors.mean()) == pytest.approx(float(raw.tp.mean()), rel=0.05)


@needs_spread
def test_spread_coarsened(tmp_path):
    fields, notes = prepare(tmp_path, 2005, SPREAD / "pcp_spread.nc", "tp", factor=5)
    assert fields.pr.shape == (365, 35, 50)
    assert 200 <= fields.valid.values.sum() <= 211
    np.testing.assert_array_equal(fields.valid, fields.land)
    land = fields.land.values == 1
    assert fields.coast_distance.values[land].max() < 60  # no point of Majorca is farther from the sea
    assert fields.coast_distance.values[land].min() == pytest.approx(5)
    assert np.isfinite(fields.pr.values[:, land]).all()
    assert np.isnan(fields.pr.values[:, ~land]).all()
    assert any("cropped from 35 x 53" in note for note in notes)


@needs_spread
def test_spread_predictors_are_brought_to_the_true_places_of_projected_cells(tmp_path):
    pressure = {"files": [str(SPREAD / "mslp_ei.nc")], "variable": "msl"}
    fields, notes = prepare(tmp_path, 2005, SPREAD / "pcp_spread.nc", "tp", factor=5, predictors=[pressure])
    assert any("at the true places of the coarse cells" in note for note in notes)
    with xr.open_dataset(SPREAD / "mslp_ei.nc") as raw:
        majorca = raw.msl.sel(time="2005").interp(latitude=39.6, longitude=2.9).values
    middle = fields.predictors[:, 0, fields.sizes["y"] // 2, fields.sizes["x"] // 2].values
    assert np.abs(middle - majorca).mean() < 50  # Pa; the middle of the domain is near Majorca


@needs_spread
def test_spread_predictors_as_context(tmp_path):
    files = {"msl": "mslp_ei.nc", "z": "z500_ei.nc", "t": "t850_ei.nc"}
    predictors = [{"files": [str(SPREAD / file)], "variable": name, "context": True} for name, file in files.items()]
    fields, notes = prepare(tmp_path, 2005, SPREAD / "pcp_spread.nc", "tp", factor=5, predictors=predictors)
    assert fields.context.shape == (365, 3, 11, 13)
    assert fields.predictors.shape == (365, 0, 7, 10)
    assert (float(fields.v[0]), float(fields.u[0])) == (55, -15)
    assert fields.lat[0] > fields.lat[-1]  # both from the north
    for i, (name, file) in enumerate(files.items()):
        with xr.open_dataset(SPREAD / file) as raw:
            np.testing.assert_allclose(fields.context[:, i], raw[name].sel(time="2005"), rtol=1e-6)
        assert f"Predictor {name}: used as context, 11 x 13 cells of 2.5 x 2.5." in notes
    # it rains more where the pressure over the islands is low, on the same day rather than two days off
    rain, pressure = fields.pr.mean(("lat", "lon")), fields.context[:, 0, 6, 7]
    same_day = np.corrcoef(rain, pressure)[0, 1]
    assert same_day < -0.1
    assert same_day < np.corrcoef(rain[:-2], pressure[2:])[0, 1]
    assert same_day < np.corrcoef(rain[2:], pressure[:-2])[0, 1]
