"""Time and memory of an evaluation, against a plain pass over the file of the ensemble.

    python benchmarks/evaluation.py [YEARS]

One row is a year of 156 x 132 cells and 10 members, which the plain pass reads and averages. The other rows are 1
and YEARS (default 10) years of 64 x 64 cells and 10 members: their memory says whether a long record needs more than a
short one. Each row is a process of its own, so its memory is that of the imports and of this evaluation.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import scipy.ndimage
import xarray as xr

from rainshaft.config.sections import Evaluation
from rainshaft.data.fields import Fields
from rainshaft.evaluation.evaluate import evaluate
from rainshaft.files import write_ensemble, write_netcdf

MEMBERS, FACTOR = 10, 4


def rain(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Draw rain-like fields (..., H, W), mm/day."""
    noise = scipy.ndimage.gaussian_filter(rng.standard_normal(shape), (0,) * (len(shape) - 2) + (2, 2))
    return np.maximum(8 * np.exp(1.2 * noise / noise.std()) - 8, 0).astype(np.float32)


def write(folder: Path, years: int, height: int, width: int) -> None:
    """Write canonical fields of each year, and an ensemble whose days are all test days."""
    rng = np.random.default_rng(1)
    axes = {"lat": 30 - 0.05 * (np.arange(height) + 0.5), "lon": 75 + 0.05 * (np.arange(width) + 0.5)}
    coarse = {"y": axes["lat"].reshape(-1, FACTOR).mean(1), "x": axes["lon"].reshape(-1, FACTOR).mean(1)}
    times = []
    for year in range(2001, 2001 + years):
        dates = np.arange(f"{year}-01-01", f"{year + 1}-01-01", dtype="datetime64[D]").astype("datetime64[ns]")
        times.append(dates)
        truth = rain(rng, len(dates), height, width)
        blocks = truth.reshape(len(dates), 1, height // FACTOR, FACTOR, width // FACTOR, FACTOR).mean((3, 5))
        fields = xr.Dataset(
            {
                "pr": (("time", "lat", "lon"), truth),
                "predictors": (("time", "channel", "y", "x"), blocks),
                "context": (("time", "context_channel", "v", "u"), np.zeros((len(dates), 0, 1, 1), np.float32)),
                "valid": (("lat", "lon"), np.ones((height, width), np.int8)),
                "land": (("lat", "lon"), np.ones((height, width), np.int8)),
            },
            coords={"time": dates, **axes, **coarse, "v": [0.0], "u": [0.0], "channel": ["pr"]},
            attrs={"factor": FACTOR, "rain_channel": "pr", "grid_kind": "latitude/longitude"},
        )
        fields = fields.assign_coords(
            channel_units=("channel", ["mm/day"]),
            context_channel=("context_channel", np.array([], "<U1")),
            context_units=("context_channel", np.array([], "<U1")),
        )
        write_netcdf(fields, folder / f"{year}.nc")
    time_axis = np.concatenate(times)
    count = len(time_axis)
    days = xr.Dataset(coords={"time": time_axis, **axes}).assign_coords(
        split=("time", np.full(count, "test")), category=("time", np.full(count, "moderate"))
    )

    def members() -> Iterator[np.ndarray]:
        for _ in range(count):
            yield rain(rng, MEMBERS, height, width)

    write_ensemble(folder / "ensemble.nc", days, MEMBERS, members(), {"mode": "prior"})


def plain_pass(path: Path) -> float:
    """Read the ensemble a few days at a time, average it, and give the seconds."""
    started = time.perf_counter()
    with xr.open_dataset(path) as opened:
        for start in range(0, opened.sizes["time"], 16):
            opened["pr"][start : start + 16].values.mean()
    return time.perf_counter() - started


def child(folder: Path) -> None:
    """Evaluate, and print the seconds of both and the peak of memory."""
    reading = plain_pass(folder / "ensemble.nc")
    paths = sorted(folder.glob("2*.nc"))
    with Fields(paths) as fields:  # so that a fault of the files is not timed
        fields.require(fields.dates, "days")
    started = time.perf_counter()
    evaluate([folder / "ensemble.nc"], paths, Evaluation())
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{seconds:.1f} {reading:.2f} {peak:.0f}")


def main(years: int = 10) -> None:
    """Print a row for each size."""
    print("| record | seconds | seconds of a plain pass | ratio | peak memory, MB |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for count, height, width in ((1, 156, 132), (1, 64, 64), (years, 64, 64)):
        with tempfile.TemporaryDirectory() as folder:
            write(Path(folder), count, height, width)
            found = subprocess.run(
                [sys.executable, __file__, "--child", folder], capture_output=True, check=True, encoding="utf-8"
            ).stdout.split()
        seconds, reading, peak = map(float, found)
        words = f"{count} year{'s' if count > 1 else ''} of {height} x {width}, {MEMBERS} members"
        print(f"| {words} | {seconds:.1f} | {reading:.2f} | {seconds / reading:.0f} | {peak:.0f} |", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(Path(sys.argv[2]))
    else:
        main(*map(int, sys.argv[1:]))
