"""The model of a dataset: one network from the predictors to the fine rain, or a chain of two.

One network is enough where the coarse rain of the predictors is true (a perfect predictor), or where there is none.
With `conserve: drawn` there are two. The first draws the coarse rain c, which is the mean of the fine rain y over each
coarse cell, from the predictors x. The second draws fine rain with these means, as from a perfect predictor:

    p(y | x) = p(c | x) p(y | c)

This is exact where all that x tells of y it tells through c. So the uncertainty of large scales is learned on a small
grid, from whole days, and that of small scales from the best coarse rain there is.
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
    """One network, or that of the coarse rain and that of the fine rain, of any kind."""

    def __init__(self, networks: Sequence[Generator]):
        super().__init__()
        # a ModuleList is a sequence, but its type has forgotten of what
        self.networks = cast("Sequence[Generator]", nn.ModuleList(networks))

    @property
    def kind(self) -> str:
        """The kind of its networks."""
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
            valid_HW = days.valid_HW.to(days.rain_THW.device)  # the host, where the days are too many for the GPU
            rain_TCyx = block_mean(days.rain_THW[:, None], valid_HW[None, None], days.factor)
        return [
            replace(
                days,
                rain_THW=None if rain_TCyx is None else rain_TCyx[:, 0],
                statics_SHW=_block_means(days.statics_SHW, days.factor),
                valid_HW=_block_means(days.valid_HW, days.factor),  # the share that is valid, as a weight
                factor=1,
            ),
            replace(
                days,
                coarse_TCyx=days.coarse_TCyx[:, :0] if rain_TCyx is None else rain_TCyx,
                context_TKvu=days.context_TKvu[:, :0],
            ),
        ]


def _block_means(maps_HW: Tensor, factor: int) -> Tensor:
    """Mean over blocks of factor x factor cells of maps (..., H, W), of which there may be none."""
    return maps_HW.unflatten(-1, (-1, factor)).mean(-1).unflatten(-2, (-1, factor)).mean(-2)
