"""What synthetic heavy days are worth to another model: a small deterministic network, trained with and without them.

The network is after SRDRN (Wang et al. 2021, doi:10.1029/2020WR029308): residual blocks on the coarse grid, then one
upsampling convolution for each step to the fine one, trained on an intensity-weighted MAE. It learns from the observed
training days alone, or from these and the synthetic heavy days of `augment.export`, with the same number of steps; both
are judged on the observed test days. It sees the coarse fields and the static maps, no context.

Shapes: B patch, C channel, S static map, H W fine, y x coarse, T days.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
import xarray as xr
from torch import Tensor, nn

from rainshaft.config.sections import Train
from rainshaft.config.slices import TrialSettings
from rainshaft.data.conventions import TEST, TRAIN
from rainshaft.data.patches import Days, Patches, load_days, training_batch
from rainshaft.errors import UserError
from rainshaft.files import atomic, write_json
from rainshaft.models.cvae import bilinear
from rainshaft.refinements import refinements
from rainshaft.training.losses import almost_fair_crps, intensity_weight

log = logging.getLogger("rainshaft")

EVENTS = {"p95": 0.95, "p99": 0.99}  # of the observed rain on the test days, dry cells included
WEIGHTS = {"scale": 10.0, "w_min": 0.5, "w_max": 5.0, "tail_boost": 1.0}  # of the MAE, as `loss` in the configuration
OPTIONS = Train(batch_size=16, lr=1e-3, min_heavy_fraction=0.0, max_dry_fraction=1.0)  # days as often as they occur
SCORES = {
    "csi_p95": "CSI at P95; 1 is best",
    "csi_p99": "CSI at P99",
    "sedi_p95": "SEDI at P95 (Ferro and Stephenson 2011); 1 is best",
    "sedi_p99": "SEDI at P99",
    "tail_mae": "mean absolute error where the observed rain is at or above P95, mm/day",
}


class ResidualNet(nn.Module):
    """Coarse fields in, one fine rain field out, in mm/day."""

    def __init__(self, normalisation: xr.Dataset, width: int, blocks: int):
        super().__init__()
        self.factor = int(normalisation.attrs["factor"])
        channels, statics = normalisation.sizes["channel"], normalisation.sizes["static"]
        self.rain = normalisation.channel.values.tolist().index(normalisation.attrs["rain_channel"])
        mean, std = (torch.from_numpy(normalisation[name].values) for name in ("channel_mean", "channel_std"))
        self.register_buffer("mean", mean.float().view(1, -1, 1, 1))
        self.register_buffer("std", std.float().view(1, -1, 1, 1))

        def convolution(inputs: int) -> nn.Sequential:
            return nn.Sequential(nn.Conv2d(inputs, width, 3, padding=1), nn.BatchNorm2d(width), nn.PReLU())

        self.head = convolution(channels)
        self.blocks = nn.ModuleList(nn.Sequential(convolution(width), convolution(width)) for _ in range(blocks))
        self.upsample = nn.ModuleList(
            nn.Sequential(nn.Upsample(scale_factor=float(step)), convolution(width))
            for step in refinements(self.factor)
        )
        self.out = nn.Conv2d(width + statics, 1, 3, padding=1)
        nn.init.zeros_(self.out.weight)  # the first forecast is the bilinear one
        nn.init.zeros_(self.out.bias)

    def forward(self, coarse_BCyx: Tensor, statics_BSHW: Tensor) -> Tensor:
        """Rain (B, 1, H, W) from predictors in their physical units and the static maps."""
        rain = coarse_BCyx[:, self.rain : self.rain + 1]
        logs = coarse_BCyx.clone()
        logs[:, self.rain] = torch.log1p(rain[:, 0])
        h = self.head((logs - self.mean) / self.std)
        for block in self.blocks:
            h = h + block(h)
        for up in self.upsample:
            h = up(h)
        smooth = bilinear(rain, self.factor)
        return F.relu(smooth + (1 + smooth) * self.out(torch.cat([h, statics_BSHW], 1)))


def with_synthetic(record: Days, augmented: Path, channels: Sequence[str]) -> Days:
    """The record with the kept members of every synthetic day as days of their own, each with the day's predictors."""
    with xr.open_dataset(augmented) as made:
        rain = torch.from_numpy(made.pr.values)
        coarse = torch.from_numpy(np.stack([made[f"coarse_{name}"].values for name in channels], 1))
    day, member = torch.isfinite(rain).any(-1).any(-1).nonzero(as_tuple=True)
    first, no_context = len(record), record.context_TKvu.new_zeros(len(day), *record.context_TKvu.shape[1:])
    days = {**record.days, "heavy": np.concatenate([record.days["heavy"], np.arange(first, first + len(day))])}
    return replace(
        record,
        rain_THW=torch.cat([record.rain_THW, rain[day, member].nan_to_num()]),
        coarse_TCyx=torch.cat([record.coarse_TCyx, coarse[day].to(record.coarse_TCyx)]),
        context_TKvu=torch.cat([record.context_TKvu, no_context]),  # which this network does not see
        days=days,
    )


def train_net(record: Days, normalisation: xr.Dataset, settings: TrialSettings, seed: int) -> ResidualNet:
    """Train a network: `steps` batches, cosine decay of the learning rate; the same for the same seed."""
    torch.manual_seed(seed)
    device = torch.device("cpu")
    options = OPTIONS.model_copy(update={"flips": settings.flips})
    net, patches = ResidualNet(normalisation, settings.width, settings.blocks), Patches.of(record, options)
    optimiser = torch.optim.Adam(net.parameters(), options.lr)
    for step in range(settings.steps):
        optimiser.param_groups[0]["lr"] = options.lr * 0.5 * (1 + math.cos(math.pi * step / settings.steps))
        batch = training_batch(record, patches, options, seed, step, device)
        rain = net(batch.coarse_BCyx, batch.statics_BSHW)
        weight = intensity_weight(batch.rain_B1HW, batch.valid_B1HW, **WEIGHTS, p99=float(normalisation.p99_wet))
        loss = almost_fair_crps(rain, batch.rain_B1HW, weight, 1.0)  # of one member: the weighted MAE
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return net.eval()


def contingency_scores(forecast: np.ndarray, observed: np.ndarray, threshold: float) -> tuple[float, float]:
    """CSI and SEDI (Ferro and Stephenson 2011) of an event, values at or above the threshold.

    SEDI = (ln F - ln H - ln(1 - F) + ln(1 - H)) / (ln F + ln H + ln(1 - F) + ln(1 - H)), with the hit rate H and the
    false alarm rate F; NaN where one of them is 0 or 1.
    """
    f, o = forecast >= threshold, observed >= threshold
    hits, misses, alarms = np.sum(f & o), np.sum(~f & o), np.sum(f & ~o)
    with np.errstate(divide="ignore", invalid="ignore"):
        H, A = hits / (hits + misses), alarms / np.sum(~o)
        logs = np.log([A, H, 1 - A, 1 - H])
        sedi = (logs * [1, -1, -1, 1]).sum() / logs.sum()
        return float(hits / (hits + misses + alarms)), float(sedi if np.isfinite(logs).all() else np.nan)


@torch.no_grad()
def score(net: ResidualNet, test: Days) -> dict[str, float]:
    """Every score of `SCORES` on the valid cells of the test days."""
    valid = test.valid_HW.bool().numpy()
    forecast = [net(day[None], test.statics_SHW[None])[0, 0].numpy()[valid] for day in test.coarse_TCyx]
    f, o = np.stack(forecast), test.rain_THW.numpy()[:, valid]
    scores = {}
    for name, share in EVENTS.items():
        scores[f"csi_{name}"], scores[f"sedi_{name}"] = contingency_scores(f, o, float(np.quantile(o, share)))
    tail = o >= np.quantile(o, EVENTS["p95"])
    return scores | {"tail_mae": float(np.abs(f - o)[tail].mean())}


def with_and_without(
    settings: TrialSettings,
    fields: Sequence[Path],
    normalisation: xr.Dataset,
    augmented: Path,
    seed: int,
    path: Path,
) -> None:
    """Train a network on the observed days and one on these and the synthetic, score both on the test days.

    Parameters
    ----------
    settings
        the frozen `srdrn` slice: `steps`, `width`, `blocks`
    augmented
        netCDF from `augment.export`
    path
        the JSON file to write: `seed`, and for `observed` and `augmented` the number of days and every score

    Raises
    ------
    UserError
        If the dataset has no coarse rain, which the network refines.
    """
    if not normalisation.attrs["rain_channel"]:
        raise UserError("no predictor of this dataset has `quantity: rain`; this network needs coarse rain")
    train, test = (load_days(fields, normalisation, split, torch.device("cpu")) for split in (TRAIN, TEST))
    result: dict[str, Any] = {"seed": seed}
    more = with_synthetic(train, augmented, normalisation.channel.values.tolist())
    for name, record in (("observed", train), ("augmented", more)):
        scores = score(train_net(record, normalisation, settings, seed), test)
        log.info("%s, %d days: %s", name, len(record), "  ".join(f"{key} {value:.3f}" for key, value in scores.items()))
        known = {key: value if math.isfinite(value) else None for key, value in scores.items()}
        result[name] = {"days": len(record), **known}
    write_json(result, path)


def compare(results: Sequence[dict[str, Any]], path: Path) -> None:
    """Write the comparison as Markdown: mean and standard deviation over the seeds, and the change seed by seed.

    Parameters
    ----------
    results
        for each seed the content of the file of `with_and_without`
    """
    without, augmented = (
        pd.DataFrame([result[name] for result in results], dtype=float)[list(SCORES)]
        for name in ("observed", "augmented")
    )
    change = augmented - without
    rows = ["| | observed only | with synthetic | change | better |", "|---|---|---|---|---|"]
    for name, meaning in SCORES.items():
        better = int((change[name] * (-1 if name == "tail_mae" else 1) > 0).sum())
        columns = (
            f"{table[name].mean():{sign}.3f} ± {table[name].std():.3f}"
            for table, sign in ((without, ""), (augmented, ""), (change, "+"))
        )
        rows.append(f"| {meaning} | {' | '.join(columns)} | {better} of {len(results)} |")
    observed, more = (results[0][name]["days"] for name in ("observed", "augmented"))
    words = (
        f"A small deterministic network (after SRDRN) on the observed test days, trained on {observed} observed days "
        f"and on these with {more - observed} synthetic heavy days. Mean and standard deviation over "
        f"{len(results)} seeds; `change` is taken seed by seed."
    )
    with atomic(path) as temporary:
        temporary.write_text("\n".join([words, "", *rows, ""]))
