"""Rate and memory of an application of the workflow, against the rate at which the disk takes its files.

    python benchmarks/application.py RESULTS APPLICATION

It reads what Snakemake noted of the jobs `downscale_year` and `finish_year`, and the sizes of their files. Then it
writes 500 MB of random bytes beside the results, with fsync, to see what the disk takes.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import numpy as np
import xarray as xr

PROBE_BYTES = 500_000_000


def disk_rate(folder: Path) -> float:
    """Measure the bytes a second that the disk takes."""
    probe, content = folder / ".probe", os.urandom(PROBE_BYTES)
    started = time.monotonic()
    with probe.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    seconds = time.monotonic() - started
    probe.unlink()
    return PROBE_BYTES / seconds


def main(results: Path, application: str) -> None:
    """Print the table."""
    jobs = {}
    for rule in ("downscale_year", "finish_year"):
        notes = sorted((results / "benchmarks" / rule / application).glob("*.jsonl"))
        jobs[rule] = [json.loads(path.read_text(encoding="utf-8")) for path in notes]
    files = sorted((results / "applications" / application / "rain").glob("*.nc"))
    size = sum(path.stat().st_size for path in files)
    with xr.open_dataset(files[0]) as first:
        days, members, rows, columns = (first.sizes[name] for name in ("time", "member", "lat", "lon"))
    count = len(files) * days * members
    print(f"{len(files)} years, some {count:,} members of {rows} x {columns} cells, {size / 1e9:.2f} GB")
    print(f"compressed to {size / (count * rows * columns * 4):.2f} of the bytes in memory")
    disk = disk_rate(results)
    for rule, found in jobs.items():
        seconds = np.array([job["s"] for job in found])
        peak = np.array([job["max_rss"] for job in found])
        rate = size / seconds.sum()
        print(
            f"{rule}: {len(found)} jobs, {count / seconds.sum():,.0f} members/s of a job, {rate / 1e6:.1f} MB/s, "
            f"{rate / disk:.3f} of what the disk takes ({disk / 1e6:.0f} MB/s); peak memory {peak.min():.0f} to "
            f"{peak.max():.0f} MB, last against first tenth {peak[-10:].mean() / peak[:10].mean():.2f}"
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
