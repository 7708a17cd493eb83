"""Draw how the model makes a member: data, latent maps, scales and chain. Writes docs/understand/model.svg.

    python docs/drawings/model.py [FILE]

The maps are noise that looks like rain; nothing is trained. The same script gives the same file.
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib

matplotlib.use("svg")

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Rectangle

WIDTH, HEIGHT = 118, 92  # tenths of an inch, the units of all positions
FINE, FACTOR = 64, 8
INK, PALE = "#26323f", "#8895a3"
X, Y, Z, STATE = "#2166ac", "#d95f02", "#6f6f6f", "#1b7f79"  # predictors, observed rain, latent maps, decoder
RAIN = ListedColormap(["#ffffff", "#d3e6f2", "#9cc9e1", "#57a2cc", "#2a76b2", "#174f8f", "#3d1f6b"])
SCALES = (30, 48, 66, 84)  # where the columns of the four scales stand
Y_ROW, X_ROW, Z_ROW, STATE_ROW = 79.5, 66.5, 52, 35.5
CHAIN_ROW = 9.5


# ------------------------------------------------------------------------------------------------- maps


def noise(rng: np.random.Generator, size: int, slope: float) -> np.ndarray:
    """A field of unit variance whose power falls with the wavenumber to this slope."""
    k = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.fftfreq(size))
    k[0, 0] = np.inf
    field = np.fft.ifft2(np.fft.fft2(rng.standard_normal((size, size))) * k ** (-slope / 2)).real
    return (field - field.mean()) / field.std()


def blocks(field: np.ndarray, size: int) -> np.ndarray:
    """Means over blocks of size x size cells."""
    rows, columns = field.shape
    return field.reshape(rows // size, size, columns // size, size).mean((1, 3))


def rain_like(weather: np.ndarray, rng: np.random.Generator, keep: np.ndarray | None = None) -> np.ndarray:
    """Showers where the weather is wet; with `keep`, each coarse cell gets this mean."""
    rain = np.clip(weather + 0.75 * noise(rng, FINE, 2.4) + 0.05, 0, None) ** 1.3
    if keep is not None:
        mean = blocks(rain, FACTOR)
        factor = np.divide(keep, mean, out=np.zeros_like(mean), where=mean > 0.02)
        rain = rain * np.kron(factor, np.ones((FACTOR, FACTOR)))
    return rain


RNG = np.random.default_rng(5)
WEATHER = noise(RNG, FINE, 4.0)
OBSERVED = rain_like(WEATHER, RNG)
COARSE = blocks(OBSERVED, FACTOR)
MEMBERS = [rain_like(WEATHER, RNG, COARSE) for _ in range(3)]
BIASED = blocks(np.roll(rain_like(0.8 * WEATHER + 0.3, RNG), (6, 9), (0, 1)), FACTOR)
DRAWN = [np.clip(COARSE * (1 + 0.45 * noise(RNG, 8, 2.0)), 0, None) for _ in range(3)]
OTHER = [noise(RNG, FINE // FACTOR, 4.0) for _ in range(2)]
ELEVATION = noise(RNG, FINE, 3.4)


# ------------------------------------------------------------------------------------------------ pieces


def picture(
    axes: Axes,
    centre: tuple[float, float],
    side: float,
    field: np.ndarray,
    edge: str,
    cmap: str | ListedColormap = RAIN,
    level: float = 3,
) -> None:
    """A map as a square with a coloured edge; a higher level lies in front of a lower one."""
    x, y = centre[0] - side / 2, centre[1] - side / 2
    low, high = (0.0, 3.2) if cmap is RAIN else (-2.2, 2.2)
    axes.imshow(
        field, cmap=cmap, vmin=low, vmax=high, extent=(x, x + side, y, y + side), interpolation="nearest", zorder=level
    )
    axes.add_patch(Rectangle((x, y), side, side, fill=False, edgecolor=edge, linewidth=1.3, zorder=level + 0.05))


def stack(
    axes: Axes, centre: tuple[float, float], side: float, fields: list[np.ndarray], edge: str, shift: float = 1.6
) -> None:
    """Several maps behind each other, the first in front."""
    for i in reversed(range(len(fields))):
        away = shift * (i - (len(fields) - 1) / 2)
        picture(axes, (centre[0] + away, centre[1] + away), side, fields[i], edge, level=3 - 0.1 * i)


def box(axes: Axes, centre: tuple[float, float], size: tuple[float, float], words: str, colour: str) -> None:
    """A rounded box with words."""
    x, y = centre[0] - size[0] / 2, centre[1] - size[1] / 2
    style = "round,pad=0,rounding_size=1.4"
    patch = FancyBboxPatch((x, y), *size, boxstyle=style, facecolor="white", edgecolor=colour, linewidth=1.4, zorder=3)
    axes.add_patch(patch)
    axes.text(*centre, words, ha="center", va="center", color=colour, fontsize=10.5, zorder=5, linespacing=1.15)


def arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float], colour: str, dashed: bool = False) -> None:
    """A straight arrow."""
    line = (0, (3.2, 2.2)) if dashed else "-"
    axes.add_patch(
        FancyArrowPatch(
            start, end, arrowstyle="-|>", mutation_scale=11, color=colour, linewidth=1.5, linestyle=line,
            shrinkA=0, shrinkB=0, zorder=2,
        )
    )  # fmt: skip


def note(axes: Axes, x: float, y: float, words: str, colour: str = INK, size: float = 10, **more: object) -> None:
    """Words without a box."""
    axes.text(x, y, words, **{"ha": "center", "va": "center", "color": colour, "fontsize": size} | more)


# ------------------------------------------------------------------------------------------------ panels


def inputs(axes: Axes) -> None:
    """The data on the left: observed rain y, and the predictors x."""
    picture(axes, (9.5, Y_ROW), 11, OBSERVED, Y)
    note(axes, 9.5, Y_ROW - 7.6, "y  observed rain", Y, 11, weight="bold")
    behind = [(COARSE, RAIN), (OTHER[0], "RdBu_r"), (OTHER[1], "PuOr"), (ELEVATION, "Greys")]
    for i, (field, colours) in enumerate(behind):
        away = 1.7 * (i - 1.5)
        picture(axes, (9.5 + away, X_ROW - 3.2 + away), 8.6, field, X, colours, level=3 - 0.1 * i)
    words = "x  coarse rain,\nother predictors,\nstatic maps"
    note(axes, 9.5, X_ROW - 14.6, words, X, 11, weight="bold", linespacing=1.25)
    arrow(axes, (15.2, Y_ROW), (SCALES[0] - 8.2, Y_ROW), Y, dashed=True)
    arrow(axes, (16.6, X_ROW), (SCALES[0] - 8.2, X_ROW), X)


def band(axes: Axes, row: float, colour: str) -> None:
    """A pale band behind the boxes of a row: the same data at every scale."""
    start, end = SCALES[0] - 8, SCALES[-1] + 8
    style = "round,pad=0,rounding_size=2"
    patch = FancyBboxPatch((start, row - 4.2), end - start, 8.4, boxstyle=style, facecolor=colour, edgecolor="none")
    axes.add_patch(patch)
    patch.set(alpha=0.13, zorder=0)


def hierarchy(axes: Axes) -> None:
    """The four scales from the coarse grid to the fine one."""
    band(axes, Y_ROW, Y)
    band(axes, X_ROW, X)
    for level, x in enumerate(SCALES):
        cells = FINE // FACTOR * 2**level
        words = f"{cells} × {cells} cells" + {0: "\ncoarse grid", 3: "\nfine grid"}.get(level, "\n")
        note(axes, x, 88.6, words, INK, 10.5, linespacing=1.2)
        box(axes, (x, Y_ROW), (13, 6), "features\nof x and y", Y)
        box(axes, (x, X_ROW), (13, 6), "features\nof x", X)
        arrow(axes, (x, X_ROW - 3), (x, Z_ROW + 4.2), X)
        bend = x + 9
        axes.plot([x + 6.5, bend, bend], [Y_ROW, Y_ROW, Z_ROW], color=Y, linewidth=1.5, linestyle=(0, (3.2, 2.2)))
        arrow(axes, (bend, Z_ROW), (x + 4.2, Z_ROW), Y, dashed=True)
        picture(axes, (x, Z_ROW), 8, RNG.standard_normal((min(cells, 32),) * 2), Z, "Greys")
        note(axes, x - 4.8, Z_ROW, "z" + "₁₂₃₄"[level], Z, 12, ha="right")
        arrow(axes, (x, Z_ROW - 4), (x, STATE_ROW + 6.6), Z)
        picture(axes, (x, STATE_ROW), 13, blocks(MEMBERS[0], FINE // cells), STATE)
        if level:
            arrow(axes, (SCALES[level - 1] + 6.6, STATE_ROW), (x - 6.6, STATE_ROW), STATE)
            note(axes, x - 9, STATE_ROW + 1.9, "× 2", STATE, 10)
    note(axes, SCALES[0] - 1.1, Z_ROW + 6.6, "prior", X, 10, ha="right")
    note(axes, SCALES[0] + 9.8, Z_ROW + 6.6, "posterior", Y, 10, ha="left")
    note(axes, SCALES[0] - 8, STATE_ROW, "state of the\ndecoder", STATE, 10.5, ha="right", linespacing=1.2)


def output(axes: Axes) -> None:
    """From the finest state to members in mm/day."""
    stack(axes, (106, STATE_ROW), 14, MEMBERS, INK)
    arrow(axes, (SCALES[-1] + 6.6, STATE_ROW), (97, STATE_ROW), STATE)
    note(axes, 106, STATE_ROW + 11.6, "members", INK, 12, weight="bold")
    words = "mm/day; dry is exactly 0;\neach coarse cell keeps\nits rain"
    note(axes, 106, STATE_ROW - 12.8, words, INK, 10, linespacing=1.3)
    when = "that is in training and for variations of an observed day."
    words = f"Solid: always. Dashed: only where the day was observed,\n{when}"
    note(axes, 57, STATE_ROW - 11.2, words, PALE, 10, linespacing=1.35)


def chain(axes: Axes) -> None:
    """Two networks, where the coarse rain is biased."""
    frame = (1, 1.2), WIDTH - 2, 16.4
    axes.add_patch(
        FancyBboxPatch(*frame, boxstyle="round,pad=0,rounding_size=2", facecolor="#f3f5f7", edgecolor="none", zorder=0)
    )
    y = CHAIN_ROW
    note(axes, 3, y, "Chain\nconserve: drawn", INK, 11, ha="left", weight="bold", linespacing=1.4)
    picture(axes, (28, y), 9, BIASED, X)
    note(axes, 28, y - 6.3, "x, biased", X, 10)
    box(axes, (45, y), (14, 7), "network 1\ncoarse grid", STATE)
    stack(axes, (62, y + 0.3), 8, DRAWN, INK, 1.2)
    note(axes, 62, y - 6.3, "coarse rain, drawn", INK, 10)
    box(axes, (80, y), (14, 7), "network 2\nas above", STATE)
    stack(axes, (100, y + 0.3), 9, MEMBERS, INK, 1.2)
    note(axes, 100, y - 6.3, "members", INK, 10)
    for start, end, colour in ((33, 37.7, X), (52.3, 56.3, STATE), (67.8, 72.7, INK), (87.3, 93.6, STATE)):
        arrow(axes, (start, y), (end, y), colour)


def main() -> None:
    """Draw all and save it."""
    default = Path(__file__).parents[1] / "understand" / "model.svg"
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else default
    plt.rcParams |= {"font.family": "DejaVu Sans", "svg.fonttype": "path", "svg.hashsalt": "rainshaft"}
    figure = plt.figure(figsize=(WIDTH / 10, HEIGHT / 10), facecolor="white")
    axes = figure.add_axes((0, 0, 1, 1))
    inputs(axes)
    hierarchy(axes)
    output(axes)
    chain(axes)
    axes.set(xlim=(0, WIDTH), ylim=(0, HEIGHT), aspect="equal")
    axes.axis("off")
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None, dpi=110)


if __name__ == "__main__":
    main()
