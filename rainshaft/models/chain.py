"""The model of a dataset: one network from the predictors to the fine rain, or a chain of several.

One network is enough where the coarse rain of the predictors is true (a perfect predictor), or where there is none and
one network shall do.
With `conserve: drawn` there are two. The first draws the coarse rain c, which is the mean of the fine rain y over each
coarse cell, from the predictors x. The second draws fine rain with these means, as from a perfect predictor:

    p(y | x) = p(c | x) p(y | c)

This is exact where c holds all that x says about y. So the first network learns the uncertainty of large scales on a
small grid, from whole days. The second learns that of small scales from the true coarse rain. The first network may
be of another kind (`models.dense`), since it has another task.

In the same way a chain of general networks refines coarse rain step by step: by 8, and then by 2.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate
from typing import cast

from torch import Tensor, nn

from rainshaft.data.patches import Days
from rainshaft.models.grids import block_mean
from rainshaft.models.interface import Generator


class Chain(nn.Module):
    """The networks of a model: one, or one for the coarse rain and others that refine it."""

    def __init__(self, networks: Sequence[Generator]):
        super().__init__()
        # a ModuleList is a sequence, but its type does not say what it holds
        self.networks = cast("Sequence[Generator]", nn.ModuleList(networks))

    @property
    def kind(self) -> str:
        """The kind of the model, which is that of its last network."""
        return self.networks[-1].kind

    @property
    def names(self) -> tuple[str, ...]:
        """What each network draws, for logs and figures."""
        if len(self.networks) == 1:
            return ("rain",)
        # a first network that does not refine draws the coarse rain; other chains refine step by step
        if self.factors[0] == 1:
            return ("coarse", "fine")
        return tuple(f"refined by {factor}" for factor in accumulate(self.factors, operator.mul))

    @property
    def factors(self) -> tuple[int, ...]:
        """By how much each network refines."""
        return tuple(network.architecture.factor for network in self.networks)

    @property
    def scales(self) -> tuple[int, ...]:
        """How many scales of each network can see the observed rain."""
        return tuple(network.scales for network in self.networks)

    def parts(self, days: Days) -> list[Days]:
        """Give what each network sees of the days.

        The target of a network is the mean of the fine rain over the cells of its own grid. From the second network on,
        the true rain on the grid before is the only predictor, and there is no context. Where no rain was observed,
        such a network has no predictor until the rain on the grid before is drawn.
        """
        parts = []
        for number, factor in enumerate(self.factors):
            rest = math.prod(self.factors[number + 1 :])  # by which the networks after this one refine
            part = replace(
                days,
                rain_THW=_means_of_rain(days, rest),
                statics_SHW=_block_means(days.statics_SHW, rest),
                valid_HW=_block_means(days.valid_HW, rest),  # the share of valid cells serves as a weight
                factor=factor,
            )
            if number:
                rain_TCyx = _means_of_rain(days, rest * factor)
                part = replace(
                    part,
                    coarse_TCyx=days.coarse_TCyx[:, :0] if rain_TCyx is None else rain_TCyx[:, None],
                    context_TKvu=days.context_TKvu[:, :0],
                )
            parts.append(part)
        return parts


def _means_of_rain(days: Days, size: int) -> Tensor | None:
    """Average the observed rain over the valid cells of blocks of size x size cells."""
    if days.rain_THW is None or size == 1:
        return days.rain_THW
    valid_HW = days.valid_HW.to(days.rain_THW.device)  # the days stay on the host if the GPU cannot hold them
    return block_mean(days.rain_THW[:, None], valid_HW[None, None], size)[:, 0]


def _block_means(maps_HW: Tensor, factor: int) -> Tensor:
    """Average maps (..., H, W) over blocks of factor x factor cells. The number of maps may be 0."""
    if factor == 1:
        return maps_HW
    return maps_HW.unflatten(-1, (-1, factor)).mean(-1).unflatten(-2, (-1, factor)).mean(-2)
