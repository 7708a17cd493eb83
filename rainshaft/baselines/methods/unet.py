"""A small deterministic U-Net, from the coarse predictors to the rain.

It is trained on the mean squared error of log1p of the rain. So it gives one smooth field, near the middle of what is
possible. It shows what a model without members can do. It sees no context.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rainshaft.baselines.interface import SCORED, Method
from rainshaft.histogram import Array

if TYPE_CHECKING:
    from rainshaft.baselines.days import DaysBySplit


def make(days: DaysBySplit, members: int, seed: int) -> Iterator[Array]:
    """Train the network, and give its field of each scored day. It is one member; `members` plays no part."""
    from rainshaft.baselines.networks.unet import Fitted

    fitted = Fitted(days, seed)
    for place in days.places(*SCORED):
        yield fitted.rain(place)[None]


METHOD = Method(
    source="deterministic U-Net (Ronneberger et al. 2015) from the coarse predictors",
    make=make,
    needs="coarse predictors",
    is_ensemble=False,
)
