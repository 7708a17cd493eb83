"""What all figures share: their style, the colours of their lines, how they are opened and saved.

Inputs: datasets, open or as paths to NetCDF files. Outputs: PNG files, written whole or not at all. Sizes in inches.
The figures themselves are in the `plot_*` modules.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib
import xarray as xr
from matplotlib.figure import Figure

from rainshaft.baselines.table import names as names_of_baselines
from rainshaft.config.sections import Plots
from rainshaft.files import atomic

Source = str | Path | xr.Dataset

TRUTH, INK, PALE = "black", "0.35", "0.85"
LINES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")  # Okabe & Ito (2008)
DASHES: tuple[Any, ...] = ((0, (5, 2)), (0, (1, 1.5)), (0, (5, 1.5, 1, 1.5)), (0, (9, 2)))
GREY_DASHES: tuple[Any, ...] = (
    (0, (9, 2)),
    (0, (5, 2)),
    "-",
    (0, (1, 1.5)),
    (0, (5, 1.5, 1, 1.5)),
    (0, (3, 1, 1, 1, 1, 1)),
)

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
def saved_figure(path: str | Path, width: float, height: float, settings: Plots) -> Iterator[Figure]:
    """Make a figure in the style of all and save it under `path` at the end; pyplot's state is not touched."""
    with matplotlib.rc_context(STYLE), atomic(path) as temporary:
        figure = Figure(figsize=(width, height), dpi=settings.dpi, layout="constrained")
        figure.get_layout_engine().set(w_pad=0.03, h_pad=0.03, wspace=0.0, hspace=0.0)  # type: ignore[union-attr]
        yield figure
        figure.savefig(temporary, format="png", dpi=settings.dpi, metadata={"Software": None})


def line_styles(names: Sequence[str]) -> dict[str, tuple[str, Any]]:
    """Colour and dashes of each name, the same in every figure: experiments coloured, baselines grey."""
    styles: dict[str, tuple[str, Any]] = {}
    # by name, so that a baseline looks alike in the figures of all datasets
    baselines = {name: GREY_DASHES[i % len(GREY_DASHES)] for i, name in enumerate(names_of_baselines())}
    for i, name in enumerate(n for n in names if n not in baselines):
        styles[name] = LINES[i % len(LINES)], ("-", *DASHES)[i // len(LINES) % (1 + len(DASHES))]
    return styles | {name: ("0.5", baselines[name]) for name in names if name in baselines}


@contextmanager
def open_source(source: Source) -> Iterator[xr.Dataset]:
    """Give the dataset itself, or the file read lazily and closed afterwards."""
    if isinstance(source, xr.Dataset):
        yield source
    else:
        with xr.open_dataset(source) as dataset:
            yield dataset
