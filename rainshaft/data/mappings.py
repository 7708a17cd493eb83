"""Grid mappings: what a file says of the pole or of the projection of its axes.

Input: the attributes of a grid mapping variable, by CF or as text (WKT, PROJ). Output: the kind of the axes, the true
latitudes and longitudes of coordinates, and in words what differs between two mappings.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from rainshaft.data.sphere import Points, Values, latitude_longitude, unit_vectors

if TYPE_CHECKING:
    import pyproj

Kind = Literal["latitude/longitude", "rotated", "projected"]
Attributes = Mapping[str, Any]

TEXTS = ("crs_wkt", "spatial_ref", "esri_pe_string", "proj4", "proj4_params", "proj4_string", "proj4text")
_LONGITUDE = "longitude_of_central_meridian|longitude_of_projection_origin|straight_vertical_longitude_from_pole"
_SCALE = "standard_parallel|scale_factor_at_projection_origin|scale_factor_at_central_meridian"
NEEDED = {
    "rotated_latitude_longitude": ("grid_north_pole_latitude", "grid_north_pole_longitude"),
    "lambert_conformal_conic": (_LONGITUDE, "latitude_of_projection_origin", "standard_parallel"),
    "albers_conical_equal_area": (_LONGITUDE, "latitude_of_projection_origin", "standard_parallel"),
    "transverse_mercator": (_LONGITUDE, "latitude_of_projection_origin", _SCALE),
    "mercator": (_LONGITUDE, _SCALE),
    "polar_stereographic": (_LONGITUDE, "latitude_of_projection_origin", _SCALE),
}
"""Attributes without which a mapping names no place, because PROJ takes 0 for them in silence. Where names are joined
by |, one of them is enough."""
PROJECTIONS = frozenset(
    (
        "albers_conical_equal_area",
        "azimuthal_equidistant",
        "geostationary",
        "lambert_azimuthal_equal_area",
        "lambert_conformal_conic",
        "lambert_cylindrical_equal_area",
        "mercator",
        "oblique_mercator",
        "orthographic",
        "polar_stereographic",
        "sinusoidal",
        "stereographic",
        "transverse_mercator",
        "vertical_perspective",
    )
)
"""the names that CF knows; files have others too, which say nothing"""
USUAL_NEEDS = (_LONGITUDE, "latitude_of_projection_origin")
NO_PLACE = (
    "long_name",
    "comment",
    "history",
    "name",
    "GeoTransform",
    "_CoordinateTransformType",
    "_CoordinateAxisTypes",
)
CLOSE = 1e-5  # relative; numbers that differ by less are equal but for single precision


def kind_of(mapping: Attributes) -> Kind | None:
    """Which kind of axes a mapping belongs to; None if it does not say so."""
    name = str(mapping.get("grid_mapping_name", ""))
    if name == "latitude_longitude":
        return "latitude/longitude"
    if name == "rotated_latitude_longitude":
        return "rotated"
    if name in PROJECTIONS:
        return "projected"
    crs = crs_of(mapping)
    if crs is None:
        return None
    if crs.is_projected:
        return "projected"
    return "rotated" if crs.is_derived else "latitude/longitude"


def crs_of(mapping: Attributes) -> pyproj.CRS | None:
    """Make a coordinate reference system of a mapping; None if the mapping is not complete."""
    return _crs(tuple(sorted((str(key), _plain(value)) for key, value in mapping.items())))


def true_points(mapping: Attributes, y: Values, x: Values, metres: float) -> Points | None:
    """Where coordinates lie in truth.

    Parameters
    ----------
    mapping
        Attributes of the grid mapping.
    y, x
        Coordinates of one shape, in degrees or in lengths.
    metres
        Metres in one unit of length of the coordinates.

    Returns
    -------
    Unit vectors of that shape; None if the mapping is not complete.
    """
    crs = crs_of(mapping)
    if crs is None:
        return None
    scale = 1.0 if crs.is_geographic else metres / crs.axis_info[0].unit_conversion_factor
    lon, lat = _to_true(crs).transform(x * scale, y * scale)
    return unit_vectors(np.asarray(lat), np.asarray(lon))


def coordinates_of(mapping: Attributes, points: Points, metres: float) -> tuple[Values, Values]:
    """The coordinates y and x of true places, for a mapping that is complete: the inverse of `true_points`."""
    crs = crs_of(mapping)
    assert crs is not None
    scale = 1.0 if crs.is_geographic else metres / crs.axis_info[0].unit_conversion_factor
    lat, lon = latitude_longitude(points)
    x, y = _to_true(crs).transform(lon, lat, direction="INVERSE")
    return np.asarray(y) / scale, np.asarray(x) / scale


def differing(mine: Attributes, other: Attributes) -> tuple[str, str]:
    """Attributes of both mappings whose values differ, in words; attributes that only one of them has do not count."""
    shared = [key for key in mine if key in other and key not in NO_PLACE and key not in TEXTS]
    names = [key for key in shared if not _close(_plain(mine[key]), _plain(other[key]), "longitude" in key)]
    here, there = (", ".join(f"{name} {_words(attributes[name])}" for name in names) for attributes in (mine, other))
    return here, there


def words(mapping: Attributes) -> str:
    """The attributes of a mapping that name its place, in words."""
    kept = [key for key in mapping if key not in NO_PLACE and key not in TEXTS] or [k for k in TEXTS if k in mapping]
    return ", ".join(f"{key} {_words(mapping[key])}" for key in kept)


@functools.lru_cache(maxsize=64)
def _crs(attributes: tuple[tuple[str, Any], ...]) -> pyproj.CRS | None:
    import pyproj  # its import takes long, and most files need it not

    known = {key: list(value) if isinstance(value, tuple) else value for key, value in attributes}
    name = str(known.get("grid_mapping_name", ""))
    needs = NEEDED.get(name, USUAL_NEEDS)
    try:
        if name in (*NEEDED, *PROJECTIONS) and all(any(key in known for key in need.split("|")) for need in needs):
            return _with_base(pyproj.CRS.from_cf({key: value for key, value in known.items() if key not in TEXTS}))
        text = next((known[key] for key in TEXTS if known.get(key)), None)
        return _with_base(pyproj.CRS.from_user_input(text)) if text else None
    except (pyproj.exceptions.CRSError, KeyError, TypeError, ValueError):
        return None


def _with_base(crs: pyproj.CRS) -> pyproj.CRS:
    """The system itself, without a transformation to another datum around it."""
    return crs.source_crs if crs.is_bound and crs.source_crs is not None else crs


@functools.lru_cache(maxsize=64)
def _to_true(crs: pyproj.CRS) -> pyproj.Transformer:
    """From coordinates to latitude and longitude on the figure of the Earth of the mapping.

    Models on a sphere and maps on an ellipsoid count their latitudes alike, so no datum is changed.  # ASSUME
    """
    import pyproj

    base = crs.source_crs if crs.is_projected or crs.is_derived else crs
    return pyproj.Transformer.from_crs(crs, base, always_xy=True)


def _plain(value: Any) -> Any:
    """Attribute values as text, number or tuple of numbers."""
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, str):
        return value
    numbers = tuple(np.ravel(value).tolist())
    return numbers[0] if len(numbers) == 1 else numbers


def _close(mine: Any, other: Any, is_angle: bool) -> bool:
    try:
        here, there = (np.sort(np.ravel(np.asarray(value, dtype="float64"))) for value in (mine, other))
    except (TypeError, ValueError):
        return bool(mine == other)
    if here.shape != there.shape:
        return False
    apart = here - there
    if is_angle:
        apart = (apart + 180) % 360 - 180
    return bool(np.all(np.abs(apart) <= CLOSE * np.maximum(1, np.abs(there))))


def _words(value: Any) -> str:
    plain = _plain(value)
    if isinstance(plain, str):
        return plain
    return " and ".join(f"{number:g}" for number in np.ravel(plain))
