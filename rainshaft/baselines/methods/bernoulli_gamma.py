"""A network for the distribution of rain at each cell, of which members are drawn cell by cell.

The cells of a member are drawn apart from each other, so a member does not look like rain, and its mean over the domain
has hardly any spread. The method shows what a small network can know of single cells from these predictors, if no
field need be plausible.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from rainshaft.baselines.interface import SCORED, Method
from rainshaft.histogram import Array

if TYPE_CHECKING:
    from rainshaft.baselines.days import DaysBySplit


def make(days: DaysBySplit, members: int, seed: int) -> Iterator[Array]:
    """Train the network, and draw the members of each scored day."""
    from rainshaft.baselines.networks.bernoulli_gamma import Fitted

    fitted = Fitted(days, seed)
    for place in days.places(*SCORED):
        date = int(days.dates[place].replace("-", ""))
        parameters = fitted.parameters(place)
        rain = np.zeros((members, *days.valid.shape), np.float32)
        for m in range(members):
            rain[m, days.valid] = draw(*parameters, np.random.default_rng([seed, date, m]))
        yield rain


def draw(probability: Array, shape: Array, mean: Array, rng: np.random.Generator) -> Array:
    """Draw rain of each cell (N,), apart from all others: dry, or of a gamma distribution with this mean."""
    return np.where(rng.random(shape.size) < probability, rng.gamma(shape, mean / shape), 0)


METHOD = Method(
    source="Bernoulli-gamma network on principal components and coarse fields; cells are drawn independently",
    make=make,
    needs="nothing",
    is_ensemble=True,
)
