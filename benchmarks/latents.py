"""Do the latents of observed days remember the day before? Without `sampling.memory` those of members do not.

    python benchmarks/latents.py RESULTS/EXPERIMENT RESULTS/data/DATASET [train|validation|test]

Each observed day of one split (default test) is encoded by a model that the workflow has trained. At each scale the
residual is (posterior mean - prior mean) / prior standard deviation: what the day tells about the noise that would have
drawn it. The columns of the table:

- *told*: variance of the residuals. 0 where the day tells nothing about the noise, 1 where it tells all. It sums to
  1 with *left*, the mean of posterior variance / prior variance, where the noise of true days is standard normal.
- *lag 1, 2, 3, 5, 9*: correlation of the residuals of two days so far apart, over all cells and channels. It is 0 if
  days are independent. A memory dies away with the lag. An error of the model in one season does not.
- *interval*: 90 % interval of lag 1, from resampled blocks of ten days.
- *area, lag 1*: as lag 1, for the mean of the residuals over the map.

What a day does not tell of its noise makes these correlations smaller than that of the noise. So they say on which
scales there is a memory, and `sequences.py` says how strong it should be.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from torch import Tensor

from rainshaft.data.fields import Fields, dates_of
from rainshaft.data.patches import Batch, Days, days_of, require_rain
from rainshaft.models.cvae import RainCVAE, sample_latent
from rainshaft.models.grids import bilinear, repeat_cells
from rainshaft.models.store import load_model
from rainshaft.sampling.sample import days_since_1850

DRAWS = 4  # of the coarser latents, on which those of a scale depend
DAYS_AT_ONCE = 8
LAGS = (1, 2, 3, 5, 9)
BLOCK_DAYS, RESAMPLINGS = 10, 1000

Array = NDArray[np.float32]


@torch.no_grad()
def residuals(network: RainCVAE, batch: Batch, generator: torch.Generator) -> list[tuple[Array, Array]]:
    """Give residuals and posterior variance / prior variance of each scale, (B, M, C, h, w). M draws all z_<l."""
    given = network.encode_predictors(batch.coarse_BCyx, batch.statics_BSHW, batch.valid_B1HW, batch.context_BKvu)
    rain = require_rain(batch.rain_B1HW, "the posterior")
    observed = network.encode_observation(batch.coarse_BCyx, batch.statics_BSHW, rain, batch.context_BKvu)
    days, a = len(rain), network.architecture
    below: list[Tensor] = []
    found = []
    for level, fx in enumerate(given.features):
        prior_mean, prior_log = network._gaussian(network.prior[level](days, fx, *below))
        if a.prior == "standard":
            prior_mean, prior_log = torch.zeros_like(prior_mean), torch.zeros_like(prior_log)
        mean, log_variance = network._gaussian(network.posterior[level](days, fx, observed[level], *below))
        each = (mean - prior_mean) / torch.exp(0.5 * prior_log), torch.exp(log_variance - prior_log)
        maps = [m.unflatten(0, (days, -1)).expand(-1, DRAWS, -1, -1, -1).numpy() for m in each]
        found.append((maps[0], maps[1]))
        noise = torch.randn((days * DRAWS, *mean.shape[1:]), generator=generator)
        z = sample_latent(mean, log_variance, noise, 1.0)
        h = network.inject[level](days, z, *below)
        h = h + network.decode[level](days, fx, h)
        if level < len(a.steps):
            finer = bilinear if a.interpolates(level) else repeat_cells
            below = [finer(h, a.steps[level])]
    return found


def batch_of(days: Days) -> Batch:
    """Give whole days as a batch."""
    count = len(days)
    return Batch(
        days.coarse_TCyx,
        days.statics_SHW.expand(count, -1, -1, -1),
        require_rain(days.rain_THW, "the posterior")[:, None],
        days.valid_HW.expand(count, 1, -1, -1),
        days.context_TKvu,
        days.season_T2,
    )


def lag_sums(r: Array, dates: NDArray[np.int64], lag: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Sum products and squares over the pairs of days `lag` apart, for each first day (T,); 0 without a pair."""
    place = {int(d): i for i, d in enumerate(dates)}
    products, squares = np.zeros(len(dates)), np.zeros(len(dates))
    for i, date in enumerate(dates.tolist()):
        j = place.get(date + lag)
        if j is not None:
            products[i] = np.vdot(r[i], r[j])
            squares[i] = (np.vdot(r[i], r[i]) + np.vdot(r[j], r[j])) / 2
    return products, squares


def resampled(products: NDArray[np.float64], squares: NDArray[np.float64]) -> tuple[float, float]:
    """Give the 90 % interval of the ratio of the sums when blocks of days are resampled."""
    starts = np.arange(0, len(products), BLOCK_DAYS)
    p, s = np.add.reduceat(products, starts), np.add.reduceat(squares, starts)
    rng = np.random.default_rng(0)
    weights = rng.multinomial(len(starts), np.full(len(starts), 1 / len(starts)), size=RESAMPLINGS)
    low, high = np.nanpercentile((weights @ p) / (weights @ s), [5, 95])
    return float(low), float(high)


def row(r: Array, variance: Array, dates: NDArray[np.int64]) -> str:
    """Give the cells of one scale from its residuals (T, M, C, h, w)."""
    r = r - r.mean((0, 1))  # a constant error of the model is no memory
    values = []
    for lag in LAGS:
        products, squares = lag_sums(r, dates, lag)
        values.append(products.sum() / squares.sum())
        if lag == 1:
            low, high = resampled(products, squares)
    area = lag_sums(r.mean((3, 4)), dates, 1)
    a_low, a_high = resampled(*area)
    lags = " | ".join(f"{v:+.3f}" for v in values)
    return (
        f"{(r**2).mean():.3f} | {variance.mean():.3f} | {lags} | {low:+.3f} to {high:+.3f} | "
        f"{area[0].sum() / area[1].sum():+.3f} | {a_low:+.3f} to {a_high:+.3f}"
    )


def main() -> None:
    """Print the table."""
    trained, prepared = Path(sys.argv[1]), Path(sys.argv[2])
    split = sys.argv[3] if len(sys.argv) > 3 else "test"
    normalisation = xr.load_dataset(prepared / "normalisation.nc")
    model = load_model(trained / "model.safetensors", trained / "model.json", torch.device("cpu"))
    chosen = normalisation.isel(time=normalisation.split.values == split)
    dates = np.asarray(days_since_1850(chosen.time))
    lags = " | ".join(f"lag {lag}" for lag in LAGS)
    print(f"{trained}, {len(dates)} days of the {split} split\n")
    print(f"| network | scale | cells | told | left | {lags} | interval | area, lag 1 | interval |")
    print("| --- |" + " ---: |" * (7 + len(LAGS)))
    generator = torch.Generator().manual_seed(1)
    with Fields(sorted((prepared / "fields").glob("*.nc"))) as fields:
        for number, (name, network) in enumerate(zip(model.names, model.networks, strict=True)):
            if not isinstance(network, RainCVAE):
                continue  # it has no latent maps
            parts = []
            for few in fields.batches(dates_of(chosen).tolist(), DAYS_AT_ONCE):
                days = model.parts(days_of(fields.read(few), normalisation))[number]
                parts.append(residuals(network, batch_of(days), generator))
            for level in range(network.scales):
                r, variance = (np.concatenate([part[level][i] for part in parts]) for i in (0, 1))
                size = f"{r.shape[2]} x {r.shape[3]} x {r.shape[4]}"
                print(f"| {name} | {level + 1} | {size} | {row(r, variance, dates)} |", flush=True)


if __name__ == "__main__":
    main()
