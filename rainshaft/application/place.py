"""General networks at a place: opened for the grid and the rain of some coarse fields, and used as other models are.

Input: coarse rain as people have it, with any step from half an hour to a day, and the factor. Output: a
`TrainedModel` whose domain is the area of this rain. Its fine cells lie within the coarse ones.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from rainshaft.application.card import grid_of, markdown
from rainshaft.application.model import TrainedModel
from rainshaft.application.predictors import Input
from rainshaft.config.sections import PredictorFiles
from rainshaft.config.slices import PlaceSettings
from rainshaft.data.axes import Grid
from rainshaft.data.climate import climate_of
from rainshaft.data.conventions import RAIN_NAMES
from rainshaft.data.domain import Domain, domain_around
from rainshaft.data.gaps import USUAL
from rainshaft.data.prepare import MEMORY_CHUNK_BYTES
from rainshaft.data.rawfile import OpenFiles
from rainshaft.data.sources import InMemory, Location, Source, files_of, predictor_source
from rainshaft.data.times import timing_of
from rainshaft.data.year import read_year, years_of
from rainshaft.errors import UserError
from rainshaft.files import DAY_HOURS, atomic, write_json, write_netcdf
from rainshaft.general.chain import general_chain
from rainshaft.general.info import WEIGHTS, cited, factors, read_info
from rainshaft.models import folder as model_folder
from rainshaft.models.chain import Chain
from rainshaft.models.cvae import RainCVAE
from rainshaft.models.device import choose_device
from rainshaft.models.store import TrainedNetwork, save_model
from rainshaft.refinements import chained

log = logging.getLogger("rainshaft")

RAIN = "pr"  # what rain without a name is called
TILE = 512  # fine cells; as the default of a configuration
FAR = 1.5  # times the range that the networks have seen; beyond it a warning is due  # ASSUME

LIMITS = (
    "It has never seen this place. It knows no mountains and no coasts here, so the members do not know on which side "
    "of a ridge it rains.",
    "It takes the coarse rain for true: the members have exactly its mean in each coarse cell. So it suits rain that "
    "was measured or is trusted, and not the rain of a biased climate model.",
    "It knows how spotty the rain is from the coarse rain alone. A product with a texture of its own will differ.",
    "Members of successive steps are drawn independently, given the coarse rain.",
)


@dataclass(frozen=True)
class GeneralModel(TrainedModel):
    """General networks for the area of some coarse rain."""

    rain: Source
    """the coarse rain for which they were opened"""
    doubts: tuple[str, ...]
    """in what this rain is beyond what the networks have seen"""

    def sources(self, variables: Mapping[str, str]) -> list[Source]:
        """Say which variable is the rain; its stamps and units are as those for which the networks were opened."""
        (named,) = super().sources(variables)
        return [replace(named, day=self.rain.day, units=self.rain.units)]

    def out_of_range(self, days: xr.Dataset) -> str:
        """Say in what this rain is beyond what the networks have seen; empty if in nothing."""
        return "; ".join(self.doubts)


def place(
    sources: Sequence[Source],
    files: OpenFiles,
    given: Mapping[str, Sequence[Location]],
    factor: int,
    device: str = "auto",
    folder: Path = WEIGHTS,
) -> tuple[GeneralModel, xr.Dataset]:
    """Open the general networks for coarse rain.

    Parameters
    ----------
    sources
        One source, the coarse rain.
    files
        Keeps the raw files open.
    given
        Where the values are, by the key of the source.
    factor
        By how much to refine.
    device
        `auto`, `cpu` or `cuda`.
    folder
        The networks.

    Returns
    -------
    The model, and the canonical coarse rain (as `Input.read_all` gives it), still on the disk.

    Raises
    ------
    UserError
        If the factor cannot be reached, or the rain cannot be used.
    """
    steps = chained(factor, factors(folder))
    (source,) = sources
    first = replace(source, realization=0)  # all realizations lie on one grid
    raws = [files.timed(first, path, None) for path in given[source.key]]
    for raw in raws[1:]:
        if not raw.grid.same(raws[0].grid):
            raise raw.header.fault(raw.grid.size, f"the grid of {raws[0].header.path}", "use files on one grid")
    hours = DAY_HOURS / timing_of([raw.records for raw in raws]).a_day
    observed = _observed(first, given[source.key], files, hours)
    domain = Domain(domain_around(raws[0].grid, source.label, factor, hours, observed))
    days = Input(domain, sources, files, given).read_all()
    rain = _of_all_realizations(days)
    chain = general_chain(rain, domain.observed, factor, choose_device(device), folder)
    info = read_info(folder)
    climate = xr.Dataset()  # the networks have no climate of their own
    model = GeneralModel(
        chain,
        domain,
        climate,
        card_of(info, steps, chain, rain),
        source,
        tuple(_doubts(info, steps, raws[0].grid, hours)),
    )
    return model, days


def open_general(
    coarse: xr.Dataset | xr.DataArray,
    factor: int,
    variable: str | None = None,
    device: str = "auto",
    day: Literal["auto", "start", "end"] = "auto",
    units: str | None = None,
) -> GeneralModel:
    """Open the general networks for coarse rain in memory.

    Parameters
    ----------
    coarse
        Rain with time, latitude and longitude (or the axes of another grid), in any units of rain, in any calendar, in
        steps of a day or of an equal part of a day. How large and how often it rains is learned from it.
    factor
        By how much to refine: 2, 3, 4, 5, 8, or a product of these.
    variable
        The name of the rain. It is needed where a dataset has several variables.
    device
        `auto`, `cpu` or `cuda`; `auto` takes a GPU if there is one.
    day
        Where a stamp stands in its step. `auto` asks the bounds. Without bounds, days have their date, sums of less
        than a day are stamped at their end, and means at their middle.
    units
        Units of the rain, where it states none.

    Returns
    -------
    A model whose `downscale` takes this rain, or other rain on the same grid.

    Raises
    ------
    UserError
        If the factor cannot be reached, or the rain cannot be used.
    """
    if isinstance(coarse, xr.DataArray):
        coarse = coarse.to_dataset(name=coarse.name or RAIN)
    variables = {str(name): data.variable for name, data in coarse.data_vars.items()}
    source = rain_source(variable or rain_name(variables, "the coarse rain", "variable='its name'"), day, units)
    if source.variable not in coarse.variables:
        raise UserError(f"variable: found {source.variable!r}, expected one of {', '.join(variables)}")
    return place([source], OpenFiles(), {source.key: [InMemory(coarse)]}, factor, device)[0]


def rain_source(variable: str, day: Literal["auto", "start", "end"] = "auto", units: str | None = None) -> Source:
    """The source of coarse rain of this name."""
    files = PredictorFiles(files=("(given)",), variable=variable, quantity="rain", day=day, units=units)
    return predictor_source(files, "the coarse rain")


def rain_name(variables: Mapping[str, xr.Variable], where: str, cure: str) -> str:
    """Find the variable that is rain, by its name or because no other one has rows and columns.

    Parameters
    ----------
    variables
        All variables by name.
    where, cure
        For the message: where they are, and how to say which one is rain.

    Raises
    ------
    UserError
        If several could be.
    """
    fields = [
        name
        for name, variable in variables.items()
        if variable.ndim >= 2
        and not name.endswith(("bnds", "bounds"))
        and not str(variable.attrs.get("units", "")).lower().startswith("degree")  # places of cells
    ]
    found = [name for name in fields if name.rpartition("/")[2].lower() in RAIN_NAMES] or fields
    if len(found) != 1:
        names = ", ".join(found) or "none with rows and columns"
        raise UserError(f"{where}: found the variables {names}, expected one that is rain; say which one: {cure}")
    return found[0]


def export_placed(settings: PlaceSettings, key: str, folder: Path) -> None:
    """Write the folder of a model: the general networks for the coarse rain of some files, in days.

    Parameters
    ----------
    settings
        Names the files of the coarse rain, the years and the factor.
    key
        Where the files stand in the configuration, for messages.
    folder
        The folder of the model.

    Raises
    ------
    UserError
        If the rain cannot be used.
    """
    (files_of_rain,) = settings.predictors
    source = predictor_source(files_of_rain.model_copy(update={"quantity": "rain"}), f"{key}.0")
    with OpenFiles() as files, tempfile.TemporaryDirectory(dir=folder) as scratch:
        whole = replace(source, realization=0)
        first = files.timed(whole, files_of(source, min(settings.years))[0], None)
        every = [path for year in settings.years for path in files_of(source, year)]
        observed = _observed(whole, list(dict.fromkeys(every)), files, DAY_HOURS, settings.years)
        content = domain_around(first.grid, source.label, settings.factor, DAY_HOURS, observed)
        domain, grid = Domain(content), first.grid
        paths = [Path(scratch) / f"{year}.nc" for year in sorted(settings.years)]
        given = Input(domain, [source], files)
        for year, path in zip(sorted(settings.years), paths, strict=True):
            write_netcdf(given.read(year), path)
        climate = climate_of(paths)
        rain = np.concatenate([_of_all_realizations(xr.load_dataset(path)) for path in paths])
    info = read_info()
    steps = chained(settings.factor, factors())
    chain = general_chain(rain, domain.observed, settings.factor, choose_device("cpu"))
    networks = [
        TrainedNetwork(
            name=f"refines by {step}",
            kind=network.kind,
            architecture=network.architecture,
            weights=network.state_dict(),
            parameters=info["networks"][str(step)]["parameters"],
            epochs=0,
            steps=info["networks"][str(step)]["steps"],
            best_epoch=info["networks"][str(step)]["best_epoch"],
        )
        for step, network in zip(steps, chain.networks, strict=True)
    ]
    facts = {"rainshaft_version": info["rainshaft_version"], "torch_version": info["torch_version"]}
    save_model(networks, facts, folder / model_folder.WEIGHTS, folder / model_folder.INFO)
    write_netcdf(content, folder / model_folder.DOMAIN)
    write_netcdf(climate, folder / model_folder.CLIMATE)
    doubts = _doubts(info, steps, grid, DAY_HOURS)
    for doubt in doubts:
        log.warning("the coarse rain: %s", doubt)
    card = card_of(info, steps, chain, rain) | {
        "grid": grid_of(domain),
        "predictors": [{"name": source.label, "units": "mm/day", "quantity": "rain", "context": False}],
        "doubts": doubts,
    }
    write_json(card, folder / model_folder.CARD)
    with atomic(folder / model_folder.README) as temporary:
        temporary.write_text(markdown(card), encoding="utf-8")
    model_folder.seal(folder)


def _of_all_realizations(days: xr.Dataset) -> NDArray[np.float32]:
    """Give the coarse rain of all steps and realizations, one after the other (step, y, x)."""
    rain = days["predictors"].values[:, :, 0]
    return np.asarray(rain.reshape(-1, *rain.shape[2:]))


def card_of(info: Mapping[str, Any], steps: Sequence[int], chain: Chain, coarse: NDArray[np.float32]) -> dict[str, Any]:
    """Give the card of general networks: from what they learned, what they cannot know, and whom to cite.

    It says how large the coarse rain is, because the networks take rain of any size. So wrong units show there alone.
    """
    records = info["records"]
    size = {"mean": float(np.nanmean(coarse, dtype="f8")), "highest": float(np.nanmax(coarse))}
    log.info("the coarse rain: mean %(mean).3g, highest value %(highest).3g mm/day", size)
    return {
        "name": "general " + " x ".join(map(str, steps)),
        "kind": "cvae",
        "parameters": sum(info["networks"][str(step)]["parameters"] for step in steps),
        "learned_from": [
            {"name": name, "cell_km": one["cell_km"], "hours": one["hours"]} for name, one in records.items()
        ],
        "rainshaft_version": info["rainshaft_version"],
        "weights_sha256": cited(info, steps)["model_sha256"],
        "rain_units": [float(cast("RainCVAE", network).architecture.unit) for network in chain.networks],
        "coarse_rain": size,
        "sampling": {"temperature": 1.0, "memory": 0.0, "tile": TILE, "pixel_threshold": 0.0},
        "limits": list(LIMITS),
        "licence": cited(info, steps)["license"],
        "citation": cited(info, steps)["references"],
    }


def _observed(
    source: Source, paths: Sequence[Location], files: OpenFiles, hours: float, years: Sequence[int] = ()
) -> NDArray[np.bool_]:
    """Tell which cells (y, x) usually have a value, as `rainshaft.data.gaps` counts them."""
    count, steps = np.zeros((1, 1)), 0
    for year in years or years_of(source, paths, None, files):
        rain = read_year(source, paths, year, None, files, hours == DAY_HOURS).lazy(MEMORY_CHUNK_BYTES)
        count, steps = count + rain.notnull().sum("time").values, steps + rain.sizes["time"]
    return np.asarray(count >= USUAL * steps)


def _doubts(info: Mapping[str, Any], steps: Sequence[int], coarse: Grid, hours: float) -> list[str]:
    """Say in what this rain is far beyond what the networks have seen, and what the result will lack."""
    found = []
    side = coarse.cell_km
    for step in steps:
        network = info["networks"][str(step)]
        for what, value, (least, most) in (
            (f"coarse cells of {side:.3g} km", side, network["coarse_km"]),
            (f"steps of {hours:.3g} h", hours, network["hours"]),
        ):
            if not least / FAR <= value <= most * FAR:
                found.append(f"{what}, while the network for factor {step} has seen {least:.3g} to {most:.3g}")
        side /= step
    if coarse.positions is not None and coarse.crs is None and coarse.kind != "latitude/longitude":
        found.append("no grid mapping, so the fine cells have distances but no latitudes and longitudes")
    return found
