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
        By whole years, or by blocks of `block_days` days. Blocks are counted from the first day and dealt out in turn.

    Returns
    -------
    `train`, `validation`, `test` or, for years that the split does not name, `unused` (day).
    """
    days = xr.Dataset(coords={"time": ("time", np.asarray(time))}).indexes["time"]
    index = cast("pd.DatetimeIndex | xr.CFTimeIndex", days)
    if split.by == "blocks":
        block = np.asarray((index - index.min()).days) // split.block_days
        return np.array(split.cycle)[block % len(split.cycle)]
    part_of = {year: part for part in SPLITS for year in getattr(split, part)}
    return np.array([part_of.get(int(year), UNUSED) for year in index.year], dtype="<U10")


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
            cure = "use a shorter block_days" if split.by == "blocks" else "name a year that has data"
            raise UserError(
                f"{key}: found no {name} day in the {len(dates)} days from {min(dates)} to {max(dates)}, "
                f"expected at least one; {cure}"
            )
