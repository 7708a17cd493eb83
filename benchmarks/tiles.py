"""Memory and time of drawing members of one large day in tiles, against drawing it whole.

    python benchmarks/tiles.py [SIDE]

The network is the default one with fresh weights. It draws 4 members of one day of SIDE x SIDE cells (default 1024)
with factor 8. Each row is from a process of its own, whose peak memory is counted beyond what it had before.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import time

FACTOR, MEMBERS = 8, 4


def measure(side: int, tile: int) -> tuple[float, float]:
    """Measure memory in MB and seconds of one draw."""
    import numpy as np
    import xarray as xr

    from rainshaft.config.sections import Model
    from rainshaft.config.slices import DrawSettings
    from rainshaft.models.kinds import build_model
    from rainshaft.sampling.draw import draw

    rng = np.random.default_rng(0)
    coarse = rng.gamma(0.5, 8, (1, 1, side // FACTOR, side // FACTOR)).astype("f4")
    maps = xr.Dataset(
        {
            "channel_mean": ("channel", np.zeros(1, "f4")),
            "channel_std": ("channel", np.ones(1, "f4")),
            "context_mean": (("context_channel", "v", "u"), np.empty((0, 0, 0), "f4")),
            "context_std": ("context_channel", np.empty(0, "f4")),
            "rain_log_std": 1.0,
            "static_maps": (("static", "lat", "lon"), np.zeros((1, side, side), "f4")),
            "valid": (("lat", "lon"), np.ones((side, side), "i1")),
        },
        {"channel": ["pr"], "context_channel": np.empty(0, str), "static": ["elevation"]},
        {"rain_channel": "pr", "factor": FACTOR},
    )
    days = xr.Dataset(
        {
            "predictors": (("time", "channel", "y", "x"), coarse),
            "context": (("time", "context_channel", "v", "u"), np.empty((1, 0, 0, 0), "f4")),
        },
        {"time": np.array(["2014-04-11"], "M8[ns]")},
    )
    model = build_model(Model(), maps, 1).eval()
    settings = DrawSettings(seed=1, members=MEMBERS, temperature=1.0, tile=tile, device="cpu")
    few, fine = slice(FACTOR), slice(FACTOR**2)
    small, its_maps = days.isel(y=few, x=few), maps.isel(lat=fine, lon=fine)
    draw(model, small, its_maps, "prior", settings, [1])  # so that what is loaded once is not counted
    before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
    draw(model, days, maps, "prior", settings, [1])
    seconds = time.monotonic() - started
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024, seconds


def main() -> None:
    """Print the table."""
    side = int(sys.argv[1]) if len(sys.argv) > 1 else 1024
    whole = None
    print("| tile | memory MB | s | memory / whole | s / whole |\n|---|---|---|---|---|")
    for tile in (side, 512, 256, 128):
        code = f"import runpy; print(*runpy.run_path({__file__!r})['measure']({side}, {tile}))"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, encoding="utf-8")
        memory, seconds = map(float, done.stdout.split())
        whole = whole or (memory, seconds)
        row = f"{memory:.0f} | {seconds:.1f} | {memory / whole[0]:.2f} | {seconds / whole[1]:.2f}"
        print(f"| {'whole' if tile == side else tile} | {row} |")


if __name__ == "__main__":
    main()
