"""RainFARM (Rebora et al. 2006; D'Onofrio et al. 2014), through pysteps."""

from __future__ import annotations

import contextlib
import io
import itertools
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from rainshaft.baselines.interface import Array, Method
from rainshaft.data.conventions import TEST, TRAIN

if TYPE_CHECKING:
    from rainshaft.baselines.days import Days

RAINFARM_DRY = 0.1  # mm/day: RainFARM, a log-normal cascade, never is 0; below this it is taken as dry

RAINFARM_DAYS = 200  # training days from which the range of its spectral slope is taken

RAINFARM_SLOPE = 2.7  # ASSUME where no training day gives a slope: the median of daily rain over central India


def make(days: Days, members: int, seed: int) -> Iterator[Array]:
    """Draw members of each test day; a member depends on seed, date and its number alone."""
    slopes = range_of_slopes(days)
    for date, coarse in days.coarse(TEST):
        yield np.stack([rainfarm(coarse, days.factor, slopes, (seed, date, m)) for m in range(members)])


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


def range_of_slopes(days: Days) -> Array:
    """5th, 50th and 95th percentile of the slopes of training days: one day's fit to a few wavenumbers is noisy."""
    every = max(1, int((days.split == TRAIN).sum()) // RAINFARM_DAYS)
    slopes = [spectral_slope(c) for _, c in itertools.islice(days.coarse(TRAIN), 0, None, every) if c.any()]
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


METHOD = Method(
    source="RainFARM (Rebora et al. 2006; D'Onofrio et al. 2014), pysteps",
    make=make,
    needs="coarse rain",
    is_ensemble=True,
    package="pysteps",
)
