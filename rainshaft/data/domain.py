"""The domain of a trained model: its grids, its valid cells and its channels.

Input: the canonical fields and the normalisation of a dataset. Output: a small dataset, `domain.nc`, that travels with
the model. With it, predictors are brought to the coarse grid of the model, and its rain to the fine grid, where neither
the dataset nor its files are at hand.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from rainshaft.config.sections import channel_name
from rainshaft.data.axes import WHOLE, Grid
from rainshaft.data.fields import Fields
from rainshaft.data.mappings import Kind
from rainshaft.data.regrid import Coarse
from rainshaft.errors import UserError
from rainshaft.files import DAY_HOURS

Quantity = Literal["rain", "temperature", "other"]

OF_NORMALISATION = ("static_maps", "valid")
KINDS: dict[str, Kind] = {
    "latitude": "latitude/longitude",
    "grid_latitude": "rotated",
    "projection_y_coordinate": "projected",
}
"""standard name of the axis y -> kind of the axes"""


@dataclass(frozen=True)
class Channel:
    """A predictor that a model needs."""

    name: str
    units: str
    quantity: Quantity
    context: bool
    """whether it is the large-scale weather, whose whole field the network sees"""
    lag: int = 0
    """how many days before a day its record lies"""

    @property
    def label(self) -> str:
        """The name of its files, which all lags of a predictor share."""
        return self.name.removesuffix(channel_name("", self.lag))


def domain_of(paths: Sequence[Path], normalisation: xr.Dataset) -> xr.Dataset:
    """Lay out the domain of the models of a dataset.

    Parameters
    ----------
    paths
        Canonical fields of all years.
    normalisation
        The normalisation of the dataset.

    Returns
    -------
    Content of `domain.nc`: fine axes `lat`, `lon` and coarse axes `y`, `x` with their grid mapping, the axes `v`, `u`
    of the context, `valid`, static maps, and the units and the quantity of each channel.
    """
    with Fields(paths) as fields:
        ground = fields.ground
        sources = json.loads(ground.attrs["sources"])
    names = [*map(str, ground.channel.values), *map(str, ground.context_channel.values)]
    quantities = [str(source["quantity"]) for source in sources[1:]] or ["rain"]  # it is made from the rain
    lags = [int(source.get("lag", 0)) for source in sources[1:]] or [0]
    assert len(quantities) == len(names)
    kept = ["channel_units", "context_units", *(["crs"] if "crs" in ground else [])]
    domain = ground[kept].merge(normalisation[list(OF_NORMALISATION)].drop_vars("time", errors="ignore"))
    domain = domain.drop_vars([name for name in domain.coords if "time" in domain[name].dims])
    count = ground.sizes["channel"]
    for dim, name, part in (("channel", "channel", slice(count)), ("context_channel", "context", slice(count, None))):
        domain[f"{name}_quantity"] = dim, np.array(quantities[part], dtype=str), {"long_name": "kind of predictor"}
        domain[f"{name}_lag"] = dim, np.array(lags[part], dtype="i4"), {"long_name": "days before the day of the rain"}
    for name in ("y", "x", "v", "u"):
        domain = domain.assign_coords({name: ground[name]})
    domain.attrs = {
        "title": "Domain of a model",
        **{name: ground.attrs[name] for name in ("factor", "rain_channel", "grid_kind")},
    }
    return domain


class Domain:
    """A domain that was read.

    Parameters
    ----------
    content
        What `domain_of` gave.
    """

    def __init__(self, content: xr.Dataset):
        self.content = content
        """also what the networks need of the normalisation: static maps and valid cells"""
        self.rain_channel = str(content.attrs["rain_channel"])
        """name of the channel that is coarse rain; empty where there is none"""
        self.factor = int(content.attrs["factor"])
        self.hours = float(content.attrs.get("hours", DAY_HOURS))
        """length of a step"""
        self.valid: NDArray[np.bool_] = content.valid.values == 1
        """True for the fine cells in which the model draws rain (lat, lon)"""

    @cached_property
    def channels(self) -> tuple[Channel, ...]:
        """The predictors on the coarse grid, then those that are context, each in the order of the networks."""
        found = []
        for dim, prefix in (("channel", "channel"), ("context_channel", "context")):
            columns = (self.content[name].values for name in (dim, f"{prefix}_units", f"{prefix}_quantity"))
            of_older_models = xr.DataArray(np.zeros(self.content.sizes[dim], "i4"))
            lags = self.content.get(f"{prefix}_lag", of_older_models).values
            for name, units, quantity, lag in zip(*columns, lags, strict=True):
                kind = cast("Quantity", str(quantity))
                found.append(Channel(str(name), str(units), kind, prefix == "context", int(lag)))
        return tuple(found)

    @property
    def observed(self) -> NDArray[np.bool_]:
        """True for the coarse cells (y, x) in which some cell is valid."""
        rows, columns = (size // self.factor for size in self.valid.shape)
        return np.asarray(self.valid.reshape(rows, self.factor, columns, self.factor).any((1, 3)))

    @cached_property
    def coarse(self) -> Coarse:
        """The coarse grid and the fine grid of the model."""
        fine = fine_grid(self.content)
        return Coarse(_axis(self.content.y), _axis(self.content.x), fine, WHOLE, self.factor, ())

    @property
    def context_shape(self) -> tuple[int, int]:
        """Rows and columns of the context; 0 where there is none."""
        return self.content.sizes["v"], self.content.sizes["u"]

    @cached_property
    def context(self) -> Coarse:
        """The grid of the context, as a coarse grid whose cells are its own fine cells."""
        v, u = self.content.v, self.content.u
        grid = Grid(KINDS[str(v.attrs["standard_name"])], _axis(v), _axis(u), v.attrs, u.attrs)
        return Coarse(grid.y, grid.x, grid, WHOLE, 1, ())


def domain_around(
    coarse: Grid, label: str, factor: int, hours: float, observed: NDArray[np.bool_] | None = None
) -> xr.Dataset:
    """Lay out a domain whose coarse cells are those of a grid, as `domain_of` does for a dataset.

    Parameters
    ----------
    label
        The name of the coarse rain.
    hours
        Length of a step.
    observed
        True for the coarse cells with rain; all of them by default.
    """
    observed = np.ones(coarse.shape, bool) if observed is None else observed
    rows, columns = (size * factor for size in coarse.shape)
    fine = {"lat": _split(coarse.y, factor), "lon": _split(coarse.x, factor)}
    attributes = {"lat": coarse.y_attrs, "lon": coarse.x_attrs, "y": coarse.y_attrs, "x": coarse.x_attrs}
    axes = {**fine, "y": coarse.y, "x": coarse.x}
    nothing: Any = np.empty(0)
    domain = xr.Dataset(
        {
            "channel_units": ("channel", np.array(["mm/day"])),
            "context_units": ("context_channel", np.array([], dtype="<U1")),
            "channel_quantity": ("channel", np.array(["rain"])),
            "context_quantity": ("context_channel", np.array([], dtype="<U1")),
            "channel_lag": ("channel", np.zeros(1, "i4")),
            "context_lag": ("context_channel", np.zeros(0, "i4")),
            "static_maps": (("static", "lat", "lon"), np.empty((0, rows, columns), "f4")),
            "valid": (("lat", "lon"), np.kron(observed, np.ones((factor, factor))).astype("i1")),
        },
        {
            "channel": ("channel", np.array([label])),
            "context_channel": ("context_channel", np.array([], dtype="<U1")),
            "static": ("static", np.array([], dtype="<U1")),
            "v": ("v", nothing),
            "u": ("u", nothing),
            **{name: (name, values, attributes[name]) for name, values in axes.items()},
        },
        {
            "title": "Domain of a model",
            "factor": factor,
            "rain_channel": label,
            "grid_kind": coarse.kind,
            "hours": hours,
        },
    )
    return domain if coarse.crs is None else domain.assign(crs=coarse.crs)


def _split(axis: NDArray[np.float64], factor: int) -> NDArray[np.float64]:
    """Give the centres of the fine cells within cells with these centres."""
    step = (axis[-1] - axis[0]) / (len(axis) - 1) if len(axis) > 1 else np.nan
    offsets = (np.arange(factor) - (factor - 1) / 2) / factor
    if not np.isfinite(step):
        raise UserError(
            "the coarse rain: found a grid with one row or one column, expected at least two of each; the distance of "
            "two tells how large a cell is"
        )
    return np.asarray(axis[:, None] + step * offsets).ravel()


def fine_grid(content: xr.Dataset) -> Grid:
    """Give the grid of `lat` and `lon` of a domain or of canonical fields."""
    crs = xr.DataArray(np.int32(0), attrs=content.crs.attrs) if "crs" in content else None
    kind = cast("Kind", str(content.attrs["grid_kind"]))
    return Grid(kind, _axis(content.lat), _axis(content.lon), content.lat.attrs, content.lon.attrs, crs)


def _axis(values: xr.DataArray) -> NDArray[np.float64]:
    return np.asarray(values.values, dtype="float64")
