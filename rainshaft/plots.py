"""Every figure: PNG files, written whole or not at all.

Inputs: ensemble files, canonical fields, scores, statistics and training logs, as paths or as open datasets.
Rain in mm/day, distances in km. One rain scale for all maps of all figures: the same colour is the same rain.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator

from rainshaft.config import Baselines, Plots
from rainshaft.errors import UserError
from rainshaft.files import atomic

Source = str | Path | xr.Dataset

# -------------------------------------------------------------------------------------------- style

RAIN_LEVELS = (0.1, 1, 2, 5, 10, 20, 30, 50, 75, 100, 150)
RAIN_COLOURS = (  # lightness falls in even steps, so that they are told apart with any colour vision and in grey
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

TRUTH, INK, PALE = "black", "0.35", "0.85"
LINES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")  # Okabe & Ito (2008)
DASHES: tuple[Any, ...] = ((0, (5, 2)), (0, (1, 1.5)), (0, (5, 1.5, 1, 1.5)))
DAYS_AT_ONCE = 32  # in memory
PANEL = 1.5  # width of a map with its margins, inches
MOST_ACROSS = 10  # maps in a row of the comparison

STYLE: dict[str, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.labelsize": 9,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8.5,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "grid.color": "0.9",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "lines.linewidth": 1.6,
    "hatch.linewidth": 0.5,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "axes.unicode_minus": True,
}


@contextmanager
def _figure(path: str | Path, width: float, height: float, settings: Plots) -> Iterator[Figure]:
    """Make a figure in this module's style and save it under `path` at the end; pyplot's state is not touched."""
    with matplotlib.rc_context(STYLE), atomic(path) as temporary:
        figure = Figure(figsize=(width, height), dpi=settings.dpi, layout="constrained")
        figure.get_layout_engine().set(w_pad=0.03, h_pad=0.03, wspace=0.0, hspace=0.0)  # type: ignore[union-attr]
        yield figure
        figure.savefig(temporary, format="png", dpi=settings.dpi, metadata={"Software": None})


# --------------------------------------------------------------------------------------------- maps


def sample_maps(
    ensemble: Source,
    fields: Sequence[Source],
    path: str | Path,
    settings: Plots | None = None,
    baseline: Source | None = None,
) -> None:
    """Coarse rain, truth, members and ensemble mean of a few test days, from heavy to light.

    Parameters
    ----------
    ensemble
        Ensemble file, pr(time, member, lat, lon) in mm/day with the coordinate split(time).
    fields
        Canonical fields, one file a year.
    path
        The PNG to write.
    settings
        Numbers of days and members, resolution.
    baseline
        A further ensemble file; its first member gets a column beside the coarse rain.
    """
    settings = settings or Plots()
    with ExitStack() as stack:
        members = stack.enter_context(_open(ensemble))
        years = [stack.enter_context(_open(source)) for source in fields]
        means = _truth_means(years, members.indexes["time"][_is_test(members)])
        days = choose_days(means, settings.days)
        other = None if baseline is None else stack.enter_context(_open(baseline))
        rows = []
        for day in days:
            truth = _day(years, day)
            drawn = members["pr"].sel(time=day).load()
            row = [("coarse input", coarse)] if (coarse := _coarse_rain(truth)) is not None else []
            if other is not None:
                row.append(
                    (str(other.attrs.get("source", "baseline")), other["pr"].sel(time=day).isel(member=0).load())
                )
            row.append(("truth", truth["pr"]))
            row += [
                (f"member {i + 1}", drawn.isel(member=i)) for i in range(min(settings.members, drawn.sizes["member"]))
            ]
            row.append(("ensemble mean", drawn.mean("member")))
            rows.append(row)
        frame = _Frame.of(truth)
    width, height = PANEL * len(rows[0]) + 1.5, (frame.height + 0.27) * len(rows) + 0.5
    with _figure(path, width, height, settings) as figure:
        axes = figure.subplots(len(rows), len(rows[0]), squeeze=False)
        for i, (day, row) in enumerate(zip(days, rows, strict=True)):
            for j, (name, field) in enumerate(row):
                _draw_map(axes[i, j], field, frame, left=j == 0, bottom=i == len(rows) - 1)
                _title(axes[i, j], _wrapped(name) if i == 0 else "", field)
            axes[i, 0].set_ylabel(f"{_date(day)}\nmean {float(means.sel(time=day)):.1f} mm/day", labelpad=6)
        _rain_bar(figure, axes, frame)


def comparison_maps(
    ensembles: Mapping[str, Source],
    fields: Sequence[Source],
    path: str | Path,
    settings: Plots | None = None,
    day: Any = None,
) -> None:
    """One heavy test day: coarse rain, one member of each experiment and baseline, truth; and a close-up of its core.

    Parameters
    ----------
    ensembles
        Name to ensemble file, in the order of the panels; all of the same dataset. Member 1 is shown, always.
    fields
        Canonical fields, one file a year.
    path
        The PNG to write.
    settings
        Resolution.
    day
        The day to show; default: the test day with the largest observed area mean.
    """
    settings = settings or Plots()
    with ExitStack() as stack:
        sources = {name: stack.enter_context(_open(source)) for name, source in ensembles.items()}
        years = [stack.enter_context(_open(source)) for source in fields]
        if day is None:
            times = [source.indexes["time"][_is_test(source)] for source in sources.values()]
            common = times[0]
            for index in times[1:]:
                common = common[common.isin(index)]
            day = choose_days(_truth_means(years, common), 1)[0]
        truth = _day(years, day)
        panels = [(name, source["pr"].sel(time=day).isel(member=0).load()) for name, source in sources.items()]
    if (coarse := _coarse_rain(truth)) is not None:
        panels.insert(0, ("coarse input", coarse))
    panels.append(("truth", truth["pr"]))
    frame = _Frame.of(truth)
    core = _core(truth["pr"], int(truth.attrs["factor"]))
    bands = -(-len(panels) // MOST_ACROSS)
    across = -(-len(panels) // bands)
    width, height = PANEL * across + 1.4, bands * 2 * (frame.height + 0.25) + 0.75
    with _figure(path, width, height, settings) as figure:
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
                whole.set_ylabel(f"{_date(day)}\nwhole domain", labelpad=6)
                close.set_ylabel("close-up", labelpad=6)
        for empty in axes[-2:, len(panels) - across * (bands - 1) :].flat:
            empty.set_visible(False)
        _rain_bar(figure, axes, frame)


def choose_days(means: xr.DataArray, count: int) -> list[Any]:
    """Pick days by observed area mean: the heaviest, the lightest of 1 mm/day or more, and evenly between by rank.

    Where there are too few such days, drier ones take part.
    """
    wet = means[means >= 1.0]
    ranked = wet if wet.size >= count else means
    order = np.argsort(-ranked.values, kind="stable")
    places = dict.fromkeys(np.linspace(0, order.size - 1, count).round().astype(int))
    return [ranked["time"].values[order[place]] for place in places]


@dataclass(frozen=True)
class _Frame:
    """The fine grid of a figure's maps: cell edges in degrees or km, and the coast."""

    x: np.ndarray
    y: np.ndarray
    geographic: bool
    scale: float
    land: xr.DataArray | None

    @classmethod
    def of(cls, day: xr.Dataset) -> _Frame:
        units = str(day["lat"].attrs.get("units", "degrees_north"))
        geographic = units.startswith("degree")
        scale = 1.0 if geographic or units in ("km", "kilometre", "kilometer") else 1e-3
        land = day.get("land")
        if land is not None and float(land.min()) == float(land.max()):
            land = None
        return cls(_edges(day["lon"]) * scale, _edges(day["lat"]) * scale, geographic, scale, land)

    @property
    def aspect(self) -> float:
        """Height of a unit of y for a unit of x."""
        return 1 / max(np.cos(np.deg2rad(float(self.y.mean()))), 0.1) if self.geographic else 1.0

    @property
    def height(self) -> float:
        """Height of a map, inches; not so low that the date beside it would not fit."""
        return max(0.87 * PANEL * float(np.ptp(self.y) * self.aspect / np.ptp(self.x)), 1.1)

    def extent(self, window: tuple[slice, slice] | None) -> tuple[tuple[float, float], tuple[float, float]]:
        """Give the limits of x and of y."""
        rows, columns = window or (slice(0, self.y.size - 1), slice(0, self.x.size - 1))
        x, y = self.x[[columns.start, columns.stop]], self.y[[rows.start, rows.stop]]
        return (x.min(), x.max()), (y.min(), y.max())


def _draw_map(
    axes: Axes,
    field: xr.DataArray,
    frame: _Frame,
    left: bool,
    bottom: bool,
    window: tuple[slice, slice] | None = None,
) -> None:
    """Rain on its own cells, in the one rain scale; cells without a value are hatched."""
    y, x = (field[name] for name in field.dims)
    axes.patch.set(facecolor="0.93", edgecolor="0.78", hatch="////")
    axes.pcolormesh(
        _edges(x) * frame.scale, _edges(y) * frame.scale, np.ma.masked_invalid(field), cmap=RAIN_MAP, norm=RAIN_NORM
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
        if frame.geographic:
            axis.set_major_formatter(FuncFormatter(partial(_degrees, ends)))
    axes.tick_params(labelleft=left, labelbottom=bottom)


def _degrees(ends: str, value: float, _: int) -> str:
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


def _rain_bar(figure: Figure, axes: np.ndarray, frame: _Frame) -> None:
    """Draw the one colour bar of a figure of maps, and say what its axes are where that is not plain."""
    if not frame.geographic:
        figure.supxlabel("easting and northing (km)", fontsize=9)
    mappable = matplotlib.cm.ScalarMappable(norm=RAIN_NORM, cmap=RAIN_MAP)
    bar = figure.colorbar(
        mappable, ax=axes, ticks=RAIN_LEVELS, extend="both", spacing="uniform", fraction=0.03, pad=0.012, aspect=28
    )
    bar.ax.set_yticklabels([f"{level:g}" for level in RAIN_LEVELS])
    bar.ax.tick_params(length=0)
    bar.set_label("rain (mm/day)")


def _coarse_rain(day: xr.Dataset) -> xr.DataArray | None:
    """Take the coarse rain on its own cells, if it is a predictor."""
    name = day.attrs.get("rain_channel", "")
    return day["predictors"].sel(channel=name) if name else None


def _core(rain: xr.DataArray, factor: int) -> tuple[slice, slice]:
    """Find the window with the sharpest rain, whole coarse cells, a third of the domain each way."""
    south, east = np.abs(np.diff(rain, axis=0)), np.abs(np.diff(rain, axis=1))
    sharp = np.nan_to_num(np.pad(south, ((0, 1), (0, 0)))) + np.nan_to_num(np.pad(east, ((0, 0), (0, 1))))
    height, width = (max(factor * round(size / factor / 3), factor) for size in sharp.shape)
    total = np.pad(sharp.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    sums = total[height:, width:] - total[:-height, width:] - total[height:, :-width] + total[:-height, :-width]
    aligned = sums[::factor, ::factor]
    row, column = (factor * int(place) for place in np.unravel_index(aligned.argmax(), aligned.shape))
    return slice(row, row + height), slice(column, column + width)


def _edges(axis: xr.DataArray) -> np.ndarray:
    """Cell edges of an axis of cell centres."""
    centres = axis.values.astype(float)
    half = np.diff(centres) / 2 if centres.size > 1 else np.array([0.5])
    return np.concatenate([[centres[0] - half[0]], centres[:-1] + half[: centres.size - 1], [centres[-1] + half[-1]]])


# -------------------------------------------------------------------------------------------- curves

MEANINGS = {
    "loss": "what is minimised",
    "L_rec": "weighted absolute error",
    "L_mass": "bias of the mass",
    "L_grad": "gradient loss",
    "L_kl": "posterior against prior",
    "L_crps": "ensemble score of the prior",
    "L_crps_pool": "the same on block means",
    "L_crps_grad": "the same on differences",
    "L_crps_log": "the same on log1p(rain)",
    "lr": "learning rate",
    "beta": "weight of L_kl",
}
ROUNDING = 1e-6  # a term that stays below it is none, as the mass with `conserve: cells`
TERMS = tuple(name for name in MEANINGS if name not in ("lr", "beta"))


def training_curves(
    log: str | Path | pd.DataFrame, path: str | Path, settings: Plots | None = None, metric: str = "val_loss"
) -> None:
    """Every loss term over the epochs, for training and validation, with the epoch whose weights were kept.

    Parameters
    ----------
    log
        The training log, one row an epoch.
    path
        The PNG to write.
    settings
        Resolution.
    metric
        Column of the log whose lowest value marks the best epoch.
    """
    table = log if isinstance(log, pd.DataFrame) else pd.read_csv(log)
    best = None
    if metric in table and table[metric].notna().any():
        best = float(table.loc[table[metric].idxmin(), "epoch"])
    with _figure(path, 14.0, 4.6, settings or Plots()) as figure:
        axes = figure.subplots(2, 6, sharex=True)
        axes[-1, -1].remove()
        axes[0, -1].tick_params(labelbottom=True)
        for where, name in zip(axes.flat[:-1], MEANINGS, strict=True):
            columns = [f"train_{name}", f"val_{name}"] if name in TERMS else [name]
            _draw_term(where, table, [c for c in columns if c in table], name)
            if best is not None:
                where.axvline(best, color=INK, linewidth=0.8, linestyle=DASHES[1], zorder=0)
        if best is not None:
            note = f"best {metric.removeprefix('val_')}\nepoch {best:g}"
            axes[0, 0].text(
                best,
                0.98,
                note,
                transform=axes[0, 0].get_xaxis_transform(),
                ha=_side(best, table),
                va="top",
                color=INK,
                fontsize=8,
            )
        for where in (axes[0, -1], *axes[-1, :-1]):
            where.set_xlabel("epoch")
            where.xaxis.set_major_locator(MaxNLocator(4, integer=True))


def _draw_term(axes: Axes, table: pd.DataFrame, columns: list[str], name: str) -> None:
    """One panel of the training curves."""
    axes.set_title(name, loc="left", fontweight="bold", pad=15)
    axes.text(0, 1.03, MEANINGS[name], transform=axes.transAxes, color=INK, fontsize=8)
    if not columns or not (table[columns].fillna(0).abs() > ROUNDING).any(axis=None):
        axes.set_facecolor("0.96")
        axes.text(0.5, 0.5, "not in this loss", transform=axes.transAxes, ha="center", va="center", color=INK)
        axes.set_yticks([])
        return
    ends = []
    for column, colour in zip(columns, LINES, strict=False):
        shown = table[["epoch", column]].dropna()
        axes.plot(shown["epoch"], shown[column], color=colour, marker="o" if len(shown) == 1 else None, markersize=3)
        if len(columns) > 1 and len(shown):
            ends.append((float(shown[column].iloc[-1]), column.split("_")[0], colour))
    axes.grid(axis="y")
    axes.margins(x=0.02)
    _label_ends(axes, ends)


def _side(best: float, table: pd.DataFrame) -> str:
    """Put a note on the side of the line that has more room."""
    return "right" if best > float(table["epoch"].mean()) else "left"


def _label_ends(axes: Axes, ends: list[tuple[float, str, str]]) -> None:
    """Names of lines at their right ends, kept apart."""
    if not ends:
        return
    low, high = axes.get_ylim()
    places = sorted(ends)
    at = [(value - low) / (high - low) for value, _, _ in places]
    for i in range(1, len(at)):
        at[i] = max(at[i], at[i - 1] + 0.11)
    for (_, label, colour), height in zip(places, at, strict=True):
        axes.text(1.02, height, label, transform=axes.transAxes, color=colour, va="center", fontsize=8.5)


def distribution(scores: Source, path: str | Path, settings: Plots | None = None) -> None:
    """How often it rains how much, at which scales, and whether the truth ranks evenly among the members.

    Parameters
    ----------
    scores
        Scores of one ensemble (`scores.nc`).
    path
        The PNG to write.
    settings
        Resolution.
    """
    with _open(scores) as source:
        curves = _Curves.of(source)
    with _figure(path, 12.0, 3.9, settings or Plots()) as figure:
        rain, scales, ranks = figure.subplots(1, 3)
        _draw_exceedance(
            rain,
            [(curves.exceedance_observed, "truth", TRUTH, "-"), (curves.exceedance_samples, "members", LINES[0], "-")],
        )
        _draw_spectrum(
            scales,
            [(curves.spectrum_observed, "truth", TRUTH, "-"), (curves.spectrum_samples, "members", LINES[0], "-")],
        )
        rain.legend(frameon=False, loc="upper right")
        _draw_ranks(ranks, curves.ranks)


def comparison_distributions(scores: Mapping[str, Source], path: str | Path, settings: Plots | None = None) -> None:
    """Draw the rain distributions and spectra of all experiments and baselines of a dataset over the truth.

    Parameters
    ----------
    scores
        Name to scores (`scores.nc`), in the order of the legend; names of baselines are drawn in grey.
    path
        The PNG to write.
    settings
        Resolution.
    """
    curves = {}
    for name, source in scores.items():
        with _open(source) as opened:
            curves[name] = _Curves.of(opened)
    styles = line_styles(list(scores))
    observed = next(iter(curves.values()))
    with _figure(path, 12.0, 4.6, settings or Plots()) as figure:
        rain, scales = figure.subplots(1, 2)
        _draw_exceedance(
            rain,
            [(observed.exceedance_observed, "truth", TRUTH, "-")]
            + [(c.exceedance_samples, name, *styles[name]) for name, c in curves.items()],
        )
        _draw_spectrum(
            scales,
            [(observed.spectrum_observed, "truth", TRUTH, "-")]
            + [(c.spectrum_samples, name, *styles[name]) for name, c in curves.items()],
        )
        figure.legend(*rain.get_legend_handles_labels(), loc="outside right center", frameon=False)


@dataclass(frozen=True)
class _Curves:
    """What the figures take from `scores.nc`; curves are (x, y) pairs."""

    exceedance_observed: tuple[np.ndarray, np.ndarray]
    exceedance_samples: tuple[np.ndarray, np.ndarray]
    spectrum_observed: tuple[np.ndarray, np.ndarray]
    spectrum_samples: tuple[np.ndarray, np.ndarray]
    ranks: np.ndarray

    @classmethod
    def of(cls, scores: xr.Dataset) -> _Curves:
        edges = scores["intensity_edges"].values
        wavelength = scores["wavelength_km"].values

        def exceedance(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            return edges[:-1], counts[::-1].cumsum()[::-1] / counts.sum()

        return cls(
            exceedance(scores["intensity_observed"].values),
            exceedance(scores["intensity_samples"].values),
            (wavelength, scores["spectrum_observed"].values),
            (wavelength, scores["spectrum_samples"].values),
            scores["rank_histogram"].values,
        )


def _draw_exceedance(axes: Axes, lines: list[tuple[tuple[np.ndarray, np.ndarray], str, str, Any]]) -> None:
    """Share of cells and days with more than so much rain."""
    for (rain, share), label, colour, dashes in lines:
        shown = (share > 0) & (rain > 0)
        axes.plot(
            rain[shown], share[shown], color=colour, linestyle=dashes, label=label, zorder=3 if label == "truth" else 2
        )
    axes.set_yscale("log")
    axes.set_xscale("function", functions=(np.sqrt, np.square))
    largest = [float(rain[share > 0].max()) for (rain, share), *_ in lines]  # the first line is the truth
    most = min(max(largest), 1.5 * largest[0] or np.inf) or 1.0
    axes.set(xlim=(0, most * 1.03), xlabel="rain (mm/day)", ylabel="share of cells and days above")
    ticks: list[float] = []
    for tick in (1, 5, 10, 20, 50, 100, 150, 200, 300, 400, 600, 800, 1200, 1800):
        if tick <= most and np.sqrt(tick) - np.sqrt(ticks[-1] if ticks else 0) > 0.06 * np.sqrt(most):
            ticks.append(tick)
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.xaxis.set_minor_locator(NullLocator())
    for share, name in ((0.01, "P99"), (0.001, "P99.9")):
        axes.axhline(share, color=PALE, linewidth=0.8, zorder=0)
        axes.text(
            0.995, share, name, transform=axes.get_yaxis_transform(), color=INK, fontsize=8, ha="right", va="bottom"
        )
    axes.set_title("How much rain", loc="left", fontweight="bold")


def _draw_spectrum(axes: Axes, lines: list[tuple[tuple[np.ndarray, np.ndarray], str, str, Any]]) -> None:
    """Radially averaged power over wavelength, long waves on the left."""
    for (wavelength, power), label, colour, dashes in lines:
        shown = np.isfinite(wavelength) & (power > 0)
        axes.plot(
            wavelength[shown],
            power[shown],
            color=colour,
            linestyle=dashes,
            label=label,
            zorder=3 if label == "truth" else 2,
        )
    axes.set(xscale="log", yscale="log", xlabel="wavelength (km)", ylabel="power (mm²/day²)")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.invert_xaxis()
    axes.set_title("At which scales", loc="left", fontweight="bold")


def _draw_ranks(axes: Axes, counts: np.ndarray) -> None:
    """Rank of the truth among the members, against the flat line of a calibrated ensemble."""
    axes.set_title("Rank of the truth", loc="left", fontweight="bold")
    if counts.size < 3 or not counts.sum() > 0:
        axes.text(0.5, 0.5, "one member: no ranks", transform=axes.transAxes, ha="center", va="center", color=INK)
        axes.set(xticks=[], yticks=[])
        return
    relative = counts / counts.mean()
    axes.bar(np.arange(counts.size), relative, width=0.85, color=LINES[5])
    axes.axhline(1, color=TRUTH, linewidth=1.2)
    top = max(1.5, 1.08 * relative.max())
    axes.set(xlabel="members below the truth", ylabel="frequency relative to flat", ylim=(0, top))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


# ---------------------------------------------------------------------------------------- trade-off

SPLITS = {"train": ("training days", LINES[0]), "validation": ("validation days", LINES[1])}
TRADEOFF_PANELS = {  # column of the table -> what it is, and how to read it
    "correlation_member_truth": ("correlation with the truth", "1 is a copy of the day"),
    "diversity": ("diversity", "cosine distance of two members"),
    "wet_ratio": ("wet cells, members / truth", "1 is as often wet as the truth"),
    "gradient_ratio": ("gradient ratio", "1 is as sharp as the truth"),
}
KNOBS = {"temperature": "o-", "scales": "s:"}  # column of the table -> line over it


def tradeoff(table: str | Path | pd.DataFrame, path: str | Path, settings: Plots | None = None) -> None:
    """How far members are from the truth against how far from each other, and what else the two knobs change.

    Parameters
    ----------
    table
        What `tradeoff.trace` wrote.
    path
        The PNG to write.
    settings
        Resolution.
    """
    table = table if isinstance(table, pd.DataFrame) else pd.read_csv(table)
    table = table.assign(wet_ratio=table["wet_fraction"] / table["wet_fraction_observed"])
    every, own = table["scales"].max(), table[table["mode"] == "prior"]["temperature"].iloc[0]
    with _figure(path, 12.0, 6.4, settings or Plots()) as figure:
        grid = figure.add_gridspec(len(TRADEOFF_PANELS), 3, width_ratios=[2.2, 1, 1])
        tradeoff = figure.add_subplot(grid[:, 0])
        _draw_tradeoff(tradeoff, table)
        for row, (column, (name, meaning)) in enumerate(TRADEOFF_PANELS.items()):
            left = figure.add_subplot(grid[row, 1])
            right = figure.add_subplot(grid[row, 2], sharey=left)
            for axes, knob in zip((left, right), KNOBS, strict=True):
                _draw_traces(axes, table, knob, knob, column)
                axes.grid(axis="y")
                if column.endswith("ratio"):
                    axes.axhline(1, color=TRUTH, linewidth=0.8, zorder=1)
            left.set_title(name, loc="left", fontweight="bold")
            left.set_xticks(np.arange(0, table["temperature"].max() + 0.01, 0.5))
            right.set_title(meaning, loc="right", color=INK, fontsize=8)
            right.set_xticks(range(every + 1), ["prior", *range(1, every + 1)])
            right.invert_xaxis()  # more varied to the right, as with the temperature
            right.tick_params(labelleft=False)
        left.set_xlabel("temperature, all scales")
        right.set_xlabel(f"posterior scales, temperature {own:g}")
        figure.legend(*tradeoff.get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)


def _draw_tradeoff(axes: Axes, table: pd.DataFrame) -> None:
    """Distance to the truth over the distance of two members, one point a setting, on square-root axes."""
    x, y = "distance_of_members", "distance_to_truth"
    for knob in KNOBS:
        _draw_traces(axes, table, knob, x, y)
    most = 1.15 * float(table[[x, y]].max(axis=None))
    posterior = table[table["mode"] == "posterior"].groupby("split")
    upper = posterior[y].mean().idxmax()  # the curves with room above them
    left = posterior[x].max().idxmin()  # and to their left
    for split, rows in table.groupby("split"):
        colour, warm, fewer = SPLITS[split][1], _trace(rows, "temperature"), _trace(rows, "scales")
        fewer = fewer[fewer["scales"].between(1, fewer["scales"].max() - 1)]  # the ends are on other marks
        up, back = split == upper, split == left
        side = {"xytext": (4, 6 if up else -7), "ha": "center", "va": "bottom" if up else "top"}
        words = [f"{t:g}" for t in warm["temperature"]]
        _label_points(axes, warm[[x, y]].to_numpy(), words, most, color=colour, **side)
        side = {"xytext": (-8 if back else 8, 0), "ha": "right" if back else "left", "va": "center"}
        words = [f"{n} scale{'s' * (n > 1)}" for n in fewer["scales"]]
        _label_points(axes, fewer[[x, y]].to_numpy(), words, most, color=colour, **side)
    same = "members as far from each other as from the truth"
    axes.plot([0, most], [0, most], color=INK, linewidth=0.8, linestyle=DASHES[0], zorder=0, label=same)
    # square roots, since the prior may be many times farther away than the posterior
    axes.set_xscale("function", functions=(np.sqrt, np.square))
    axes.set_yscale("function", functions=(np.sqrt, np.square))
    axes.set(xlim=(0, most), ylim=(0, most))
    axes.set(xlabel="mean distance of two members (mm/day)", ylabel="mean distance of a member to the truth (mm/day)")
    axes.set_title("Distance against diversity", loc="left", fontweight="bold", pad=15)
    note = "down: nearer the truth; right: more varied; square-root axes"
    axes.text(0, 1.015, note, transform=axes.transAxes, color=INK, fontsize=8)


def _label_points(axes: Axes, points: np.ndarray, words: Sequence[str], most: float, **style: Any) -> None:
    """Words beside points (x, y), but for those that have no room beside the one before."""
    places: list[np.ndarray] = []
    for word, point in zip(words, points, strict=True):
        place = np.sqrt(point / most)
        if all((np.abs(place - other) > (0.05, 0.025)).any() for other in places):
            places.append(place)
            axes.annotate(word, point, textcoords="offset points", fontsize=8, **style)


def _trace(rows: pd.DataFrame, knob: str) -> pd.DataFrame:
    """What one knob does by itself: the temperature with all scales, or fewer scales at the user's temperature."""
    if knob == "temperature":
        return rows[rows["scales"] == rows["scales"].max()].sort_values(knob)
    own = rows[rows["mode"] == "prior"]["temperature"].iloc[0]
    return rows[rows["temperature"] == own].sort_values(knob, ascending=False)


def _draw_traces(axes: Axes, table: pd.DataFrame, knob: str, x: str, y: str) -> None:
    """A line over the settings of a knob, the chosen one in a ring; fewer and fewer scales end in the prior."""
    traces = {split: _trace(rows, knob) for split, rows in table.groupby("split")}
    for split, trace in traces.items():
        name, colour = SPLITS[split]
        whole = {"color": colour, "clip_on": False}  # a point may lie on an axis
        axes.plot(trace[x], trace[y], KNOBS[knob], markersize=4, label=f"over {knob}, {name}", **whole)
    if knob == "scales":
        for split, trace in traces.items():
            name, colour = SPLITS[split]
            whole = {"color": colour, "markerfacecolor": "white", "clip_on": False}
            axes.plot(trace[x].iloc[-1], trace[y].iloc[-1], "D", label=f"prior, {name}", **whole)
        chosen = table[table["chosen"]]
        ring = "temperature {temperature:g}, posterior_scales {scales}: yours".format(**chosen.iloc[0])
        axes.plot(chosen[x], chosen[y], "o", color=TRUTH, markersize=10, markerfacecolor="none", label=ring)


# -------------------------------------------------------------------------------------------- scores

Block = dict[str, Any]


@dataclass(frozen=True)
class _Panel:
    """One score of the comparison: its place in a block of statistics, and the band of good values."""

    title: str
    score: str
    aim: str
    band: Callable[[Block], tuple[float, float]] | None = None
    factor: float = 1.0
    second: str | None = None

    def value(self, block: Block, name: str) -> tuple[float, float, float] | None:
        """Value and interval in the units of the panel."""
        entry = block["scores"].get(name) or {"value": block["samples"].get(name)}
        value = entry["value"]
        if value is None:
            return None
        low, high = (value if entry.get(end) is None else entry[end] for end in ("low", "high"))
        return self.factor * value, self.factor * low, self.factor * high


def _wet_band(block: Block) -> tuple[float, float]:
    wet = 100 * block["observed"]["wet_fraction"]
    return wet - 3, wet + 3


SCORE_PANELS = (
    _Panel("fair CRPS (mm/day)", "fair_crps", "low is good"),
    _Panel(
        "correlation of a member with",
        "correlation_member_truth",
        "● the truth, ○ another member: alike?",
        second="correlation_member_member",
    ),
    _Panel("spread / skill", "spread_skill", "1 is calibrated", lambda block: (0.9, 1.1)),
    _Panel("wet cells (%)", "wet_fraction", "shaded: the truth ± 3", _wet_band, factor=100),
    _Panel("mass bias (%)", "mass_bias", "0 is good", lambda block: (-5, 5), factor=100),
    _Panel("gradient ratio", "gradient_ratio", "1 is as sharp as the truth", lambda block: (0.9, 1.1)),
    _Panel("P99.9 ratio", "p999_ratio", "1 is as extreme as the truth", lambda block: (0.9, 1.1)),
    _Panel("RALSD of spectrum (dB)", "ralsd_db", "low is good"),
)


def comparison_scores(
    statistics: Sequence[dict[str, Any]],
    path: str | Path,
    settings: Plots | None = None,
    families: Mapping[str, Sequence[str]] | None = None,
) -> None:
    """Draw the key scores of all experiments and baselines with 90 % intervals; what is good is shaded.

    The replicates of an experiment share a row: a point for each, without its interval, and a bar at their mean.

    Parameters
    ----------
    statistics
        Contents of `statistics.json`, experiments in the order of the config, then baselines. Posterior entries
        are left out: they see the truth.
    path
        The PNG to write.
    settings
        Resolution.
    families
        Experiment to its replicates; by default each stands for itself.
    """
    family = {name: of for of, names in (families or {}).items() for name in names}
    groups: dict[str, dict[str, list[Block]]] = {}  # dataset, experiment or baseline, its replicates
    for entry in statistics:
        if entry["mode"] != "posterior" and entry["all_days"]:
            name = family.get(entry["name"], entry["name"])
            groups.setdefault(entry["dataset"], {}).setdefault(name, []).append(entry["all_days"])
    styles = line_styles(list(dict.fromkeys(name for entries in groups.values() for name in entries)))
    gap = 1.0 if len(groups) > 1 else 0.0  # room for the name of the dataset
    rows = sum(len(entries) + gap for entries in groups.values())
    with _figure(path, 12.0, 1.5 + 2 * 0.25 * rows, settings or Plots()) as figure:
        axes = figure.subplots(2, 4, sharey=True)
        axes[0, 0].set_ylim(rows - 0.4, -0.6)
        top = 0.0
        ticks: list[float] = []
        for dataset, entries in groups.items():
            top += gap
            places = np.arange(len(entries)) + top
            ticks += [*places]
            for where, panel in zip(axes.flat, SCORE_PANELS, strict=True):
                _draw_scores(where, panel, entries, places, styles)
            for where in axes[:, 0] if gap else ():
                across = where.get_yaxis_transform()
                where.text(-0.03, top - 0.95, dataset, transform=across, ha="right", va="center", fontweight="bold")
            top += len(entries)
        axes[0, 0].set_yticks(ticks, [name for entries in groups.values() for name in entries])
        for where in axes.flat:
            where.tick_params(axis="y", length=0)
            where.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
            where.grid(axis="x")


def _draw_scores(
    axes: Axes,
    panel: _Panel,
    entries: Mapping[str, Sequence[Block]],
    places: np.ndarray,
    styles: dict[str, tuple[str, Any]],
) -> None:
    """One score of one dataset."""
    axes.set_title(panel.title, loc="left", fontweight="bold", pad=16)
    axes.annotate(panel.aim, (0, 1), (0, 4), "axes fraction", "offset points", color=INK, fontsize=8)
    ends = places[0] - 0.5, places[-1] + 0.5
    if panel.band:
        low, high = panel.band(next(iter(entries.values()))[0])
        axes.fill_betweenx(ends, low, high, color="#009E73", alpha=0.16, linewidth=0)
        axes.plot([(low + high) / 2] * 2, ends, color="#009E73", linewidth=1)
    for place, (name, blocks) in zip(places, entries.items(), strict=True):
        colour = styles[name][0]
        means = []
        for score, face in ((panel.score, colour), (panel.second, "white")):
            values = [found for block in blocks if score and (found := panel.value(block, score))]
            if not values:
                continue
            points = [value for value, _, _ in values]
            means.append(float(np.mean(points)))
            look = {"color": colour, "markerfacecolor": face}
            if len(blocks) > 1:
                axes.plot(points, [place] * len(points), "o", markersize=4, markeredgewidth=0.8, alpha=0.6, **look)
                axes.plot(means[-1], place, "|", color=colour, markersize=11, markeredgewidth=1.8)
                continue
            if score == panel.score:
                axes.plot(values[0][1:], [place, place], color=colour, linewidth=1.6)
            axes.plot(points, [place], "o", markersize=6, **look)
        if len(means) == 2:
            axes.plot(means, [place, place], color=colour, linewidth=0.8, linestyle=DASHES[1], zorder=1)
        if not means:
            across = axes.get_yaxis_transform()
            axes.text(0.02, place, "not defined", transform=across, color=INK, fontsize=8, va="center")


def line_styles(names: Sequence[str]) -> dict[str, tuple[str, Any]]:
    """Colour and dashes of each name, the same in every figure: experiments coloured, baselines grey."""
    styles: dict[str, tuple[str, Any]] = {}
    # By name, whichever of them a dataset has; solid is the climatology, which like the truth is observed rain.
    baselines = dict(zip(Baselines().names, (*DASHES, "-"), strict=True))
    for i, name in enumerate(n for n in names if n not in baselines):
        styles[name] = LINES[i % len(LINES)], ("-", *DASHES)[i // len(LINES) % 4]
    return styles | {name: ("0.5", baselines[name]) for name in names if name in baselines}


# --------------------------------------------------------------------------------------------- files


@contextmanager
def _open(source: Source) -> Iterator[xr.Dataset]:
    """Give the dataset itself, or the file read lazily and closed afterwards."""
    if isinstance(source, xr.Dataset):
        yield source
    else:
        with xr.open_dataset(source) as dataset:
            yield dataset


def _is_test(ensemble: xr.Dataset) -> np.ndarray:
    """Which days of an ensemble file are test days."""
    return (ensemble["split"] == "test").values


def _truth_means(years: Sequence[xr.Dataset], days: pd.Index) -> xr.DataArray:
    """Observed area mean of these days, mm/day."""
    parts = []
    for year in years:
        here = np.flatnonzero(year.indexes["time"].isin(days))
        for start in range(0, len(here), DAYS_AT_ONCE):
            parts.append(year["pr"].isel(time=here[start : start + DAYS_AT_ONCE]).mean(("lat", "lon")))
    if not parts:
        raise UserError("none of the test days of the ensemble is in the fields; give the fields of the same dataset")
    return xr.concat(parts, "time")


def _day(years: Sequence[xr.Dataset], day: Any) -> xr.Dataset:
    """All fields of one day."""
    for year in years:
        if day in year.indexes["time"]:
            return year.sel(time=day).load()
    raise UserError(f"{_date(day)} is in none of the files of fields")


def _date(day: Any) -> str:
    """Write the date of a day of any calendar."""
    return str(np.datetime64(day, "D")) if isinstance(day, np.datetime64) else day.strftime("%Y-%m-%d")


def _wrapped(name: str) -> str:
    """Break a name into lines short enough for a map's title."""
    return "\n".join(textwrap.wrap(name, 15))
