"""The key scores of all experiments and baselines side by side.

Inputs: the contents of every `scores.json`, and which experiments are replicates of which. Output: a PNG file with a
panel for each score of the catalogue that has an `aim`, in the unit of its title.
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
from rainshaft.evaluation.catalogue import Block, Score, score_of
from rainshaft.figures.style import DASHES, GOOD, INK, line_styles, panels, saved_figure

ACROSS = 4  # panels in a row
ROW = 0.25  # height of an experiment or baseline, inches

Entries = dict[str, list[Block]]
"""Experiment or baseline to its replicates."""


def comparison_scores(
    scores: Sequence[dict[str, Any]],
    path: str | Path,
    settings: Plots | None = None,
    families: Mapping[str, Sequence[str]] | None = None,
) -> None:
    """Draw the key scores of all experiments and baselines with 90 % intervals. The band of good values is shaded.

    The replicates of an experiment share a row: a point for each, without its interval, and a bar at their mean.

    Parameters
    ----------
    scores
        Contents of `scores.json`, in the order of the rows. The figure leaves the posterior out, because it has seen
        the truth.
    path
        The PNG to write.
    settings
        Resolution.
    families
        Experiment to its replicates. Without it, each experiment has a row of its own.
    """
    groups = _by_dataset(scores, families or {})
    names = [name for entries in groups.values() for name in entries]
    styles = line_styles(list(dict.fromkeys(names)))
    shown = [score for score in catalogue.SCORES if score.aim]
    gap = 1 if len(groups) > 1 else 0  # a row for the name of the dataset
    rows = len(names) + gap * len(groups)
    height = math.ceil(len(shown) / ACROSS) * (0.75 + ROW * rows)
    with saved_figure(path, 12.0, height, settings or Plots()) as figure:
        axes = panels(figure, len(shown), ACROSS, sharey=True)
        axes[0].set_ylim(rows - 0.4, -0.6)
        top, ticks = 0, []
        for dataset, entries in groups.items():
            top += gap
            places = np.arange(len(entries)) + top
            ticks += places.tolist()
            for where, score in zip(axes, shown, strict=True):
                _draw_score(where, score, entries, places, styles)
            for where in axes[::ACROSS] if gap else ():
                across = where.get_yaxis_transform()
                where.text(-0.03, top - 0.95, dataset, transform=across, ha="right", va="center", fontweight="bold")
            top += len(entries)
        axes[0].set_yticks(ticks, names)
        for where in axes:
            where.tick_params(axis="y", length=0)
            where.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
            where.grid(axis="x")


def _by_dataset(scores: Sequence[dict[str, Any]], families: Mapping[str, Sequence[str]]) -> dict[str, Entries]:
    """Sort all but the posterior: dataset to experiments and baselines, each with its replicates."""
    family = {name: of for of, names in families.items() for name in names}
    groups: dict[str, Entries] = {}
    for entry in scores:
        if entry["mode"] != "posterior" and entry["all_days"]:
            name = family.get(entry["name"], entry["name"])
            groups.setdefault(entry["dataset"], {}).setdefault(name, []).append(entry["all_days"])
    return groups


def _draw_score(
    axes: Axes, score: Score, entries: Entries, places: np.ndarray, styles: Mapping[str, tuple[str, Any]]
) -> None:
    """Draw one score of one dataset."""
    title = f"{score.title} ({score.unit})" if score.unit else score.title
    axes.set_title(title, loc="left", fontweight="bold", pad=16)
    axes.annotate(score.aim, (0, 1), (0, 4), "axes fraction", "offset points", color=INK, fontsize=8)
    if band := score.band(next(iter(entries.values()))[0]):
        low, ideal, high = (score.factor * value for value in band)
        ends = places[0] - 0.5, places[-1] + 0.5
        axes.fill_betweenx(ends, low, high, color=GOOD, alpha=0.16, linewidth=0)
        axes.plot([ideal] * 2, ends, color=GOOD, linewidth=1)
    for place, (name, blocks) in zip(places, entries.items(), strict=True):
        colour = styles[name][0]
        drawn = [_draw_values(axes, score, blocks, place, colour, colour)]
        if score.beside:
            drawn.append(_draw_values(axes, score_of(score.beside), blocks, place, colour, "white"))
        means = [mean for mean in drawn if mean is not None]
        if len(means) == 2:
            axes.plot(means, [place, place], color=colour, linewidth=0.8, linestyle=DASHES[1], zorder=1)
        if not means:
            across = axes.get_yaxis_transform()
            axes.text(0.02, place, "not defined", transform=across, color=INK, fontsize=8, va="center")


def _draw_values(
    axes: Axes, score: Score, blocks: Sequence[Block], place: float, colour: str, face: str
) -> float | None:
    """Draw the values of one row as points, and the interval of a single one. Give their mean, None without values."""
    found = [score.found(block) for block in blocks]
    points = [score.factor * one["value"] for one in found if one["value"] is not None]
    if not points:
        return None
    mean = float(np.mean(points))
    look: dict[str, Any] = {"color": colour, "markerfacecolor": face}
    if len(blocks) > 1:
        axes.plot(points, [place] * len(points), "o", markersize=4, markeredgewidth=0.8, alpha=0.6, **look)
        axes.plot(mean, place, "|", color=colour, markersize=11, markeredgewidth=1.8)
        return mean
    interval = [score.factor * end for end in (found[0]["low"], found[0]["high"]) if end is not None]
    if interval and face == colour:  # two intervals in one row would hide each other
        axes.plot(interval, [place, place], color=colour, linewidth=1.6)
    axes.plot(points, [place], "o", markersize=6, **look)
    return mean
