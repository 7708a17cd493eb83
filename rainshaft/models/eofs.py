"""Empirical orthogonal functions: the patterns in which the weather of many days varies most (Lorenz 1956).

Shapes: T day, N value of a day, P pattern.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
ZERO = np.float32(0)
NOTHING = -1  # stands for the field itself, in the place of the axis of a difference


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


def weather_patterns(maps: Sequence[NDArray[np.float32]], most: int, gradient_weight: float) -> Array:
    """Give patterns whose components tell the fields of a day and their gradients.

    The gradients say where the wind blows, and where the air rises (Teweles and Wobus 1954). So components of both tell
    more about the rain than those of the fields alone.

    Parameters
    ----------
    maps
        Standardised anomalies (T, K, h, w), one array for each grid.
    gradient_weight
        The gradients of a field count as much as this many fields.

    Returns
    -------
    (N, P), where N counts the values of a day, array by array. The values of a day times a pattern are its component.
    """
    fields = [field for array in maps for field in np.moveaxis(array, 1, 0)]
    weights = {NOTHING: 1.0} | ({1: gradient_weight / 2, 2: gradient_weight / 2} if gradient_weight else {})
    views = [(field, axis, weight) for field in fields for axis, weight in weights.items()]
    shapes = [_difference(field[:1], axis).shape[1:] for field, axis, _ in views]
    ends = np.cumsum([math.prod(shape) for shape in shapes])
    whole, scales = np.empty((len(fields[0]), ends[-1]), np.float32), []
    for (field, axis, weight), shape, end in zip(views, shapes, ends, strict=True):  # one at a time, to save memory
        values = _difference(field, axis).reshape(len(field), -1)
        scales.append(_scale(values, weight))
        np.multiply(values, scales[-1], out=whole[:, end - math.prod(shape) : end])
    eofs = leading_eofs(whole, most)
    parts = np.split(eofs, ends[:-1])
    # what a view adds to a component is linear in the field, so all views of a field make one pattern of it
    of_fields = [
        scale * _adjoint(part.reshape(*shape, part.shape[1]), axis)
        for (_, axis, _), shape, scale, part in zip(views, shapes, scales, parts, strict=True)
    ]
    count = len(weights)
    patterns = [np.sum(of_fields[first : first + count], axis=0) for first in range(0, len(of_fields), count)]
    return np.concatenate([pattern.reshape(-1, eofs.shape[1]) for pattern in patterns])


def _difference(field_Thw: Array, axis: int) -> Array:
    """The differences of neighbours along an axis."""
    return field_Thw if axis == NOTHING else np.diff(field_Thw, axis=axis)


def _adjoint(pattern: Array, axis: int) -> Array:
    """From a pattern of differences (h, w, P) to the pattern of the field that has the same component."""
    return pattern if axis == NOTHING else -np.diff(pattern, axis=axis - 1, prepend=ZERO, append=ZERO)


def _scale(values: Array, weight: float) -> np.float32:
    """The factor that gives a view this mean square over the days; 0 where nothing changes."""
    power = float(np.square(values).sum(dtype=np.float64)) / len(values)
    return np.float32(math.sqrt(weight / power) if power else 0.0)
