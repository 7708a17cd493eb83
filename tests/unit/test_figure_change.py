"""The figures of a change: they are written, and they show the values and marks that they name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from matplotlib.collections import PathCollection, QuadMesh
from matplotlib.figure import Figure
from small_figures import SETTINGS, is_png
from test_change import record

from rainshaft.application.change import maps_of_change
from rainshaft.data.indices import INDICES
from rainshaft.figures import change as drawn
from rainshaft.figures.change import SHOWN, change_maps, change_of_area
from rainshaft.files import write_netcdf

HEIGHT, WIDTH = 6, 8


def maps() -> xr.Dataset:
    """Maps of +10 in the west and -10 in the east; the east is ordinary, and two cells have members that disagree."""
    axes = ("lat", "lon")
    change = np.full((HEIGHT, WIDTH), 10.0)
    change[:, 4:] = -10
    change[0, 0] = np.nan
    agreement = np.full((HEIGHT, WIDTH), 90.0)
    agreement[2, 1], agreement[3, 1] = 79, 50
    ordinary = np.full((HEIGHT, WIDTH), 5.0)
    ordinary[:, 4:] = 20
    weight = np.isfinite(change).astype(float)
    weight[-1] = 0
    data = {name: (axes, change) for name in INDICES}
    data |= {f"{name}_agreement": (axes, agreement) for name in INDICES}
    data |= {f"{name}_ordinary": (axes, ordinary) for name in INDICES}
    coords = {
        "lat": ("lat", 50.0 - np.arange(HEIGHT), {"units": "degrees_north"}),
        "lon": ("lon", 5.0 + np.arange(WIDTH), {"units": "degrees_east"}),
    }
    attrs = {"pairs": 9, "base_years": "1991–2000", "future_years": "2081–2100", "grid_kind": "latitude/longitude"}
    return xr.Dataset(data | {"weight": (axes, weight)}, coords, attrs)


def test_maps_show_the_change_and_its_marks(tmp_path: Path, figures: list[Figure]) -> None:
    write_netcdf(maps(), tmp_path / "c.nc")
    land = maps()["weight"]
    change_maps(tmp_path / "c.nc", tmp_path / "a.png", ("history", "rcp85"), land, SETTINGS)
    assert is_png(tmp_path / "a.png", 500, 200)
    (figure,) = figures
    panels = figure.axes[: len(SHOWN)]
    assert [axes.get_title() for axes in panels] == [INDICES[name].label for name in SHOWN]
    assert "history (1991–2000) to rcp85 (2081–2100)" in figure.get_suptitle()
    for axes in panels:
        (mesh,) = (part for part in axes.collections if isinstance(part, QuadMesh))
        np.testing.assert_allclose(mesh.get_array().filled(np.nan), maps()["mean"])
        edges = mesh.norm.boundaries
        assert (edges == -edges[::-1]).all(), "limits are symmetric"
        (dots,) = (part for part in axes.collections if isinstance(part, PathCollection))
        assert dots.get_offsets().tolist() == [[6.0, 48.0], [6.0, 47.0]]
        low, high = axes.get_ylim()
        assert (low, high) == (45.5, 50.5), "the row without valid cells takes no room"
    words = [text.get_text() for text in figure.legends[0].get_texts()]
    assert "80 %" in words[0]
    assert "ordinary years" in words[1]


def test_ordinary_changes_are_hatched() -> None:
    assert drawn._within_ordinary(maps(), "mean").tolist() == [[False] * 4 + [True] * 4] * HEIGHT


def test_drier_is_brown_for_all_indices(tmp_path: Path, figures: list[Figure]) -> None:
    change_maps(maps(), tmp_path / "a.png", settings=SETTINGS)
    colours = {}
    for name, axes in zip(SHOWN, figures[0].axes, strict=False):
        (mesh,) = (part for part in axes.collections if isinstance(part, QuadMesh))
        colours[name] = mesh.cmap(mesh.norm(-10))[0] > mesh.cmap(mesh.norm(-10))[2]  # more red than blue
    assert colours == {name: name != "cdd" for name in SHOWN}


def test_marks_that_cannot_be_computed_are_not_named(tmp_path: Path, figures: list[Figure]) -> None:
    single = maps_of_change(record(1991, [4.0]), record(2081, [5.0]))
    change_maps(single, tmp_path / "a.png", settings=SETTINGS)
    assert not figures[0].legends
    assert is_png(tmp_path / "a.png", 500, 150)


@pytest.mark.parametrize(
    ("most", "step"), [(50.0, 10.0), (52.0, 20.0), (0.7, 0.2), (11.0, 3.0), (0.0, 1.0), (np.nan, 1.0)]
)
def test_levels_are_nice_and_symmetric(most: float, step: float) -> None:
    levels = drawn._levels(np.array([-most, most]))
    assert levels == pytest.approx(step * np.arange(-5, 6))


def test_area_means(tmp_path: Path, figures: list[Figure]) -> None:
    base, future = record(1991, [[4.0, 4.2], [6.0, 6.2]]), record(2081, [[5.0, 5.2], [6.0, 6.2], [8.0, 8.2]])
    coarse = record(1991, [4.0, 5.0]), record(2081, [5.0, 7.0])
    names = ("history", "rcp85")
    change_of_area(base, future, tmp_path / "a.png", names, coarse, record(1991, [5.0, 5.5]), SETTINGS)
    assert is_png(tmp_path / "a.png", 700, 300)
    (figure,) = figures
    years, changes = figure.axes[: len(INDICES)], figure.axes[len(INDICES) :]
    assert [axes.get_title() for axes in years] == [index.label for index in INDICES.values()]
    heights = sorted(line.get_ydata()[0] for line in years[0].lines)
    assert heights == pytest.approx(sorted([5.1, 6.4 + 1 / 30, 4.5, 6.0, 5.25]), abs=0.04)
    assert [axes.get_xlabel() for axes in changes] == ["%", "percentage points", "days"]
    for axes in changes:
        low, high = axes.get_xlim()
        assert low == -high
    points = [line.get_xdata()[0] for line in changes[2].lines if line.get_marker() == "o"]
    assert points == pytest.approx([6.4 + 1 / 30 - 5.1, 1.5] * 2, abs=1e-5)


def test_area_means_without_coarse_rain_and_of_single_years(tmp_path: Path, figures: list[Figure]) -> None:
    change_of_area(record(1991, [4.0]), record(2081, [5.0]), tmp_path / "a.png", settings=SETTINGS)
    assert is_png(tmp_path / "a.png", 700, 300)
    words = [text.get_text() for text in figures[0].legends[0].get_texts()]
    assert "coarse input" not in words
    assert "observed" not in words
