"""Training curves: every term of the loss over the epochs.

Input: the training log, one row an epoch of each network. Output: a figure with a panel for the loss, for each of its
terms, for the learning rate and for the weight of the KL term.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import SubFigure
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

from rainshaft.config.sections import Plots
from rainshaft.figures.style import DASHES, INK, LINES, panels, saved_figure
from rainshaft.training import losses

BEFORE = {"loss": "what is minimised"}  # panels before those of the terms: name in the log -> what it is
AFTER = {"lr": "learning rate", "beta": "weight of L_kl"}
ACROSS = 6  # panels in a row
HEIGHT = 2.3  # of a row of panels, inches
ROUNDING = 1e-9  # a smaller term is 0: the mass that `conserve: cells` keeps has a bias by rounding only


def training_curves(
    log: str | Path | pd.DataFrame, path: str | Path, best_epochs: Mapping[str, int], settings: Plots | None = None
) -> None:
    """Draw every loss term over the epochs, for training and validation, and mark the epoch whose weights were kept.

    Parameters
    ----------
    log
        The training log, one row an epoch of each network. The cells of a term that is not in the loss are empty.
    path
        The PNG to write; a PDF is written beside it.
    best_epochs
        Name of each network to the epoch whose weights were kept, or to 0 where there is none.
    settings
        Resolution.
    """
    table = log if isinstance(log, pd.DataFrame) else pd.read_csv(log)
    labels = BEFORE | losses.LABELS | AFTER
    height = HEIGHT * math.ceil(len(labels) / ACROSS)
    with saved_figure(path, 14.0, height * len(best_epochs), settings or Plots()) as figure:
        parts = figure.subfigures(len(best_epochs), 1, squeeze=False).flat
        for part, (network, best_epoch) in zip(parts, best_epochs.items(), strict=True):
            if len(best_epochs) > 1:
                part.suptitle(f"the network of the {network} rain", fontweight="bold", x=0.01, ha="left")
            _draw_network(part, table[table["network"] == network], labels, best_epoch)


def _draw_network(figure: SubFigure, table: pd.DataFrame, labels: Mapping[str, str], best_epoch: int) -> None:
    """Draw all panels of one network."""
    axes = panels(figure, len(labels), ACROSS, sharex=True)
    for where, (name, label) in zip(axes, labels.items(), strict=True):
        where.set_title(name, loc="left", fontweight="bold", pad=15)
        where.text(0, 1.03, label, transform=where.transAxes, color=INK, fontsize=8)
        columns = [column for column in (f"train_{name}", f"val_{name}", name) if column in table]
        if name in losses.LABELS and not table[columns].notna().any(axis=None):
            _say_instead(where, "not in this loss")
        elif name in losses.LABELS and (table[columns].abs().fillna(0) < ROUNDING).all(axis=None):
            _say_instead(where, "0 by construction")
        else:
            _draw_curves(where, table, columns)
        if best_epoch:
            where.axvline(best_epoch, color=INK, linewidth=0.8, linestyle=DASHES[1], zorder=0)
    if best_epoch:
        to_the_left = best_epoch > float(table["epoch"].mean())  # where there is more room
        axes[0].annotate(
            f"kept\nepoch {best_epoch}",
            (best_epoch, 0.98),
            (-4 if to_the_left else 4, 0),
            axes[0].get_xaxis_transform(),
            "offset points",
            ha="right" if to_the_left else "left",
            va="top",
            color=INK,
            fontsize=8,
        )
    for where in axes[-ACROSS:]:  # the lowest of each column
        where.set_xlabel("epoch")
        where.xaxis.set_major_locator(MaxNLocator(4, integer=True, min_n_ticks=1))


def _say_instead(axes: Axes, words: str) -> None:
    axes.set_facecolor("0.96")
    axes.text(0.5, 0.5, words, transform=axes.transAxes, ha="center", va="center", color=INK)
    axes.set_yticks([])


def _draw_curves(axes: Axes, table: pd.DataFrame, columns: list[str]) -> None:
    """Draw the curves of one panel: of training and validation, or of a setting."""
    ends = []
    for column, colour in zip(columns, LINES, strict=False):
        shown = table[["epoch", column]].dropna()
        axes.plot(shown["epoch"], shown[column], color=colour, marker="o" if len(shown) == 1 else None, markersize=3)
        if len(columns) > 1 and len(shown):
            ends.append((float(shown[column].iloc[-1]), column.split("_")[0], colour))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:.4g}"))  # a common factor would stand over the label
    axes.grid(axis="y")
    axes.margins(x=0.02)
    _label_ends(axes, ends)


def _label_ends(axes: Axes, ends: list[tuple[float, str, str]]) -> None:
    """Write the names of lines at their right ends, and keep them apart."""
    if not ends:
        return
    low, high = axes.get_ylim()
    places = sorted(ends)
    at = [(value - low) / (high - low) for value, _, _ in places]
    for i in range(1, len(at)):
        at[i] = max(at[i], at[i - 1] + 0.11)
    for (_, label, colour), height in zip(places, at, strict=True):
        axes.text(1.02, height, label, transform=axes.transAxes, color=colour, va="center", fontsize=8.5)
