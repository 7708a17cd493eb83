"""Prepares damaged copies of small netCDF files, and says for each what came of it. Runs as a process of its own.

python mutations.py FOLDER FIRST STOP: for each seed a line with the seed, the kind of damage and the outcome, which is
`refused`, `right`, or the words of what is wrong.
"""

import sys
import tempfile
import traceback
from pathlib import Path

import numpy as np
import xarray as xr
from rawmakers import YEAR, coarse_file, rain_file, settings

from rainshaft.config.sections import PredictorFiles
from rainshaft.data import prepare
from rainshaft.data.sources import InputError

DAYS = 12
FORMATS = ("NETCDF3_CLASSIC", "NETCDF3_64BIT", "NETCDF3_64BIT_DATA", "NETCDF4", "NETCDF4", "NETCDF4")


def flip(raw, rng):
    for place in rng.integers(len(raw), size=rng.integers(1, 4)):
        raw[place] ^= 1 << int(rng.integers(8))
    return raw


def cut(raw, rng):
    return raw[: int(rng.integers(len(raw)))]


def blank(raw, rng):
    start, size = int(rng.integers(len(raw))), int(rng.integers(1, 2000))
    raw[start : start + size] = bytes(len(raw[start : start + size]))
    return raw


def insert(raw, rng):
    place = int(rng.integers(len(raw)))
    return raw[:place] + rng.bytes(int(rng.integers(1, 9))) + raw[place:]


def lose(raw, rng):
    place = int(rng.integers(len(raw)))
    return raw[:place] + raw[place + int(rng.integers(1, 9)) :]


def exchange(raw, rng):
    a, b = sorted(int(place) for place in rng.integers(len(raw), size=2))
    size = int(rng.integers(1, 500))
    one, other = raw[a : a + size], raw[b : b + size]
    if a + size <= b and len(other) == size:
        raw[a : a + size], raw[b : b + size] = other, one
    return raw


def prolong(raw, rng):
    return raw + rng.bytes(int(rng.integers(1, 5000)))


def early(raw, rng):
    """Damage the start of the file, where most of its structure is described."""
    raw[int(rng.integers(min(4000, len(raw))))] = int(rng.integers(256))
    return raw


DAMAGES = (flip, cut, blank, insert, lose, exchange, prolong, early, early, early)


def damaged(folder, rng):
    """Write rain and temperature, and damage one of them. Give the kind of damage and the damaged path."""
    names = {"pr": folder / "rain.nc", "tas": folder / "tas.nc"}
    for ds, path in zip((rain_file(), coarse_file()), names.values(), strict=True):
        ds, form = ds.isel(time=slice(DAYS)), FORMATS[rng.integers(len(FORMATS))]
        name = next(iter(ds.data_vars))
        compressed = {name: {"zlib": True, "fletcher32": bool(rng.integers(2))}}
        encoding = compressed if form == "NETCDF4" and rng.integers(2) else None
        ds.to_netcdf(
            path, engine="netcdf4", format=form, encoding=encoding, unlimited_dims=["time"] if rng.integers(2) else []
        )
    path = names[("pr", "tas")[rng.integers(2)]]
    damage = DAMAGES[rng.integers(len(DAMAGES))]
    path.write_bytes(damage(bytearray(path.read_bytes()), rng))
    return damage.__name__, names


def outcome(folder, rng):
    kind, names = damaged(folder, rng)
    tas = PredictorFiles(files=(str(names["tas"]),), variable="tas", quantity="temperature")
    configured = settings(folder, rain={"files": (str(names["pr"]),), "variable": "pr"})
    configured = configured.model_copy(update={"predictors": (tas,)})
    out = folder / "fields.nc"
    out.unlink(missing_ok=True)
    try:
        prepare.check_sources(configured, [YEAR])
        prepare.prepare_year(configured, YEAR, out)
    except InputError as error:
        if out.exists() or ("\n" in str(error).strip() and "expected" not in str(error)):
            return kind, f"refused, but {error}"
        return kind, "refused"
    except Exception:
        return kind, "no words: " + traceback.format_exc(limit=-3)
    return kind, compared(names, out)


def compared(names, out):
    """Compare the fields with what the netCDF library reads in these files, since the damage may be in the values."""
    with xr.open_dataset(out) as fields, xr.open_dataset(names["pr"]) as rain, xr.open_dataset(names["tas"]) as tas:
        days = fields.sizes["time"]
        empty = int((rain.pr.isnull().mean(["lat", "lon"]) > 0.2).sum())  # such days take no part, and the log says so
        if days < DAYS - empty - 2 or not set(fields.time.values) <= set(rain_file().time.values):
            return f"{days} days: {fields.time.values}"
        got = np.sort(fields.pr.values, axis=None)
        read = np.sort(rain.pr.sel(time=fields.time).values.clip(min=0), axis=None)
        if not np.allclose(got, read, rtol=1e-5, equal_nan=True):
            return f"other rain: {got[[0, -1]]} {read[[0, -1]]}"
        here = tas.tas.values[np.isfinite(tas.tas.values)]
        if not (here.min() - 1e-3 <= fields.predictors.min() and fields.predictors.max() <= here.max() + 1e-3):
            return "other temperatures"
    return "right"


if __name__ == "__main__":
    folder, first, stop = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    for seed in range(first, stop):
        with tempfile.TemporaryDirectory(dir=folder) as own:  # the netCDF library may still hold a damaged file open
            kind, words = outcome(Path(own), np.random.default_rng(seed))
            print(seed, kind, " | ".join(words.splitlines()), sep="\t", flush=True)
