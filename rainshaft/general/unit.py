"""The unit in which a general network counts rain, so that mm/hour and mm/day look alike to it.

Input: coarse rain of many steps. Output: the unit, in the units of the rain. It comes from the coarse rain alone. So it
is known wherever there is coarse rain. Shapes: T step, y x coarse grid.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rainshaft.data.patches import Days
from rainshaft.errors import UserError
from rainshaft.models.grids import block_sum

USUAL = 10.0
"""The rain-weighted mean of the coarse rain, counted in the unit of the networks. With this number their log1p sees
what it sees of daily rain in mm/day."""


def unit_of_days(days: Days, channel: int) -> float:
    """Give the unit for the coarse rain of some days, a channel of their predictors; errors as in `unit_of`."""
    observed = block_sum(days.valid_HW[None, None].cpu(), days.factor)[0, 0].numpy() > 0
    return unit_of(days.coarse_TCyx[:, channel].cpu().numpy(), observed)


def unit_of(coarse_Tyx: NDArray[np.floating], observed_yx: NDArray[np.bool_]) -> float:
    """Give a tenth of the rain-weighted mean of coarse rain, sum(c^2) / sum(c).

    Dry steps and dry cells do not change this mean. So a long dry season does not matter.

    Parameters
    ----------
    coarse_Tyx
        Coarse rain of many steps, in any units.
    observed_yx
        True for the cells with rain.

    Raises
    ------
    UserError
        If there is no rain at all.
    """
    rain = coarse_Tyx[:, observed_yx].astype("f8")
    if not rain.any():
        raise UserError(
            f"the coarse rain: found no rain in {len(rain)} steps, expected some, to know how large rain is here; give "
            "steps with rain, too"
        )
    return float(np.square(rain).sum() / rain.sum()) / USUAL
