"""Which days are for training, validation and test."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from rainshaft.config.sections import Split
from rainshaft.data.conventions import SPLITS, UNUSED
from rainshaft.errors import UserError


def split_days(time: ArrayLike, split: Split) -> NDArray[np.str_]:
    """Say for each day whether it is for training, validation or test.

    Parameters
    ----------
    time
        Days as datetime64 or cftime (day).
    split
        By whole years, by periods, or by blocks of `block_days` days. Blocks are counted from the first day and dealt
        out in turn.

    Returns
    -------
    `train`, `validation`, `test` or, for days that the split does not name, `unused` (day).
    """
    days = xr.Dataset(coords={"time": ("time", np.asarray(time))}).indexes["time"]
    index = cast("pd.DatetimeIndex | xr.CFTimeIndex", days)
    if split.by == "blocks":
        block = np.asarray((index - index.min()).days) // split.block_days
        return np.array(split.cycle)[block % len(split.cycle)]
    if split.by == "years":
        number = np.asarray(index.year)
        if split.year_begins > 1:
            number = number + (np.asarray(index.month) >= split.year_begins)
        spans = {part: [(year, year) for year in getattr(split, part)] for part in SPLITS}
    else:
        number = np.asarray(index.year * 10000 + index.month * 100 + index.day)
        spans = {part: [(_number(a), _number(b)) for a, b in getattr(split, part)] for part in SPLITS}
    parts = np.full(len(number), UNUSED, dtype="<U10")
    for part, its in spans.items():
        for first, last in its:
            parts[(number >= first) & (number <= last)] = part
    return parts


def _number(date: str) -> int:
    """A date YYYY-MM-DD as a number that orders dates of any calendar."""
    return int(date.replace("-", ""))


def require_days(part: NDArray[np.str_], dates: Sequence[str], split: Split) -> None:
    """Raise a UserError if a part of the split has no day.

    Parameters
    ----------
    part
        What each day is for, from `split_days`.
    dates
        Its date (YYYY-MM-DD).
    split
        What the message names.
    """
    for name in SPLITS:
        if not (part == name).any():
            key = "split.cycle" if split.by == "blocks" else f"split.{name}"
            cures = {"blocks": "use a shorter block_days", "years": "name a year that has data"}
            cure = cures.get(split.by, "name a period that has data")
            raise UserError(
                f"{key}: found no {name} day in the {len(dates)} days from {min(dates)} to {max(dates)}, "
                f"expected at least one; {cure}"
            )
