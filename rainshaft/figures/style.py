"""What all figures share: their style, the colours of their lines, how they are laid out and saved.

Inputs: datasets, open or as paths to NetCDF files. Outputs: PNG files to look at and PDF files for papers, each
whole or not there. Sizes in inches.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import xarray as xr
from matplotlib.figure import Figure, SubFigure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from rainshaft.baselines.table import names as names_of_baselines
from rainshaft.config.sections import Plots
from rainshaft.files import atomic

DatasetOrPath = str | Path | xr.Dataset

TRUTH, INK, PALE, GOOD = "black", "0.35", "0.85", "#009E73"
LINES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")  # Okabe & Ito (2008)
DASHES: tuple[Any, ...] = ((0, (5, 2)), (0, (1, 1.5)), (0, (5, 1.5, 1, 1.5)), (0, (9, 2)))
GREYS = ("0.5", "0.7", "0.3")
GREY_DASHES: tuple[Any, ...] = (
    (0, (9, 2)),
    (0, (5, 2)),
    "-",
    (0, (1, 1.5)),
    (0, (5, 1.5, 1, 1.5)),
    (0, (3, 1, 1, 1, 1, 1)),
    (0, (9, 2, 3, 2)),
    (0, (1, 4)),
    (0, (14, 4)),
)

STYLE: dict[Any, Any] = {
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
    "pdf.fonttype": 42,  # TrueType: journals refuse the Type 3 fonts that are the default
}
RASTER_DPI = 300  # at least, of the maps within a PDF: their cells would make it large as vectors


@contextmanager
def saved_figure(path: str | Path, width: float, height: float, settings: Plots) -> Iterator[Figure]:
    """Make a figure in the common style and save it at the end. The state of pyplot is not touched.

    It is saved as PNG under `path`, and as PDF beside it.
    """
    with matplotlib.rc_context(STYLE), atomic(path) as png, atomic(Path(path).with_suffix(".pdf")) as pdf:
        layout = ConstrainedLayoutEngine(w_pad=0.03, h_pad=0.03, wspace=0.0, hspace=0.0)
        figure = Figure(figsize=(width, height), dpi=settings.dpi, layout=layout)
        yield figure
        figure.savefig(png, format="png", dpi=settings.dpi, metadata={"Software": None})
        undated = {"Creator": None, "Producer": None, "CreationDate": None}
        figure.savefig(pdf, format="pdf", dpi=max(settings.dpi, RASTER_DPI), metadata=undated)


def panels(
    figure: Figure | SubFigure, count: int, across: int, *, sharex: bool = False, sharey: bool = False
) -> np.ndarray:
    """Make panels row by row, at most `across` in a row. Give their axes (count,)."""
    rows = math.ceil(count / across)
    axes = figure.subplots(rows, across, sharex=sharex, sharey=sharey, squeeze=False).ravel()
    for left_over in axes[count:]:
        left_over.set_visible(False)
    for lowest in axes[max(0, count - across) : count]:  # also in a column that ends before the last row
        lowest.tick_params(labelbottom=True)
    return axes[:count]


def line_styles(names: Sequence[str]) -> dict[str, tuple[str, Any]]:
    """Give each name a colour and dashes: experiments are coloured, baselines grey.

    The style of a baseline depends on its name alone, so that it looks alike in the figures of all datasets.
    """
    greys = [(grey, dashes) for grey in GREYS for dashes in GREY_DASHES]
    colours = [(colour, dashes) for dashes in ("-", *DASHES) for colour in LINES]
    baselines = {name: greys[i % len(greys)] for i, name in enumerate(names_of_baselines())}
    experiments = [name for name in names if name not in baselines]
    styles = {name: colours[i % len(colours)] for i, name in enumerate(experiments)}
    return styles | {name: baselines[name] for name in names if name in baselines}


@contextmanager
def open_source(source: DatasetOrPath) -> Iterator[xr.Dataset]:
    """Give the dataset itself, or open the file, read it lazily and close it afterwards."""
    if isinstance(source, xr.Dataset):
        yield source
    else:
        with xr.open_dataset(source) as dataset:
            yield dataset
