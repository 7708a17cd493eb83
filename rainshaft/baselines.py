"""What a user would pick instead of a model: bilinear interpolation, quantile mapping, RainFARM, analogs, climatology.

Inputs: canonical fields, for the first three with a channel of coarse rain, for the analogs with context, and the
statistics of the dataset.
Output: an ensemble file of the test days, rain in mm/day, that is scored just as the models are. Days are made one at
a time; the context of all of them is in memory for the analogs.

Shapes: h w the coarse grid, H W the fine grid (factor times as large), K members.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import itertools
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import netCDF4
import numpy as np
import xarray as xr
from numpy.typing import NDArray

from rainshaft import __version__, intensity
from rainshaft.errors import UserError
from rainshaft.files import CHUNK_BYTES, write_ensemble

Array = NDArray[np.floating]

SOURCES = {
    "bilinear": "bilinear interpolation of the coarse rain",
    "quantile-mapping": "bilinear interpolation, then quantile mapping to the rain of the training days",
    "rainfarm": "RainFARM (Rebora et al. 2006; D'Onofrio et al. 2014), pysteps",
    "analogs": "observed rain of the training days of the season with the nearest context (Zorita and von Storch 1999)",
    "climatology": "observed rain of random training days of the same season",
}
ENSEMBLES = ("rainfarm", "analogs", "climatology")  # the others have one member
SEASON = 45  # ASSUME days before and after a day of the year that make its season: three months, as is usual
RAINFARM_DRY = 0.1  # mm/day: RainFARM, a log-normal cascade, never is 0; below this it is taken as dry
RAINFARM_DAYS = 200  # training days from which the range of its spectral slope is taken
RAINFARM_SLOPE = 2.7  # ASSUME where no training day gives a slope: the median of daily rain over central India


def available(name: str) -> bool:
    """Whether a baseline can be made here: `rainfarm` needs pysteps."""
    return name != "rainfarm" or importlib.util.find_spec("pysteps") is not None


def make(
    name: str,
    fields: Sequence[Path],
    statistics: Path,
    path: Path,
    K: int,
    seed: int,
    config_fingerprint: str,
) -> None:
    """Write the ensemble file of a baseline for all test days.

    Parameters
    ----------
    name
        `bilinear`, `quantile-mapping` (one member), `rainfarm`, `analogs` or `climatology` (K members).
    fields
        Canonical fields of all years.
    statistics
        Statistics of the dataset: which days are for training and test.
    path
        The file to write.
    K
        Members of `rainfarm`, `analogs` and `climatology`.
    seed
        Seed of `rainfarm` and `climatology`; a member depends on seed, date and its number alone.
    config_fingerprint
        Written into the file.

    Raises
    ------
    UserError
        The dataset has no coarse rain for a baseline that refines it, or no context for the analogs, a day is not in
        the fields, pysteps is not installed, or there are fewer than K training days to choose members from.
    """
    if not available(name):
        raise UserError(f"baselines.names: {name} needs pysteps, which is not installed; install pysteps or remove it")
    with xr.open_dataset(statistics) as opened:
        known = opened[["valid", "context_mean", "context_std"]].load()
        known = known.assign_coords({c: opened[c].load() for c in ("split", "category")})
    if name == "analogs" and not known.sizes["context_channel"]:
        raise UserError(
            f"{statistics}: the dataset has no context by which analogs are found; give one of its predictors "
            "`context: true`, or take `analogs` out of baselines.names"
        )
    if name not in ("analogs", "climatology") and not known.attrs["rain_channel"]:
        raise UserError(
            f"{statistics}: the dataset has no coarse rain, which the baseline {name} refines; give one of its "
            f"predictors `quantity: rain`, or take `{name}` out of baselines.names"
        )
    days = _Days(fields, known)
    test = known.isel(time=np.flatnonzero(known["split"].values.astype(str) == "test"))
    members = K if name in ENSEMBLES else 1
    if name == "climatology":
        rain = days.observed(draw_of_season(days.time, days.split, K, seed))
    elif name == "analogs":
        rain = days.observed(analogs_of_season(days.context(), days.time, days.split, K))
    else:
        rain = _refined(name, days, K, seed)
    masked = (np.where(days.valid, fine, np.nan).astype(np.float32) for fine in rain)
    attributes = {
        "source": f"rainshaft baseline: {SOURCES[name]}",
        "mode": "baseline",
        "seed": seed,
        "config_fingerprint": config_fingerprint,
        "rainshaft_version": __version__,
    }
    write_ensemble(path, test, members, masked, attributes)


def _refined(name: str, days: _Days, K: int, seed: int) -> Iterator[Array]:
    """Coarse rain of each test day as a baseline refines it: (member, H, W)."""
    if name == "quantile-mapping":
        transfer = fit_quantile_mapping(days)
    elif name == "rainfarm":
        slopes = _slopes(days)
    for date, coarse in days.coarse("test"):
        if name == "rainfarm":
            yield np.stack([rainfarm(coarse, days.factor, slopes, (seed, date, k)) for k in range(K)])
        else:
            fine = bilinear(coarse, days.factor)[None]
            yield np.interp(fine, intensity.EDGES, transfer) if name == "quantile-mapping" else fine


class _Days:
    """The days of the canonical fields, one at a time; those of a split in the order of the statistics."""

    def __init__(self, fields: Sequence[Path], known: xr.Dataset):
        self.valid = known["valid"].values.astype(bool)
        self.factor = int(known.attrs["factor"])
        self.rain_channel = known.attrs["rain_channel"]
        self._dates = np.array(_dates(known))
        self.split = known["split"].values.astype(str)
        self.time = known["time"]
        self._context_std = known["context_std"].broadcast_like(known["context_mean"]).values.astype(np.float32)
        self._where: dict[str, tuple[Path, int]] = {}
        for path in fields:
            with xr.open_dataset(path) as source:
                self._where |= {date: (path, i) for i, date in enumerate(_dates(source))}

    def coarse(self, split: str) -> Iterator[tuple[int, Array]]:
        """Date as a number YYYYMMDD, and coarse rain (h, w)."""
        for date, source, i in self._each(split):
            values = source["predictors"][i].sel(channel=self.rain_channel).values.astype(np.float64)
            if not np.isfinite(values).all():
                raise UserError(
                    f"{source.encoding['source']}: the coarse rain of {date} has NaN; expected a value everywhere"
                )
            yield int(date.replace("-", "")), values

    def truth(self, split: str) -> Iterator[Array]:
        """Observed rain at the valid cells (N,)."""
        for _, source, i in self._each(split):
            values = source["pr"][i].values[self.valid]
            yield values[np.isfinite(values)]

    def observed(self, chosen: Iterator[NDArray[np.intp]]) -> Iterator[Array]:
        """Observed rain (K, H, W) of the training days chosen for each test day, by their places in `time`."""
        self._dates_of("train")  # all of them are there
        rain = {}
        with contextlib.ExitStack() as stack:  # a member may be in any file: all stay open
            for path in {path for path, _ in self._where.values()}:
                rain[path] = stack.enter_context(netCDF4.Dataset(path))["pr"]
                rain[path].set_auto_mask(False)
                rain[path].set_var_chunk_cache(CHUNK_BYTES)  # netCDF's own 64 MB a file would hold the whole record
            for places in chosen:
                yield np.stack([rain[path][i] for path, i in (self._where[date] for date in self._dates[places])])

    def context(self) -> Array:
        """Context of training and test days over its standard deviation (T, F); zeros for the other days."""
        scaled = np.zeros((len(self._dates), self._context_std.size), np.float32)
        for part in ("train", "test"):
            for place, (_, source, i) in zip(np.flatnonzero(self.split == part), self._each(part), strict=True):
                scaled[place] = (source["context"][i].values / self._context_std).ravel()
        return scaled

    def _each(self, split: str) -> Iterator[tuple[str, xr.Dataset, int]]:
        dates = self._dates_of(split)
        for path, days in itertools.groupby(dates, key=lambda date: self._where[date][0]):
            with xr.open_dataset(path) as source:
                for date in days:
                    yield date, source, self._where[date][1]

    def _dates_of(self, split: str) -> NDArray[np.str_]:
        """The days of a split; a UserError where the fields lack one of them."""
        dates = self._dates[self.split == split]
        if missing := [date for date in dates if date not in self._where]:
            raise UserError(f"{len(missing)} {split} days are not in the fields, first: {missing[0]}; prepare its year")
        return dates


def _dates(source: xr.Dataset) -> list[str]:
    return list(source.indexes["time"].strftime("%Y-%m-%d"))


def draw_of_season(time: xr.DataArray, split: NDArray[np.str_], K: int, seed: int) -> Iterator[NDArray[np.intp]]:
    """Draw for each test day K different training days of its season.

    Parameters
    ----------
    time, split, K
        As in `of_season`.
    seed
        What is drawn for a day depends on seed, date and the training days alone; more days begin with the fewer.

    Yields
    ------
    Places in `time` (K,), in random order.
    """
    dates = time.dt.strftime("%Y%m%d").values.astype(int)
    for i, season in of_season(time, split, K):
        yield np.random.default_rng([seed, dates[i]]).permutation(season)[:K]


def analogs_of_season(
    context: Array, time: xr.DataArray, split: NDArray[np.str_], K: int
) -> Iterator[NDArray[np.intp]]:
    """Choose for each test day the K training days of its season whose context is nearest (Zorita and von Storch 1999).

    Parameters
    ----------
    context
        (T, F), over the standard deviation of each field; distances are Euclidean.
    time, split, K
        As in `of_season`.

    Yields
    ------
    Places in `time` (K,), the nearest first.
    """
    for i, season in of_season(time, split, K):
        distance = np.linalg.norm(context[season] - context[i], axis=1)
        yield season[np.argsort(distance, kind="stable")[:K]]


def of_season(time: xr.DataArray, split: NDArray[np.str_], K: int) -> Iterator[tuple[int, NDArray[np.intp]]]:
    """Find for each test day the training days of its season.

    The season is `SEASON` days either way in the day of the year, over the turn of the year too. Where it has fewer
    than K training days, all training days take part.

    Parameters
    ----------
    time
        Days of any calendar (T,).
    split
        `train`, `validation`, `test` or `unused` (T,).
    K
        Days that will be chosen.

    Yields
    ------
    Place of the test day in `time`, and those of the training days.

    Raises
    ------
    UserError
        There are fewer than K training days.
    """
    day, length = time.dt.dayofyear.values, time.dt.days_in_year.values
    train = np.flatnonzero(split == "train")
    if len(train) < K:
        raise UserError(
            f"baselines.K: found {K}, but the record has only {len(train)} training days, and each member of analogs "
            "and climatology is another one; lower K, train on more days, or take the two out of baselines.names"
        )
    for i in np.flatnonzero(split == "test"):
        apart = np.abs(day[train] - day[i])
        circle = np.where(day[train] > day[i], length[train], length[i])  # of the year at whose end the two meet
        season = train[np.minimum(apart, circle - apart) <= SEASON]
        yield int(i), season if len(season) >= K else train


def bilinear(coarse: Array, factor: int) -> Array:
    """Bilinear interpolation from cell centres to cell centres; outside the outermost centres the value is kept.

    The same as `torch.nn.functional.interpolate(mode="bilinear", align_corners=False)`.

    Parameters
    ----------
    coarse
        (h, w).
    factor
        Fine cells along one side of a coarse cell.

    Returns
    -------
    (h * factor, w * factor).
    """

    def weights(cells: int) -> Array:
        centre = np.clip((np.arange(cells * factor) + 0.5) / factor - 0.5, 0, cells - 1)
        return np.maximum(0, 1 - np.abs(centre[:, None] - np.arange(cells)))

    rows, columns = coarse.shape
    return weights(rows) @ coarse @ weights(columns).T


def fit_quantile_mapping(days: _Days) -> Array:
    """Fit empirical quantile mapping from bilinear to observed rain, on the training days, all valid cells pooled.

    Returns
    -------
    The mapped value at each of `intensity.EDGES`, mm/day, to interpolate between.
    """
    smooth = np.zeros(len(intensity.EDGES) - 1)
    truth = np.zeros_like(smooth)
    for _, coarse in days.coarse("train"):
        smooth += intensity.histogram(bilinear(coarse, days.factor)[days.valid])
    for rain in days.truth("train"):
        truth += intensity.histogram(rain)
    return quantile_transfer(smooth, truth)


def quantile_transfer(source: Array, target: Array) -> Array:
    """Map each edge of the bins to the target's value at the same quantile (Panofsky and Brier 1968).

    As many cells stay dry as in the target, or all that are 0 in the source if those are more. Above the largest
    value of the source the correction is its factor there.

    Parameters
    ----------
    source, target
        Counts in the bins of `intensity`.
    """
    top_source, top_target = (intensity.EDGES[np.flatnonzero(counts).max() + 1] for counts in (source, target))
    mapped = intensity.quantile(target, intensity.cumulative(source))
    return np.where(top_source > intensity.EDGES, mapped, top_target * intensity.EDGES / top_source)


def rainfarm(coarse: Array, factor: int, slopes: Array, key: tuple[int, ...]) -> Array:
    """Draw a RainFARM member: a log-normal field with the spectral slope of the coarse rain, carrying its mass.

    pysteps takes domains that are not square and any whole factor. Smoothed with its Gaussian kernel, so that
    coarse cells leave no edges; then every coarse cell is scaled to its mass.

    Parameters
    ----------
    coarse
        (h, w), mm/day.
    factor
        Fine cells along one side of a coarse cell.
    slopes
        Least, usual and largest spectral slope. The day's own is used within these bounds, the usual one where
        the day gives none.
    key
        Seed of the member.
    """
    if not coarse.any():
        return np.zeros((coarse.shape[0] * factor, coarse.shape[1] * factor))
    least, usual, largest = slopes
    slope = spectral_slope(coarse)
    slope = float(np.clip(slope, least, largest)) if np.isfinite(slope) else usual
    with _quiet_and_seeded(key):
        fine = _pysteps_downscale()(coarse, factor, alpha=slope, kernel_type="gaussian")
    fine[fine < RAINFARM_DRY] = 0
    h, w = coarse.shape
    mass = fine.reshape(h, factor, w, factor).mean((1, 3))
    # A coarse cell with no fine cell above the threshold stays dry: its rain is below the threshold itself.
    scale = np.divide(coarse, mass, out=np.zeros_like(coarse), where=mass > 0)
    return fine * np.kron(scale, np.ones((factor, factor)))


def spectral_slope(coarse: Array) -> float:
    """Spectral slope of coarse rain as pysteps estimates it; NaN where it cannot (even fields, a few cells)."""
    with _quiet_and_seeded((0,)):
        try:
            return float(_pysteps_downscale()(coarse, 1, return_alpha=True)[1])
        except (TypeError, ValueError, np.linalg.LinAlgError):  # no wavenumber is left to fit
            return float("nan")


def _slopes(days: _Days) -> Array:
    """5th, 50th and 95th percentile of the slopes of training days: one day's fit to a few wavenumbers is noisy."""
    every = max(1, int((days.split == "train").sum()) // RAINFARM_DAYS)
    slopes = [spectral_slope(c) for _, c in itertools.islice(days.coarse("train"), 0, None, every) if c.any()]
    finite = [s for s in slopes if np.isfinite(s) and s > 0]
    return np.percentile(finite, [5, 50, 95]) if finite else np.full(3, RAINFARM_SLOPE)


def _pysteps_downscale():
    with contextlib.redirect_stdout(io.StringIO()):  # pysteps greets on import
        from pysteps.downscaling.rainfarm import downscale
    return downscale


@contextlib.contextmanager
def _quiet_and_seeded(key: tuple[int, ...]) -> Iterator[None]:
    """Seed NumPy's global generator, which pysteps uses, and put it back afterwards; no numerical warnings."""
    before = np.random.get_state()
    np.random.seed(np.random.SeedSequence(key).generate_state(4))
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            yield
    finally:
        np.random.set_state(before)
