"""Maps of rain: samples of one experiment on a few days, and all experiments and baselines on one heavy day.

Inputs: ensemble files, as paths or as open datasets, and the paths of canonical fields. Outputs: figures. Rain in
mm/day, axes in degrees or km. All maps of all figures share one rain scale.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import matplotlib
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, MaxNLocator

from rainshaft.config.sections import Plots
from rainshaft.data.fields import Fields, dates_of
from rainshaft.data.units import length_in
from rainshaft.errors import UserError
from rainshaft.figures.style import INK, LINES, DatasetOrPath, open_source, saved_figure

RAIN_LEVELS = (0.1, 1, 2, 5, 10, 20, 30, 50, 75, 100, 150)
RAIN_COLOURS = (  # lightness falls in even steps, so that the colours differ for any colour vision and in grey
    "#e4eff9",
    "#c4def0",
    "#97cbe0",
    "#62b6c9",
    "#369fa8",
    "#2a87a0",
    "#2f6da8",
    "#4a52a6",
    "#6b2f97",
    "#720d6b",
    "#3d002c",
)
RAIN_MAP = ListedColormap(list(RAIN_COLOURS[:-1])).with_extremes(under="white", over=RAIN_COLOURS[-1])
RAIN_NORM = BoundaryNorm(RAIN_LEVELS, RAIN_MAP.N)

DAYS_AT_ONCE = 32  # days in memory
PANEL = 1.5  # width of a map with its margins, inches
MOST_ACROSS = 10  # maps in a row of the comparison
LIGHT_DAY_MM = 1.0  # mm/day; area mean of the lightest day to show, if enough days have it


def sample_maps(
    ensemble: DatasetOrPath,
    part: str,
    paths: Sequence[str | Path],
    path: str | Path,
    settings: Plots | None = None,
) -> None:
    """Draw coarse rain, truth, members and ensemble mean of a few days, from heavy to light.

    Parameters
    ----------
    ensemble
        Ensemble file, pr(time, member, lat, lon) in mm/day with the coordinate split(time).
    part
        `validation` or `test`.
    paths
        Canonical fields of all years.
    path
        The PNG to write; a PDF is written beside it.
    settings
        Numbers of days and members, resolution.
    """
    settings = settings or Plots()
    with open_source(ensemble) as members, Fields(paths) as fields:
        means = _truth_means(fields, dates_of(members)[_is_of(part, members)].tolist(), part)
        days = choose_days(means, settings.days)
        rows = {}
        for day in days:
            truth = _day(fields, day)
            drawn = _of_date(members, day)
            row = [("coarse input", coarse)] if (coarse := _coarse_rain(truth)) is not None else []
            row.append(("truth", truth["pr"]))
            rows[day] = [*row, *_members_and_mean(drawn, settings.members)]
        frame = MapFrame.of(truth)
    _draw_rows(rows, means, frame, path, settings)


def comparison_maps(
    ensembles: Mapping[str, DatasetOrPath],
    part: str,
    paths: Sequence[str | Path],
    path: str | Path,
    settings: Plots | None = None,
) -> None:
    """Draw the wettest day of a part and a close-up of its core: coarse rain, one member of each ensemble, truth.

    Parameters
    ----------
    ensembles
        Name to ensemble file, in the order of the panels, all of one dataset. The first member of each is shown.
    part
        `validation` or `test`.
    paths
        Canonical fields of all years.
    path
        The PNG to write; a PDF is written beside it.
    settings
        Resolution.
    """
    settings = settings or Plots()
    with ExitStack() as stack:
        sources = {name: stack.enter_context(open_source(source)) for name, source in ensembles.items()}
        fields = stack.enter_context(Fields(paths))
        dates_of_part = [dates_of(source)[_is_of(part, source)].tolist() for source in sources.values()]
        common = [date for date in dates_of_part[0] if all(date in dates for dates in dates_of_part[1:])]
        day = choose_days(_truth_means(fields, common, part), 1)[0]
        truth = _day(fields, day)
        panels = [(name, _of_date(source, day).isel(member=0)) for name, source in sources.items()]
    if (coarse := _coarse_rain(truth)) is not None:
        panels.insert(0, ("coarse input", coarse))
    panels.append(("truth", truth["pr"]))
    frame = MapFrame.of(truth)
    core = _core(truth["pr"], int(truth.attrs["factor"]))
    bands = -(-len(panels) // MOST_ACROSS)
    across = -(-len(panels) // bands)
    width, height = PANEL * across + 1.4, bands * 2 * (frame.height + 0.25) + 0.75
    with saved_figure(path, width, height, settings) as figure:
        axes = figure.subplots(2 * bands, across, squeeze=False)
        for k, (name, field) in enumerate(panels):
            whole, close = axes[2 * (k // across) : 2 * (k // across) + 2, k % across]
            left = k % across == 0
            _draw_map(whole, field, frame, left=left, bottom=True)
            _title(whole, _wrapped(name), field, weight="bold")
            _draw_map(close, field, frame, left=left, bottom=True, window=core)
            (x0, x1), (y0, y1) = frame.extent(core)
            box = Rectangle((x0, y0), x1 - x0, y1 - y0, fill=False, edgecolor=LINES[1], linewidth=1.3)
            whole.add_patch(box)
            close.spines[:].set(edgecolor=LINES[1], linewidth=1.3)
            if left:
                whole.set_ylabel(f"{day}\nwhole domain", labelpad=6)
                close.set_ylabel("close-up", labelpad=6)
        for empty in axes[-2:, len(panels) - across * (bands - 1) :].flat:
            empty.set_visible(False)
        _rain_bar(figure, axes, frame)


def downscaled_maps(
    rain: DatasetOrPath,
    coarse: xr.DataArray | None,
    grid_kind: str,
    path: str | Path,
    settings: Plots | None = None,
) -> None:
    """Draw coarse rain, members and ensemble mean of a few steps that nobody observed, from heavy to light.

    Parameters
    ----------
    rain
        Ensemble file or zarr store, pr(time, member, lat, lon) in mm/day.
    coarse
        Coarse rain (time, y, x) in mm/day, if there is any.
    grid_kind
        `latitude/longitude`, `rotated` or `projected`.
    path
        The PNG to write; a PDF is written beside it.
    settings
        Numbers of steps and members, resolution.
    """
    settings = settings or Plots()
    with open_source(rain) as members:
        shown = members["pr"].isel(member=0) if coarse is None else coarse
        mean_t = shown.mean(shown.dims[1:])
        stamps = members["time"].dt.strftime("%Y-%m-%d %H:%M").values.astype(str)
        means = dict(zip((stamp.removesuffix(" 00:00") for stamp in stamps), mean_t.values.tolist(), strict=True))
        places = {stamp: place for place, stamp in enumerate(means)}
        rows = {}
        for stamp in choose_days(means, settings.days):
            drawn = members["pr"].isel(time=places[stamp]).load()
            row = [] if coarse is None else [("coarse input", coarse.isel(time=places[stamp]))]
            rows[stamp] = [*row, *_members_and_mean(drawn, settings.members)]
        frame = MapFrame.of(members[["lat", "lon"]].assign_attrs(grid_kind=grid_kind))
    _draw_rows(rows, means, frame, path, settings)


def choose_days(means: Mapping[str, float], count: int) -> list[str]:
    """Pick days by their observed area mean, from the heaviest to the lightest with 1 mm/day or more.

    The days between are spread evenly by rank. Where too few days have 1 mm/day, drier ones take part.
    """
    enough = {date: mean for date, mean in means.items() if mean >= LIGHT_DAY_MM}
    ranked = enough if len(enough) >= count else dict(means)
    order = sorted(ranked, key=lambda date: -ranked[date])
    places = dict.fromkeys(np.linspace(0, len(order) - 1, count).round().astype(int).tolist())
    return [order[place] for place in places]


def _members_and_mean(drawn: xr.DataArray, count: int) -> list[tuple[str, xr.DataArray]]:
    """Give the first members and the mean of all, with their titles."""
    shown = [(f"member {i + 1}", drawn.isel(member=i)) for i in range(min(count, drawn.sizes["member"]))]
    return [*shown, ("ensemble mean", drawn.mean("member"))]


def _draw_rows(
    rows: Mapping[str, Sequence[tuple[str, xr.DataArray]]],
    means: Mapping[str, float],
    frame: MapFrame,
    path: str | Path,
    settings: Plots,
) -> None:
    """Draw a row of maps for each step, with the step and its mean rain beside it."""
    across = len(next(iter(rows.values())))
    width, height = PANEL * across + 1.5, (frame.height + 0.27) * len(rows) + 0.5
    with saved_figure(path, width, height, settings) as figure:
        axes = figure.subplots(len(rows), across, squeeze=False)
        for i, (step, row) in enumerate(rows.items()):
            for j, (name, field) in enumerate(row):
                _draw_map(axes[i, j], field, frame, left=j == 0, bottom=i == len(rows) - 1)
                _title(axes[i, j], _wrapped(name) if i == 0 else "", field)
            axes[i, 0].set_ylabel(f"{step}\nmean {means[step]:.1f} mm/day", labelpad=6)
        _rain_bar(figure, axes, frame)


@dataclass(frozen=True)
class MapFrame:
    """The fine grid of the maps of a figure: cell edges in degrees or km, and the coast."""

    x: np.ndarray
    y: np.ndarray
    kind: str
    """`latitude/longitude`, `rotated` or `projected`"""
    scale: float
    land: xr.DataArray | None

    @classmethod
    def of(cls, day: xr.Dataset) -> MapFrame:
        kind = str(day.attrs["grid_kind"])
        scale = length_in(day["lat"].attrs.get("units", "m"), "km") if kind == "projected" else 1.0
        land = day.get("land")
        if land is not None and float(land.min()) == float(land.max()):
            land = None
        return cls(cell_edges(day["lon"]) * scale, cell_edges(day["lat"]) * scale, kind, scale, land)

    @property
    def aspect(self) -> float:
        """Height of a unit of y over the width of a unit of x."""
        return 1 / max(np.cos(np.deg2rad(float(self.y.mean()))), 0.1) if self.kind != "projected" else 1.0

    @property
    def height(self) -> float:
        """Height of a map, inches. The date beside it must fit."""
        return max(0.87 * PANEL * float(np.ptp(self.y) * self.aspect / np.ptp(self.x)), 1.1)

    def extent(self, window: tuple[slice, slice] | None) -> tuple[tuple[float, float], tuple[float, float]]:
        """Give the limits of x and of y."""
        rows, columns = window or (slice(0, self.y.size - 1), slice(0, self.x.size - 1))
        x, y = self.x[[columns.start, columns.stop]], self.y[[rows.start, rows.stop]]
        return (x.min(), x.max()), (y.min(), y.max())


def _draw_map(
    axes: Axes,
    field: xr.DataArray,
    frame: MapFrame,
    left: bool,
    bottom: bool,
    window: tuple[slice, slice] | None = None,
) -> None:
    """Draw rain on its own cells, in the one rain scale. Cells without a value are hatched."""
    y, x = (field[name] for name in field.dims)
    axes.patch.set(facecolor="0.93", edgecolor="0.78", hatch="////")
    axes.pcolormesh(
        cell_edges(x) * frame.scale,
        cell_edges(y) * frame.scale,
        np.ma.masked_invalid(field),
        cmap=RAIN_MAP,
        norm=RAIN_NORM,
        rasterized=True,
    )
    if frame.land is not None:
        lon, lat = frame.land["lon"] * frame.scale, frame.land["lat"] * frame.scale
        axes.contour(lon, lat, frame.land, levels=[0.5], colors=["0.25"], linewidths=0.6)
    if bool(field.isnull().all()):
        box = {"facecolor": "white", "edgecolor": "none", "pad": 2}
        axes.text(0.5, 0.5, "dropped", transform=axes.transAxes, ha="center", va="center", color=INK, bbox=box)
    limits = frame.extent(window)
    axes.set(xlim=limits[0], ylim=limits[1], aspect=frame.aspect)
    axes.spines[["top", "right"]].set_visible(True)
    for axis, ends in ((axes.xaxis, "EW"), (axes.yaxis, "NS")):
        axis.set_major_locator(MaxNLocator(3, steps=[1, 2, 5, 10]))
        if frame.kind == "latitude/longitude":
            axis.set_major_formatter(FuncFormatter(partial(degree_label, ends)))
    axes.tick_params(labelleft=left, labelbottom=bottom)


def degree_label(ends: str, value: float, _: int) -> str:
    """Write a longitude or latitude; longitudes may run from 0 to 360."""
    value = (value + 180) % 360 - 180
    return f"{abs(value):g}°{ends[int(value < 0)] if value % 180 else ''}"


def _title(axes: Axes, name: str, field: xr.DataArray, weight: str = "normal") -> None:
    """Write the name, and under it how much of the field is wet and its largest value."""
    if name:
        axes.set_title(name, fontweight=weight, pad=15)
    values = field.values[np.isfinite(field.values)]
    if values.size:
        text = f"wet {100 * np.mean(values > RAIN_LEVELS[0]):.0f} %   max {values.max():.0f}"
        axes.text(0.5, 1.03, text, transform=axes.transAxes, ha="center", va="bottom", fontsize=8, color=INK)


def _rain_bar(figure: Figure, axes: np.ndarray, frame: MapFrame) -> None:
    """Draw the colour bar of a figure of maps, and say what the axes are if they are not longitude and latitude."""
    words = {
        "projected": "easting and northing (km)",
        "rotated": "longitude and latitude of the rotated pole (degrees)",
    }
    if frame.kind in words:
        figure.supxlabel(words[frame.kind], fontsize=9)
    mappable = matplotlib.cm.ScalarMappable(norm=RAIN_NORM, cmap=RAIN_MAP)
    bar = figure.colorbar(
        mappable, ax=axes, ticks=RAIN_LEVELS, extend="both", spacing="uniform", fraction=0.03, pad=0.012, aspect=28
    )
    bar.ax.set_yticklabels([f"{level:g}" for level in RAIN_LEVELS])
    bar.ax.tick_params(length=0)
    bar.set_label("rain (mm/day)")


def _coarse_rain(day: xr.Dataset) -> xr.DataArray | None:
    """Take the coarse rain on its own cells. It is None if no predictor is rain."""
    name = day.attrs.get("rain_channel", "")
    return day["predictors"].sel(channel=name) if name else None


def _core(rain: xr.DataArray, factor: int) -> tuple[slice, slice]:
    """Find the window with the sharpest rain: a third of the domain each way, in whole coarse cells."""
    south, east = np.abs(np.diff(rain, axis=0)), np.abs(np.diff(rain, axis=1))
    sharp = np.nan_to_num(np.pad(south, ((0, 1), (0, 0)))) + np.nan_to_num(np.pad(east, ((0, 0), (0, 1))))
    height, width = (max(factor * round(size / factor / 3), factor) for size in sharp.shape)
    total = np.pad(sharp.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    sums = total[height:, width:] - total[:-height, width:] - total[height:, :-width] + total[:-height, :-width]
    aligned = sums[::factor, ::factor]
    row, column = (factor * int(place) for place in np.unravel_index(aligned.argmax(), aligned.shape))
    return slice(row, row + height), slice(column, column + width)


def cell_edges(axis: xr.DataArray) -> np.ndarray:
    """Find the cell edges of an axis of cell centres."""
    centres = axis.values.astype(float)
    half = np.diff(centres) / 2 if centres.size > 1 else np.array([0.5])
    return np.concatenate([[centres[0] - half[0]], centres[:-1] + half[: centres.size - 1], [centres[-1] + half[-1]]])


def _is_of(part: str, ensemble: xr.Dataset) -> np.ndarray:
    """Tell which days of an ensemble file belong to a part of the split."""
    return (ensemble["split"] == part).values


def _truth_means(fields: Fields, dates: Sequence[str], part: str) -> dict[str, float]:
    """Average the observed rain of these days over the area, mm/day."""
    means: dict[str, float] = {}
    for batch in fields.batches(dates, DAYS_AT_ONCE):
        means |= dict(zip(batch, np.nanmean(fields.rain(batch), axis=(1, 2)).tolist(), strict=True))
    if not means:
        raise UserError(f"none of the {part} days of the ensemble is in the fields; give the fields of its dataset")
    return means


def _day(fields: Fields, date: str) -> xr.Dataset:
    """Read all fields of one day."""
    return fields.read([date]).isel(time=0)


def _of_date(ensemble: xr.Dataset, date: str) -> xr.DataArray:
    """Read the members of one day (member, lat, lon)."""
    return ensemble["pr"].isel(time=int(np.flatnonzero(dates_of(ensemble) == date)[0])).load()


def _wrapped(name: str) -> str:
    """Break a name into lines short enough for a map's title."""
    return "\n".join(textwrap.wrap(name, 15))
