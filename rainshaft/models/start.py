"""Start a network from the weights of another one, which was trained elsewhere.

Both have equal sizes, but may take different inputs. Weights go over by the names of the inputs. What the other network
has never seen begins with the weight 0. So before its first step the network draws what the other one would draw.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from rainshaft.errors import UserError
from rainshaft.models.cvae import CONTEXT_WIDTH, CVAEArchitecture, RainCVAE

FIRST_KERNELS = {"x_pyramid.blocks.0.first.parts.0.weight": 0, "y_pyramid.blocks.0.first.parts.0.weight": 1}
"""kernels that see the inputs -> how many further inputs come after them"""
MOMENTS = ("channel_mean", "channel_std")
OWN = "context_encoder."  # what begins with this stays as it is where the other network has another context
RAIN = "coarse rain"


def start_from(network: RainCVAE, weights: Mapping[str, Tensor], source: CVAEArchitecture, unit: float) -> None:
    """Give a network the weights of another one.

    Parameters
    ----------
    network
        Has fresh weights, and the normalisation of its own dataset.
    weights, source
        Weights and sizes of the other network.
    unit
        mm/day that the network takes for 1.

    Raises
    ------
    UserError
        If the sizes of the networks differ.
    """
    own = network.architecture
    for name in ("factor", "width", "latent_channels", "coarser_scales", "prior", "conserve"):
        if getattr(own, name) != getattr(source, name):
            raise UserError(
                f"train.start: found a network with {name} {getattr(source, name)}, expected {getattr(own, name)}, as "
                "the configuration says; write the same, or `start: anew`"
            )
    places = [(i, _inputs(source).index(name)) for i, name in enumerate(_inputs(own)) if name in _inputs(source)]
    found = {}
    for name, mine in network.state_dict().items():
        theirs = weights.get(name)
        if name in FIRST_KERNELS:
            assert theirs is not None
            found[name] = _kernel(mine, theirs, places, FIRST_KERNELS[name])
        elif name in MOMENTS:
            assert theirs is not None
            found[name] = mine.clone()
            for i, j in places:
                if i < len(own.channels):
                    found[name][:, i] = theirs[:, j]
        elif name.startswith(OWN) and own.context != source.context:
            found[name] = mine
        elif theirs is not None and theirs.shape == mine.shape:
            found[name] = theirs
        else:
            raise UserError(f"train.start: found a network whose {name} differs, expected one of this version")
    network.load_state_dict(found)
    network.architecture = replace(own, unit=unit)


def _inputs(architecture: CVAEArchitecture) -> list[str]:
    """Name the inputs of a network; the coarse rain has one name in all of them.

    The numbers of a context mean something only where the context is made of the same predictors.
    """
    channels = [RAIN if name == architecture.rain_channel else name for name in architecture.channels]
    context = [f"{n} of {architecture.context}" for n in range(CONTEXT_WIDTH)] if architecture.context else []
    return [*channels, *architecture.statics, *context]


def _kernel(mine: Tensor, theirs: Tensor, places: list[tuple[int, int]], further: int) -> Tensor:
    """Take over the weights of the inputs that both have. All other inputs get the weight 0."""
    kernel = torch.zeros_like(mine)
    for i, j in places:
        kernel[:, i] = theirs[:, j]
    if further:
        kernel[:, -further:] = theirs[:, -further:]
    return kernel
