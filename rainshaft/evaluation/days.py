"""The quantities of one day of an ensemble: which members are left, and what to do without them.

Input: the members and the truth of a day. Output: the quantities of `quantities`. Rain in mm/day.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rainshaft.config.sections import Evaluation
from rainshaft.data.conventions import DRY
from rainshaft.errors import UserError
from rainshaft.evaluation.formulas import Array, BoolArray
from rainshaft.evaluation.quantities import QUANTITIES, Day

Quantities = dict[str, Any]


@dataclass(frozen=True)
class Setting:
    """What the days of an ensemble share."""

    size: int
    """members of the ensemble"""
    valid: BoolArray
    """(H, W), true at the cells to score; the values at the other cells do not matter"""
    factor: int
    """cells along the side of a coarse cell; the first coarse cell begins at the first cell"""
    settings: Evaluation
    seed: int = 1
    """breaks the ties of the rank histogram; those of a day do not depend on the other days"""


def day_of(date: str, category: str, members: Array, truth: Array, setting: Setting) -> Day | None:
    """Prepare a day.

    Parameters
    ----------
    date, category
        YYYY-MM-DD, and the kind of the day (`conventions`).
    members
        (M, H, W). A member that is NaN at every valid cell was dropped.
    truth
        (H, W). Where it is NaN, the day is scored without the cell.

    Returns
    -------
    None where the day takes no part: fewer than 2 members of an ensemble are left, or no cell is.

    Raises
    ------
    UserError
        A member has NaN at some valid cells but not at all of them.
    """
    cells = setting.valid & np.isfinite(truth)
    kept = _members_left(members, cells, date)
    if kept.sum() < min(2, setting.size) or not cells.any():
        return None
    rng = np.random.default_rng([setting.seed, int(date.replace("-", ""))])
    return Day(members[kept], truth, cells, category == DRY, rng, setting.size, setting.factor, setting.settings)


def quantities_of(day: Day, wanted: Sequence[Callable[[Day], Quantities]] = ()) -> Quantities:
    """Compute what a day adds to the scores: all of it, or what these functions of `quantities` give."""
    return {name: value for quantities in wanted or QUANTITIES for name, value in quantities(day).items()}


def unknown(like: Quantities) -> Quantities:
    """Give the quantities of a day that takes no part: those of another day, as NaN."""
    return {name: np.full(np.shape(value), np.nan) for name, value in like.items()}


def stacked(days: Iterable[Quantities]) -> dict[str, Array]:
    """Put the quantities of days together (days, ...)."""
    listed = list(days)
    return {name: np.stack([np.asarray(day[name], np.float64) for day in listed]) for name in listed[0]}


def _members_left(members: Array, cells: BoolArray, date: str) -> BoolArray:
    """Tell which members were not dropped (M,)."""
    finite = np.isfinite(members[:, cells])
    kept = np.asarray(finite.any(axis=1))
    if broken := np.flatnonzero(kept & ~finite.all(axis=1)).tolist():
        raise UserError(
            f"{date}, member {broken[0]}: {int((~finite[broken[0]]).sum())} of {int(cells.sum())} valid cells are NaN "
            "or infinite; expected a value at every valid cell, or NaN at all of them for a member that was dropped"
        )
    return kept
