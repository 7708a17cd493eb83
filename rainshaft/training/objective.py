"""What a training minimises: members from the posterior and from the prior, judged by every loss term."""

from __future__ import annotations

import math

import torch
import xarray as xr
from torch import Tensor, nn

from rainshaft.config.sections import Loss
from rainshaft.data.patches import Batch
from rainshaft.models.cvae import RainCVAE
from rainshaft.training import losses
from rainshaft.training.losses import Across, alone


class Objective(nn.Module):
    """The loss terms of a network on a batch; a module, so that DistributedDataParallel can wrap it."""

    def __init__(self, model: RainCVAE, settings: Loss, normalisation: xr.Dataset, valid_share: float, amp: bool):
        super().__init__()
        self.model = model
        self.settings = settings
        self.amp = amp
        self.mean_rain, self.log_std = float(normalisation.rain_mean), float(normalisation.rain_log_std)
        self.p99 = float(normalisation.p99_wet)
        self.valid_share = valid_share

    def forward(
        self, batch: Batch, posterior_noise: list[Tensor], prior_noise: list[Tensor], across: Across = alone
    ) -> dict[str, Tensor]:
        """Every term of the loss, unweighted; those of the CRPS only where they have a weight.

        Parameters
        ----------
        posterior_noise, prior_noise
            as `RainCVAE.forward` takes it: `loss.posterior_members` and `loss.members` draws a patch
        across
            mean over the processes that share the batch
        """
        w, y, valid = self.settings, batch.rain_B1HW, batch.valid_B1HW
        with torch.autocast(y.device.type, torch.bfloat16, enabled=self.amp and y.device.type == "cuda"):
            given = self.model.given(batch.coarse_BCyx, batch.statics_BSHW, valid, batch.context_BKvu)
            observed = self.model.observed(batch.coarse_BCyx, batch.statics_BSHW, y, batch.context_BKvu)
            variations, kl = self.model(given, posterior_noise, observed)
            members = self.model(given, prior_noise)[0] if w.lambda_crps else None
        weight = losses.intensity_weight(y, valid, w.scale, w.w_min, w.w_max, w.tail_boost, self.p99)
        terms = {
            "L_rec": losses.almost_fair_crps(variations, y, weight, w.crps_alpha, across) / self.mean_rain,
            "L_mass": losses.mass_loss(y, variations if members is None else members, valid, across)
            / self.mean_rain**2,
            "L_grad": losses.gradient_loss(y, variations, valid, across) / self.mean_rain,
            # by valid cells, as every other term: over islands in a sea without values the latents would else cost next
            # to nothing; by how many a patch has on average, for one may lie in the sea
            "L_kl": kl.sum() / (self.valid_share * math.prod(y.shape[-2:])),
        }
        if members is not None:
            terms["L_crps"] = losses.almost_fair_crps(members, y, valid, w.crps_alpha, across) / self.mean_rain
            terms["L_crps_pool"] = (
                losses.pooled_crps(members, y, valid, w.crps_alpha, w.pool_sizes, across) / self.mean_rain
            )
            terms["L_crps_grad"] = losses.gradient_crps(members, y, valid, w.crps_alpha, across) / self.mean_rain
            terms["L_crps_log"] = losses.log_crps(members, y, valid, w.crps_alpha, across) / self.log_std
            terms["L_crps_spectrum"] = losses.spectral_crps(members, y, valid, w.crps_alpha, across) / self.mean_rain
        return terms

    def total(self, terms: dict[str, Tensor], beta: float) -> Tensor:
        """The loss from its terms."""
        w = self.settings
        weights = {"L_rec": w.lambda_rec, "L_mass": w.lambda_mass, "L_grad": w.lambda_grad, "L_kl": beta}
        weights |= {"L_crps": w.lambda_crps, "L_crps_pool": w.lambda_crps * w.crps_pool}
        weights |= {"L_crps_grad": w.lambda_crps * w.crps_grad, "L_crps_log": w.lambda_crps * w.crps_log}
        weights |= {"L_crps_spectrum": w.lambda_crps * w.crps_spectrum}
        return sum(weights[name] * value for name, value in terms.items())
