"""How the fine grid, the coarse grid and the grids of the predictors lie to each other; distance to the coast.

A coarse cell is a block of `factor` x `factor` fine cells. A predictor is used as it is where its cells are the coarse
cells, averaged where whole cells of it make up each coarse cell, and regridded otherwise. Where its axes are those of
another pole or projection, it is brought to the true places of the coarse cells.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.sparse import csr_array, eye_array, kron
from scipy.spatial import cKDTree

from rainshaft.data.axes import Axis, Grid, Window, step
from rainshaft.data.places import UNKNOWN, bilinear_weights, compare, contradiction, index_on, indices_of
from rainshaft.data.sphere import km_of_chord, latitude_longitude, on_sphere, unit_vectors
from rainshaft.data.units import length_in
from rainshaft.data.year import VariableYear

ALIGNED = 0.01  # of a coarse cell: centres closer than this are equal
FINER = 2.0  # a predictor whose cells are smaller than a coarse cell by more than this is averaged over its fine cells
NEAR = 1.5  # cells: where rain is observed, a predictor has values no farther than this  # ASSUME


@dataclass(frozen=True)
class Coarse:
    """The coarse grid and the part of the fine grid that it covers."""

    y: Axis
    x: Axis
    fine: Grid
    crop: Window
    """the fine cells that make up whole coarse cells"""
    factor: int
    notes: tuple[str, ...]

    @property
    def grid(self) -> Grid:
        """The coarse cells."""
        return Grid(self.fine.kind, self.y, self.x)

    @property
    def coordinates(self) -> dict[str, tuple[str, Axis, dict[str, Any]]]:
        """Fine and coarse axes with their attributes."""
        y_attrs, x_attrs = self.fine.y_attrs, self.fine.x_attrs
        return {
            "lat": ("lat", self.fine.y[self.crop[0]], y_attrs),
            "lon": ("lon", self.fine.x[self.crop[1]], x_attrs),
            "y": ("y", self.y, {**y_attrs, "long_name": "centres of the coarse cells along lat"}),
            "x": ("x", self.x, {**x_attrs, "long_name": "centres of the coarse cells along lon"}),
        }


@dataclass(frozen=True)
class Mapping:
    """How one predictor gets to the coarse grid."""

    method: Literal["nest", "linear", "conservative", "places"]
    window: Window
    """the cells of its own grid that are needed"""
    source: Grid
    """those cells"""
    target: Coarse
    note: str
    centres: tuple[NDArray[np.float64], NDArray[np.float64]]
    """where the coarse cells (y * x) lie: row and column in the window, with a fraction"""
    size: float
    """side of a coarse cell in own cells"""
    blocks: tuple[int, int] = (1, 1)
    """own cells along the sides of a coarse cell, for `nest`"""
    weights: csr_array | None = None
    """share of each cell of the window in each coarse cell, for `places`"""

    def apply(self, data: xr.DataArray) -> xr.DataArray:
        """Bring data (time, lat, lon) within the window to the coarse grid (time, y, x)."""
        data = data.rename(lat="y", lon="x")
        if self.method == "nest":
            rows, columns = self.blocks  # a gap stays a gap, it is not averaged away
            return data.coarsen(y=rows, x=columns).reduce(np.mean) if self.blocks != (1, 1) else data
        if self.weights is not None:
            return _weighted(data, self.weights, self.target.grid.shape)
        import xarray_regrid  # noqa: F401  (the accessor; its import takes a second)

        y, x = (_padded(axis) for axis in (self.source.y, self.source.x))
        data = data.pad(y=1, x=1, mode="edge").chunk(y=-1, x=-1).assign_coords(y=y, x=x)
        target = xr.Dataset(coords={"y": self.target.y, "x": self.target.x})
        if self.method == "linear":
            data = data.regrid.linear(target)
        else:
            latitude = "y" if self.source.kind != "projected" else "none"
            data = data.regrid.conservative(target, latitude_coord=latitude, skipna=False)
        return data.drop_vars(["y", "x"])

    def of_record(
        self, predictor: VariableYear, data: xr.DataArray, empty: NDArray[np.bool_], asked: NDArray[np.bool_]
    ) -> xr.DataArray:
        """Bring the days of a predictor to the coarse grid. Cells without values take those of the nearest cell.

        Parameters
        ----------
        data
            Its days (time, lat, lon) within the window.
        empty, asked
            As in `require_values`; the errors, too.
        """
        self.require_values(predictor, empty, asked)
        data = nearest_filled(data, empty, self.source)
        return self.apply(data.clip(min=0) if predictor.source.quantity == "rain" else data)

    def require_values(self, predictor: VariableYear, empty: NDArray[np.bool_], asked: NDArray[np.bool_]) -> None:
        """Raise an InputError where rain is observed and the predictor has no value near.

        Parameters
        ----------
        empty
            True for the cells of the window that never have a value.
        asked
            True for the coarse cells (y, x) in which some rain is valid.
        """
        row, column = (index[asked.ravel()] for index in self.centres)
        far = cKDTree(np.argwhere(~empty)).query(np.stack([row, column], axis=-1))[0]
        limit = NEAR * max(1.0, self.size)
        if far.max(initial=0) > limit:
            place = np.argwhere(asked)[far.argmax()]
            y, x = self.target.y[place[0]], self.target.x[place[1]]
            raise predictor.fault(
                None,
                f"no value within {far.max():.3g} cells of the coarse cell at {y:g}, {x:g}, in which rain is observed",
                f"a value at most {limit:.3g} cells away",
                "use a predictor that has values there, or leave that part out of the rain",
            )


def coarse_grid(rain: VariableYear, predictors: list[VariableYear], factor: int) -> Coarse:
    """Choose the blocks: aligned to a predictor that fits, else in the middle of the fine grid.

    Raises
    ------
    InputError
        If there is no room for two coarse cells along each side.
    """
    fine = rain.grid
    expected = f"at least {2 * factor} along each side for factor {factor}"
    if min(fine.shape) < 2 * factor:
        fits = min(fine.shape) // 2
        cure = f"use factor {fits} or less, or a larger domain" if fits > 1 else "use a larger domain"
        raise rain.fault(None, f"{fine.shape[0]} x {fine.shape[1]} cells", expected, cure)
    candidates = [_axes_like(p.grid, fine) for p in predictors if p.grid.kind == fine.kind]
    axes, crops = [], []
    for i, axis in enumerate((fine.y, fine.x)):
        offset = _offset(axis, factor, [c[i] for c in candidates])
        count = (len(axis) - offset) // factor
        axes.append(_block_centres(axis, offset, factor))
        crops.append(slice(offset, offset + count * factor))
    shape = tuple(crop.stop - crop.start for crop in crops)
    if min(shape) < 2 * factor:
        found = f"{fine.shape[0]} x {fine.shape[1]} cells, {shape[0]} x {shape[1]} of them in whole coarse cells"
        raise rain.fault(None, found, expected, "use a smaller factor or a larger domain")
    notes = []
    if shape != fine.shape:
        sides = zip(("north", "south", "west", "east"), _removed(fine.shape, crops), strict=True)
        cut = ", ".join(f"{cells} in the {side}" for side, cells in sides if cells)
        notes.append(
            f"cropped from {fine.shape[0]} x {fine.shape[1]} to {shape[0]} x {shape[1]} cells, "
            f"whole coarse cells of {factor} x {factor} (left out: {cut})."
        )
    return Coarse(axes[0], axes[1], fine, (crops[0], crops[1]), factor, tuple(map(rain.source.note, notes)))


def map_to_coarse(predictor: VariableYear, coarse: Coarse) -> Mapping:
    """Find out how a predictor gets to the coarse grid.

    Raises
    ------
    InputError
        If it does not cover the domain, has axes of another kind, or asks for another factor.
    """
    fine = coarse.fine
    places = compare(predictor.grid, fine, "the rain")
    if places.differs:
        mapping = _at_true_places(predictor, fine, coarse)
        if mapping is not None:
            return mapping
        # the network refines coarse rain cell by cell, so its whole field is of no use
        whole = "" if predictor.source.quantity == "rain" else ", take its whole field with `context: true`"
        raise predictor.fault(
            None,
            places.found,
            places.expected,
            "give both files latitude and longitude of each cell, or a complete grid mapping, or put the predictor on "
            f"the axes of the rain first{whole}, or use `predictors: coarsened`",
        )
    own = Grid(fine.kind, *_axes_like(predictor.grid, fine))
    mapping = _nested(predictor, own, coarse)
    if mapping is None:
        _require_factor(predictor, own, fine, coarse.factor)
        mapping = _regridded(predictor, own, coarse)
    if not places.is_known:
        mapping = replace(mapping, note=f"{mapping.note} {predictor.source.note(UNKNOWN)}")
    return mapping


def _nested(predictor: VariableYear, own: Grid, coarse: Coarse) -> Mapping | None:
    """Take blocks of whole cells; None where these do not make up the coarse cells."""
    along_y, along_x = _nest(own.y, coarse.y), _nest(own.x, coarse.x)
    if along_y is None or along_x is None:
        return None
    (top, rows), (left, columns) = along_y, along_x
    window = slice(top, top + len(coarse.y) * rows), slice(left, left + len(coarse.x) * columns)
    note = (
        "its cells are the coarse cells, used as they are."
        if (rows, columns) == (1, 1)
        else f"means over blocks of {rows} x {columns} cells of its {own.resolution} grid."
    )
    mapping = _mapping("nest", own, window, coarse, predictor.source.note(note))
    return replace(mapping, blocks=(rows, columns))


def _regridded(predictor: VariableYear, own: Grid, coarse: Coarse) -> Mapping:
    """Average cells that are finer than the coarse ones by area, and interpolate between others."""
    target = coarse.grid
    _require_cover(predictor, own, target)
    window = _cells_around(own.y, target.y), _cells_around(own.x, target.x)
    is_finer = own.steps[0] * own.steps[1] < 0.99 * target.steps[0] * target.steps[1]
    method: Literal["conservative", "linear"] = "conservative" if is_finer else "linear"
    note = f"regridded ({method}) from its {own.resolution} grid to the coarse grid of {target.resolution}."
    return _mapping(method, own, window, coarse, predictor.source.note(note))


def _mapping(
    method: Literal["nest", "linear", "conservative"], own: Grid, window: Window, coarse: Coarse, note: str
) -> Mapping:
    """A mapping between axes that mean the same: `own` has the units of the rain."""
    part, target = own.part(window), coarse.grid
    rows, columns = np.meshgrid(index_on(part.y, target.y), index_on(part.x, target.x), indexing="ij")
    size = max(a / b for a, b in zip(target.steps, own.steps, strict=True))
    return Mapping(method, window, part, coarse, note, (rows.ravel(), columns.ravel()), size)


def _at_true_places(predictor: VariableYear, fine: Grid, coarse: Coarse) -> Mapping | None:
    """Interpolate to the true places of the coarse cells. Nothing is returned where a file does not say its place.

    Where the cells of a predictor are much smaller than the coarse ones, it is interpolated to all fine cells and
    averaged over each coarse cell.
    """
    grid, (rows, columns), factor = predictor.grid, coarse.grid.shape, coarse.factor
    points = fine.part(coarse.crop).true_points()
    if points is None or not np.isfinite(points).all():
        return None
    cells = points.reshape(rows, factor, columns, factor, 3).swapaxes(1, 2).reshape(rows * columns, factor**2, 3)
    middles = on_sphere(cells.mean(axis=1))
    centres = indices_of(grid, middles)
    if centres is None:
        return None
    _require_cover_of_places(predictor, centres, middles)
    size = fine.cell_km * factor / grid.cell_km
    targets = cells if size > FINER else middles[:, None]
    found = indices_of(grid, targets.reshape(-1, 3))
    assert found is not None
    each = targets.shape[1]
    # a fine cell beyond the predictor, of a coarse cell whose middle is not, has the value of that middle
    row, column = (
        np.where(np.isfinite(index), index, np.repeat(centre, each))
        for index, centre in zip(found, centres, strict=True)
    )
    top, left = (max(0, int(np.floor(index.min())) - 1) for index in (row, column))
    bottom, right = (int(np.ceil(index.max())) + 2 for index in (row, column))
    part = grid.part((slice(top, bottom), slice(left, right)))
    weights = bilinear_weights(row - top, column - left, part.shape)
    means = kron(eye_array(rows * columns), np.full((1, each), 1 / each))
    how = f"means over the {factor} x {factor} fine cells" if each > 1 else "interpolated (bilinear)"
    notes = [
        f"its {grid.resolution} grid of {grid.kind} axes is not on the {fine.kind} axes of the rain; {how} at the true "
        "places of the coarse cells."
    ]
    notes += [
        f"in the file of {name}, {words}"
        for name, it in (("the rain", fine), ("the predictor", grid))
        if (words := contradiction(it))
    ]
    return Mapping(
        "places",
        (slice(top, top + part.shape[0]), slice(left, left + part.shape[1])),
        part,
        coarse,
        " ".join(map(predictor.source.note, notes)),
        (centres[0] - top, centres[1] - left),
        size,
        weights=csr_array(means @ weights),
    )


def _weighted(data: xr.DataArray, weights: csr_array, shape: tuple[int, int]) -> xr.DataArray:
    """Sums over cells with these weights: (time, y, x) on another grid."""

    def sums(values: NDArray[np.float32]) -> NDArray[np.float32]:
        flat = values.reshape(len(values), -1)
        return np.asarray((weights @ flat.T).T.reshape(len(values), *shape), dtype=values.dtype)

    return xr.apply_ufunc(
        sums,
        data.rename(y="own_y", x="own_x"),
        input_core_dims=[["own_y", "own_x"]],
        output_core_dims=[["y", "x"]],
        dask="parallelized",
        dask_gufunc_kwargs={"output_sizes": dict(zip(("y", "x"), shape, strict=True))},
        output_dtypes=[data.dtype],
    )


def _require_cover_of_places(
    predictor: VariableYear, centres: tuple[NDArray[np.float64], NDArray[np.float64]], middles: NDArray[np.float64]
) -> None:
    """Refuse a predictor that ends before the middle of a coarse cell."""
    grid = predictor.grid
    outside = np.zeros(len(middles), bool)
    for index, cells in zip(centres, grid.shape, strict=True):
        outside |= ~((index >= -0.5 - 1e-6) & (index <= cells - 0.5 + 1e-6))  # NaN is outside
    if outside.any():
        lat, lon = latitude_longitude(middles[outside][0])
        first = f"the first at latitude {lat:.2f}, longitude {lon:.2f}"
        found = f"{grid.size}, which lacks {int(outside.sum())} of {len(middles)} coarse cells, {first}"
        raise predictor.fault(None, found, "at least the domain of the rain", "use files that cover it")


def nearest_filled(data: xr.DataArray, empty: NDArray[np.bool_], grid: Grid) -> xr.DataArray:
    """Give cells without values those of the nearest cell that has some.

    Without this, interpolation over a coast would mix the land with nothing.

    Parameters
    ----------
    data
        Fields of which the last two dimensions are those of the grid.
    empty
        True for the cells that never have a value; not all of them.
    grid
        Their grid.
    """
    if not empty.any():
        return data
    surface = _surface(grid)
    nearest = np.arange(empty.size).reshape(empty.shape)
    nearest[empty] = nearest[~empty][cKDTree(surface[~empty]).query(surface[empty])[1]]

    def gather(values: NDArray[np.float32]) -> NDArray[np.float32]:
        return values.reshape(*values.shape[:-2], -1)[..., nearest]

    cells = list(data.dims[-2:])
    return xr.apply_ufunc(
        gather,
        data,
        input_core_dims=[cells],
        output_core_dims=[cells],
        dask="parallelized",
        output_dtypes=[data.dtype],
    )


def coast_distance(land: NDArray[np.bool_], grid: Grid) -> NDArray[np.float64]:
    """Distance from each cell to the nearest cell of the other kind, land or sea.

    Parameters
    ----------
    land
        True on land (lat, lon).
    grid
        Its grid. Distances are great circles where its cells have latitudes and longitudes or its axes are in degrees.
        They are straight lines on the plane of a projection.

    Returns
    -------
    Distance in km (lat, lon); NaN everywhere where there is no coast.
    """
    distance = np.full(land.shape, np.nan)
    if land.all() or not land.any():
        return distance
    points = _surface(grid)
    for here, other in ((land, ~land), (~land, land)):
        distance[here] = cKDTree(points[other]).query(points[here])[0]
    return km_of_chord(distance) if points.shape[-1] == 3 else distance


def _surface(grid: Grid) -> NDArray[np.float64]:
    """Points between which straight distances rise with the distances of the cells (y, x, 2 or 3).

    They are unit vectors where the cells have latitudes and longitudes. So they are for all axes in degrees, since a
    rotated pole keeps distances. Otherwise they are km on the plane of the projection.
    """
    if grid.positions is not None:
        points = grid.true_points()
        if points is not None and np.isfinite(points).all():
            return points
    y, x = np.meshgrid(grid.y, grid.x, indexing="ij")
    return np.stack([y, x], axis=-1) * grid.metres / 1000 if grid.kind == "projected" else unit_vectors(y, x)


def _axes_like(own: Grid, fine: Grid) -> tuple[Axis, Axis]:
    """The axes of a predictor, in the units that the axes of the rain have."""
    if own.kind != "projected":
        return own.y, own.x
    scale = length_in(own.y_attrs.get("units", "m"), fine.y_attrs.get("units", "m"))
    return own.y * scale, own.x * scale


def _offset(axis: Axis, factor: int, others: list[Axis]) -> int:
    """First fine cell of the first block. A predictor nests there, and it is as near to the middle as possible."""
    middle = len(axis) % factor // 2
    for other in others:
        for offset in sorted(range(factor), key=lambda o: abs(o - middle)):
            centres = _block_centres(axis, offset, factor)
            if len(centres) >= 2 and _nest(other, centres):
                return offset
    return middle


def _block_centres(axis: Axis, offset: int, factor: int) -> Axis:
    """Centres of whole blocks of cells, the first of which begins at the offset."""
    count = (len(axis) - offset) // factor
    return axis[offset : offset + count * factor].reshape(count, factor).mean(axis=1)


def _nest(axis: Axis, target: Axis) -> tuple[int, int] | None:
    """First index and number of cells a block, if blocks of an axis are the cells of the target."""
    ratio = step(target) / step(axis)
    size = round(ratio)
    if size < 1 or abs(ratio - size) > ALIGNED * size:
        return None
    direction = np.sign(target[-1] - target[0])
    first = target[0] - direction * step(axis) * (size - 1) / 2
    start = int(np.abs(axis - first).argmin())
    part = axis[start : start + len(target) * size]
    if len(part) < len(target) * size:
        return None
    centres = part.reshape(len(target), size).mean(axis=1)
    return (start, size) if np.abs(centres - target).max() <= ALIGNED * step(target) else None


def _require_cover(predictor: VariableYear, own: Grid, coarse: Grid) -> None:
    """Refuse a predictor that ends before the middle of an outer coarse cell."""
    for axis, target in ((own.y, coarse.y), (own.x, coarse.x)):
        half = step(axis) / 2 * (1 + 1e-6)
        if axis.max() + half < target.max() or axis.min() - half > target.min():
            expected = f"at least the domain of the rain, {coarse.extent}"
            raise predictor.fault(None, own.extent, expected, "use files that cover it")


def _cells_around(axis: Axis, target: Axis) -> slice:
    """The cells of an axis around a target, with some to spare for interpolation."""
    reach = max(step(axis), step(target))
    inside = np.flatnonzero((axis >= target.min() - reach) & (axis <= target.max() + reach))
    return slice(max(0, int(inside[0]) - 1), int(inside[-1]) + 2)


def _require_factor(predictor: VariableYear, own: Grid, fine: Grid, factor: int) -> None:
    """Refuse a predictor of about the coarse resolution that divides the domain of the rain by another factor."""
    ratios = [a / b for a, b in zip(own.steps, fine.steps, strict=True)]
    fits = round(ratios[0])
    same_factor = all(abs(r - fits) <= ALIGNED * fits for r in ratios)
    edges = [
        abs(abs(a[i] - b[i]) - abs(sa - sb) / 2) <= sb / 2
        for a, b, sa, sb in zip((own.y, own.x), (fine.y, fine.x), own.steps, fine.steps, strict=True)
        for i in (0, -1)
    ]
    if same_factor and all(edges) and 2 * fits > factor and factor % fits and fits % factor:
        raise predictor.fault(
            None,
            f"{own.shape[0]} x {own.shape[1]} cells over the {fine.shape[0]} x {fine.shape[1]} cells of the rain, "
            f"{fits} fine cells a side",
            f"a grid for factor {factor}",
            f"set factor: {fits}",
        )


def _padded(axis: Axis) -> Axis:
    """The axis with one more cell at each end."""
    return np.concatenate([[2 * axis[0] - axis[1]], axis, [2 * axis[-1] - axis[-2]]])


def _removed(shape: tuple[int, int], crops: list[slice]) -> list[int]:
    """Fine cells left out in the north, south, west and east."""
    return [n for size, crop in zip(shape, crops, strict=True) for n in (crop.start, size - crop.stop)]
