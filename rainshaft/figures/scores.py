"""The key scores of all experiments and baselines side by side.

Input: all ensembles as `rows.Comparison`. Output: a figure with a panel for each score of the catalogue that has an
`aim`, in the unit of its title.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from rainshaft.config.sections import Plots
from rainshaft.evaluation import catalogue
from rainshaft.evaluation.catalogue import Score, score_of
from rainshaft.evaluation.cells import of_most_days
from rainshaft.evaluation.rows import POSTERIOR, Comparison, Found, Row
from rainshaft.evaluation.scoring import ALL_DAYS
from rainshaft.figures.style import DASHES, GOOD, INK, line_styles, panels, saved_figure

ACROSS = 4  # panels in a row
ROW = 0.25  # height of an experiment or baseline, inches


def comparison_scores(comparison: Comparison, part: str, path: str | Path, settings: Plots | None = None) -> None:
    """Draw the key scores of all experiments and baselines with 90 % intervals. The band of good values is shaded.

    The replicates of an experiment share a row: a pale point for each, and their mean with an interval over days and
    trainings.

    Parameters
    ----------
    comparison
        All ensembles. The figure leaves the posterior out, because it has seen the truth.
    part
        `validation` or `test`.
    path
        The PNG to write; a PDF is written beside it.
    settings
        Resolution.
    """
    groups = {
        dataset: [row for row in comparison.rows(dataset) if row.mode != POSTERIOR and row.days(part)]
        for dataset in comparison.datasets
    }
    groups = {dataset: rows for dataset, rows in groups.items() if rows}
    names = [row.name for rows in groups.values() for row in rows]
    styles = line_styles(list(dict.fromkeys(names)))
    shown = [score for score in catalogue.SCORES if score.aim]
    gap = 1 if len(groups) > 1 else 0  # a row for the name of the dataset
    count = len(names) + gap * len(groups)
    height = math.ceil(len(shown) / ACROSS) * (0.75 + ROW * max(count, 1))
    with saved_figure(path, 12.0, height, settings or Plots()) as figure:
        if not names:
            figure.text(0.5, 0.5, f"no {part} day has members left", ha="center", va="center", color=INK)
            return
        axes = panels(figure, len(shown), ACROSS, sharey=True)
        axes[0].set_ylim(count - 0.4, -0.6)
        top, ticks = 0, []
        for dataset, rows in groups.items():
            top += gap
            places = np.arange(len(rows)) + top
            ticks += places.tolist()
            for where, score in zip(axes, shown, strict=True):
                _draw_score(where, score, comparison, part, rows, places, styles)
            for where in axes[::ACROSS] if gap else ():
                across = where.get_yaxis_transform()
                where.text(-0.03, top - 0.95, dataset, transform=across, ha="right", va="center", fontweight="bold")
            top += len(rows)
        axes[0].set_yticks(ticks, names)
        for where in axes:
            where.tick_params(axis="y", length=0)
            where.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
            where.grid(axis="x")


def _draw_score(
    axes: Axes,
    score: Score,
    comparison: Comparison,
    part: str,
    rows: Sequence[Row],
    places: np.ndarray,
    styles: Mapping[str, tuple[str, Any]],
) -> None:
    """Draw one score of one dataset."""
    title = f"{score.title} ({score.unit})" if score.unit else score.title
    axes.set_title(title, loc="left", fontweight="bold", pad=16)
    axes.annotate(score.aim, (0, 1), (0, 4), "axes fraction", "offset points", color=INK, fontsize=8)
    if band := score.band(of_most_days(rows, part).found(part, ALL_DAYS, score.key)):
        low, ideal, high = (score.factor * value for value in band)
        ends = places[0] - 0.5, places[-1] + 0.5
        axes.fill_betweenx(ends, low, high, color=GOOD, alpha=0.16, linewidth=0)
        axes.plot([ideal] * 2, ends, color=GOOD, linewidth=1)
    for place, row in zip(places, rows, strict=True):
        colour = styles[row.name][0]
        singles = [one.found(part, ALL_DAYS, score.key) for one in comparison.replicates(row)]
        mean = _draw_value(axes, score, row.found(part, ALL_DAYS, score.key), singles, place, colour, colour)
        if mean is None:
            across = axes.get_yaxis_transform()
            axes.text(0.02, place, "not defined", transform=across, color=INK, fontsize=8, va="center")
        elif score.beside:
            other = score_of(score.beside)
            second = _draw_value(axes, other, row.found(part, ALL_DAYS, other.key), [], place, colour, "white")
            if second is not None:
                axes.plot([mean, second], [place, place], color=colour, linewidth=0.8, linestyle=DASHES[1], zorder=1)


def _draw_value(
    axes: Axes, score: Score, found: Found, singles: Sequence[Found], place: float, colour: str, face: str
) -> float | None:
    """Draw a value with its interval, and the values of single replicates. Give the value, None where there is none."""
    if found["value"] is None:
        return None
    value = score.factor * found["value"]
    if face == colour and found["low"] is not None:  # two intervals in one row would hide each other
        axes.plot([score.factor * found[end] for end in ("low", "high")], [place, place], color=colour, linewidth=1.6)
    points = [score.factor * one["value"] for one in singles if one["value"] is not None]
    if points:
        axes.plot(points, [place] * len(points), "o", color=colour, markersize=4, alpha=0.5, markeredgewidth=0)
    axes.plot([value], [place], "o", color=colour, markerfacecolor=face, markersize=6)
    return value
