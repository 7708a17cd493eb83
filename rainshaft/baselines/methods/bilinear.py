"""Bilinear interpolation of the coarse rain."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from rainshaft.baselines.interface import SCORED, Method
from rainshaft.histogram import Array

if TYPE_CHECKING:
    from rainshaft.baselines.days import DaysBySplit


def make(days: DaysBySplit, members: int, seed: int) -> Iterator[Array]:
    """Interpolate the coarse rain of each scored day. It is one member; `members` and `seed` play no part."""
    for _, coarse in days.coarse_rain(*SCORED):
        yield bilinear(coarse, days.factor)[None]


def bilinear(coarse: Array, factor: int) -> Array:
    """Interpolate from cell centres to cell centres. Beyond the outermost centres the value stays as it is there.

    The result is that of `torch.nn.functional.interpolate(mode="bilinear", align_corners=False)`.

    Parameters
    ----------
    coarse
        (h, w).
    factor
        Fine cells along one side of a coarse cell.

    Returns
    -------
    (h * factor, w * factor).
    """

    def weights(cells: int) -> Array:
        centre = np.clip((np.arange(cells * factor) + 0.5) / factor - 0.5, 0, cells - 1)
        return np.maximum(0, 1 - np.abs(centre[:, None] - np.arange(cells)))

    rows, columns = coarse.shape
    return weights(rows) @ coarse @ weights(columns).T


METHOD = Method(
    source="bilinear interpolation of the coarse rain",
    make=make,
    needs="coarse rain",
    is_ensemble=False,
)
