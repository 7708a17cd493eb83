"""Training curves: every term of the loss over the epochs.

Input: the training log, one row an epoch. Output: a PNG file.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import SubFigure
from matplotlib.ticker import MaxNLocator

from rainshaft.config.sections import Plots
from rainshaft.figures.style import DASHES, INK, LINES, saved_figure

MEANINGS = {
    "loss": "what is minimised",
    "L_rec": "score of the posterior",
    "L_mass": "squared bias of the mass",
    "L_grad": "gradient loss",
    "L_kl": "posterior against prior",
    "L_crps": "ensemble score of the prior",
    "L_crps_pool": "the same on block means",
    "L_crps_grad": "the same on differences",
    "L_crps_log": "the same on log1p(rain)",
    "L_crps_spectrum": "the same on the spectrum",
    "lr": "learning rate",
    "beta": "weight of L_kl",
}
ROUNDING = 1e-6  # a term that stays below it is none, as the mass with `conserve: cells`
TERMS = tuple(name for name in MEANINGS if name not in ("lr", "beta"))


def training_curves(
    log: str | Path | pd.DataFrame, path: str | Path, best_epochs: Mapping[str, int], settings: Plots | None = None
) -> None:
    """Every loss term over the epochs, for training and validation, with the epoch whose weights were kept.

    Parameters
    ----------
    log
        The training log, one row an epoch of each network.
    path
        The PNG to write.
    best_epochs
        Of each network, in their order, the one whose weights were kept; 0 for none.
    settings
        Resolution.
    """
    table = log if isinstance(log, pd.DataFrame) else pd.read_csv(log)
    with saved_figure(path, 14.0, 4.6 * len(best_epochs), settings or Plots()) as figure:
        parts = figure.subfigures(len(best_epochs), 1, squeeze=False).flat
        for part, (network, best_epoch) in zip(parts, best_epochs.items(), strict=True):
            if len(best_epochs) > 1:
                part.suptitle(f"the network of the {network} rain", fontweight="bold", x=0.01, ha="left")
            _draw_network(part, table[table["network"] == network], best_epoch)


def _draw_network(figure: SubFigure, table: pd.DataFrame, best_epoch: int) -> None:
    """All terms of one network."""
    axes = figure.subplots(2, 6, sharex=True)
    for where, name in zip(axes.flat, MEANINGS, strict=True):
        columns = [f"train_{name}", f"val_{name}"] if name in TERMS else [name]
        _draw_term(where, table, [c for c in columns if c in table], name)
        if best_epoch:
            where.axvline(best_epoch, color=INK, linewidth=0.8, linestyle=DASHES[1], zorder=0)
    if best_epoch:
        axes[0, 0].text(
            best_epoch,
            0.98,
            f"kept\nepoch {best_epoch}",
            transform=axes[0, 0].get_xaxis_transform(),
            ha=_side(best_epoch, table),
            va="top",
            color=INK,
            fontsize=8,
        )
    for where in axes[-1]:
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
