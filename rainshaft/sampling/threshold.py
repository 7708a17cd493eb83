"""The pixel threshold: cells with less rain are set to exactly 0, before anything is scored.

Input: the ensemble, in one file or in shards of days. Output: the one ensemble file that the user takes away, on which
all scores are taken.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from rainshaft.config.slices import ThresholdSettings
from rainshaft.data.conventions import VALIDATION
from rainshaft.data.fields import Fields, dates_of
from rainshaft.files import DAYS_AT_ONCE, write_ensemble

log = logging.getLogger("rainshaft")

BIN_EDGES = np.concatenate([[0.0], np.geomspace(1e-3, 1e3, 2001)])  # mm/day, 0.7 % wide


def matching_threshold(shards: Sequence[xr.Dataset], paths: Sequence[Path], wet_threshold: float) -> float:
    """Find the threshold at which the members are wet as often as the truth on the validation days, mm/day.

    A cell is wet above `wet_threshold`. A pixel threshold above it makes wet cells dry. One below it does not. So the
    result is the quantile of the members' rain at the observed dry fraction, or 0 where the members are not too wet.
    """
    counts, wet, cells = np.zeros(len(BIN_EDGES) - 1), 0, 0
    with Fields(paths) as fields:
        for samples in shards:
            dates = dates_of(samples)
            validation = np.flatnonzero(samples.split.values == VALIDATION)
            for start in range(0, len(validation), DAYS_AT_ONCE):
                part = validation[start : start + DAYS_AT_ONCE]
                truth = fields.rain(dates[part].tolist())[:, fields.valid]
                wet += int(np.count_nonzero(truth > wet_threshold))
                cells += truth.size
                counts += np.histogram(samples.pr[part].values[..., fields.valid], BIN_EDGES)[0]
    drier_than = np.cumsum(counts) / counts.sum()
    threshold = float(np.interp(1 - wet / cells, drier_than, BIN_EDGES[1:]))
    return threshold if threshold > wet_threshold else 0.0


def apply_threshold(samples: Sequence[Path], settings: ThresholdSettings, paths: Sequence[Path], path: Path) -> None:
    """Write the ensemble with every cell below the threshold set to 0, a few days in memory at a time.

    Parameters
    ----------
    samples
        The shards of the ensemble, in the order of their days.
    settings
        The threshold in mm/day, or `auto` with the rain above which a cell is wet.
    paths
        Canonical fields of all years; `auto` compares with their rain.
    path
        The ensemble file to write.
    """
    with ExitStack() as stack:
        shards = [stack.enter_context(xr.open_dataset(file)) for file in samples]
        if settings.pixel_threshold == "auto":
            assert settings.wet_threshold is not None  # the slice has it with `auto`
            threshold = matching_threshold(shards, paths, settings.wet_threshold)
            log.info("pixel_threshold: auto is %.3g mm/day", threshold)
        else:
            threshold = settings.pixel_threshold
        write_above(shards, threshold, path)


def write_above(
    shards: Sequence[xr.Dataset], threshold: float, path: Path, attributes: dict[str, Any] | None = None
) -> None:
    """Write the ensemble with every cell below a threshold, in mm/day, set to 0; `attributes` are added to its own."""

    def thresholded() -> Iterator[np.ndarray]:
        for shard in shards:
            for start in range(0, shard.sizes["time"], DAYS_AT_ONCE):
                rain = shard.pr[start : start + DAYS_AT_ONCE].values
                yield from above(rain, threshold)

    days = xr.concat([shard.drop_vars("pr") for shard in shards], "time", coords="minimal", compat="override")
    attributes = {**shards[0].attrs, "pixel_threshold": float(threshold), **(attributes or {})}
    done = [shards[0].attrs.get("history", ""), f"rain below {threshold:.3g} mm/day set to 0"]
    attributes["history"] = "; ".join(filter(None, done))
    write_ensemble(path, days, shards[0].sizes["member"], thresholded(), attributes)


def above(rain: NDArray[np.float32], threshold: float) -> NDArray[np.float32]:
    """Set rain below a threshold to 0; both are in mm/day."""
    return np.where(rain < threshold, np.float32(0), rain)
