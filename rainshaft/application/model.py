"""A trained model that was opened: `rainshaft.load_model`.

Input: the folder of a model. Output: an object that turns coarse fields of xarray into members of high-resolution rain.
Fields are read as raw files are: by their units, calendars, axes and grid mappings. So what the workflow would refuse
is refused here, too.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from rainshaft import __version__
from rainshaft.application.downscale import coordinates, draw_days
from rainshaft.application.extrapolation import beyond, judge
from rainshaft.application.predictors import VALUES, Input
from rainshaft.config.sections import PredictorFiles
from rainshaft.config.slices import DrawSettings
from rainshaft.data.domain import Channel, Domain
from rainshaft.data.rawfile import OpenFiles
from rainshaft.data.sources import InMemory, Source, predictor_sources
from rainshaft.errors import UserError, nearest
from rainshaft.files import member_axis, rain_attributes
from rainshaft.models import folder as files
from rainshaft.models.chain import Chain
from rainshaft.models.device import choose_device
from rainshaft.models.store import load_model
from rainshaft.sampling.threshold import above

CHUNK_BYTES = 64e6  # of a chunk of rain in memory, for input of dask


@dataclass(frozen=True)
class TrainedModel:
    """A trained model with all that it needs."""

    chain: Chain
    domain: Domain
    climate: xr.Dataset
    """the climate of the predictors on the training days"""
    card: dict[str, Any]
    """what the model was trained on, its scores, and how to cite it; content of `card.json`"""

    @property
    def channels(self) -> tuple[Channel, ...]:
        """The predictors that the model needs."""
        return self.domain.channels

    def downscale(
        self,
        coarse: xr.Dataset | xr.DataArray,
        members: int = 10,
        seed: int = 1,
        variables: Mapping[str, str] | None = None,
    ) -> xr.Dataset:
        """Draw members of the rain of each day of coarse fields.

        A warning tells where too many values lie beyond the range of the training days.

        The values are read once to check them. If they are those of dask, the rain is lazy: it is drawn when it is
        asked for, chunk by chunk, and its members do not depend on the chunks.

        Parameters
        ----------
        coarse
            A variable for each predictor of the model, with time, latitude and longitude (or the axes of another grid
            and its grid mapping), in any units that convert, in any calendar. It may have an ensemble dimension. It
            must cover the domain of the model.
        members
            Members of each day, for each realization of the input.
        seed
            The members are a function of the seed, the date and their number.
        variables
            The name of the variable for a predictor of the model, where both differ.

        Returns
        -------
        `pr` (time, member, lat, lon) in mm/day as float32: exactly 0 on dry cells, NaN where the model has no valid
        cell. The coordinate `realization` says to which realization of the input a member belongs.

        Raises
        ------
        UserError
            If a variable is missing, or its units, its grid or its values cannot be what the model was trained with.
        """
        if isinstance(coarse, xr.DataArray):
            coarse = coarse.to_dataset(name=coarse.name or self.channels[0].label)
        sources = self.sources(variables or {})
        for source in sources:
            if source.variable not in coarse.variables:
                names = ", ".join(map(str, coarse.data_vars))
                raise UserError(
                    f"the coarse fields: found the variables {names}, expected one for each predictor of the model, "
                    f"{', '.join(dict.fromkeys(one.variable for one in sources))}; add {source.variable}, or say which "
                    f"variable is which: variables={{{source.files_label!r}: 'its name'}}"
                )
        given = {source.key: [InMemory(coarse)] for source in sources}
        days = Input(self.domain, sources, OpenFiles(), given).read_all()
        if fault := self.out_of_range(days):
            warnings.warn(fault, stacklevel=2)
        rain = self.rain_of(days, self.settings(members, seed))
        return rain if any(v.chunks is not None for v in coarse.variables.values()) else rain.compute()

    def out_of_range(self, days: xr.Dataset) -> str:
        """Say how far canonical predictors lie beyond the range of the training days; empty if they do not."""
        fault = judge(beyond(days, self.climate))
        return f"the predictors: {fault.partition('; to go on')[0]}" if fault else ""

    def settings(self, members: int, seed: int) -> DrawSettings:
        """Give what members depend on, with what the card says of the model."""
        drawn = self.card["sampling"]
        return DrawSettings(
            seed=seed,
            members=members,
            temperature=float(drawn["temperature"]),
            memory=float(drawn["memory"]),
            tile=int(drawn["tile"]),
            device="auto",
        )

    def sources(self, variables: Mapping[str, str]) -> list[Source]:
        """Say which variable is which predictor; `variables` is as in `downscale`.

        Raises
        ------
        UserError
            If `variables` names a predictor that the model does not have.
        """
        needed = [channel.label for channel in self.channels]
        if unknown := sorted(set(variables) - set(needed)):
            known = nearest(unknown[0], needed) or f"; they are {', '.join(dict.fromkeys(needed))}"
            raise UserError(f"variables: found {', '.join(unknown)}, expected predictors of the model{known}")
        found = []
        for channel in self.channels:
            files = PredictorFiles(
                files=("(given)",),
                variable=variables.get(channel.label, channel.label),
                name=channel.label,
                quantity=channel.quantity,
                context=channel.context,
                lags=(channel.lag,),
            )
            found += predictor_sources(files, f"variables[{channel.label!r}]")
        return found

    def rain_of(self, days: xr.Dataset, settings: DrawSettings) -> xr.Dataset:
        """Draw the rain of canonical predictors, as `Input.read` gives them. It is lazy; result as in `downscale`."""
        members, shape = settings.members * days.sizes["realization"], self.domain.valid.shape
        threshold = float(self.card["sampling"]["pixel_threshold"])
        size = max(1, int(CHUNK_BYTES / (4 * members * shape[0] * shape[1])))
        days = days.chunk(time=min(size, days.sizes["time"]), realization=-1)
        names = [name for name in VALUES if days[name].size]  # dask refuses a context without channels
        template = days.drop_vars(names).load()

        def rain(index: NDArray[np.int64], *arrays: NDArray[np.float32]) -> Any:
            values = {name: (days[name].dims, array) for name, array in zip(names, arrays, strict=True)}
            chunk = template.isel(time=index).assign(values)
            return above(draw_days(self.chain, self.domain, chunk, settings), threshold)

        numbers = xr.DataArray(np.arange(days.sizes["time"]), dims="time").chunk(time=days.chunksizes["time"])
        pr = xr.apply_ufunc(
            rain,
            numbers,
            *(days[name].drop_vars(days[name].coords) for name in names),
            input_core_dims=[[], *(days[name].dims[1:] for name in names)],
            output_core_dims=[["member", "lat", "lon"]],
            dask="parallelized",
            dask_gufunc_kwargs={"output_sizes": {"member": members, "lat": shape[0], "lon": shape[1]}},
            output_dtypes=[np.float32],
        )
        found = coordinates(self.domain, days, settings)
        found["pr"] = pr.transpose("time", "member", "lat", "lon").assign_attrs(rain_attributes(self.domain.hours))
        found = found.assign_coords(member=member_axis(members))
        found.attrs = {"Conventions": "CF-1.11", **provenance(self.card), "seed": settings.seed}
        return found


def open_model(folder: str | Path, device: str = "auto") -> TrainedModel:
    """Open the folder of a trained model.

    Parameters
    ----------
    folder
        The folder, which the workflow writes as `results/EXPERIMENT/model`, or a copy of it.
    device
        `auto`, `cpu` or `cuda`; `auto` takes a GPU if there is one.

    Raises
    ------
    UserError
        If it is no such folder, is damaged, or is of another version.
    """
    path = Path(folder)
    files.require_whole(path)
    chain = load_model(path / files.WEIGHTS, path / files.INFO, choose_device(device))
    card = json.loads((path / files.CARD).read_text(encoding="utf-8"))
    return TrainedModel(
        chain, Domain(xr.load_dataset(path / files.DOMAIN)), xr.load_dataset(path / files.CLIMATE), card
    )


def provenance(card: Mapping[str, Any]) -> dict[str, Any]:
    """Give the attributes of a file that was made with a model: what made it, and whom to cite."""
    return {
        "source": f"rainshaft {card['rainshaft_version']}, model {card['name']}",
        "history": f"rainshaft {__version__} drew members with the model {card['name']}",
        "model_sha256": str(card["weights_sha256"]),
        "references": str(card["citation"]),
        "license": str(card["licence"]),
        "temperature": float(card["sampling"]["temperature"]),
        "memory": float(card["sampling"]["memory"]),
        **({"rain_units": card["rain_units"]} if "rain_units" in card else {}),
    }
