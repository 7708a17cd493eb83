"""Where the predictors of an application lie beyond the training range: a map for each channel.

Inputs: the sums of `application.extrapolation`, joined over all years. Output: a figure. Axes in degrees or km.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import matplotlib
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.ticker import FuncFormatter, MaxNLocator

from rainshaft.application.extrapolation import Row, percent, shares, table
from rainshaft.config.sections import Plots
from rainshaft.data.climate import CONTEXT, KINDS, Kind
from rainshaft.data.units import length_in
from rainshaft.figures.maps import MapFrame, cell_edges, degree_label
from rainshaft.figures.style import INK, DatasetOrPath, open_source, panels, saved_figure

LEVELS = (0.5, 1, 2, 5, 10, 20, 40)  # % of the days
COLOURS = ("#fdf0d5", "#fbdca6", "#f6b76f", "#ea8a4b", "#d15a36", "#a8312f", "#6d1428")  # lightness falls evenly
SHARE_MAP = ListedColormap(list(COLOURS[:-1])).with_extremes(under="white", over=COLOURS[-1])
SHARE_NORM = BoundaryNorm(LEVELS, SHARE_MAP.N)
TOO_FAR = COLOURS[-2]
ACROSS = 3
WIDTH = 2.6  # of a map with its margins, inches
HEIGHTS = (1.3, 3.4)  # of a map without its title, inches: lowest and highest


def extrapolation_maps(
    sums: DatasetOrPath,
    path: str | Path,
    name: str = "",
    land: xr.DataArray | None = None,
    settings: Plots | None = None,
) -> None:
    """Draw, for each channel, the share of days on which a cell is beyond the training range of its month.

    Parameters
    ----------
    sums
        From `application.extrapolation.join`.
    path
        The PNG to write; a PDF is written beside it.
    name
        What the application is called.
    land
        1 on land, 0 on sea (lat, lon), for the coast; None draws no coast.
    settings
        Resolution.
    """
    settings = settings or Plots()
    with open_source(sums) as source:
        whole = source.load()
    rows = {row["channel"]: row for row in table(whole) if row["month"] == "all"}
    found = shares(whole)
    maps = [(kind, i) for kind in KINDS for i in range(found.sizes[kind.channel])]
    frames = {kind.name: _frame(found, kind, land) for kind in KINDS if found.sizes[kind.channel]}
    height = float(np.clip(max(0.8 * WIDTH * _ratio(frame) for frame in frames.values()), *HEIGHTS))
    across = min(ACROSS, len(maps))
    size = WIDTH * max(across, 2) + 0.9, (height + 0.62) * -(-len(maps) // across) + 0.45
    with saved_figure(path, *size, settings) as figure:
        axes = panels(figure, len(maps), across)
        for axis, (kind, channel) in zip(axes, maps, strict=True):
            field = found[f"{kind.prefix}share"].isel({kind.channel: channel})
            _draw(axis, field, frames[kind.name])
            channel_name = str(found[kind.channel].values[channel])
            _title(axis, channel_name, rows.get(channel_name))
        figure.suptitle(f"Beyond the training range{f': {name}' if name else ''}", fontsize=11, fontweight="bold")
        mappable = matplotlib.cm.ScalarMappable(norm=SHARE_NORM, cmap=SHARE_MAP)
        bar = figure.colorbar(
            mappable, ax=axes, ticks=LEVELS, extend="both", spacing="uniform", fraction=0.04, pad=0.02, aspect=25
        )
        bar.ax.set_yticklabels([f"{level:g}" for level in LEVELS])
        bar.ax.tick_params(length=0)
        bar.outline.set_linewidth(0.4)
        bar.set_label("days beyond the range (%)")


def _frame(found: xr.Dataset, kind: Kind, land: xr.DataArray | None) -> MapFrame:
    """Describe the grid of a kind of predictors."""
    y, x = found[kind.y], found[kind.x]
    grid = own = str(found.attrs["grid_kind"])
    if kind is CONTEXT:  # it may lie on a grid of another kind
        in_degrees = str(y.attrs.get("units", "degrees_north")).startswith("degree")
        grid = "latitude/longitude" if in_degrees else "projected"
    scale = length_in(y.attrs.get("units", "m"), "km") if grid == "projected" else 1.0
    return MapFrame(cell_edges(x) * scale, cell_edges(y) * scale, grid, scale, land if grid == own else None)


def _ratio(frame: MapFrame) -> float:
    """Height over width of a map."""
    return float(np.ptp(frame.y) * frame.aspect / np.ptp(frame.x))


def _draw(axes: Axes, field: xr.DataArray, frame: MapFrame) -> None:
    axes.pcolormesh(frame.x, frame.y, 100 * field.values, cmap=SHARE_MAP, norm=SHARE_NORM, rasterized=True)
    if frame.land is not None:
        lon, lat = (frame.land[axis].values * frame.scale for axis in ("lon", "lat"))
        axes.contour(lon, lat, frame.land, levels=[0.5], colors=["0.25"], linewidths=0.6)
    (left, right), (bottom, top) = frame.extent(None)
    axes.set(xlim=(left, right), ylim=(bottom, top), aspect=frame.aspect)
    axes.spines[["top", "right"]].set_visible(True)
    for axis, ends in ((axes.xaxis, "EW"), (axes.yaxis, "NS")):
        axis.set_major_locator(MaxNLocator(3, steps=[1, 2, 5, 10]))
        if frame.kind == "latitude/longitude":
            axis.set_major_formatter(FuncFormatter(partial(degree_label, ends)))


def _title(axes: Axes, name: str, row: Row | None) -> None:
    """Write the channel, and below it the share over all cells; in colour where it is above the limit."""
    axes.set_title(name, fontweight="bold", pad=15)
    if row is None:
        text, colour = "no month in common", INK
    else:
        text = f"{percent(row['share'])}, by chance {percent(row['chance'])}, limit {percent(row['limit'])}"
        colour = TOO_FAR if row["too_far"] else INK
    axes.annotate(
        text,
        (0.5, 1),
        (0, 4),
        xycoords="axes fraction",
        textcoords="offset points",
        ha="center",
        va="bottom",
        fontsize=8,
        color=colour,
    )
