"""What a training minimises: the loss of what a network draws."""

from __future__ import annotations

from functools import partial

import torch
import xarray as xr
from torch import Tensor, nn

from rainshaft.config.sections import Loss
from rainshaft.data.patches import Batch, require_rain
from rainshaft.models.interface import Generator
from rainshaft.models.noise import BatchNoise
from rainshaft.training.losses import TERMS, Across, Truth, alone


class Objective(nn.Module):
    """The loss of a network on a batch. It is a module so that DistributedDataParallel can wrap it."""

    def __init__(self, network: Generator, settings: Loss, normalisation: xr.Dataset, valid_share: float, amp: bool):
        super().__init__()
        self.network = network
        self.settings = settings
        self.amp = amp
        self.truth = partial(
            Truth,
            loss=settings,
            mean_rain=float(normalisation.rain_mean),
            log_std=float(normalisation.rain_log_std),
            p99=float(normalisation.p99_wet),
            valid_share=valid_share,
        )

    def forward(self, batch: Batch, noise: BatchNoise, across: Across = alone) -> dict[str, Tensor]:
        """Give every term of the loss by its name, divided by its normaliser and without its weight.

        A term is absent where the network did not draw what it judges.

        Parameters
        ----------
        across
            Mean over the processes that share the batch.
        """
        w, y = self.settings, require_rain(batch.rain_B1HW, "training")
        with torch.autocast(y.device.type, torch.bfloat16, enabled=self.amp and y.device.type == "cuda"):
            drawn = self.network.draw_in_training(batch, noise, w.posterior_members, w.members if w.lambda_crps else 0)
        truth = self.truth(y, batch.valid_B1HW, across)
        terms = {}
        for term in TERMS:
            if judged := [drawn[name] for name in term.judges if name in drawn]:
                terms[term.name] = term.value(judged[0], truth) / term.normaliser(truth)
        return terms

    def total(self, terms: dict[str, Tensor], beta: float) -> Tensor:
        """Give the loss: the sum of the terms times their weights. `beta` is the weight of the KL."""
        weights = {term.name: term.weight(self.settings, beta) for term in TERMS}
        return sum((weights[name] * value for name, value in terms.items()), torch.zeros(()))
