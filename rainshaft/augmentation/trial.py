"""What synthetic heavy days are worth to another model: a small deterministic network, trained with and without them.

The network is `rainshaft.models.residual`, trained on an intensity-weighted absolute error. It learns from the observed
training days alone, or from these and the synthetic heavy days of `augmentation.export`. Both take equally many steps.
Both are judged on the observed test days.

The trial has its own loop of a few lines, because the network is trained in another way than those of
`rainshaft.training`: with Adam, without averaged weights (its batch norm does not fit them), checkpoints or early
stopping. The network stands behind the interface of all generators, and its members come from the common sampler.

Shapes: T day, B patch, C channel, H W fine grid, y x coarse grid.
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
import xarray as xr
from numpy.typing import NDArray

from rainshaft.config.sections import Train
from rainshaft.config.slices import TrialSettings
from rainshaft.data.conventions import TEST, TRAIN
from rainshaft.data.patches import NO_SEASON, Days, Patches, load_days, require_rain, training_batch
from rainshaft.errors import UserError
from rainshaft.files import atomic, write_json
from rainshaft.models.interface import PRIOR, Generator
from rainshaft.models.noise import BatchNoise, seeded
from rainshaft.models.residual import build_residual
from rainshaft.sampling.draw import draw_part
from rainshaft.training.losses import almost_fair_crps, intensity_weight

log = logging.getLogger("rainshaft")

Rain = NDArray[np.floating]

EVENTS = {"p95": 0.95, "p99": 0.99}  # quantiles of the observed rain on the test days, dry cells included
WEIGHTS = {"scale": 10.0, "w_min": 0.5, "w_max": 5.0, "tail_boost": 1.0}  # of the absolute error; `Loss` has the keys
# The two fractions are off, so days are drawn as often as they occur.
OPTIONS = Train(batch_size=16, lr=1e-3, min_heavy_fraction=0.0, max_dry_fraction=1.0)
SCORES = {
    "csi_p95": "CSI at P95; 1 is best",
    "csi_p99": "CSI at P99",
    "sedi_p95": "SEDI at P95 (Ferro and Stephenson 2011); 1 is best",
    "sedi_p99": "SEDI at P99",
    "tail_mae": "mean absolute error where the observed rain is at or above P95, mm/day",
}


def with_synthetic(days: Days, augmented: Path, channels: Sequence[str]) -> Days:
    """Add the members of every synthetic day that were kept, each as a heavy day with the predictors of its day.

    Parameters
    ----------
    augmented
        netCDF from `augmentation.export`.
    channels
        Names of the predictors, in the order of the channels.
    """
    with xr.open_dataset(augmented) as made:
        rain = torch.from_numpy(made.pr.values)
        coarse = torch.from_numpy(np.stack([made[f"coarse_{name}"].values for name in channels], 1))
    day, member = torch.isfinite(rain).any(-1).any(-1).nonzero(as_tuple=True)
    first, no_context = len(days), days.context_TKvu.new_zeros(len(day), *days.context_TKvu.shape[1:])
    heavy = np.concatenate([days.categories["heavy"], np.arange(first, first + len(day))])
    return replace(
        days,
        rain_THW=torch.cat([require_rain(days.rain_THW, "the trial"), rain[day, member].nan_to_num()]),
        coarse_TCyx=torch.cat([days.coarse_TCyx, coarse[day].to(days.coarse_TCyx)]),
        context_TKvu=torch.cat([days.context_TKvu, no_context]),  # this network does not see it
        season_T2=torch.cat([days.season_T2, NO_SEASON.to(days.season_T2).expand(len(day), -1)]),  # nor this
        categories={**days.categories, "heavy": heavy},
    )


def train_net(days: Days, normalisation: xr.Dataset, settings: TrialSettings, seed: int) -> Generator:
    """Train a network for `steps` batches; the learning rate decays with a cosine. It is a function of the seed."""
    device = torch.device("cpu")
    options = OPTIONS.model_copy(update={"flips": settings.flips})
    patches, p99 = Patches.of(days, options), float(normalisation.p99_wet)
    with seeded(seed):
        net = build_residual(normalisation, settings.width, settings.blocks)
    optimiser = torch.optim.Adam(net.parameters(), options.lr)
    for step in range(settings.steps):
        optimiser.param_groups[0]["lr"] = options.lr * 0.5 * (1 + math.cos(math.pi * step / settings.steps))
        batch = training_batch(days, patches, options, seed, step, device)
        noise = BatchNoise(seed, step, options.batch_size, device)
        rain, truth = net.draw_in_training(batch, noise, 0, 1)[PRIOR], require_rain(batch.rain_B1HW, "the trial")
        weight = intensity_weight(truth, batch.valid_B1HW, **WEIGHTS, p99=p99)
        loss = almost_fair_crps(rain, truth, weight, 1.0)  # of one member: the weighted MAE
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return net.eval()


def contingency_scores(forecast: Rain, observed: Rain, threshold: float) -> tuple[float, float]:
    """CSI and SEDI (Ferro and Stephenson 2011) of an event: a value at or above the threshold.

    SEDI = (ln F - ln H - ln(1 - F) + ln(1 - H)) / (ln F + ln H + ln(1 - F) + ln(1 - H)), with the hit rate H and the
    false alarm rate F. It is NaN where one of them is 0 or 1.
    """
    f, o = forecast >= threshold, observed >= threshold
    hits, misses, alarms = np.sum(f & o), np.sum(~f & o), np.sum(f & ~o)
    with np.errstate(divide="ignore", invalid="ignore"):
        H, A = hits / (hits + misses), alarms / np.sum(~o)
        logs = np.log([A, H, 1 - A, 1 - H])
        sedi = (logs * [1, -1, -1, 1]).sum() / logs.sum()
        return float(hits / (hits + misses + alarms)), float(sedi if np.isfinite(logs).all() else np.nan)


def score(net: Generator, test: Days) -> dict[str, float]:
    """Give every score of `SCORES` on the valid cells of the test days."""
    valid, whole = test.valid_HW.bool().numpy(), max(test.valid_HW.shape)
    each = [test[day : day + 1] for day in range(len(test))]  # so that not all days are in memory at once
    f = np.stack([draw_part(net, day, [], 1, whole)[0, 0, valid] for day in each])
    o = require_rain(test.rain_THW, "the trial").numpy()[:, valid]
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
    """Train a network on the observed days and one on these and the synthetic days, and score both on the test days.

    Parameters
    ----------
    fields
        Canonical fields of all years.
    augmented
        netCDF from `augmentation.export`.
    seed
        Seed of the weights and the batches of both networks.
    path
        The JSON file to write: `seed`, and for `observed` and `augmented` the number of days and every score.

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
    for name, days in (("observed", train), ("augmented", more)):
        scores = score(train_net(days, normalisation, settings, seed), test)
        log.info("%s, %d days: %s", name, len(days), "  ".join(f"{key} {value:.3f}" for key, value in scores.items()))
        known = {key: value if math.isfinite(value) else None for key, value in scores.items()}
        result[name] = {"days": len(days), **known}
    write_json(result, path)


def compare(results: Sequence[dict[str, Any]], path: Path) -> None:
    """Write the comparison as Markdown: mean and standard deviation over the seeds, and the change of each seed.

    Parameters
    ----------
    results
        For each seed the content of the file that `with_and_without` wrote.
    path
        The file to write.
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
        temporary.write_text("\n".join([words, "", *rows, ""]), encoding="utf-8")
