"""How much better or worse each ensemble is than the strongest baseline, with the uncertainty of the difference.

Input: all ensembles as `rows.Comparison`. Output: a figure with the change of the fair CRPS in per cent.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from rainshaft.config.sections import Plots
from rainshaft.data.conventions import TEST, VALIDATION
from rainshaft.evaluation.rows import POSTERIOR, Comparison, Found, Row
from rainshaft.evaluation.scoring import ALL_DAYS
from rainshaft.figures.style import GOOD, INK, TRUTH, line_styles, saved_figure

PARTS = {VALIDATION: (-0.15, "full"), TEST: (0.15, "none")}
"""part of the record to the place of its mark in the row and the filling of its mark"""
LEAST_REACH = 5.0  # the axis reaches at least as far on either side, per cent
ROW = 0.36  # height of a row, inches


def differences(comparison: Comparison, path: str | Path, settings: Plots | None = None) -> None:
    """Draw the change of the fair CRPS against the strongest baseline with 90 % intervals, a panel for each dataset.

    The axis holds all experiments. A baseline that lies beyond it is named at its end.

    Parameters
    ----------
    comparison
        All ensembles. The posterior is left out, because it has seen the truth.
    path
        The PNG to write; a PDF is written beside it.
    settings
        Resolution.
    """
    found = {dataset: _rows(comparison, dataset) for dataset in comparison.datasets}
    strongest = {dataset: comparison.strongest(dataset) for dataset in found}
    shown = {dataset: rows for dataset, rows in found.items() if rows and strongest[dataset]}
    count = sum(map(len, shown.values()))
    with saved_figure(path, 8.0, 1.1 + 0.65 * len(shown) + ROW * max(count, 2), settings or Plots()) as figure:
        if not shown:
            figure.text(0.5, 0.5, "no baseline to compare with", ha="center", va="center", color=INK)
            return
        heights = [len(rows) + 1 for rows in shown.values()]
        axes = figure.subplots(len(shown), 1, squeeze=False, height_ratios=heights)[:, 0]
        for where, (dataset, rows) in zip(axes, shown.items(), strict=True):
            reference = strongest[dataset]
            assert reference is not None
            _draw(where, rows, reference)
            where.set_title(f"{dataset}: against {reference.name}", loc="left", fontweight="bold")
        axes[-1].set_xlabel("change of the fair CRPS (%): left is better, right is worse")
        marks = [
            Line2D([], [], color=INK, marker="o", markersize=6, fillstyle=fill, label=f"{part} days")  # type: ignore[arg-type]
            for part, (_, fill) in PARTS.items()
        ]
        figure.legend(handles=marks, loc="outside lower right", ncols=2, frameon=False)


def _rows(comparison: Comparison, dataset: str) -> list[Row]:
    """Give the experiments and the baselines but the strongest."""
    strongest = comparison.strongest(dataset)
    left_out = strongest.name if strongest else None
    rows = (row for row in comparison.rows(dataset) if row.mode != POSTERIOR)
    return [row for row in rows if not (row.is_baseline and row.name == left_out)]


def _draw(axes: Axes, rows: Sequence[Row], strongest: Row) -> None:
    """Draw the rows of one dataset."""
    found = {
        (place, part): None if row.days_differ(part, ALL_DAYS, strongest) else row.change(part, ALL_DAYS, strongest)
        for place, row in enumerate(rows)
        for part in PARTS
    }
    known = {key: change for key, change in found.items() if change is not None}
    of_experiments = [change for (place, _), change in known.items() if not rows[place].is_baseline]
    left, right = _limits(of_experiments or list(known.values()))
    styles = line_styles([row.name for row in rows])
    axes.axvspan(left, 0, color=GOOD, alpha=0.08, linewidth=0)
    axes.axvline(0, color=TRUTH, linewidth=1)
    for (place, part), change in found.items():
        where, fill = PARTS[part]
        colour = styles[rows[place].name][0]
        if change is None:
            axes.text(right, place + where, "scored on other days", color=colour, ha="right", va="center", fontsize=7.5)
        else:
            _draw_change(axes, change, place + where, (left, right), colour, fill)
    axes.set(xlim=(left, right), ylim=(len(rows) - 0.4, -0.6))
    axes.set_yticks(range(len(rows)), [row.name for row in rows])
    axes.tick_params(axis="y", length=0)
    axes.xaxis.set_major_locator(MaxNLocator(7, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:+g}".replace("-", "−") if value else "0")
    axes.grid(axis="x")


def _limits(changes: Sequence[Found]) -> tuple[float, float]:
    """Find the ends of the axis, per cent."""
    ends = [100 * found[end] for found in changes for end in ("value", "low", "high") if found[end] is not None]
    return -max(LEAST_REACH, 1.15 * -min(ends, default=0.0)), max(LEAST_REACH, 1.15 * max(ends, default=0.0))


def _draw_change(axes: Axes, found: Found, place: float, limits: tuple[float, float], colour: str, fill: str) -> None:
    """Draw a change with its interval; at the end of the axis, the number of one that lies beyond."""
    if found["value"] is None:
        return
    value, (left, right) = 100 * found["value"], limits
    if not left <= value <= right:
        side, text = ("right", f"{value:+.0f} % →") if value > right else ("left", f"← {value:+.0f} %")
        end = right if value > right else left
        axes.text(end, place, text, color=colour, ha=side, va="center", fontsize=7.5)
        return
    if found["low"] is not None:
        axes.plot([100 * found["low"], 100 * found["high"]], [place, place], color=colour, linewidth=1.8)
    face = colour if fill == "full" else "white"
    axes.plot([value], [place], "o", color=colour, markerfacecolor=face, markersize=6)
