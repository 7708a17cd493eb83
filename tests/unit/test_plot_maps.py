"""The maps: that they are written, and that what they show is what they say."""

from __future__ import annotations

from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from matplotlib.collections import QuadMesh
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from small_figures import SETTINGS, is_png

from rainshaft.config.sections import Plots
from rainshaft.errors import UserError
from rainshaft.figures import maps as plot_maps

FACTOR, HEIGHT, WIDTH, DAYS = 4, 16, 24, 6
SEVERAL = Plots(days=2, members=2, dpi=60)


@pytest.fixture
def fields() -> xr.Dataset:
    rng = np.random.default_rng(1)
    rain = rng.gamma(0.5, 8, (DAYS, HEIGHT, WIDTH)).astype("f4") * np.array([1, 5, 0.001, 3, 2, 9])[:, None, None]
    rain[:, :3, :3] = np.nan
    coarse = np.nanmean(rain.reshape(DAYS, HEIGHT // FACTOR, FACTOR, WIDTH // FACTOR, FACTOR), axis=(2, 4))
    land = np.ones((HEIGHT, WIDTH), "f4")
    land[:3, :3] = 0
    return xr.Dataset(
        {
            "pr": (("time", "lat", "lon"), rain),
            "predictors": (("time", "channel", "y", "x"), np.stack([coarse * 0 + 280, coarse], 1)),
            "land": (("lat", "lon"), land),
        },
        coords={
            "time": pd.date_range("2001-06-01", periods=DAYS),
            "channel": ["tas", "pr"],
            "lat": ("lat", np.linspace(30, 28, HEIGHT), {"units": "degrees_north"}),
            "lon": ("lon", np.linspace(-84, -81, WIDTH), {"units": "degrees_east"}),
            "y": np.linspace(29.8, 28.2, HEIGHT // FACTOR),
            "x": np.linspace(-83.8, -81.2, WIDTH // FACTOR),
        },
        attrs={"factor": FACTOR, "rain_channel": "pr"},
    )


def ensemble(fields: xr.Dataset, members: int = 3) -> xr.Dataset:
    """Truth with its rows shifted, as an ensemble file; the last day is for validation."""
    pr = xr.concat([fields["pr"].roll(lat=k) for k in range(members)], "member").transpose("time", "member", ...)
    split = ["test"] * (DAYS - 1) + ["validation"]
    return pr.to_dataset(name="pr").assign_coords(split=("time", split)).assign_attrs(source="model")


def meshes(figure: Figure) -> list[QuadMesh]:
    """The maps, without the colour bar."""
    return [c for axes in figure.axes[:-1] for c in axes.collections if isinstance(c, QuadMesh)]


def titles(figure: Figure) -> list[str]:
    return [axes.get_title() for axes in figure.axes if axes.get_title()]


def test_rain_colours_fall_in_lightness() -> None:
    linear = np.array([to_rgb(colour) for colour in plot_maps.RAIN_COLOURS]) ** 2.2
    lightness = 116 * np.cbrt(linear @ [0.2126, 0.7152, 0.0722]) - 16
    assert (np.diff(lightness) < -4).all()
    assert len(plot_maps.RAIN_COLOURS) == len(plot_maps.RAIN_LEVELS)


def test_rain_below_the_lowest_level_is_white() -> None:
    assert plot_maps.RAIN_MAP(plot_maps.RAIN_NORM(0.05))[:3] == (1, 1, 1)
    assert plot_maps.RAIN_MAP(plot_maps.RAIN_NORM(0.11))[:3] == pytest.approx(to_rgb(plot_maps.RAIN_COLOURS[0]))
    assert plot_maps.RAIN_MAP(plot_maps.RAIN_NORM(149))[:3] == pytest.approx(to_rgb(plot_maps.RAIN_COLOURS[-2]))
    assert plot_maps.RAIN_MAP(plot_maps.RAIN_NORM(151))[:3] == pytest.approx(to_rgb(plot_maps.RAIN_COLOURS[-1]))


def test_days_are_the_heaviest_the_lightest_wet_one_and_the_median() -> None:
    means = xr.DataArray([0.1, 3.0, 9.0, 1.2, 5.0, 0.0, 2.0], {"time": pd.date_range("2001-01-01", periods=7)}, "time")
    chosen = [plot_maps._date(day) for day in plot_maps.choose_days(means, 3)]
    assert chosen == ["2001-01-03", "2001-01-02", "2001-01-04"]
    assert [plot_maps._date(day) for day in plot_maps.choose_days(means, 1)] == ["2001-01-03"]
    assert len(plot_maps.choose_days(means, 12)) == 7, "fewer days than asked for: all of them"


def test_sample_maps(tmp_path: Path, fields: xr.Dataset, figures: list[Figure]) -> None:
    fields.isel(time=slice(0, 3)).to_netcdf(tmp_path / "1.nc")
    fields.isel(time=slice(3, None)).to_netcdf(tmp_path / "2.nc")
    ensemble(fields).to_netcdf(tmp_path / "prior.nc")
    before = dict(matplotlib.rcParams)
    plot_maps.sample_maps(
        tmp_path / "prior.nc",
        [tmp_path / "1.nc", tmp_path / "2.nc"],
        tmp_path / "a.png",
        SEVERAL,
    )
    assert is_png(tmp_path / "a.png", 500, 150)
    assert dict(matplotlib.rcParams) == before
    (figure,) = figures
    assert titles(figure) == ["coarse input", "truth", "member 1", "member 2", "ensemble mean"]
    panels = meshes(figure)
    assert len(panels) == 2 * 5
    assert all(panel.norm is plot_maps.RAIN_NORM for panel in panels), "one scale for all panels"
    # the heaviest test day is the second; the last one, heavier, is no test day
    np.testing.assert_allclose(panels[0].get_array(), fields["predictors"][1, 1])
    np.testing.assert_allclose(panels[1].get_array().filled(np.nan), fields["pr"][1])
    np.testing.assert_allclose(panels[2].get_array().filled(np.nan), ensemble(fields)["pr"][1, 0])
    np.testing.assert_allclose(
        panels[4].get_array().filled(np.nan), ensemble(fields)["pr"][1].mean("member"), rtol=1e-5
    )
    assert "2001-06-02" in figure.axes[0].get_ylabel()
    assert f"{float(fields['pr'][1].mean()):.1f}" in figure.axes[0].get_ylabel()


def test_cells_are_drawn_where_they_are(tmp_path: Path, fields: xr.Dataset, figures: list[Figure]) -> None:
    plot_maps.sample_maps(ensemble(fields), [fields], tmp_path / "a.png", SETTINGS)
    corners = meshes(figures[0])[1].get_coordinates()
    step = (30 - 28) / (HEIGHT - 1)
    assert corners[0, 0, 1] == pytest.approx(30 + step / 2)
    assert corners[-1, 0, 1] == pytest.approx(28 - step / 2)
    low, high = figures[0].axes[0].get_ylim()
    assert low < high, "north is up"


def test_sample_maps_without_coarse_rain_and_with_a_dropped_member(
    tmp_path: Path, fields: xr.Dataset, figures: list[Figure]
) -> None:
    members = ensemble(fields)
    members["pr"][:, 1] = np.nan
    fields.attrs["rain_channel"] = ""
    plot_maps.sample_maps(members, [fields], tmp_path / "a.png", SEVERAL)
    assert titles(figures[0]) == ["truth", "member 1", "member 2", "ensemble mean"]
    assert [text.get_text() for axes in figures[0].axes for text in axes.texts].count("dropped") == 2


def test_projected_axes_are_in_km(tmp_path: Path, fields: xr.Dataset, figures: list[Figure]) -> None:
    for name, size in (("lat", HEIGHT), ("lon", WIDTH)):
        fields[name] = (name, np.arange(size)[:: -1 if name == "lat" else 1] * 5000.0, {"units": "m"})
    fields["y"], fields["x"] = fields["lat"].values[::FACTOR] - 7500, fields["lon"].values[::FACTOR] + 7500
    plot_maps.sample_maps(ensemble(fields), [fields], tmp_path / "a.png", SETTINGS)
    assert figures[0].axes[0].get_xlim() == pytest.approx((-2.5, 5 * WIDTH - 2.5))
    assert "km" in figures[0].get_supxlabel()


def test_noleap_calendar(tmp_path: Path, fields: xr.Dataset) -> None:
    fields = fields.assign_coords(time=xr.date_range("2001-02-26", periods=DAYS, calendar="noleap", use_cftime=True))
    plot_maps.comparison_maps({"a": ensemble(fields)}, [fields], tmp_path / "a.png", SETTINGS)
    assert is_png(tmp_path / "a.png", 150, 100)


def test_fields_of_other_days_are_refused(tmp_path: Path, fields: xr.Dataset) -> None:
    other = fields.assign_coords(time=fields["time"] + np.timedelta64(900, "D"))
    with pytest.raises(UserError, match="none of the test days"):
        plot_maps.sample_maps(ensemble(fields), [other], tmp_path / "a.png", SETTINGS)
    assert list(tmp_path.iterdir()) == [], "nothing is left of a figure that failed"


def test_comparison_maps(tmp_path: Path, fields: xr.Dataset, figures: list[Figure]) -> None:
    sources = {"bilinear": ensemble(fields, 1), "smooth-background": ensemble(fields), "calibrated": ensemble(fields)}
    plot_maps.comparison_maps(sources, [fields], tmp_path / "a.png", SETTINGS)
    assert is_png(tmp_path / "a.png", 450, 150)
    names = ["coarse input", "bilinear", "smooth-\nbackground", "calibrated", "truth"]
    assert titles(figures[0]) == names
    panels = meshes(figures[0])
    assert len(panels) == 2 * len(names)
    assert all(panel.norm is plot_maps.RAIN_NORM for panel in panels)
    np.testing.assert_allclose(panels[4].get_array().filled(np.nan), fields["pr"][1])


def test_many_comparison_maps_are_broken_into_bands(
    tmp_path: Path, fields: xr.Dataset, figures: list[Figure], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plot_maps, "MOST_ACROSS", 3)
    plot_maps.comparison_maps({name: ensemble(fields) for name in "abc"}, [fields], tmp_path / "a.png", SETTINGS)
    names = ["coarse input", "a", "b", "c", "truth"]
    shown = [axes for axes in figures[0].axes[:-1] if axes.get_visible()]
    assert [axes.get_title() for axes in shown if axes.get_title()] == names
    assert len(shown) == len(meshes(figures[0])) == 2 * len(names)
    assert max(axes.get_subplotspec().colspan.stop for axes in shown) == 3
    assert [axes.get_ylabel() for axes in shown].count("close-up") == 2


def test_close_up_is_where_the_rain_is_sharpest() -> None:
    rain = np.zeros((24, 24))
    rain[17:23:2, 1:7:2] = 50
    rows, columns = plot_maps._core(xr.DataArray(rain, dims=("lat", "lon")), 4)
    assert (rows, columns) == (slice(16, 24), slice(0, 8))
