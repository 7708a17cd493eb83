"""How the fine grid, the coarse grid and the grids of the predictors lie to each other; distance to the coast.

A coarse cell is a block of `factor` x `factor` fine cells. Predictors are used as they are where their cells are the
coarse cells, averaged where whole cells of theirs make up each coarse cell, and regridded otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from scipy.spatial import cKDTree

from rainshaft.data.axes import Grid, Window, step
from rainshaft.data.conventions import EARTH_RADIUS_KM
from rainshaft.data.units import length_in
from rainshaft.data.year import VariableYear

ALIGNED = 0.01  # of a coarse cell: centres closer than this are the same


@dataclass(frozen=True)
class Coarse:
    """The coarse grid and the part of the fine grid that it covers."""

    y: np.ndarray
    x: np.ndarray
    fine: Grid
    crop: Window
    factor: int
    notes: tuple[str, ...]

    @property
    def coordinates(self) -> dict[str, Any]:
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

    method: str
    """nest, linear or conservative"""
    window: Window
    """the cells of its own grid that are needed"""
    source: Grid
    """those cells"""
    target: Coarse
    note: str
    blocks: tuple[int, int] = (1, 1)

    def apply(self, data: xr.DataArray) -> xr.DataArray:
        """From (time, lat, lon) within the window to (time, y, x) on the coarse grid."""
        data = data.rename(lat="y", lon="x")
        if self.method == "nest":
            return data.coarsen(y=self.blocks[0], x=self.blocks[1]).mean() if self.blocks != (1, 1) else data
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


def coarse_grid(rain: VariableYear, predictors: list[VariableYear], factor: int) -> Coarse:
    """Choose the blocks: aligned to a predictor that fits, else in the middle of the fine grid.

    Raises
    ------
    InputError
        If there is no room for two coarse cells along each side.
    """
    fine = rain.grid
    candidates = [_axes_like(p.grid, fine) for p in predictors if p.grid.kind == fine.kind]
    axes, crops, notes = [], [], []
    for i, axis in enumerate((fine.y, fine.x)):
        if len(axis) < 2 * factor:
            raise rain.fault(
                None,
                f"{fine.shape[0]} x {fine.shape[1]} cells",
                f"at least {2 * factor} along each side for factor {factor}",
                f"use factor {min(fine.shape) // 2} or less, or a larger domain",
            )
        offset = _offset(axis, factor, [c[i] for c in candidates])
        count = (len(axis) - offset) // factor
        axes.append(axis[offset : offset + count * factor].reshape(count, factor).mean(axis=1))
        crops.append(slice(offset, offset + count * factor))
    shape = tuple(c.stop - c.start for c in crops)
    if shape != fine.shape:
        if min(shape) < 2 * factor:
            raise rain.fault(
                None,
                f"{fine.shape[0]} x {fine.shape[1]} cells, {shape[0]} x {shape[1]} of them in whole coarse cells",
                f"at least {2 * factor} along each side for factor {factor}",
                "use a smaller factor or a larger domain",
            )
        sides = zip(("north", "south", "west", "east"), _removed(fine.shape, crops), strict=True)
        cut = ", ".join(f"{n} in the {side}" for side, n in sides if n)
        notes.append(
            f"Rain: cropped from {fine.shape[0]} x {fine.shape[1]} to {shape[0]} x {shape[1]} cells, "
            f"whole coarse cells of {factor} x {factor} (left out: {cut})."
        )
    return Coarse(axes[0], axes[1], fine, (crops[0], crops[1]), factor, tuple(notes))


def map_to_coarse(predictor: VariableYear, rain: VariableYear, coarse: Coarse) -> Mapping:
    """Find out how a predictor gets to the coarse grid.

    Raises
    ------
    InputError
        If it does not cover the domain, has axes of another kind, or asks for another factor.
    """
    fine, own = rain.grid, predictor.grid
    if own.kind != fine.kind:
        # coarse rain is refined cell by cell, so its field cannot be the context
        whole = "" if predictor.source.quantity == "rain" else ", take its whole field with `context: true`"
        raise predictor.fault(
            None,
            f"axes of the kind {own.kind}",
            f"{fine.kind} as the rain has",
            f"put the predictor on the axes of the rain first{whole}, or use `predictors: coarsened`",
        )
    y, x = _axes_like(own, fine)
    own = Grid(own.kind, y, x)
    name = predictor.source.name[:1].upper() + predictor.source.name[1:]
    steps = "{:g} x {:g}".format(*np.round(own.steps, 6))

    nests = [_nest(axis, target) for axis, target in ((y, coarse.y), (x, coarse.x))]
    if nests[0] and nests[1]:
        window = tuple(slice(s, s + n * k) for (s, k), n in zip(nests, (len(coarse.y), len(coarse.x)), strict=True))
        blocks = (nests[0][1], nests[1][1])
        part = Grid(own.kind, y[window[0]], x[window[1]])
        note = (
            f"{name}: its cells are the coarse cells, used as they are."
            if blocks == (1, 1)
            else f"{name}: means over blocks of {blocks[0]} x {blocks[1]} cells of its {steps} grid."
        )
        return Mapping("nest", (window[0], window[1]), part, coarse, note, blocks)

    _require_factor(predictor, own, fine, coarse.factor)
    window = []
    for axis, target in ((y, coarse.y), (x, coarse.x)):
        half = step(axis) / 2 * (1 + 1e-6)
        if axis.max() + half < target.max() or axis.min() - half > target.min():
            whole = Grid(fine.kind, coarse.y, coarse.x)
            raise predictor.fault(
                None,
                own.extent,
                f"at least the domain of the rain, {whole.extent}",
                "use files that cover it",
            )
        reach = max(step(axis), step(target))
        inside = np.flatnonzero((axis >= target.min() - reach) & (axis <= target.max() + reach))
        window.append(slice(max(0, int(inside[0]) - 1), int(inside[-1]) + 2))
    part = Grid(own.kind, y[window[0]], x[window[1]])
    coarse_steps = step(coarse.y), step(coarse.x)
    finer = own.steps[0] * own.steps[1] < 0.99 * coarse_steps[0] * coarse_steps[1]
    method = "conservative" if finer else "linear"
    note = "{}: regridded ({}) from its {} grid to the coarse grid of {:g} x {:g}.".format(
        name, method, steps, *np.round(coarse_steps, 6)
    )
    return Mapping(method, (window[0], window[1]), part, coarse, note)


def coast_distance(land: np.ndarray, grid: Grid) -> np.ndarray:
    """Distance from each cell to the nearest cell of the other kind, land or sea.

    Parameters
    ----------
    land
        True on land, of the shape of the grid.
    grid
        Great-circle distance for degrees (a rotated pole keeps it), straight distance for a projection.

    Returns
    -------
    numpy.ndarray
        Distance in km; NaN everywhere when there is no coast.
    """
    distance = np.full(land.shape, np.nan)
    if land.all() or not land.any():
        return distance
    y, x = np.meshgrid(grid.y, grid.x, indexing="ij")
    if grid.kind == "projected":
        points = np.stack([y, x], axis=-1) * length_in(grid.y_attrs.get("units", "m"), "km")
    else:
        phi, lam = np.radians(y), np.radians(x)
        points = np.stack([np.cos(phi) * np.cos(lam), np.cos(phi) * np.sin(lam), np.sin(phi)], axis=-1)
    for here, other in ((land, ~land), (~land, land)):
        distance[here] = cKDTree(points[other]).query(points[here])[0]
    if grid.kind != "projected":
        distance = 2 * EARTH_RADIUS_KM * np.arcsin(np.minimum(distance / 2, 1))
    return distance


def _axes_like(own: Grid, fine: Grid) -> tuple[np.ndarray, np.ndarray]:
    """Axes of a predictor in the units of the axes of the rain."""
    if own.kind != "projected":
        return own.y, own.x
    scale = length_in(own.y_attrs.get("units", "m"), fine.y_attrs.get("units", "m"))
    return own.y * scale, own.x * scale


def _offset(axis: np.ndarray, factor: int, others: list[np.ndarray]) -> int:
    """First fine cell of the first block: where a predictor nests, as near to the middle as can be."""
    middle = len(axis) % factor // 2
    for other in others:
        for offset in sorted(range(factor), key=lambda o: abs(o - middle)):
            count = (len(axis) - offset) // factor
            if count < 2:
                continue
            centres = axis[offset : offset + count * factor].reshape(count, factor).mean(axis=1)
            if _nest(other, centres):
                return offset
    return middle


def _nest(axis: np.ndarray, target: np.ndarray) -> tuple[int, int] | None:
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


def _padded(axis: np.ndarray) -> np.ndarray:
    """The axis with one more cell at each end."""
    return np.concatenate([[2 * axis[0] - axis[1]], axis, [2 * axis[-1] - axis[-2]]])


def _removed(shape: tuple[int, int], crops: list[slice]) -> list[int]:
    """Fine cells left out in the north, south, west and east."""
    return [n for size, crop in zip(shape, crops, strict=True) for n in (crop.start, size - crop.stop)]
