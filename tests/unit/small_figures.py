"""Settings for figures that are quick to draw, and a look at what was written."""

from __future__ import annotations

from pathlib import Path

from matplotlib.image import imread

from rainshaft.config.sections import Plots

SETTINGS = Plots(days=1, members=1, dpi=60)


def is_png(path: Path, width: int, height: int) -> bool:
    image = imread(path)
    return (
        path.read_bytes().startswith(b"\x89PNG")
        and image.shape[1] >= width
        and image.shape[0] >= height
        and image.std() > 0.02
    )
