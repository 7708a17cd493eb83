"""Time of `rainshaft check` for records of more and more files, against the time to open these files.

    python benchmarks/check.py [YEARS]

Each year has seven files: rain of 40 x 48 cells and six coarse predictors. The last row has YEARS years (default 40).
Each row is from a process of its own, so its seconds hold the imports too.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import netCDF4
import numpy as np
import xarray as xr
import yaml

PREDICTORS = {"tp": "mm/day", "tas": "K", "huss": "1", "psl": "Pa", "uas": "m s-1", "vas": "m s-1"}
FACTOR = 8


def write(path: Path, name: str, units: str, year: int, values: np.ndarray, cell: float) -> None:
    """Write one variable of one year."""
    height, width = values.shape[1:]
    coords = {
        "time": np.arange(f"{year}-01-01", f"{year + 1}-01-01", dtype="datetime64[D]").astype("datetime64[ns]"),
        "lat": ("lat", 50 - cell * (np.arange(height) + 0.5), {"units": "degrees_north"}),
        "lon": ("lon", 5 + cell * (np.arange(width) + 0.5), {"units": "degrees_east"}),
    }
    data = xr.DataArray(values.astype("f4"), coords, ("time", "lat", "lon"), attrs={"units": units})
    data.to_dataset(name=name).to_netcdf(path)


def make(folder: Path, years: range) -> None:
    """Write seven files a year."""
    rng = np.random.default_rng(1)
    for year in years:
        days = 366 if year % 4 == 0 else 365
        rain = rng.gamma(0.3, 10, (days, 5 * FACTOR, 6 * FACTOR))
        write(folder / f"pr_{year}.nc", "pr", "mm/day", year, rain, 0.1)
        coarse = rain.reshape(days, 5, FACTOR, 6, FACTOR).mean((2, 4))
        for name, units in PREDICTORS.items():
            values = coarse if name == "tp" else 280 + rng.normal(0, 5, coarse.shape)
            write(folder / f"{name}_{year}.nc", name, units, year, values, 0.1 * FACTOR)


def configuration(folder: Path, years: range) -> Path:
    """Write a configuration for some of the years."""
    quantities = {"tp": "rain", "tas": "temperature"}
    predictors = [
        {"files": [f"{folder}/{name}_{{year}}.nc"], "variable": name, "quantity": quantities.get(name, "other")}
        for name in PREDICTORS
    ]
    dataset = {
        "years": list(years),
        "factor": FACTOR,
        "rain": {"files": [f"{folder}/pr_{{year}}.nc"], "variable": "pr"},
        "predictors": predictors,
        "split": {"by": "blocks"},
    }
    content = {
        "datasets": {"record": dataset},
        "experiments": {"first": {"dataset": "record", "train": {"flips": False}}},
    }
    path = folder / f"{len(years)}.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


def opening(folder: Path, years: range) -> float:
    """Seconds to open the files of these years, with nothing else."""
    started = time.monotonic()
    for year in years:
        for name in ("pr", *PREDICTORS):
            netCDF4.Dataset(folder / f"{name}_{year}.nc").close()
    return time.monotonic() - started


def main() -> None:
    """Print the table."""
    most = int(sys.argv[1]) if len(sys.argv) > 1 else 40
    first = None
    print("| years | files | check, s | ratio | opening, s |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make(folder, range(2001, 2001 + most))
        for count in sorted({1, most // 4, most // 2, most} - {0}):
            years = range(2001, 2001 + count)
            path = configuration(folder, years)
            code = f"import sys; from rainshaft.cli import main; sys.exit(main(['check', {str(path)!r}]))"
            started = time.monotonic()
            subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)
            seconds = time.monotonic() - started
            first = first or seconds
            opened = opening(folder, years)
            print(f"| {count} | {7 * count} | {seconds:.1f} | {seconds / first:.2f} | {opened:.2f} |", flush=True)


if __name__ == "__main__":
    main()
