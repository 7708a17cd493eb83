"""Places on the Earth as unit vectors, so that neither a pole nor the date line needs care.

Latitudes and longitudes are in degrees, distances in km.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rainshaft.data.conventions import EARTH_RADIUS_KM

Values = NDArray[np.float64]
Points = NDArray[np.float64]
"""unit vectors from the middle of the Earth (..., 3)"""


def unit_vectors(lat: Values, lon: Values) -> Points:
    """Turn latitudes and longitudes of one shape into unit vectors."""
    phi, lam = np.radians(lat), np.radians(lon)
    return np.stack([np.cos(phi) * np.cos(lam), np.cos(phi) * np.sin(lam), np.sin(phi)], axis=-1)


def latitude_longitude(points: Points) -> tuple[Values, Values]:
    """Turn vectors of any length into latitudes and longitudes."""
    x, y, z = np.moveaxis(points, -1, 0)
    return np.degrees(np.arctan2(z, np.hypot(x, y))), np.degrees(np.arctan2(y, x))


def on_sphere(points: Points) -> Points:
    """Give vectors the length 1, for example after a mean over some of them."""
    return points / np.linalg.norm(points, axis=-1, keepdims=True)


def km_of_chord(chord: Values) -> Values:
    """Turn straight distances between unit vectors into great-circle distances in km."""
    return 2 * EARTH_RADIUS_KM * np.arcsin(np.minimum(chord / 2, 1))


def km_between(here: Points, there: Points) -> Values:
    """Great-circle distance in km from point to point."""
    return km_of_chord(np.linalg.norm(here - there, axis=-1))
