"""Memory and time of `prepare_year` for records of real size, against what the workflow asks for and the plain way.

    python benchmarks/prepare.py [FOLDER]

It writes two records of rain with a coarse predictor into FOLDER (6 GB, removed at the end): 40 years of 156 x 132
cells in one file, and 3 years of 600 x 1400 cells in a file a year. It prepares one year of each in its own process. It
prints the peak of the memory as a share of `mem_mb` of the rule, and the time as a multiple of the time that xarray
needs to read that year once.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import netCDF4
import numpy as np

ROOT = Path(__file__).resolve().parents[1]
RECORDS = {
    "40 years of 156 x 132": (range(1981, 2021), 156, 132),
    "3 years of 600 x 1400": (range(2001, 2004), 600, 1400),
}
FACTOR = 12

WORK = """
import json, resource, sys, time
from rainshaft.config.slices import PrepareSettings
from rainshaft.data.prepare import prepare_year
import xarray as xr
settings, year, out = PrepareSettings(**json.loads(sys.argv[1])), int(sys.argv[2]), sys.argv[3]
start = time.perf_counter()
prepare_year(settings, year, out)
seconds = time.perf_counter() - start
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
start = time.perf_counter()
with xr.open_dataset(settings.rain.files[0].replace("{year}", str(year))) as raw:
    float(raw.pr.sel(time=str(year)).max())
print(json.dumps([peak, seconds / (time.perf_counter() - start)]))
"""


def write(path: Path, years: range, name: str, shape: tuple[int, int], size: float) -> None:
    """Write daily rain in mm/day, a day at a time."""
    rng = np.random.default_rng(1)
    with netCDF4.Dataset(path, "w") as file:
        days = (np.datetime64(f"{years[-1] + 1}-01-01") - np.datetime64(f"{years[0]}-01-01")).astype(int)
        for dim, length in zip(("time", "lat", "lon"), (None, *shape), strict=True):
            file.createDimension(dim, length)
        time, lat, lon = (file.createVariable(dim, "f8", (dim,)) for dim in ("time", "lat", "lon"))
        time.units, lat.units, lon.units = f"days since {years[0]}-01-01", "degrees_north", "degrees_east"
        time[:], lat[:] = np.arange(days), 45 - size * (np.arange(shape[0]) + 0.5)
        lon[:] = size * (np.arange(shape[1]) + 0.5)
        rain = file.createVariable(name, "f4", ("time", "lat", "lon"))
        rain.units = "mm/day"
        pattern = rng.gamma(0.3, 20, shape).astype("f4")
        for day in range(days):
            rain[day] = pattern * rng.gamma(0.5, 2)


def main() -> None:
    """Write the records, prepare a year of each, and print the ratios."""
    rule = (ROOT / "workflow/rules/data.smk").read_text(encoding="utf-8").split("rule prepare_year:")[1]
    allowed = int(re.search(r"mem_mb=growing\((\d+)\)", rule)[1])
    with tempfile.TemporaryDirectory(dir=sys.argv[1] if len(sys.argv) > 1 else None) as folder:
        for words, (years, rows, columns) in RECORDS.items():
            here = Path(folder) / words.replace(" ", "-")
            here.mkdir()
            one_file = len(years) > 10
            parts = [years] if one_file else [range(year, year + 1) for year in years]
            for part in parts:
                mark = "" if one_file else f"_{part[0]}"
                write(here / f"rain{mark}.nc", part, "pr", (rows, columns), 0.05)
                write(here / f"coarse{mark}.nc", part, "tp", (rows // FACTOR, columns // FACTOR), 0.05 * FACTOR)
            mark = "" if one_file else "_{year}"
            settings = {
                "factor": FACTOR,
                "rain": {"files": [str(here / f"rain{mark}.nc")], "variable": "pr"},
                "predictors": [{"files": [str(here / f"coarse{mark}.nc")], "variable": "tp"}],
                "elevation": None,
                "land": None,
            }
            command = [sys.executable, "-c", WORK, json.dumps(settings), str(years[-1]), str(here / "fields.nc")]
            peak, ratio = json.loads(
                subprocess.run(command, check=True, capture_output=True, text=True, encoding="utf-8").stdout
            )
            print(f"{words}: peak {peak / allowed:.2f} of mem_mb ({peak:.0f} MB), {ratio:.1f} times one reading")


if __name__ == "__main__":
    main()
