"""The figures: that they are written, and that what they show is what they say."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from matplotlib.collections import QuadMesh
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.image import imread

from rainshaft import loss, plots
from rainshaft.config import Plots
from rainshaft.errors import UserError

FACTOR, HEIGHT, WIDTH, DAYS = 4, 16, 24, 6
SETTINGS = Plots(days=1, members=1, dpi=60)
SEVERAL = Plots(days=2, members=2, dpi=60)


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """Every figure that was saved."""
    seen: list[Figure] = []
    save = Figure.savefig

    def keep(self: Figure, *args: Any, **kwargs: Any) -> None:
        seen.append(self)
        save(self, *args, **kwargs)

    monkeypatch.setattr(Figure, "savefig", keep)
    return seen


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


@pytest.fixture
def scores() -> Callable[[int], xr.Dataset]:
    def make(members: int = 4) -> xr.Dataset:
        edges = np.concatenate([[0], np.geomspace(0.1, 100, 12)])
        counts = np.geomspace(1e6, 1, 12)
        power = 1 / np.arange(1, 9) ** 2
        return xr.Dataset(
            {
                "rank_histogram": ("rank", np.arange(1.0, members + 2)),
                "intensity_edges": ("edge", edges),
                "intensity_observed": ("bin", counts),
                "intensity_samples": ("bin", counts**0.9),
                "wavelength_km": ("wavenumber", 100 / np.arange(1, 9)),
                "spectrum_observed": ("wavenumber", power),
                "spectrum_samples": ("wavenumber", power / 2),
            }
        )

    return make


def is_png(path: Path, width: int, height: int) -> bool:
    image = imread(path)
    return (
        path.read_bytes().startswith(b"\x89PNG")
        and image.shape[1] >= width
        and image.shape[0] >= height
        and image.std() > 0.02
    )


def meshes(figure: Figure) -> list[QuadMesh]:
    """The maps, without the colour bar."""
    return [c for axes in figure.axes[:-1] for c in axes.collections if isinstance(c, QuadMesh)]


def titles(figure: Figure) -> list[str]:
    return [axes.get_title() for axes in figure.axes if axes.get_title()]


def test_rain_colours_fall_in_lightness() -> None:
    linear = np.array([to_rgb(colour) for colour in plots.RAIN_COLOURS]) ** 2.2
    lightness = 116 * np.cbrt(linear @ [0.2126, 0.7152, 0.0722]) - 16
    assert (np.diff(lightness) < -4).all()
    assert len(plots.RAIN_COLOURS) == len(plots.RAIN_LEVELS)


def test_rain_below_the_lowest_level_is_white() -> None:
    assert plots.RAIN_MAP(plots.RAIN_NORM(0.05))[:3] == (1, 1, 1)
    assert plots.RAIN_MAP(plots.RAIN_NORM(0.11))[:3] == pytest.approx(to_rgb(plots.RAIN_COLOURS[0]))
    assert plots.RAIN_MAP(plots.RAIN_NORM(149))[:3] == pytest.approx(to_rgb(plots.RAIN_COLOURS[-2]))
    assert plots.RAIN_MAP(plots.RAIN_NORM(151))[:3] == pytest.approx(to_rgb(plots.RAIN_COLOURS[-1]))


def test_days_are_the_heaviest_the_lightest_wet_one_and_the_median() -> None:
    means = xr.DataArray([0.1, 3.0, 9.0, 1.2, 5.0, 0.0, 2.0], {"time": pd.date_range("2001-01-01", periods=7)}, "time")
    chosen = [plots._date(day) for day in plots.choose_days(means, 3)]
    assert chosen == ["2001-01-03", "2001-01-02", "2001-01-04"]
    assert [plots._date(day) for day in plots.choose_days(means, 1)] == ["2001-01-03"]
    assert len(plots.choose_days(means, 12)) == 7, "fewer days than asked for: all of them"


def test_sample_maps(tmp_path: Path, fields: xr.Dataset, figures: list[Figure]) -> None:
    fields.isel(time=slice(0, 3)).to_netcdf(tmp_path / "1.nc")
    fields.isel(time=slice(3, None)).to_netcdf(tmp_path / "2.nc")
    ensemble(fields).to_netcdf(tmp_path / "prior.nc")
    before = dict(matplotlib.rcParams)
    plots.sample_maps(
        tmp_path / "prior.nc",
        [tmp_path / "1.nc", tmp_path / "2.nc"],
        tmp_path / "a.png",
        SEVERAL,
        baseline=ensemble(fields, 1),
    )
    assert is_png(tmp_path / "a.png", 500, 150)
    assert dict(matplotlib.rcParams) == before
    (figure,) = figures
    assert titles(figure) == ["coarse input", "model", "truth", "member 1", "member 2", "ensemble mean"]
    panels = meshes(figure)
    assert len(panels) == 2 * 6
    assert all(panel.norm is plots.RAIN_NORM for panel in panels), "one scale for all panels"
    # the heaviest test day is the second; the last one, heavier, is no test day
    np.testing.assert_allclose(panels[0].get_array(), fields["predictors"][1, 1])
    np.testing.assert_allclose(panels[2].get_array().filled(np.nan), fields["pr"][1])
    np.testing.assert_allclose(panels[3].get_array().filled(np.nan), ensemble(fields)["pr"][1, 0])
    np.testing.assert_allclose(
        panels[5].get_array().filled(np.nan), ensemble(fields)["pr"][1].mean("member"), rtol=1e-5
    )
    assert "2001-06-02" in figure.axes[0].get_ylabel()
    assert f"{float(fields['pr'][1].mean()):.1f}" in figure.axes[0].get_ylabel()


def test_cells_are_drawn_where_they_are(tmp_path: Path, fields: xr.Dataset, figures: list[Figure]) -> None:
    plots.sample_maps(ensemble(fields), [fields], tmp_path / "a.png", SETTINGS)
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
    plots.sample_maps(members, [fields], tmp_path / "a.png", SEVERAL)
    assert titles(figures[0]) == ["truth", "member 1", "member 2", "ensemble mean"]
    assert [text.get_text() for axes in figures[0].axes for text in axes.texts].count("dropped") == 2


def test_projected_axes_are_in_km(tmp_path: Path, fields: xr.Dataset, figures: list[Figure]) -> None:
    for name, size in (("lat", HEIGHT), ("lon", WIDTH)):
        fields[name] = (name, np.arange(size)[:: -1 if name == "lat" else 1] * 5000.0, {"units": "m"})
    fields["y"], fields["x"] = fields["lat"].values[::FACTOR] - 7500, fields["lon"].values[::FACTOR] + 7500
    plots.sample_maps(ensemble(fields), [fields], tmp_path / "a.png", SETTINGS)
    assert figures[0].axes[0].get_xlim() == pytest.approx((-2.5, 5 * WIDTH - 2.5))
    assert "km" in figures[0].get_supxlabel()


def test_noleap_calendar(tmp_path: Path, fields: xr.Dataset) -> None:
    fields = fields.assign_coords(time=xr.date_range("2001-02-26", periods=DAYS, calendar="noleap", use_cftime=True))
    plots.comparison_maps({"a": ensemble(fields)}, [fields], tmp_path / "a.png", SETTINGS)
    assert is_png(tmp_path / "a.png", 150, 100)


def test_fields_of_other_days_are_refused(tmp_path: Path, fields: xr.Dataset) -> None:
    other = fields.assign_coords(time=fields["time"] + np.timedelta64(900, "D"))
    with pytest.raises(UserError, match="none of the test days"):
        plots.sample_maps(ensemble(fields), [other], tmp_path / "a.png", SETTINGS)
    assert list(tmp_path.iterdir()) == [], "nothing is left of a figure that failed"


def test_comparison_maps(tmp_path: Path, fields: xr.Dataset, figures: list[Figure]) -> None:
    sources = {"bilinear": ensemble(fields, 1), "smooth-background": ensemble(fields), "calibrated": ensemble(fields)}
    plots.comparison_maps(sources, [fields], tmp_path / "a.png", SETTINGS)
    assert is_png(tmp_path / "a.png", 450, 150)
    names = ["coarse input", "bilinear", "smooth-\nbackground", "calibrated", "truth"]
    assert titles(figures[0]) == names
    panels = meshes(figures[0])
    assert len(panels) == 2 * len(names)
    assert all(panel.norm is plots.RAIN_NORM for panel in panels)
    np.testing.assert_allclose(panels[4].get_array().filled(np.nan), fields["pr"][1])


def test_many_comparison_maps_are_broken_into_bands(
    tmp_path: Path, fields: xr.Dataset, figures: list[Figure], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plots, "MOST_ACROSS", 3)
    plots.comparison_maps({name: ensemble(fields) for name in "abc"}, [fields], tmp_path / "a.png", SETTINGS)
    names = ["coarse input", "a", "b", "c", "truth"]
    shown = [axes for axes in figures[0].axes[:-1] if axes.get_visible()]
    assert [axes.get_title() for axes in shown if axes.get_title()] == names
    assert len(shown) == len(meshes(figures[0])) == 2 * len(names)
    assert max(axes.get_subplotspec().colspan.stop for axes in shown) == 3
    assert [axes.get_ylabel() for axes in shown].count("close-up") == 2


def test_close_up_is_where_the_rain_is_sharpest() -> None:
    rain = np.zeros((24, 24))
    rain[17:23:2, 1:7:2] = 50
    rows, columns = plots._core(xr.DataArray(rain, dims=("lat", "lon")), 4)
    assert (rows, columns) == (slice(16, 24), slice(0, 8))


def test_training_curves(tmp_path: Path, figures: list[Figure]) -> None:
    epochs = 5
    table = pd.DataFrame({"epoch": range(1, epochs + 1), "lr": 0.1, "beta": 0.3})
    for name in plots.TERMS:
        table[f"train_{name}"] = np.linspace(2, 1, epochs)
        table[f"val_{name}"] = np.abs(np.arange(epochs) - 2) + 1.0
    table["train_L_crps"] = table["val_L_crps"] = 0.0
    table.to_csv(tmp_path / "log.csv", index=False)
    plots.training_curves(tmp_path / "log.csv", tmp_path / "a.png", SETTINGS)
    assert is_png(tmp_path / "a.png", 700, 250)
    by_title = {axes.get_title(loc="left"): axes for axes in figures[0].axes}
    assert len(by_title) == 11
    assert set(loss.TERMS) < set(by_title)
    assert "not in this loss" in [text.get_text() for text in by_title["L_crps"].texts]
    assert {"train", "val"} <= {text.get_text() for text in by_title["L_rec"].texts}
    assert any("epoch 3" in text.get_text() for text in by_title["loss"].texts)


def test_training_curves_of_one_epoch_whose_loss_is_nan(tmp_path: Path) -> None:
    table = pd.DataFrame({"epoch": [1], "lr": 0.1, "beta": 0.3, "train_loss": np.nan, "val_loss": np.nan})
    plots.training_curves(table, tmp_path / "a.png", SETTINGS)
    assert is_png(tmp_path / "a.png", 700, 250)


@pytest.mark.parametrize("members", [1, 4])
def test_distribution(tmp_path: Path, scores: Callable[[int], xr.Dataset], figures: list[Figure], members: int) -> None:
    scores(members).to_netcdf(tmp_path / "scores.nc")
    plots.distribution(tmp_path / "scores.nc", tmp_path / "a.png", SETTINGS)
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
    plots.comparison_distributions({name: scores(4) for name in names}, tmp_path / "a.png", SETTINGS)
    assert is_png(tmp_path / "a.png", 700, 250)
    (legend,) = figures[0].legends
    assert [text.get_text() for text in legend.get_texts()] == ["truth", *names]


def test_each_name_has_a_line_style_of_its_own() -> None:
    names = [f"run-{i}" for i in range(9)] + ["climatology", "bilinear", "rainfarm", "quantile-mapping"]
    styles = plots.line_styles(names)
    assert len({str(style) for style in styles.values()}) == len(names)
    assert all(styles[name][0] == "0.5" for name in names[-4:])
    assert plots.line_styles(["climatology"])["climatology"] == styles["climatology"], "the same in every figure"


def test_comparison_scores(tmp_path: Path, figures: list[Figure]) -> None:
    def entry(name: str, mode: str, dataset: str, wet: float) -> dict[str, Any]:
        block = {
            "days": 3,
            "observed": {"wet_fraction": wet},
            "samples": {"wet_fraction": 0.4},
            "scores": {
                "fair_crps": {"value": 1.5, "low": 1.4, "high": 1.7},
                "spread_skill": {"value": None, "low": None, "high": None},
            },
        }
        return {"name": name, "mode": mode, "dataset": dataset, "members": 1, "all_days": block, "heavy_days": None}

    statistics = [
        entry("a", "prior", "one", 0.3),
        entry("a", "posterior", "one", 0.3),
        entry("bilinear", "baseline", "one", 0.3),
        entry("b", "prior", "two", 0.6),
    ]
    plots.comparison_scores(statistics, tmp_path / "a.png", SETTINGS)
    assert is_png(tmp_path / "a.png", 700, 150)
    by_title = {axes.get_title(loc="left"): axes for axes in figures[0].axes}
    first = figures[0].axes[0]
    assert [label.get_text() for label in first.get_yticklabels()] == ["a", "bilinear", "b"], "no posterior"
    crps = by_title["fair CRPS (mm/day)"]
    assert [tuple(line.get_xdata()) for line in crps.lines][:2] == [(1.4, 1.7), (1.5,)]
    assert sum(text.get_text() == "not defined" for text in by_title["spread / skill"].texts) == 3
    bands = [c.get_datalim(c.axes.transData).intervalx for c in by_title["wet cells (%)"].collections]
    np.testing.assert_allclose(bands, [(27, 33), (57, 63)])


def test_replicates_share_a_row_of_the_scores(tmp_path: Path, figures: list[Figure]) -> None:
    def entry(name: str, mode: str, crps: float) -> dict[str, Any]:
        scores = {"fair_crps": {"value": crps, "low": crps - 1, "high": crps + 1}}
        block = {"observed": {"wet_fraction": 0.3}, "samples": {"wet_fraction": 0.4}, "scores": scores}
        return {"name": name, "mode": mode, "dataset": "one", "all_days": block}

    statistics = [entry("bilinear", "baseline", 4.0)]
    statistics += [entry(f"{name}-s{i}", "prior", float(i**2)) for name in "ab" for i in (1, 2, 3)]
    families = {name: tuple(f"{name}-s{i}" for i in (1, 2, 3)) for name in "ab"}
    plots.comparison_scores(statistics, tmp_path / "a.png", SETTINGS, families)
    assert is_png(tmp_path / "a.png", 700, 150)
    crps = figures[0].axes[0]
    assert [label.get_text() for label in crps.get_yticklabels()] == ["bilinear", "a", "b"]
    lines = [(list(line.get_xdata()), set(line.get_ydata())) for line in crps.lines]
    mean = [pytest.approx(14 / 3)]
    assert lines == [
        ([3.0, 5.0], {0.0}),
        ([4.0], {0.0}),
        ([1.0, 4.0, 9.0], {1.0}),
        (mean, {1.0}),
        ([1.0, 4.0, 9.0], {2.0}),
        (mean, {2.0}),
    ]
