"""The maps: they are written, and they show the rain that their titles name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
import xarray as xr
from fields import make_fields
from matplotlib.collections import QuadMesh
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from small_figures import SETTINGS, is_png

from rainshaft.config.sections import Plots
from rainshaft.errors import UserError
from rainshaft.figures import maps
from rainshaft.files import write_netcdf

FACTOR, HEIGHT, WIDTH, DAYS = 4, 16, 24, 6
SEVERAL = Plots(days=2, members=2, dpi=60)


@dataclass
class Truth:
    """Canonical fields in one file, and what is in them."""

    path: Path
    data: xr.Dataset


def write(path: Path, **changes: Any) -> Truth:
    """Write fields of six days, of which the second is the wettest one for the test; `changes` go to `make_fields`."""
    rng = np.random.default_rng(1)
    rain = rng.gamma(0.5, 8, (DAYS, HEIGHT, WIDTH)) * np.array([1, 5, 0.001, 3, 2, 9])[:, None, None]
    valid = np.ones((HEIGHT, WIDTH))
    valid[:4, :4] = 0
    make_fields(path, rain, "2001-06-01", factor=FACTOR, valid=valid, **changes)
    return Truth(path, xr.load_dataset(path))


@pytest.fixture
def truth(tmp_path: Path) -> Truth:
    return write(tmp_path / "2001.nc")


def ensemble(truth: Truth, members: int = 3) -> xr.Dataset:
    """Truth with its rows shifted, as an ensemble file; the last day is for validation."""
    pr = xr.concat([truth.data["pr"].roll(lat=k) for k in range(members)], "member").transpose("time", "member", ...)
    split = ["test"] * (DAYS - 1) + ["validation"]
    return pr.to_dataset(name="pr").assign_coords(split=("time", split)).assign_attrs(source="model")


def meshes(figure: Figure) -> list[QuadMesh]:
    """The maps, without the colour bar."""
    return [c for axes in figure.axes[:-1] for c in axes.collections if isinstance(c, QuadMesh)]


def titles(figure: Figure) -> list[str]:
    return [axes.get_title() for axes in figure.axes if axes.get_title()]


def test_rain_colours_fall_in_lightness() -> None:
    linear = np.array([to_rgb(colour) for colour in maps.RAIN_COLOURS]) ** 2.2
    lightness = 116 * np.cbrt(linear @ [0.2126, 0.7152, 0.0722]) - 16
    assert (np.diff(lightness) < -4).all()
    assert len(maps.RAIN_COLOURS) == len(maps.RAIN_LEVELS)


def test_rain_below_the_lowest_level_is_white() -> None:
    assert maps.RAIN_MAP(maps.RAIN_NORM(0.05))[:3] == (1, 1, 1)
    assert maps.RAIN_MAP(maps.RAIN_NORM(0.11))[:3] == pytest.approx(to_rgb(maps.RAIN_COLOURS[0]))
    assert maps.RAIN_MAP(maps.RAIN_NORM(149))[:3] == pytest.approx(to_rgb(maps.RAIN_COLOURS[-2]))
    assert maps.RAIN_MAP(maps.RAIN_NORM(151))[:3] == pytest.approx(to_rgb(maps.RAIN_COLOURS[-1]))


def test_days_are_the_heaviest_the_lightest_wet_one_and_the_median() -> None:
    dates = [f"2001-01-0{day}" for day in range(1, 8)]
    means = dict(zip(dates, [0.1, 3.0, 9.0, 1.2, 5.0, 0.0, 2.0], strict=True))
    assert maps.choose_days(means, 3) == ["2001-01-03", "2001-01-02", "2001-01-04"]
    assert maps.choose_days(means, 1) == ["2001-01-03"]
    assert len(maps.choose_days(means, 12)) == 7, "fewer days than asked for: all of them"


def test_sample_maps(tmp_path: Path, truth: Truth, figures: list[Figure]) -> None:
    write_netcdf(truth.data.isel(time=slice(0, 3)), tmp_path / "1.nc")
    write_netcdf(truth.data.isel(time=slice(3, None)), tmp_path / "2.nc")
    write_netcdf(ensemble(truth), tmp_path / "prior.nc")
    before = dict(matplotlib.rcParams)
    maps.sample_maps(tmp_path / "prior.nc", "test", [tmp_path / "1.nc", tmp_path / "2.nc"], tmp_path / "a.png", SEVERAL)
    assert is_png(tmp_path / "a.png", 500, 150)
    assert dict(matplotlib.rcParams) == before
    (figure,) = figures
    assert titles(figure) == ["coarse input", "truth", "member 1", "member 2", "ensemble mean"]
    panels = meshes(figure)
    assert len(panels) == 2 * 5
    assert all(panel.norm is maps.RAIN_NORM for panel in panels), "one scale for all panels"
    # the heaviest test day is the second; the last one, heavier, is no test day
    np.testing.assert_allclose(panels[0].get_array(), truth.data["predictors"][1, 0])
    np.testing.assert_allclose(panels[1].get_array().filled(np.nan), truth.data["pr"][1])
    np.testing.assert_allclose(panels[2].get_array().filled(np.nan), ensemble(truth)["pr"][1, 0])
    np.testing.assert_allclose(panels[4].get_array().filled(np.nan), ensemble(truth)["pr"][1].mean("member"), rtol=1e-5)
    assert "2001-06-02" in figure.axes[0].get_ylabel()
    assert f"{float(truth.data['pr'][1].mean()):.1f}" in figure.axes[0].get_ylabel()


def test_cells_are_drawn_where_they_are(tmp_path: Path, truth: Truth, figures: list[Figure]) -> None:
    maps.sample_maps(ensemble(truth), "test", [truth.path], tmp_path / "a.png", SETTINGS)
    corners = meshes(figures[0])[1].get_coordinates()
    assert corners[0, 0, 1] == pytest.approx(30 + 0.025)
    assert corners[-1, 0, 1] == pytest.approx(30 - 0.05 * HEIGHT + 0.025)
    low, high = figures[0].axes[0].get_ylim()
    assert low < high, "north is up"


def test_sample_maps_without_coarse_rain_and_with_a_dropped_member(tmp_path: Path, figures: list[Figure]) -> None:
    truth = write(tmp_path / "2001.nc", coarse=False)
    members = ensemble(truth)
    members["pr"][:, 1] = np.nan
    maps.sample_maps(members, "test", [truth.path], tmp_path / "a.png", SEVERAL)
    assert titles(figures[0]) == ["truth", "member 1", "member 2", "ensemble mean"]
    assert [text.get_text() for axes in figures[0].axes for text in axes.texts].count("dropped") == 2


def test_projected_axes_are_in_km(tmp_path: Path, truth: Truth, figures: list[Figure]) -> None:
    data = truth.data.assign_attrs(grid_kind="projected")
    for name, size in (("lat", HEIGHT), ("lon", WIDTH)):
        data[name] = (name, np.arange(size)[:: -1 if name == "lat" else 1] * 5000.0, {"units": "m"})
    data["y"], data["x"] = data["lat"].values[::FACTOR] - 7500, data["lon"].values[::FACTOR] + 7500
    write_netcdf(data, truth.path)
    truth.data = data
    maps.sample_maps(ensemble(truth), "test", [truth.path], tmp_path / "a.png", SETTINGS)
    assert figures[0].axes[0].get_xlim() == pytest.approx((-2.5, 5 * WIDTH - 2.5))
    assert "km" in figures[0].get_supxlabel()


def test_rotated_axes_are_no_longitudes(tmp_path: Path, truth: Truth, figures: list[Figure]) -> None:
    data = truth.data.assign_attrs(grid_kind="rotated")
    write_netcdf(data, truth.path)
    maps.sample_maps(ensemble(truth), "test", [truth.path], tmp_path / "a.png", SETTINGS)
    assert "rotated pole" in figures[0].get_supxlabel()
    figures[0].canvas.draw()
    assert not any("E" in label.get_text() for label in figures[0].axes[0].get_xticklabels())


def test_noleap_calendar(tmp_path: Path) -> None:
    truth = write(tmp_path / "2001.nc", calendar="noleap")
    maps.comparison_maps({"a": ensemble(truth)}, "test", [truth.path], tmp_path / "a.png", SETTINGS)
    assert is_png(tmp_path / "a.png", 150, 100)


def test_fields_of_other_days_are_refused(tmp_path: Path, truth: Truth) -> None:
    later = truth.data.assign_coords(time=truth.data["time"] + np.timedelta64(900, "D"))
    write_netcdf(later, tmp_path / "2003.nc")
    with pytest.raises(UserError, match="none of the test days"):
        maps.sample_maps(ensemble(truth), "test", [tmp_path / "2003.nc"], tmp_path / "a.png", SETTINGS)
    assert not list(tmp_path.glob("*a.png*")), "nothing is left of a figure that failed"


def test_comparison_maps(tmp_path: Path, truth: Truth, figures: list[Figure]) -> None:
    sources = {"bilinear": ensemble(truth, 1), "smooth-background": ensemble(truth), "calibrated": ensemble(truth)}
    maps.comparison_maps(sources, "test", [truth.path], tmp_path / "a.png", SETTINGS)
    assert is_png(tmp_path / "a.png", 450, 150)
    names = ["coarse input", "bilinear", "smooth-\nbackground", "calibrated", "truth"]
    assert titles(figures[0]) == names
    panels = meshes(figures[0])
    assert len(panels) == 2 * len(names)
    assert all(panel.norm is maps.RAIN_NORM for panel in panels)
    np.testing.assert_allclose(panels[4].get_array().filled(np.nan), truth.data["pr"][1])


def test_many_comparison_maps_are_broken_into_bands(
    tmp_path: Path, truth: Truth, figures: list[Figure], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(maps, "MOST_ACROSS", 3)
    maps.comparison_maps({name: ensemble(truth) for name in "abc"}, "test", [truth.path], tmp_path / "a.png", SETTINGS)
    names = ["coarse input", "a", "b", "c", "truth"]
    shown = [axes for axes in figures[0].axes[:-1] if axes.get_visible()]
    assert [axes.get_title() for axes in shown if axes.get_title()] == names
    assert len(shown) == len(meshes(figures[0])) == 2 * len(names)
    assert max(axes.get_subplotspec().colspan.stop for axes in shown) == 3
    assert [axes.get_ylabel() for axes in shown].count("close-up") == 2


def test_close_up_is_where_the_rain_is_sharpest() -> None:
    rain = np.zeros((24, 24))
    rain[17:23:2, 1:7:2] = 50
    rows, columns = maps._core(xr.DataArray(rain, dims=("lat", "lon")), 4)
    assert (rows, columns) == (slice(16, 24), slice(0, 8))
