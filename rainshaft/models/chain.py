"""The model of a dataset: one network from the predictors to the fine rain, or a chain of two.

Where the coarse rain of the predictors is true (a perfect predictor), or there is none, one network is all there is.
With `conserve: drawn` the first network draws the coarse rain c, the means of the fine rain y over the coarse cells,
from the predictors x, and the second draws fine rain with these means, as from a perfect predictor:

    p(y | x) = p(c | x) p(y | c)

which is exact where all that x tells of y it tells through c. So what is uncertain at large scales is learned on a
small grid, from whole days, and what is at small scales from the best coarse rain there is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
import xarray as xr
from torch import Tensor, nn

from rainshaft.config.sections import Model
from rainshaft.data.patches import Days
from rainshaft.models.cvae import Architecture, RainCVAE, block_mean

COARSE_RAIN = "coarse rain"  # the channel of the second network


class Chain(nn.Module):
    """One network, or that of the coarse rain and that of the fine rain."""

    def __init__(self, networks: Sequence[RainCVAE]):
        super().__init__()
        self.networks = nn.ModuleList(networks)

    @property
    def architectures(self) -> tuple[Architecture, ...]:
        """Of each network."""
        return tuple(network.architecture for network in self.networks)

    @property
    def names(self) -> tuple[str, ...]:
        """What each network draws, for logs and figures."""
        return ("rain",) if len(self.networks) == 1 else ("coarse", "fine")

    @property
    def scales(self) -> tuple[int, ...]:
        """How many scales of latents each network has."""
        return tuple(a.scales for a in self.architectures)

    def records(self, record: Days) -> list[Days]:
        """What each network sees: the record, or in a chain that of the coarse rain, and of the fine rain from it."""
        if len(self.networks) == 1:
            return [record]
        valid_HW = record.valid_HW.to(record.rain_THW.device)  # the host, where the record is too long for the GPU
        coarse_TCyx = block_mean(record.rain_THW[:, None], valid_HW[None, None], record.factor)
        return [
            replace(
                record,
                rain_THW=coarse_TCyx[:, 0],
                statics_SHW=_block_means(record.statics_SHW, record.factor),
                valid_HW=_block_means(record.valid_HW, record.factor),  # the share that is valid, as a weight
                factor=1,
            ),
            replace(record, coarse_TCyx=coarse_TCyx, context_TKvu=record.context_TKvu[:, :0]),
        ]

    def latent_shapes(self, rows: int, columns: int) -> list[list[tuple[int, int, int]]]:
        """Of each network, as `Architecture.latent_shapes` for a coarse domain of rows x columns."""
        return [a.latent_shapes(rows, columns) for a in self.architectures]


def build_model(settings: Model, normalisation: xr.Dataset, seed: int) -> Chain:
    """The networks of a dataset with fresh weights."""
    torch.manual_seed(seed)
    log_std = float(normalisation.rain_log_std)
    channels = _tensors(normalisation, "channel_mean", "channel_std")
    context = _tensors(normalisation, "context_mean", "context_std")
    factor, drawn = int(normalisation.attrs["factor"]), settings.conserve == "drawn"

    def architecture(**changes: object) -> Architecture:
        same = {
            "channels": tuple(normalisation.channel.values.tolist()),
            "statics": tuple(normalisation.static.values.tolist()),
            "rain_channel": normalisation.attrs["rain_channel"],
            "factor": factor,
            "width": settings.width,
            "d_z": settings.d_z,
            "prior": settings.prior,
            "conserve": settings.conserve,
            "coarser_scales": settings.coarser_scales,
            "context": tuple(normalisation.context_channel.values.tolist()),
        }
        return Architecture(**same | changes)

    if not drawn:
        return Chain([RainCVAE(architecture(), *channels, log_std, *context)])
    # The second network adds the detail. One network alone is sharper with repeated states: docs/ablation.md.
    coarse = architecture(factor=1, conserve="none", interpolate=True)
    fine = architecture(
        channels=(COARSE_RAIN,), rain_channel=COARSE_RAIN, conserve="cells", context=(), coarser_scales=0
    )
    mean, std = torch.zeros(1), torch.full((1,), log_std)  # as for a channel of rain: dry is 0
    return Chain([RainCVAE(coarse, *channels, log_std, *context), RainCVAE(fine, mean, std, log_std)])


def restore_model(architectures: Sequence[dict], weights: dict[str, Tensor]) -> Chain:
    """The networks from their architectures as plain JSON types and the weights of the chain."""
    networks = []
    for number, content in enumerate(architectures):
        prefix = f"networks.{number}."
        mine = {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}
        moments = mine["channel_mean"].ravel(), mine["channel_std"].ravel(), 1.0
        context = mine.get("context_encoder.mean"), mine.get("context_encoder.std")
        networks.append(RainCVAE(Architecture.from_dict(content), *moments, *context))
        networks[-1].load_state_dict(mine)
    return Chain(networks)


def _block_means(maps_HW: Tensor, factor: int) -> Tensor:
    """Means over blocks of factor x factor cells of maps (..., H, W), of which there may be none."""
    return maps_HW.unflatten(-1, (-1, factor)).mean(-1).unflatten(-2, (-1, factor)).mean(-2)


def _tensors(normalisation: xr.Dataset, *names: str) -> list[Tensor]:
    return [torch.from_numpy(normalisation[name].values) for name in names]
