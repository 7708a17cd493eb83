"""The model of a dataset: one network from the predictors to the fine rain, or a chain of two.

One network is enough where the coarse rain of the predictors is true (a perfect predictor), or where there is none.
With `conserve: drawn` there are two. The first draws the coarse rain c, which is the mean of the fine rain y over each
coarse cell, from the predictors x. The second draws fine rain with these means, as from a perfect predictor:

    p(y | x) = p(c | x) p(y | c)

This is exact where c holds all that x says about y. So the first network learns the uncertainty of large scales on a
small grid, from whole days. The second learns that of small scales from the true coarse rain.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

from torch import Tensor, nn

from rainshaft.data.patches import Days
from rainshaft.models.grids import block_mean
from rainshaft.models.interface import Generator


class Chain(nn.Module):
    """The networks of a model: one, or one for the coarse rain and one for the fine rain. Both are of one kind."""

    def __init__(self, networks: Sequence[Generator]):
        super().__init__()
        # a ModuleList is a sequence, but its type does not say what it holds
        self.networks = cast("Sequence[Generator]", nn.ModuleList(networks))

    @property
    def kind(self) -> str:
        """The kind that its networks belong to."""
        return self.networks[0].kind

    @property
    def names(self) -> tuple[str, ...]:
        """What each network draws, for logs and figures."""
        return ("rain",) if len(self.networks) == 1 else ("coarse", "fine")

    @property
    def scales(self) -> tuple[int, ...]:
        """How many scales of each network can see the observed rain."""
        return tuple(network.scales for network in self.networks)

    def parts(self, days: Days) -> list[Days]:
        """Give what each network sees of the days.

        In a chain the target of the first network is the coarse rain. The second sees the true coarse rain as its only
        predictor, and no context. Where no rain was observed, it has no predictor until the coarse rain is drawn.
        """
        if len(self.networks) == 1:
            return [days]
        rain_TCyx = None
        if days.rain_THW is not None:
            valid_HW = days.valid_HW.to(days.rain_THW.device)  # the days stay on the host if the GPU cannot hold them
            rain_TCyx = block_mean(days.rain_THW[:, None], valid_HW[None, None], days.factor)
        return [
            replace(
                days,
                rain_THW=None if rain_TCyx is None else rain_TCyx[:, 0],
                statics_SHW=_block_means(days.statics_SHW, days.factor),
                valid_HW=_block_means(days.valid_HW, days.factor),  # the share of valid cells serves as a weight
                factor=1,
            ),
            replace(
                days,
                coarse_TCyx=days.coarse_TCyx[:, :0] if rain_TCyx is None else rain_TCyx,
                context_TKvu=days.context_TKvu[:, :0],
            ),
        ]


def _block_means(maps_HW: Tensor, factor: int) -> Tensor:
    """Average maps (..., H, W) over blocks of factor x factor cells. The number of maps may be 0."""
    return maps_HW.unflatten(-1, (-1, factor)).mean(-1).unflatten(-2, (-1, factor)).mean(-2)
