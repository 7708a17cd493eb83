"""Members against the truth at the cells of a day: errors, spread and ranks.

Pure functions of arrays; rain in mm/day.

Shapes: F fields, M members, N cells.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist, pdist

from rainshaft.evaluation.formulas import Array


def correlations(fields: Array) -> Array:
    """Pearson correlation of every pair of fields over their cells.

    Parameters
    ----------
    fields
        (F, N).

    Returns
    -------
    (F, F); 0 where one of the two is constant.
    """
    anomaly = fields - fields.mean(axis=1, keepdims=True)
    norm = np.linalg.norm(anomaly, axis=1, keepdims=True)
    constant = norm <= 1e-9 * np.linalg.norm(fields, axis=1, keepdims=True)
    unit = np.divide(anomaly, norm, out=np.zeros_like(anomaly), where=~constant)
    return unit @ unit.T


def fair_crps(members: Array, truth: Array) -> Array:
    """Fair CRPS at each cell (Ferro 2014), mm/day. With one member it is the absolute error.

    E|X - y| - 1/2 E|X - X'| with X' another member, in the form of probability weighted moments. Fair means that its
    expectation does not depend on the number of members.

    Parameters
    ----------
    members
        (M, N).
    truth
        (N,).
    """
    if len(members) == 1:
        return np.abs(members[0] - truth)
    import scoringrules  # late: the trade-off uses this module without it

    return scoringrules.crps_ensemble(truth, members, m_axis=0, estimator="pwm", backend="numpy")


def fair_energy_score(members: Array, truth: Array) -> float:
    """Fair energy score of the whole field (Gneiting and Raftery 2007), mm/day. With one member: the norm of the error.

    E||X - y|| - 1/2 E||X - X'||, divided by the square root of the number of cells.

    Parameters
    ----------
    members
        (M, N).
    truth
        (N,).
    """
    error = cdist(members, truth[None]).mean()
    spread = pdist(members).mean() if len(members) > 1 else 0.0
    return float(error - 0.5 * spread) / np.sqrt(truth.size)


def cosine_distance(members: Array) -> float:
    """Mean cosine distance over all pairs of members (M, N).

    A dry member is at distance 1 from a wet one, and at distance 0 from another dry one. NaN when all are dry.
    """
    norm = np.linalg.norm(members, axis=1, keepdims=True)
    if not norm.any():
        return float("nan")
    unit = np.divide(members, norm, out=np.zeros_like(members), where=norm > 0)
    similarity = (unit @ unit.T)[np.triu_indices(len(members), 1)]
    both_dry = ((norm == 0) & (norm == 0).T)[np.triu_indices(len(members), 1)]
    return float(np.where(both_dry, 0.0, 1 - similarity).mean())


def ranks_of_truth(members: Array, truth: Array, rng: np.random.Generator) -> NDArray[np.int64]:
    """Count the members below the truth at each cell. Ties, which are mostly dry cells, are broken at random.

    Parameters
    ----------
    members
        (M, N).
    truth
        (N,).
    rng
        Breaks the ties.
    """
    ties = (members == truth).sum(axis=0)
    return (members < truth).sum(axis=0) + rng.integers(0, ties + 1)
