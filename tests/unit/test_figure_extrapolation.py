"""The maps beyond the training range: one a channel, with the shares of the table, in colour where too far."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from matplotlib.collections import QuadMesh
from matplotlib.colors import to_rgb
from predictor_files import make_predictors
from small_figures import SETTINGS, is_png

from rainshaft.application.extrapolation import beyond
from rainshaft.data.climate import climate_of
from rainshaft.figures import extrapolation
from rainshaft.figures.extrapolation import extrapolation_maps
from rainshaft.files import write_netcdf


@pytest.fixture
def sums(tmp_path):
    """A winter whose temperature is 9 K higher than in training, in one cell 0 K."""
    trained = climate_of([make_predictors(tmp_path / "training.nc", realizations=5)])
    days = xr.load_dataset(make_predictors(tmp_path / "winter.nc", seed=1))
    warmer = days["predictors"].sel(channel="tas").values + 9
    warmer[:, 0, 0, 0] -= 9
    days["predictors"].loc[{"channel": "tas"}] = warmer
    return beyond(days, trained.assign_attrs(grid_kind="latitude/longitude"))


def maps(figure):
    return [axes for axes in figure.axes if any(isinstance(part, QuadMesh) for part in axes.collections)][:3]


def test_colours_fall_in_lightness():
    linear = np.array([to_rgb(colour) for colour in extrapolation.COLOURS]) ** 2.2
    lightness = 116 * np.cbrt(linear @ [0.2126, 0.7152, 0.0722]) - 16
    assert (np.diff(lightness) < -4).all()


def test_a_map_for_each_channel_and_context(sums, tmp_path, figures):
    extrapolation_maps(sums, tmp_path / "maps.png", "warmer", settings=SETTINGS)
    assert is_png(tmp_path / "maps.png", 300, 80)
    panels = maps(figures[0])
    assert [axes.get_title() for axes in panels] == ["pr", "tas", "msl"]
    colours = [axes.texts[0].get_color() for axes in panels]
    assert [colour == extrapolation.TOO_FAR for colour in colours] == [False, True, False]
    assert figures[0].get_suptitle() == "Beyond the training range: warmer"
    shown = panels[1].collections[0].get_array()
    assert shown[0, 0] < 5
    assert (shown.ravel()[1:] > 20).all()
    np.testing.assert_allclose(shown, 100 * sums["map"].sel(channel="tas") / 90)


def test_maps_from_a_file_with_the_coast_and_projected_cells(sums, tmp_path, figures):
    land = xr.DataArray(
        np.eye(8), {"lat": np.linspace(45.1, 44.4, 8), "lon": np.linspace(4.9, 6.1, 8)}, dims=("lat", "lon")
    )
    write_netcdf(sums, tmp_path / "sums.nc")
    extrapolation_maps(tmp_path / "sums.nc", tmp_path / "coast.png", land=land, settings=SETTINGS)
    sums["y"], sums["x"] = (
        ("y", np.array([20000.0, 10000.0]), {"units": "m"}),
        ("x", np.arange(3) * 1e4, {"units": "m"}),
    )
    extrapolation_maps(sums.assign_attrs(grid_kind="projected"), tmp_path / "km.png", settings=SETTINGS)
    assert len(maps(figures[0])[0].collections) == 2
    assert maps(figures[1])[0].get_xlim() == (-5, 25)


def test_maps_without_any_month_of_the_training(sums, tmp_path, figures):
    sums[["values", "days"]] = 0 * sums[["values", "days"]]
    extrapolation_maps(sums, tmp_path / "none.png", settings=SETTINGS)
    assert maps(figures[0])[0].texts[0].get_text() == "no month in common"
