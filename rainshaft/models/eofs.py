"""Empirical orthogonal functions: the patterns in which the weather of many days varies most (Lorenz 1956).

Shapes: T day, N value of a day, P pattern.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


def leading_eofs(anomalies_TN: Array, most: int) -> Array:
    """Give the leading patterns (N, P) of anomalies, the one with most variance first.

    Each has the length 1, and its largest value is positive. There are fewer than
    `most` where there are few days or values.
    """
    from scipy.sparse.linalg import svds

    number = min(most, min(anomalies_TN.shape) - 1)
    # a fixed start makes it the same each time
    start = np.random.default_rng(0).standard_normal(min(anomalies_TN.shape)).astype(anomalies_TN.dtype)
    _, size, axes = svds(anomalies_TN, number, v0=start)
    found: Array = axes[np.argsort(size)[::-1]].T
    # rounding alone would choose the signs
    largest = np.take_along_axis(found, np.abs(found).argmax(0)[None], 0)
    return found * np.where(largest < 0, np.float32(-1), np.float32(1))
