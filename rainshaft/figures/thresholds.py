"""What the pixel threshold changes, and what it does not.

Input: the table of `evaluation.thresholds.trace`, and `scores.json` for the bands of good values. Output: a PNG file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from rainshaft.config.sections import Plots
from rainshaft.data.conventions import VALIDATION
from rainshaft.evaluation.catalogue import score_of
from rainshaft.evaluation.scoring import ALL_DAYS
from rainshaft.evaluation.thresholds import CRPS, CRPS_CHANGE
from rainshaft.figures.style import DASHES, GOOD, INK, LINES, TRUTH, panels, saved_figure

FSS = "fss"  # all fractions skill scores of the table
PANELS = {  # column of the table -> title and aim
    "wet_difference": (
        "wet cells, minus observed (points)",
        "0 is good; observed: {observed:.1f} % above {wet:g} mm/day",
    ),
    "wet_difference_1mm": (
        "cells above 1 mm/day, minus observed (points)",
        "0 is good; thresholds below 1 change nothing",
    ),
    "mass_bias": ("mass bias (%)", "0 is good; a threshold takes rain away"),
    CRPS_CHANGE: ("change of the fair CRPS (%)", "below 0 is better; {crps:.3g} mm/day without a threshold"),
    FSS: ("fractions skill score", "1 is perfect; a threshold does not touch heavier rain"),
    "spread_skill": ("spread / skill", "1 is calibrated"),
}
TICKS = (0, 0.1, 0.5, 1, 2, 3)  # and the highest
ACROSS = 3  # panels in a row
LINE, AUTO, HEAVY = LINES[0], LINES[1], LINES[3]


def thresholds(
    table: str | Path | pd.DataFrame, scores: Mapping[str, Any], path: str | Path, settings: Plots | None = None
) -> None:
    """Draw scores of the validation days over the pixel threshold, with 90 % intervals.

    Parameters
    ----------
    table
        What `evaluation.thresholds.trace` gave.
    scores
        Content of `scores.json` of the same ensemble: its bands of good values are those of the verdict.
    path
        The PNG to write.
    settings
        Resolution.
    """
    rows = table if isinstance(table, pd.DataFrame) else pd.read_csv(table)
    columns = [str(column) for column in rows]
    fractions = [column for column in columns if column.startswith("fss_") and not column.endswith(("_low", "_high"))]
    shown = {key: words for key, words in PANELS.items() if key != FSS or fractions}
    with saved_figure(path, 12.0, 6.2, settings or Plots()) as figure:
        if rows.empty:
            figure.text(0.5, 0.5, "no validation day has members left", ha="center", va="center", color=INK)
            return
        chosen, auto = (float(rows.loc[rows[mark], "threshold"].iloc[0]) for mark in ("chosen", "auto"))
        first = rows.iloc[0]
        known = {"wet": scores["settings"]["wet_threshold"], "crps": first[CRPS]}
        known["observed"] = first["wet_fraction"] - first["wet_difference"]
        axes = panels(figure, len(shown), ACROSS, sharex=True)
        for where, (key, (title, aim)) in zip(axes, shown.items(), strict=True):
            where.set_title(title, loc="left", fontweight="bold", pad=16)
            where.annotate(aim.format(**known), (0, 1), (0, 4), "axes fraction", "offset points", color=INK, fontsize=8)
            if key == FSS:
                _draw_fractions(where, rows, fractions)
            else:
                _draw_good(where, scores, key)
                _draw_score(where, rows, key)
            where.axvline(chosen, color=TRUTH, linewidth=1.2, label=f"yours: {chosen:.2g} mm/day", zorder=2)
            where.axvline(
                auto, color=AUTO, linewidth=1.4, linestyle=DASHES[0], label=f"auto: {auto:.2g} mm/day", zorder=2
            )
            where.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
            where.grid(axis="y")
        highest = float(rows["threshold"].max())
        axes[0].set_xscale("function", functions=(np.sqrt, np.square))  # so that drizzle has room
        axes[0].set_xlim(0, highest)
        axes[0].set_xticks([*(tick for tick in TICKS if tick < highest), highest])
        axes[0].xaxis.set_major_formatter("{x:.3g}")
        for where in axes[-ACROSS:]:
            where.set_xlabel("pixel threshold (mm/day, square-root axis)")
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=5, frameon=False)


def _draw_good(axes: Axes, scores: Mapping[str, Any], key: str) -> None:
    """Draw the ideal of a score, and shade the values that the verdict takes for good, where it judges the score."""
    ideal = 0.0
    score = None if key == CRPS_CHANGE else score_of(key)
    if score is not None and (band := score.band(score.found(scores[VALIDATION][ALL_DAYS]))):
        low, ideal, high = (score.factor * value for value in band)
        axes.axhspan(low, high, color=GOOD, alpha=0.16, linewidth=0, label="good for the verdict")
    axes.axhline(ideal, color=GOOD, linewidth=1)


def _draw_score(axes: Axes, rows: pd.DataFrame, key: str, label: str = "members") -> None:
    """Draw a score over the threshold, and its interval where it has one."""
    low, high = rows[f"{key}_low"].astype(float), rows[f"{key}_high"].astype(float)
    axes.fill_between(rows["threshold"], low, high, color=LINE, alpha=0.2, linewidth=0, label="90 % interval")
    axes.plot(rows["threshold"], rows[key], "o-", color=LINE, markersize=3.5, label=label, clip_on=False)


def _draw_fractions(axes: Axes, rows: pd.DataFrame, keys: Sequence[str]) -> None:
    """Draw the fractions skill scores; a key says at which rain and scale, as in `fss_10mm_5`."""
    lowest, *others = sorted(keys, key=lambda key: float(key.split("_")[1].removesuffix("mm")))
    _draw_score(axes, rows, lowest, _words(lowest))
    for key in others:
        axes.plot(rows["threshold"], rows[key], color=HEAVY, label=_words(key))
    axes.legend(handles=axes.lines[:], loc="lower left", facecolor="white", edgecolor="none", framealpha=0.9)


def _words(key: str) -> str:
    rain, scale = key.removeprefix("fss_").split("mm_")
    return f"{rain} mm/day in {scale} x {scale} cells"
