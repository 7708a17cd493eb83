"""Rain distributions and spectra: of one experiment, with the rank of the truth, and of all that are compared.

Inputs: scores (`scores_by_day.nc`), as paths or as open datasets. Outputs: figures. Rain in mm/day, wavelengths in
km.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator

from rainshaft.config.sections import Plots
from rainshaft.figures.style import INK, LINES, PALE, TRUTH, DatasetOrPath, line_styles, open_source, saved_figure

NOTHING = "no {} day has members left"
LEGEND_ROW = 0.2  # height of a name in the legend, inches


def distribution(by_day: DatasetOrPath, part: str, path: str | Path, settings: Plots | None = None) -> None:
    """Draw how often it rains how much, at which scales, and how the truth ranks among the members.

    Parameters
    ----------
    by_day
        Scores of one ensemble (`scores_by_day.nc`).
    part
        `validation` or `test`.
    path
        The PNG to write; a PDF is written beside it.
    settings
        Resolution.
    """
    with open_source(by_day) as source:
        curves = _Curves.of(source, part)
    with saved_figure(path, 12.0, 3.9, settings or Plots()) as figure:
        if curves is None:
            figure.text(0.5, 0.5, NOTHING.format(part), ha="center", va="center", color=INK)
            return
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


def comparison_distributions(
    by_day: Mapping[str, DatasetOrPath], part: str, path: str | Path, settings: Plots | None = None
) -> None:
    """Draw the rain distributions and spectra of all experiments and baselines of a dataset over the truth.

    Parameters
    ----------
    by_day
        Name to scores (`scores_by_day.nc`), in the order of the legend. Baselines are drawn in grey.
    part
        `validation` or `test`.
    path
        The PNG to write; a PDF is written beside it.
    settings
        Resolution.
    """
    curves = {}
    for name, source in by_day.items():
        with open_source(source) as opened:
            if (found := _Curves.of(opened, part)) is not None:
                curves[name] = found
    styles = line_styles(list(by_day))
    observed = next(iter(curves.values()), None)
    with saved_figure(path, 12.0, max(4.6, LEGEND_ROW * (len(curves) + 2)), settings or Plots()) as figure:
        if observed is None:
            figure.text(0.5, 0.5, NOTHING.format(part), ha="center", va="center", color=INK)
            return
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
    """Holds what the figures take from `scores_by_day.nc`. Curves are (x, y) pairs."""

    exceedance_observed: tuple[np.ndarray, np.ndarray]
    exceedance_samples: tuple[np.ndarray, np.ndarray]
    spectrum_observed: tuple[np.ndarray, np.ndarray]
    spectrum_samples: tuple[np.ndarray, np.ndarray]
    ranks: np.ndarray

    @classmethod
    def of(cls, by_day: xr.Dataset, part: str) -> _Curves | None:
        """Take the curves of a part from the file; None where no day has members left."""
        parts = by_day["part"].values.astype(str).tolist()
        if part not in parts:
            return None
        by_day = by_day.isel(part=parts.index(part))
        if not by_day["intensity_observed"].sum() > 0:
            return None
        days = by_day["cells"].where(by_day["split"].astype(str) == part).count()
        edges = by_day["intensity_edges"].values
        wavelength = by_day["wavelength_km"].values

        def exceedance(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            return edges[:-1], counts[::-1].cumsum()[::-1] / counts.sum()

        return cls(
            exceedance(by_day["intensity_observed"].values),
            exceedance(by_day["intensity_samples"].values),
            (wavelength, by_day["spectrum_observed"].values / int(days)),
            (wavelength, by_day["spectrum_samples"].values / int(days)),
            by_day["rank_histogram"].values,
        )


def _draw_exceedance(axes: Axes, lines: list[tuple[tuple[np.ndarray, np.ndarray], str, str, Any]]) -> None:
    """Draw the share of cells and days with more rain than a value."""
    for (rain, above), label, colour, dashes in lines:
        shown = (above > 0) & (rain > 0)
        axes.plot(
            rain[shown], above[shown], color=colour, linestyle=dashes, label=label, zorder=3 if label == "truth" else 2
        )
    axes.set_yscale("log")
    axes.set_xscale("function", functions=(np.sqrt, np.square))
    largest = [float(rain[above > 0].max()) for (rain, above), *_ in lines]  # the first line is the truth
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
    """Draw the radially averaged power over the wavelength, long waves on the left."""
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
    """Draw how often the truth has each rank among the members; in a calibrated ensemble the bars are level."""
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
