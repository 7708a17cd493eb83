"""What two settings of the posterior trade: nearness of its members to the truth against their diversity.

The settings, here called knobs, are the temperature and the number of scales that see the observed day. Input: the
table of `augmentation.tradeoff.trace`. Output: a figure. Distances in mm/day.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from rainshaft.config.sections import Plots
from rainshaft.data.conventions import TRAIN, VALIDATION
from rainshaft.figures.style import DASHES, INK, LINES, TRUTH, saved_figure

SPLITS = {TRAIN: ("training days", LINES[0]), VALIDATION: ("validation days", LINES[1])}
PANELS = {  # column of the table -> what it is, and how to read it
    "correlation_member_truth": ("correlation with the truth", "1 is a copy of the day"),
    "diversity": ("diversity", "cosine distance of two members"),
    "wet_ratio": ("wet cells, members / truth", "1 is as often wet as the truth"),
    "gradient_ratio": ("gradient ratio", "1 is as sharp as the truth"),
}
KNOBS = {"temperature": "o-", "scales": "s:"}  # column of the table -> line over it


def tradeoff(table: str | Path | pd.DataFrame, path: str | Path, settings: Plots | None = None) -> None:
    """Draw the distance of members to the truth over their distance to each other, and what else the knobs change.

    Parameters
    ----------
    table
        What `augmentation.tradeoff.trace` wrote.
    path
        The PNG to write; a PDF is written beside it.
    settings
        Resolution.
    """
    rows = table if isinstance(table, pd.DataFrame) else pd.read_csv(table)
    rows = rows.assign(wet_ratio=rows["wet_fraction"] / rows["wet_fraction_observed"])
    every, own = rows["scales"].max(), _own_temperature(rows)
    with saved_figure(path, 12.0, 6.4, settings or Plots()) as figure:
        grid = figure.add_gridspec(len(PANELS), 3, width_ratios=[2.2, 1, 1])
        distances = figure.add_subplot(grid[:, 0])
        _draw_distances(distances, rows)
        for place, (column, (name, meaning)) in enumerate(PANELS.items()):
            left = figure.add_subplot(grid[place, 1])
            right = figure.add_subplot(grid[place, 2], sharey=left)
            for axes, knob in zip((left, right), KNOBS, strict=True):
                _draw_traces(axes, rows, knob, knob, column)
                axes.grid(axis="y")
                if column.endswith("ratio"):
                    axes.axhline(1, color=TRUTH, linewidth=0.8, zorder=1)
            left.set_title(name, loc="left", fontweight="bold")
            left.set_xticks(np.arange(0, rows["temperature"].max() + 0.01, 0.5))
            right.set_title(meaning, loc="right", color=INK, fontsize=8)
            right.set_xticks(range(every + 1), ["prior", *range(1, every + 1)])
            right.invert_xaxis()  # so that members are more varied to the right, as they are with the temperature
            right.tick_params(labelleft=False)
        left.set_xlabel("temperature, all scales")
        right.set_xlabel(f"posterior scales, temperature {own:g}")
        figure.legend(*distances.get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)


def _own_temperature(table: pd.DataFrame) -> float:
    """Take the temperature of the user's configuration. It is that of the prior, which is drawn with no other."""
    return float(table[table["mode"] == "prior"]["temperature"].iloc[0])


def _draw_distances(axes: Axes, table: pd.DataFrame) -> None:
    """Draw the distance to the truth over the distance of two members, a point for each setting."""
    x, y = "distance_of_members", "distance_to_truth"
    for knob in KNOBS:
        _draw_traces(axes, table, knob, x, y)
    most = 1.15 * float(table[[x, y]].to_numpy().max())
    posterior = table[table["mode"] == "posterior"].groupby("split")
    upper = posterior[y].mean().idxmax()  # the split whose curves have room above them
    left = posterior[x].max().idxmin()  # the split whose curves have room to their left
    for split, colour, rows in _by_split(table):
        warm, fewer = _trace(rows, "temperature"), _trace(rows, "scales")
        fewer = fewer[fewer["scales"].between(1, fewer["scales"].max() - 1)]  # other marks cover the two ends
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
    """Write words beside points (x, y). A word is left out where another one is too near."""
    places: list[np.ndarray] = []
    for word, point in zip(words, points, strict=True):
        place = np.sqrt(point / most)
        if all((np.abs(place - other) > (0.05, 0.025)).any() for other in places):
            places.append(place)
            axes.annotate(word, point, textcoords="offset points", fontsize=8, **style)


def _trace(rows: pd.DataFrame, knob: str) -> pd.DataFrame:
    """Take the rows of one knob: the temperature with all scales, or fewer scales at the user's temperature."""
    if knob == "temperature":
        return rows[rows["scales"] == rows["scales"].max()].sort_values(knob)
    return rows[rows["temperature"] == _own_temperature(rows)].sort_values(knob, ascending=False)


def _by_split(table: pd.DataFrame) -> Iterator[tuple[str, str, pd.DataFrame]]:
    """Give each split, its colour and its rows."""
    for split, rows in table.groupby("split"):
        yield str(split), SPLITS[str(split)][1], rows


def _draw_traces(axes: Axes, table: pd.DataFrame, knob: str, x: str, y: str) -> None:
    """Draw a line over the settings of a knob, with a ring around the chosen one. Fewer scales lead to the prior."""
    traces = [(*SPLITS[split], _trace(rows, knob)) for split, _, rows in _by_split(table)]
    for name, colour, trace in traces:
        look: dict[str, Any] = {"color": colour, "clip_on": False}  # a point may lie on an axis
        axes.plot(trace[x], trace[y], KNOBS[knob], markersize=4, label=f"over {knob}, {name}", **look)
    if knob == "scales":
        for name, colour, trace in traces:
            look = {"color": colour, "markerfacecolor": "white", "clip_on": False}
            axes.plot(trace[x].iloc[-1], trace[y].iloc[-1], "D", label=f"prior, {name}", **look)
        chosen = table[table["chosen"]]
        ring = "temperature {temperature:g}, posterior_scales {scales}: yours".format(**chosen.iloc[0])
        axes.plot(chosen[x], chosen[y], "o", color=TRUTH, markersize=10, markerfacecolor="none", label=ring)
