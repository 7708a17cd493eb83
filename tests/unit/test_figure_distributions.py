"""The distributions and spectra: they show the numbers of the scores."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure
from small_figures import SETTINGS, is_png

from rainshaft.figures.distributions import comparison_distributions, distribution


@pytest.fixture
def scores() -> Callable[[int], xr.Dataset]:
    def make(members: int = 4) -> xr.Dataset:
        edges = np.concatenate([[0], np.geomspace(0.1, 100, 12)])
        counts = np.geomspace(1e6, 1, 12)
        power = 1 / np.arange(1, 9) ** 2
        curves = xr.Dataset(
            {
                "rank_histogram": ("rank", np.arange(1.0, members + 2)),
                "intensity_observed": ("bin", counts),
                "intensity_samples": ("bin", counts**0.9),
                "spectrum_observed": ("wavenumber", 3 * power),
                "spectrum_samples": ("wavenumber", 3 * power / 2),
            }
        )
        return curves.expand_dims(part=["test"]).assign(
            intensity_edges=("edge", edges),
            wavelength_km=("wavenumber", 100 / np.arange(1, 9)),
            cells=("time", np.array([7.0, 7.0, 7.0, 7.0])),
            split=("time", np.array(["test", "validation", "test", "test"], object)),
        )

    return make


@pytest.mark.parametrize("members", [1, 4])
def test_distribution(tmp_path: Path, scores: Callable[[int], xr.Dataset], figures: list[Figure], members: int) -> None:
    scores(members).to_netcdf(tmp_path / "scores_by_day.nc")
    distribution(tmp_path / "scores_by_day.nc", "test", tmp_path / "a.png", SETTINGS)
    assert is_png(tmp_path / "a.png", 700, 200)
    rain, scales, ranks = figures[0].axes
    truth = next(line for line in rain.lines if line.get_label() == "truth")
    counts = np.geomspace(1e6, 1, 12)
    np.testing.assert_allclose(truth.get_ydata(), (counts[::-1].cumsum()[::-1] / counts.sum())[1:])
    assert scales.get_xlim()[0] > scales.get_xlim()[1], "long waves on the left"
    if members > 1:
        heights = [bar.get_height() for bar in ranks.patches]
        assert np.mean(heights) == pytest.approx(1)
    else:
        assert not ranks.patches


def test_comparison_distributions(tmp_path: Path, scores: Callable[[int], xr.Dataset], figures: list[Figure]) -> None:
    names = ["a", "b", "bilinear"]
    comparison_distributions({name: scores(4) for name in names}, "test", tmp_path / "a.png", SETTINGS)
    assert is_png(tmp_path / "a.png", 700, 250)
    (legend,) = figures[0].legends
    assert [text.get_text() for text in legend.get_texts()] == ["truth", *names]


def test_the_legend_of_many_experiments_is_not_cut(
    tmp_path: Path, scores: Callable[[int], xr.Dataset], figures: list[Figure]
) -> None:
    comparison_distributions({f"run-{i}": scores(4) for i in range(40)}, "test", tmp_path / "a.png", SETTINGS)
    (figure,) = figures
    figure.canvas.draw()
    box = figure.legends[0].get_window_extent()
    assert box.y0 >= 0
    assert box.y1 <= figure.bbox.y1


def test_an_ensemble_without_members_left_is_not_drawn(
    tmp_path: Path, scores: Callable[[int], xr.Dataset], figures: list[Figure]
) -> None:
    nothing = scores()
    for name in ("rank_histogram", "intensity_observed", "intensity_samples"):
        nothing[name] = 0 * nothing[name]
    for name in ("spectrum_observed", "spectrum_samples"):
        nothing[name] = np.nan * nothing[name]
    distribution(nothing, "test", tmp_path / "a.png", SETTINGS)
    comparison_distributions({"empty": nothing}, "test", tmp_path / "b.png", SETTINGS)
    comparison_distributions({"a": scores(), "empty": nothing}, "test", tmp_path / "c.png", SETTINGS)
    assert is_png(tmp_path / "c.png", 700, 250)
    assert [text.get_text() for text in figures[0].texts] == ["no test day has members left"]
    assert [text.get_text() for text in figures[1].texts] == ["no test day has members left"]
    assert [text.get_text() for text in figures[2].legends[0].get_texts()] == ["truth", "a"]
