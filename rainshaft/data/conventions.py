"""Conventions of the canonical fields and of what is made from them: names of splits, kinds of days, constants."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

TRAIN, VALIDATION, TEST = "train", "validation", "test"
SPLITS = (TRAIN, VALIDATION, TEST)
UNUSED = "unused"  # the split of days whose year the configuration does not name

COARSE_CATEGORIES = ("heavy", "moderate", "dry")  # kinds of days by their coarse rain

DRY = "dry"  # category of a day with next to no rain

RAIN_NAMES = (
    *("pr", "tp", "precip", "precipitation", "precipitation_amount", "total_precipitation", "ppt", "prcp", "pcp"),
    *("rain", "rainfall", "rainnc", "precipitationcal", "rr", "rf", "tot_prec", "mtpr", "tprate", "prate", "apcp"),
    *("prect", "prec", "rainf", "pre", "unknown_precipitation"),
)
"""names of rain in files, in small letters, the most certain first"""

WET_DAY_MM = 1.0  # mm/day from which a cell has a wet day (ETCCDI)
EARTH_RADIUS_KM = 6371.0

SAME_GRID = 0.05  # of a cell: coordinates closer than this are equal; single precision stays well below  # ASSUME


def is_heavy(category: Any) -> NDArray[np.bool_]:
    """Tell which days are heavy by their category: `heavy-coast` or `heavy-interior`."""
    return np.char.startswith(np.asarray(category).astype(str), "heavy")


def same_axis(mine: NDArray[Any], other: NDArray[Any]) -> bool:
    """Tell whether two axes have equal cells; rounding to single precision makes no other axis."""
    if mine.shape != other.shape:
        return False
    cell = abs(float(other[-1]) - float(other[0])) / max(1, len(other) - 1) if len(other) else 0.0
    return bool(np.all(np.abs(mine - other) <= SAME_GRID * cell))
