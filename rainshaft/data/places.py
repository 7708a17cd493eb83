"""Whether two grids are of one place, and where true places lie on a grid.

Axes of a rotated pole or of a projection mean nothing without the pole or the projection. So two grids with such axes
are compared by what their files say of it: by the grid mappings, and by latitude and longitude of each cell.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from rainshaft.data import mappings
from rainshaft.data.axes import Axis, Grid
from rainshaft.data.conventions import EARTH_RADIUS_KM
from rainshaft.data.sphere import Points, km_between, latitude_longitude, on_sphere

Values = NDArray[np.float64]
CELLS_AROUND = 4  # cells beyond a domain that are looked at, so that each place lies between some
UNKNOWN = (
    "the files do not tell the place of their axes in full (by a grid mapping, or by latitude and longitude of each "
    "cell), so equal coordinates are taken for one place."
)
SAMPLE = 9  # points along each side at which two grids are compared


@dataclass(frozen=True)
class Comparison:
    """Whether equal coordinates on two grids are one place."""

    is_known: bool
    """False where the files say too little"""
    found: str = ""
    """what the first grid says, in words, where the places differ"""
    expected: str = ""
    """what the other grid says"""

    @property
    def differs(self) -> bool:
        """Whether the places differ for certain."""
        return bool(self.found)


def compare(mine: Grid, other: Grid, whose: str) -> Comparison:
    """Compare the places of two grids with axes of one kind.

    Parameters
    ----------
    whose
        Words for the other grid: "the rain", or a path.
    """
    if mine.kind != other.kind:
        return Comparison(True, f"axes of the kind {mine.kind}", f"{other.kind} as {whose} has")
    if mine.kind == "latitude/longitude":
        return Comparison(True)
    half = min(mine.cell_km, other.cell_km) / 2
    known = False
    if mine.crs is not None and other.crs is not None:
        known, found, expected = _compare_mappings(mine, other, half)
        if found:
            return Comparison(True, f"a grid mapping with {found}", f"that of {whose}, {expected}")
    if known and mine.same(other):
        return Comparison(True)  # the many files of a record need no longer look
    if not known or (mine.positions is not None and other.positions is not None):
        y, x = _sample(mine, other)
        here, there = _places_at(mine, y, x), _places_at(other, y * _units(mine, other), x * _units(mine, other))
        if here is not None and there is not None:
            apart = km_between(here, there)
            if np.isfinite(apart).any():
                known = True
            if np.nanmax(apart, initial=0) > half:
                worst = int(np.nanargmax(apart))
                at = f"y {y[worst]:g}, x {x[worst]:g}"
                expected = f"{_place(there[worst])} as {whose} has, at most {half:.3g} km away"
                return Comparison(True, f"the place {_place(here[worst])} at {at}", expected)
    return Comparison(known)


def contradiction(grid: Grid) -> str:
    """In words, how far a grid mapping places cells from their latitudes and longitudes; empty if that is near."""
    if grid.crs is None or grid.positions is None:
        return ""
    mapped = mappings.true_points(grid.crs.attrs, *np.meshgrid(grid.y, grid.x, indexing="ij"), grid.metres)
    given = grid.true_points()
    if mapped is None or given is None:
        return ""
    apart = float(np.nanmax(km_between(mapped, given), initial=0))
    names = grid.positions.names
    return (
        f"{names} are up to {apart:.3g} km from the places of the grid mapping; {names} count."
        if (apart > grid.cell_km / 2)
        else ""
    )


def _compare_mappings(mine: Grid, other: Grid, half: float) -> tuple[bool, str, str]:
    """Whether two mappings could be compared, and what differs, in words, if that moves a cell by more than `half`."""
    assert mine.crs is not None
    assert other.crs is not None
    here, there = mappings.differing(mine.crs.attrs, other.crs.attrs)
    y, x = _sample(mine, other)
    scale = _units(mine, other)
    places = (
        mappings.true_points(mine.crs.attrs, y, x, mine.metres),
        mappings.true_points(other.crs.attrs, y * scale, x * scale, other.metres),
    )
    if places[0] is None or places[1] is None:
        return False, here, there
    apart = float(np.max(km_between(places[0], places[1])))
    if apart <= half:
        return True, "", ""
    here, there = here or mappings.words(mine.crs.attrs), there or mappings.words(other.crs.attrs)
    return True, here, f"{there} ({apart:.3g} km apart)"


def _units(mine: Grid, other: Grid) -> float:
    """Factor from coordinates of one grid to those of another of the same kind."""
    return mine.metres / other.metres


def _sample(mine: Grid, other: Grid) -> tuple[Values, Values]:
    """Some points of the part that both grids have, or of the first grid, in its coordinates."""
    scale = 1 / _units(mine, other)
    lines = []
    for axis, theirs in ((mine.y, other.y * scale), (mine.x, other.x * scale)):
        low, high = max(axis.min(), theirs.min()), min(axis.max(), theirs.max())
        lines.append(np.linspace(low, high, SAMPLE) if low < high else np.linspace(axis.min(), axis.max(), SAMPLE))
    y, x = np.meshgrid(*lines, indexing="ij")
    return y.ravel(), x.ravel()


def _places_at(grid: Grid, y: Values, x: Values) -> Points | None:
    """Where coordinates lie in truth (n, 3); None if nothing says so, NaN outside of the grid."""
    if grid.positions is None:
        return None if grid.crs is None else mappings.true_points(grid.crs.attrs, y, x, grid.metres)
    points = grid.true_points()
    assert points is not None
    row, column = index_on(grid.y, y), index_on(grid.x, x)
    inside = (row >= 0) & (row <= len(grid.y) - 1) & (column >= 0) & (column <= len(grid.x) - 1)
    found = on_sphere(bilinear_weights(row, column, grid.shape) @ points.reshape(-1, 3))
    return np.where(inside[:, None], found, np.nan)


def _place(point: Points) -> str:
    lat, lon = latitude_longitude(point)
    return f"{abs(float(lat)):.2f} {'N' if lat >= 0 else 'S'} {abs(float(lon)):.2f} {'E' if lon >= 0 else 'W'}"


# --------------------------------------------------------------------------------------- where places lie on a grid


def index_on(axis: Axis, values: Values) -> Values:
    """Where values lie on an axis, in cells from its first one, with a fraction; one cell beyond each end at most."""
    wide = np.concatenate([[2 * axis[0] - axis[1]], axis, [2 * axis[-1] - axis[-2]]])
    sign = 1.0 if axis[-1] > axis[0] else -1.0
    return np.interp(sign * values, sign * wide, np.arange(-1.0, len(axis) + 1))


def indices_of(grid: Grid, points: Points) -> tuple[Values, Values] | None:
    """Where true places (n, 3) lie on a grid.

    Returns
    -------
    Row and column in cells from the first one, with a fraction; NaN or beyond the ends for places outside of the grid.
    None if nothing says where the grid lies.
    """
    if grid.kind == "latitude/longitude":
        lat, lon = latitude_longitude(points)
        middle = grid.x.mean()
        return index_on(grid.y, lat), index_on(grid.x, lon - 360 * np.round((lon - middle) / 360))
    if grid.positions is not None:
        return _indices_by_positions(grid, points)
    if grid.crs is None or mappings.crs_of(grid.crs.attrs) is None:
        return None
    y, x = mappings.coordinates_of(grid.crs.attrs, points, grid.metres)
    if grid.kind == "rotated":
        x = x - 360 * np.round((x - grid.x.mean()) / 360)
    return index_on(grid.y, y), index_on(grid.x, x)


def _indices_by_positions(grid: Grid, points: Points) -> tuple[Values, Values]:
    """Interpolate rows and columns between the cells around each place, on a map of that part of the Earth."""
    cells = grid.true_points()
    assert cells is not None
    # places up to half a cell beyond the outer centres lie on the grid too, so it gets a rim of one more cell
    cells = on_sphere(np.pad(cells, ((1, 1), (1, 1), (0, 0)), mode="reflect", reflect_type="odd"))
    middle = on_sphere(points.mean(axis=0))
    reach = np.linalg.norm(points - middle, axis=-1).max() + CELLS_AROUND * grid.cell_km / EARTH_RADIUS_KM
    rows, columns = np.nonzero(np.linalg.norm(cells - middle, axis=-1) <= reach)
    if len(np.unique(rows)) < 2 or len(np.unique(columns)) < 2:
        return np.full(len(points), np.nan), np.full(len(points), np.nan)
    indices = np.stack([rows, columns], axis=-1) - 1.0
    here, there = _stereographic(cells[rows, columns], middle), _stereographic(points, middle)
    found = _interpolated(here.tobytes(), indices.tobytes(), there.tobytes())
    return found[:, 0], found[:, 1]


@functools.lru_cache(maxsize=4)
def _interpolated(here: bytes, values: bytes, there: bytes) -> Values:
    """Interpolate pairs of values from places on a plane to others.

    The result is kept, since it takes seconds for large grids and the files of all years have equal ones.
    """
    known, given, wanted = (np.frombuffer(part).reshape(-1, 2) for part in (here, values, there))
    from scipy.interpolate import LinearNDInterpolator  # late: it loads slowly

    return np.asarray(LinearNDInterpolator(known, given)(wanted))


def _stereographic(points: Points, middle: Points) -> Values:
    """Points on a plane that touches the Earth in the middle (n, 2)."""
    across = on_sphere(np.cross(middle, np.eye(3)[np.abs(middle).argmin()]))
    plane = np.stack([across, np.cross(middle, across)], axis=-1)
    return (points @ plane) / (1 + points @ middle)[:, None]


def bilinear_weights(row: Values, column: Values, shape: tuple[int, int]) -> csr_array:
    """Weights of the cells of a grid for places between them, as a sparse matrix (place, cell).

    Beyond the outermost centres the value stays as it is there.
    """
    corners, shares = [], []
    for index, size in ((row, shape[0]), (column, shape[1])):
        inside = np.clip(index, 0, size - 1)
        low = np.minimum(inside.astype(int), size - 2)
        corners.append((low, low + 1))
        shares.append((low + 1 - inside, inside - low))
    places = np.arange(len(row))
    entries = [
        (shares[0][i] * shares[1][j], places, corners[0][i] * shape[1] + corners[1][j]) for i in (0, 1) for j in (0, 1)
    ]
    share, place, cell = (np.concatenate(part) for part in zip(*entries, strict=True))
    needed = share > 0  # so that a gap in a cell that has no share in a place makes no gap there
    whole = len(places), shape[0] * shape[1]
    return csr_array((share[needed], (place[needed], cell[needed])), shape=whole)
