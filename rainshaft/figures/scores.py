"""The key scores of all experiments and baselines side by side.

Inputs: the contents of every `scores.json`, and which experiments are replicates of which. Output: a PNG file.
Each panel names its unit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from rainshaft.config.sections import Plots
from rainshaft.figures.style import DASHES, INK, line_styles, saved_figure

Block = dict[str, Any]


@dataclass(frozen=True)
class _Panel:
    """One score of the comparison: its place in a block of scores, and the band of good values."""

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
    scores: Sequence[dict[str, Any]],
    path: str | Path,
    settings: Plots | None = None,
    families: Mapping[str, Sequence[str]] | None = None,
) -> None:
    """Draw the key scores of all experiments and baselines with 90 % intervals; what is good is shaded.

    The replicates of an experiment share a row: a point for each, without its interval, and a bar at their mean.

    Parameters
    ----------
    scores
        Contents of `scores.json`, experiments in the order of the config, then baselines. Posterior entries
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
    for entry in scores:
        if entry["mode"] != "posterior" and entry["all_days"]:
            name = family.get(entry["name"], entry["name"])
            groups.setdefault(entry["dataset"], {}).setdefault(name, []).append(entry["all_days"])
    styles = line_styles(list(dict.fromkeys(name for entries in groups.values() for name in entries)))
    gap = 1.0 if len(groups) > 1 else 0.0  # room for the name of the dataset
    rows = sum(len(entries) + gap for entries in groups.values())
    with saved_figure(path, 12.0, 1.5 + 2 * 0.25 * rows, settings or Plots()) as figure:
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
