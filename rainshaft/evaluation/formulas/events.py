"""Events, which are rain of a threshold or more: where they are, and how probable the members make them.

Pure functions of arrays; rain in mm/day.

Shapes: M members, N cells, H W fine grid.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

from rainshaft.evaluation.formulas import Array, BoolArray


def neighbourhood_fractions(probability: Array, cells: BoolArray, scale: int) -> Array:
    """Average a field (H, W) over the valid cells of the square window around each valid cell; 0 at other cells."""
    inside = uniform_filter(np.where(cells, probability, 0.0), scale, mode="constant")
    share = uniform_filter(cells.astype(np.float64), scale, mode="constant")
    return np.divide(inside, share, out=np.zeros_like(inside), where=cells)


def fractions_errors(
    members: Array, truth: Array, cells: BoolArray, thresholds: Sequence[float], scales: Sequence[int]
) -> tuple[Array, Array]:
    """Compute the two sums of the fractions skill score, FSS = 1 - error / reference (Roberts and Lean 2008).

    The forecast is the neighbourhood ensemble probability (Schwartz et al. 2010): the fraction of the window that
    reaches the threshold, averaged over the members. A window may reach beyond the domain or over cells that are not
    valid. It averages the valid cells in it.

    Parameters
    ----------
    members
        (M, H, W) without NaN.
    truth
        (H, W) without NaN.
    cells
        (H, W), the valid cells.
    thresholds, scales
        Rain in mm/day, and sides of the windows in cells.

    Returns
    -------
    error, reference
        (thresholds, scales): sums of (P - O)^2 and of P^2 + O^2 over the valid cells.
    """
    error = np.empty((len(thresholds), len(scales)))
    reference = np.empty_like(error)
    for i, threshold in enumerate(thresholds):
        probability, observed = (members >= threshold).mean(axis=0), (truth >= threshold).astype(np.float64)
        for j, scale in enumerate(scales):
            p = neighbourhood_fractions(probability, cells, scale)
            o = neighbourhood_fractions(observed, cells, scale)
            error[i, j], reference[i, j] = ((p - o) ** 2).sum(), (p**2 + o**2).sum()
    return error, reference


def event_counts(members: Array, truth: Array, thresholds: Sequence[float]) -> NDArray[np.int64]:
    """Count the cells by the number of members that reach a threshold, and by whether the truth does.

    All scores of an event follow from these counts, and the counts of days add up.

    Parameters
    ----------
    members
        (M, N).
    truth
        (N,).
    thresholds
        Rain in mm/day.

    Returns
    -------
    (thresholds, M + 1, 2): cells by members that reach it, and by whether the truth does not or does.
    """
    size = len(members) + 1
    counts = np.empty((len(thresholds), size, 2), np.int64)
    for i, threshold in enumerate(thresholds):
        above = np.count_nonzero(members >= threshold, axis=0)
        counts[i] = np.bincount(2 * above + (truth >= threshold), minlength=2 * size).reshape(size, 2)
    return counts


def brier_score(counts: Array) -> Array:
    """Fair Brier score (Ferro 2014), from the counts of `event_counts`. With one member it is the share of errors.

    The mean of (i/M - o)^2 less i (M - i) / (M^2 (M - 1)), for i of M members that reach the threshold. So its
    expectation does not depend on the number of members.

    Parameters
    ----------
    counts
        (..., M + 1, 2).

    Returns
    -------
    (...): 0 is perfect. NaN without cells.
    """
    members = counts.shape[-2] - 1
    above = np.arange(members + 1)
    unfair = above * (members - above) / (members**2 * max(1, members - 1))
    cost = np.stack([(above / members) ** 2, (above / members - 1) ** 2], axis=-1) - unfair[:, None]
    return _ratio((counts * cost).sum(axis=(-2, -1)), counts.sum(axis=(-2, -1)))


def brier_skill(counts: Array) -> Array:
    """Fair Brier skill score against the observed frequency of these cells: 1 is perfect, 0 no better than it.

    The observed frequency is that of all cells and days together. So it gives skill to the knowledge that it rains more
    in some places and seasons (Hamill and Juras 2006). NaN where the event is never or always observed.
    """
    uncertainty = brier_decomposition(counts)[2]
    return 1 - _ratio(brier_score(counts), uncertainty)


def brier_decomposition(counts: Array) -> tuple[Array, Array, Array]:
    """Split the Brier score into reliability - resolution + uncertainty (Murphy 1973).

    The classes are the M + 1 probabilities that M members can give. So the sum is exactly the Brier score, not the fair
    one.

    Parameters
    ----------
    counts
        (..., M + 1, 2), of `event_counts`.

    Returns
    -------
    reliability, resolution, uncertainty
        (...): reliability 0 is good, and a high resolution is. A reliable ensemble of M members has a reliability above
        0, because M members give its probability with an error. NaN without cells.
    """
    probability, observed, cases = reliability_curve(counts)
    frequency = _ratio(counts[..., 1].sum(axis=-1), counts.sum(axis=(-2, -1)))
    share = _ratio(cases, cases.sum(axis=-1, keepdims=True))
    met = np.where(cases > 0, observed, 0.0)
    reliability = (share * (probability - met) ** 2).sum(axis=-1)
    resolution = (share * (met - frequency[..., None]) ** 2).sum(axis=-1)
    return reliability, resolution, frequency * (1 - frequency)


def reliability_curve(counts: Array) -> tuple[Array, Array, Array]:
    """Give the points of the reliability diagram, from the counts of `event_counts` (..., M + 1, 2).

    Returns
    -------
    probability
        (M + 1,): the share of members that reach the threshold.
    observed
        (..., M + 1): how often the truth reached it then; NaN where this probability was never given.
    cases
        (..., M + 1): how often it was given.
    """
    members = counts.shape[-2] - 1
    cases = counts.sum(axis=-1)
    return np.arange(members + 1) / members, _ratio(counts[..., 1], cases), cases


def roc_curve(counts: Array) -> tuple[Array, Array]:
    """Give the points of the relative operating characteristic (Mason 1982), from `event_counts` (..., M + 1, 2).

    The event is forecast where at least k members reach the threshold: k from M + 1, which is never, down to 0.

    Returns
    -------
    false_alarm_rate, hit_rate
        (..., M + 2), from 0 to 1; NaN where the event was always, or never, observed.
    """
    forecast = np.cumsum(counts[..., ::-1, :], axis=-2)
    forecast = np.concatenate([np.zeros_like(forecast[..., :1, :]), forecast], axis=-2)
    rates = _ratio(forecast, forecast[..., -1:, :])
    return rates[..., 0], rates[..., 1]


def roc_area(counts: Array) -> Array:
    """Give the area under the relative operating characteristic (...): 1 is perfect, 0.5 tells events not apart.

    It is the probability that more members reach the threshold in an event than in a case without, where ties count
    half. It says nothing of calibration.
    """
    return np.asarray(np.trapezoid(*roc_curve(counts)[::-1], axis=-1))


def _ratio(part: Array, whole: Array) -> Array:
    """Divide; NaN where the divisor is 0."""
    part, whole = np.broadcast_arrays(np.asarray(part, np.float64), np.asarray(whole, np.float64))
    return np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole != 0)
