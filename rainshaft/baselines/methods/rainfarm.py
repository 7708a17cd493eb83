"""RainFARM (Rebora et al. 2006; D'Onofrio et al. 2014), through pysteps."""

from __future__ import annotations

import contextlib
import io
import itertools
import warnings
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from rainshaft.baselines.interface import SCORED, Method
from rainshaft.data.conventions import TRAIN
from rainshaft.histogram import Array

if TYPE_CHECKING:
    from rainshaft.baselines.days import DaysBySplit

RAINFARM_DRY = 0.1  # mm/day; a log-normal field is nowhere 0, so rain below this counts as dry
RAINFARM_DAYS = 200  # training days, or up to twice as many, that give the range of its spectral slope
RAINFARM_SLOPE = 2.7  # ASSUME where no training day gives a slope: the median of daily rain over central India


def make(days: DaysBySplit, members: int, seed: int) -> Iterator[Array]:
    """Draw the members of each scored day. A member depends on the seed, the date and its number alone."""
    slopes = range_of_slopes(days)
    for date, coarse in days.coarse_rain(*SCORED):
        yield np.stack([rainfarm(coarse, days.factor, slopes, (seed, date, m)) for m in range(members)])


def rainfarm(coarse: Array, factor: int, slopes: Array, key: tuple[int, ...]) -> Array:
    """Draw a RainFARM member: a log-normal field with the spectral slope and the mass of the coarse rain.

    pysteps smooths the field with a Gaussian kernel, so that coarse cells leave no edges. Then every coarse cell is
    scaled to its mass. The domain need not be square, and the factor may be any whole number.

    Parameters
    ----------
    coarse
        (h, w), mm/day.
    factor
        Fine cells along one side of a coarse cell.
    slopes
        Least, usual and largest spectral slope. The slope of the day is kept within these bounds. Where the day gives
        none, the usual one is used.
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
    # A coarse cell without a fine cell above the threshold stays dry: its own rain is below the threshold.
    scale = np.divide(coarse, mass, out=np.zeros_like(coarse), where=mass > 0)
    return fine * np.kron(scale, np.ones((factor, factor)))


def spectral_slope(coarse: Array) -> float:
    """Estimate the spectral slope of coarse rain with pysteps. NaN where it cannot: even fields, a few cells."""
    with _quiet_and_seeded((0,)):
        try:
            return float(_pysteps_downscale()(coarse, 1, return_alpha=True)[1])
        except (TypeError, ValueError, np.linalg.LinAlgError):  # no wavenumber is left to fit
            return float("nan")


def range_of_slopes(days: DaysBySplit) -> Array:
    """Take the 5th, 50th and 95th percentile of the slopes of training days.

    The slope of one day is a fit to a few wavenumbers, and noisy. So it is kept within this range.
    """
    every = max(1, int((days.split == TRAIN).sum()) // RAINFARM_DAYS)
    slopes = [spectral_slope(c) for _, c in itertools.islice(days.coarse_rain(TRAIN), 0, None, every) if c.any()]
    finite = [s for s in slopes if np.isfinite(s) and s > 0]
    return np.percentile(finite, [5, 50, 95]) if finite else np.full(3, RAINFARM_SLOPE)


def _pysteps_downscale() -> Callable[..., Any]:
    """Import RainFARM without the greeting of pysteps."""
    with contextlib.redirect_stdout(io.StringIO()):
        from pysteps.downscaling.rainfarm import downscale
    return downscale


@contextlib.contextmanager
def _quiet_and_seeded(key: tuple[int, ...]) -> Iterator[None]:
    """Seed the global generator of NumPy, which pysteps uses, and restore it afterwards. Hide numerical warnings."""
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
