"""The change between two applications: maps of the main indices, and the area means of all indices.

Inputs: the maps of `application.change.maps_of_change`, and the summaries of both applications and of their coarse
rain. Outputs: figures. Axes of maps in degrees or km.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator

from rainshaft.application.change import short_units, table_of_change
from rainshaft.application.summary import Row
from rainshaft.config.sections import Plots
from rainshaft.data.indices import INDICES
from rainshaft.figures.maps import MapFrame, degree_label
from rainshaft.figures.style import INK, LINES, PALE, TRUTH, DatasetOrPath, open_source, panels, saved_figure

SHOWN = ("mean", "sdii", "wet_days", "p98", "rx1day", "cdd")  # the maps, row by row
ACROSS = 3
WIDTH = 3.6  # of a map with its margins, inches
STEPS = 5  # colours on each side of zero
NICE = (1.0, 2.0, 3.0, 4.0, 5.0, 8.0, 10.0)  # widths of a colour, times a power of ten
TAIL = 98  # percentile of the sizes of changes that the colours reach
AGREE = 80.0  # %; where fewer pairs of members agree on the sign, there are dots
DOTS_ACROSS = 45  # dots in a row of a map, at most
DRIER_IS_MORE = ("cdd",)  # indices that grow as it gets drier

MODEL, INPUT = LINES[0], "0.5"


# ------------------------------------------------------------------------------------------------ maps


def change_maps(
    maps: DatasetOrPath,
    path: str | Path,
    names: tuple[str, str] = ("base", "future"),
    land: xr.DataArray | None = None,
    settings: Plots | None = None,
) -> None:
    """Draw the change of the main indices: brown is drier, green is wetter.

    Dots mark cells where fewer than 80 % of the pairs of members agree on the sign. Lines mark cells whose change is
    one that ordinary years cause by chance in one case of ten.

    Parameters
    ----------
    maps
        From `maps_of_change`.
    path
        The PNG to write; a PDF is written beside it.
    names
        What the base and the future are called.
    land
        1 on land, 0 on sea (lat, lon), for the coast; None draws no coast.
    settings
        Resolution.
    """
    settings = settings or Plots()
    with open_source(maps) as source:
        change = source.load()
    frame = _frame(change, land)
    window = _window(change)
    (left, right), (bottom, top) = frame.extent(window)
    height = max(WIDTH * 0.86 * frame.aspect * (top - bottom) / (right - left), 1.4) + 0.95
    rows = -(-len(SHOWN) // ACROSS)
    percent = _levels(np.concatenate([change[name].values.ravel() for name in SHOWN if INDICES[name].relative]))
    with saved_figure(path, WIDTH * ACROSS, height * rows + 1.1, settings) as figure:
        figure.set_layout_engine("constrained", w_pad=0.06, h_pad=0.06)
        axes = panels(figure, len(SHOWN), ACROSS)
        for place, (name, panel) in enumerate(zip(SHOWN, axes, strict=True)):
            levels = percent if INDICES[name].relative else _levels(change[name].values)
            _draw_change(panel, change, name, levels, frame)
            _lay_axes(panel, frame, window)
            panel.tick_params(labelleft=place % ACROSS == 0)
        periods = [
            f"{name} ({change.attrs[f'{side}_years']})" for name, side in zip(names, ("base", "future"), strict=True)
        ]
        figure.suptitle(f"Change of daily rain from {' to '.join(periods)}", fontsize=12, fontweight="bold")
        marks = _marks(change)
        if marks:
            figure.legend(
                handles=list(marks), labels=list(marks.values()), loc="outside lower center", ncols=2, frameon=False
            )


def _frame(change: xr.Dataset, land: xr.DataArray | None) -> MapFrame:
    """Describe the grid of the maps."""
    in_degrees = str(change["lat"].attrs.get("units", "")).startswith("deg")
    kind = str(change.attrs.get("grid_kind", "latitude/longitude" if in_degrees else "projected"))
    grid = change[["lat", "lon"]].assign_attrs(grid_kind=kind)
    return MapFrame.of(grid if land is None else grid.assign(land=land))


def _window(change: xr.Dataset) -> tuple[slice, slice]:
    """Give the rows and columns that hold all valid cells, so that an empty part of the grid takes no room."""
    valid = change["weight"].values > 0
    rows, columns = (np.flatnonzero(valid.any(axis=axis)) for axis in (1, 0))
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def _levels(values: np.ndarray) -> np.ndarray:
    """Give the edges of the colours, symmetric about 0, with nice numbers, for values of which few are beyond them."""
    sizes = np.abs(values[np.isfinite(values)])
    most = float(np.percentile(sizes, TAIL)) if sizes.size else 0.0
    width = most / STEPS if most > 0 else 1.0
    power = 10.0 ** np.floor(np.log10(width))
    step = power * min(nice for nice in NICE if nice >= round(width / power, 6))
    return step * np.arange(-STEPS, STEPS + 1)


def _draw_change(axes: Axes, change: xr.Dataset, name: str, levels: np.ndarray, frame: MapFrame) -> None:
    """Draw the map of one index with its marks and its colour bar."""
    colours = matplotlib.colormaps["BrBG_r" if name in DRIER_IS_MORE else "BrBG"].resampled(2 * STEPS + 2)
    norm = BoundaryNorm(levels, colours.N, extend="both")
    axes.patch.set_facecolor("0.88")
    mesh = axes.pcolormesh(
        frame.x, frame.y, np.ma.masked_invalid(change[name]), cmap=colours, norm=norm, rasterized=True
    )
    x, y = ((edges[:-1] + edges[1:]) / 2 for edges in (frame.x, frame.y))
    ordinary = _within_ordinary(change, name)
    if ordinary.any() and min(ordinary.shape) > 1:
        lines = axes.contourf(x, y, ordinary, levels=[0.5, 1.5], colors="none", hatches=["/////"])
        lines.set(edgecolor="0.45", linewidth=0)
    every = max(1, -(-x.size // DOTS_ACROSS))
    rows, columns = np.nonzero(_disagree(change, name)[::every, ::every])
    size = float(np.clip(2500 / max(x.size / every, y.size / every) ** 2, 1.5, 9.0))
    axes.scatter(x[::every][columns], y[::every][rows], s=size, color="0.1", linewidths=0)
    if frame.land is not None:
        lon, lat = frame.land["lon"] * frame.scale, frame.land["lat"] * frame.scale
        axes.contour(lon, lat, frame.land, levels=[0.5], colors=["0.2"], linewidths=0.7)
    axes.set_title(INDICES[name].label, fontweight="bold", fontsize=10)
    bar = axes.figure.colorbar(
        mesh, ax=axes, orientation="horizontal", ticks=levels, pad=0.03, aspect=30, extend="both"
    )
    bar.ax.set_xticks(levels, [_signed(level) for level in levels.round(6)], fontsize=7.5)
    bar.ax.tick_params(length=0)
    bar.outline.set_linewidth(0.4)
    bar.set_label({"pp": "percentage points"}.get(units := short_units(name), units), fontsize=8, labelpad=1)


def _signed(value: float) -> str:
    """Write a number with its sign, and with a minus rather than a hyphen."""
    return f"{value:+g}".replace("-", "−") if value else "0"


def _within_ordinary(change: xr.Dataset, name: str) -> np.ndarray:
    """Tell where ordinary years cause such a change by chance in one case of ten."""
    return np.abs(change[name].values) < change[f"{name}_ordinary"].values


def _disagree(change: xr.Dataset, name: str) -> np.ndarray:
    """Tell where too few pairs of members agree on the sign of the change."""
    return (change[f"{name}_agreement"] < AGREE).values & change[name].notnull().values


def _lay_axes(axes: Axes, frame: MapFrame, window: tuple[slice, slice]) -> None:
    """Set the limits, the aspect and the ticks of a map."""
    limits = frame.extent(window)
    axes.set(xlim=limits[0], ylim=limits[1], aspect=frame.aspect)
    axes.spines[["top", "right"]].set_visible(True)
    for axis, ends in ((axes.xaxis, "EW"), (axes.yaxis, "NS")):
        axis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
        if frame.kind == "latitude/longitude":
            axis.set_major_formatter(FuncFormatter(partial(degree_label, ends)))


def _marks(change: xr.Dataset) -> dict[Any, str]:
    """Give the marks of the maps and what they say; one that cannot be computed is left out."""
    marks: dict[Any, str] = {}
    dot = Line2D([], [], marker=".", color="0.1", linestyle="none", markersize=4)
    lines = Patch(facecolor="white", edgecolor="0.45", hatch="/////")
    if int(change.attrs["pairs"]) > 1:
        marks[dot] = f"fewer than {AGREE:g} % of the pairs of members agree on the sign"
    if change["mean_ordinary"].notnull().any():
        marks[lines] = "no larger than what ordinary years cause by chance in one case of ten"
    return marks


# ------------------------------------------------------------------------------------------ area means


def change_of_area(
    base: xr.Dataset,
    future: xr.Dataset,
    path: str | Path,
    names: tuple[str, str] = ("base", "future"),
    coarse: tuple[xr.Dataset, xr.Dataset] | None = None,
    observed: xr.Dataset | None = None,
    settings: Plots | None = None,
) -> None:
    """Draw the area means of single years of both applications, and the change of each index with its interval.

    Parameters
    ----------
    base, future
        Summaries of two applications of one model.
    path
        The PNG to write; a PDF is written beside it.
    names
        What the base and the future are called.
    coarse
        Summaries of the coarse rain of both.
    observed
        Summary of observed rain of the time of the base.
    settings
        Resolution.
    """
    rows = table_of_change(base, future, coarse)
    with saved_figure(path, 13.0, 6.6, settings or Plots()) as figure:
        figure.set_layout_engine("constrained", w_pad=0.05, h_pad=0.05, wspace=0.03)
        years, changes = figure.subfigures(1, 2, squeeze=False, width_ratios=[1.75, 1])[0]
        years.suptitle("Area means of single years (dots) and of all years (lines)", fontweight="bold", fontsize=10)
        for axes, row in zip(panels(years, len(rows), 4), rows, strict=True):
            _draw_years(axes, row["index"], names, (base, future), coarse, observed)
        changes.suptitle(f"Change from {names[0]} to {names[1]}, area mean", fontweight="bold", fontsize=10)
        groups = _by_units(rows)
        grid = changes.subplots(len(groups), 1, squeeze=False, height_ratios=[len(of) + 0.6 for of in groups.values()])
        for axes, (units, of_units) in zip(grid[:, 0], groups.items(), strict=True):
            _draw_changes(axes, of_units, units)
        _legend_of_area(figure, names, coarse is not None, observed is not None)


def _by_units(rows: list[Row]) -> dict[str, list[Row]]:
    """Put the rows together that share the units of their change."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(short_units(row["index"]), []).append(row)
    return groups


def _draw_years(
    axes: Axes,
    name: str,
    names: tuple[str, str],
    model: tuple[xr.Dataset, xr.Dataset],
    coarse: tuple[xr.Dataset, xr.Dataset] | None,
    observed: xr.Dataset | None,
) -> None:
    """Draw a dot for each year (mean over members), and a line for their mean."""
    columns = [(model, MODEL, 0.0)] + ([(coarse, INPUT, 0.27)] if coarse is not None else [])
    drawn: list[tuple[xr.Dataset, str, float]] = [
        (summary, colour, place + shift) for pair, colour, shift in columns for place, summary in enumerate(pair)
    ]
    if observed is not None:
        drawn.append((observed, TRUTH, -0.27))
    for summary, colour, middle in drawn:
        values = summary[f"{name}_of_year"].mean("member").values
        beside = middle + 0.08 * np.linspace(-1, 1, values.size) if values.size > 1 else np.array([middle])
        axes.scatter(beside, values, s=9, color=colour, alpha=0.45, linewidths=0)
        axes.plot([middle - 0.12, middle + 0.12], [np.nanmean(values)] * 2, color=colour, linewidth=2.4)
    axes.set(
        xlim=(-0.5, 1.5),
        title=INDICES[name].label,
        ylabel=INDICES[name].units.replace("day", "days", name in ("cdd", "cwd")),
    )
    axes.set_ylim(bottom=0)
    axes.set_xticks([0, 1], names)
    axes.grid(axis="y")


def _draw_changes(axes: Axes, rows: list[Row], units: str) -> None:
    """Draw the changes of indices that share their units, one below the other, the coarse input below the model."""
    for place, row in enumerate(rows):
        if row["year_std"] is not None:
            axes.barh(place, 2 * row["year_std"], 0.74, -row["year_std"], color=PALE, linewidth=0, zorder=0)
        sides = [("", MODEL, -0.16), ("coarse_", INPUT, 0.18)]
        for prefix, colour, shift in sides if row["coarse_change"] is not None else [("", MODEL, 0.0)]:
            change, low, high = (row[f"{prefix}{key}"] for key in ("change", "low", "high"))
            if change is None:
                continue
            if low is not None:
                axes.plot([low, high], [place + shift] * 2, color=colour, linewidth=1.6, solid_capstyle="butt")
            axes.plot(change, place + shift, "o", color=colour, markersize=5.5)
    axes.axvline(0, color=TRUTH, linewidth=0.8)
    axes.set(ylim=(len(rows) - 0.45, -0.55), xlabel={"pp": "percentage points"}.get(units, units))
    axes.set_yticks(range(len(rows)), [INDICES[row["index"]].label for row in rows])
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    most = max(abs(end) for end in axes.get_xlim())
    axes.set_xlim(-most, most)
    axes.grid(axis="x")


def _legend_of_area(figure: Figure, names: tuple[str, str], with_coarse: bool, with_observed: bool) -> None:
    """Say what the marks of both halves are."""
    handles: list[Any] = [Line2D([], [], color=MODEL, marker="o", markersize=5)]
    words = ["downscaled"]
    if with_coarse:
        handles.append(Line2D([], [], color=INPUT, marker="o", markersize=5))
        words.append("coarse input")
    if with_observed:
        handles.append(Line2D([], [], color=TRUTH, marker="o", markersize=5))
        words.append("observed")
    handles += [Line2D([], [], color=INK, linewidth=1.6), Patch(facecolor=PALE)]
    words += ["90 % interval of the change, by drawing years", f"year-to-year standard deviation of {names[0]}"]
    figure.legend(handles, words, loc="outside lower center", ncols=len(handles), frameon=False)
