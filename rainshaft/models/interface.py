"""The interface of all generators of rain fields.

The training loop, the files of a model, the sampler and the trade-off use this interface alone. A new kind of model
is a subclass of `Generator` and an entry in `rainshaft.models.kinds`. If its training needs another term of the loss,
the term is an entry in `rainshaft.training.losses`.

Shapes: B day or patch, M member, C channel, H W fine grid, y x coarse grid with H = factor y and W = factor x.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from rainshaft.config.slices import TrainSettings
from rainshaft.data.patches import Batch, Days
from rainshaft.models.noise import BatchNoise, Shape

POSTERIOR, PRIOR, KL = "posterior", "prior", "kl"  # what the terms of the loss judge


@dataclass(frozen=True)
class Architecture:
    """The sizes of a network, kept beside its weights. Each kind adds its own."""

    channels: tuple[str, ...]
    """names of the predictors"""
    statics: tuple[str, ...]
    """names of the static maps"""
    rain_channel: str
    """the predictor that is coarse rain; empty where there is none"""
    factor: int
    """fine cells along the side of a coarse cell"""

    def to_dict(self) -> dict[str, Any]:
        """Give the sizes as plain JSON types."""
        return asdict(self)

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Self:
        """Read what `to_dict` gave."""
        sizes: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in content.items()}
        return cls(**sizes)


class Generator(nn.Module, ABC):
    """A network that draws fine rain fields from coarse fields, in mm/day.

    What it draws for a day must not depend on the other days of the batch. So a day has equal members in any batch.
    """

    kind: ClassVar[str]
    """the name of this kind of network in model.json, and of this kind of model in the configuration"""
    keeps_last: ClassVar[bool] = False
    """whether the last weights are kept, and not those with the best score on the validation days"""
    strata: ClassVar[int] = 0
    """Over so many members in a row, the last number of the first map of noise falls once into each of as many equally
    probable ranges. So these members choose different things. 0 where all members are drawn by themselves."""
    architecture: Architecture

    @abstractmethod
    def draw_in_training(
        self, batch: Batch, noise: BatchNoise, posterior_members: int, prior_members: int
    ) -> dict[str, Tensor]:
        """Draw what the terms of the loss judge.

        Parameters
        ----------
        posterior_members, prior_members
            How many members of each patch are asked for. The number of the prior is 0 where the loss does not judge the
            prior.

        Returns
        -------
        `PRIOR` and `POSTERIOR`: members (B, M, H, W) in mm/day. `KL`: the divergence of the posterior from the prior
        at each scale in nats, mean over patches and members. A kind leaves out what it does not have, and may add
        what a term of its own judges.
        """

    @abstractmethod
    def members(self, batch: Batch, noise: list[Tensor], temperature: float = 1.0, observed_scales: int = 0) -> Tensor:
        """Draw members (B, M, H, W) in mm/day; what stands where rain is not valid has no meaning.

        Parameters
        ----------
        noise
            Standard normal maps (B M, C, h, w), as `noise_shapes` says. The members of a day stand together.
        temperature
            Factor on the standard deviation of what is random.
        observed_scales
            How many scales, coarse to fine, see the observed rain; 0 draws from the prior.
        """

    @abstractmethod
    def noise_shapes(self, rows: int, columns: int) -> list[Shape]:
        """Give the shape (C, h, w) of each map of noise that a member takes, for a coarse domain of rows x columns.

        The height and width of a map are those of the domain in blocks, times a whole number. A kind without noise has
        no map.
        """

    @property
    @abstractmethod
    def halo(self) -> int:
        """How many blocks around a tile its rain may depend on."""

    @property
    def block(self) -> int:
        """Coarse cells along the side of a block: tiles are whole blocks."""
        return 1

    @property
    def scales(self) -> int:
        """How many scales can see the observed rain; 0 for a kind without a posterior."""
        return 0

    def training_settings(self, given: TrainSettings, days: Days) -> TrainSettings:
        """Give the keys of the training that suit this network. Most networks take those of the configuration."""
        return given

    def least_steps(self, days: int) -> int:
        """Say how many steps an epoch has at least, for so many training days."""
        return 1

    def learn_inputs(self, days: Days) -> None:
        """Learn what the network must know of its inputs from the training days, before the first step."""

    def leave_posterior(self) -> None:
        """Train without the posterior: its weights get no gradient, on one device or on several."""

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device
