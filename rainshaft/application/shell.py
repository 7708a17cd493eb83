"""The words `rainshaft downscale` and `rainshaft describe` of the shell.

Input: the folder of a model, and files with its predictors. Output: one netCDF file or zarr store of rain.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from rainshaft.application.card import markdown
from rainshaft.application.downscale import coordinates, draw_days
from rainshaft.application.model import TrainedModel, open_model, provenance
from rainshaft.application.predictors import Input
from rainshaft.config.slices import DrawSettings
from rainshaft.data.formats import variables_of
from rainshaft.data.prepare import STAMPS_ELSEWHERE
from rainshaft.data.rawfile import OpenFiles
from rainshaft.data.sources import Source
from rainshaft.errors import UserError
from rainshaft.files import DAY_HOURS, write_ensemble, write_zarr
from rainshaft.sampling.draw import DAYS_AT_ONCE
from rainshaft.sampling.threshold import above


@dataclass(frozen=True)
class Written:
    """Rain that was drawn and written."""

    output: Path
    words: str
    """how much there is, and a warning if one is due"""
    coarse: xr.DataArray | None
    """the coarse rain (time, y, x) of the first realization, mm/day; None where no predictor is rain"""
    grid_kind: str
    """`latitude/longitude`, `rotated` or `projected`"""


def describe(folder: Path) -> str:
    """Check the folder of a model, and give its card as Markdown; errors as in `open_model`."""
    return markdown(open_model(folder, "cpu").card)


def downscale_files(
    folder: Path,
    inputs: Sequence[Path],
    output: Path,
    members: int,
    seed: int,
    variables: Mapping[str, str],
    device: str = "auto",
) -> Written:
    """Draw the rain of all days that some files have, a few days in memory at a time.

    Parameters
    ----------
    inputs
        Files or zarr stores. Each predictor of the model lies in one or in several of them.
    output
        A name that ends in `.nc` or `.zarr`. No file of this name may be there.
    members, seed, variables
        As in `TrainedModel.downscale`.

    Returns
    -------
    What was written.

    Raises
    ------
    UserError
        If the model or a file cannot be used, or there is a file that would be overwritten.
    """
    require_new(output)
    model = open_model(folder, device)
    sources = model.sources(variables)
    with OpenFiles() as files:
        days = Input(model.domain, sources, files, holders(sources, inputs)).read_all()
        return write_rain(model, days, inputs, output, members, seed)


def require_new(output: Path) -> None:
    """Raise a UserError unless a file or store of this name can be written, and is not there yet."""
    if output.suffix not in (".nc", ".zarr"):
        raise UserError(f"{output}: found the ending {output.suffix!r}, expected .nc or .zarr; choose one of them")
    if output.exists():
        raise UserError(f"{output}: there is such a file, and it is never overwritten; name another one, or remove it")


def write_rain(
    model: TrainedModel, days: xr.Dataset, inputs: Sequence[Path], output: Path, members: int, seed: int
) -> Written:
    """Draw the rain of canonical predictors and write it; arguments and result as in `downscale_files`."""
    settings, doubt = model.settings(members, seed), model.out_of_range(days)
    if output.suffix == ".zarr":
        rain = model.rain_of(days, settings)
        write_zarr([rain], output, rain.attrs | {"input_files": "\n".join(map(str, inputs))})
    else:
        attributes = {"title": "downscaled rain", **provenance(model.card), "seed": seed}
        attributes["input_files"] = "\n".join(map(str, inputs))
        count = members * days.sizes["realization"]
        days_and_cells = coordinates(model.domain, days, settings)
        drawn = _rain(model, days, settings)
        write_ensemble(output, days_and_cells, count, drawn, attributes, hours=model.domain.hours)
    steps = "days" if model.domain.hours == DAY_HOURS else f"steps of {model.domain.hours:g} h"
    words = f"{output}: {days.sizes['time']} {steps}, {members * days.sizes['realization']} members each"
    notes = [note.removesuffix(f" {STAMPS_ELSEWHERE}") for note in json.loads(days.attrs["ingest"])]
    words += "".join(f"\nNOTE: {note}" for note in notes)
    channel, coarse = model.domain.rain_channel, None
    if channel:
        coarse = days["predictors"].sel(channel=channel).isel(realization=0).reset_coords(drop=True).load()
    return Written(output, f"{words}\nWARNING: {doubt}" if doubt else words, coarse, model.domain.coarse.fine.kind)


def holders(sources: Sequence[Source], inputs: Sequence[Path]) -> dict[str, list[Path]]:
    """Find the files that hold each variable."""
    if missing := [path for path in inputs if not path.exists()]:
        raise UserError(f"{missing[0]}: found no such file, expected a file with predictors; correct its name")
    held = {path: set(variables_of(path)) for path in inputs}
    found = {}
    for source in sources:
        found[source.key] = [path for path, names in held.items() if source.variable in names]
        if not found[source.key]:
            names = ", ".join(sorted(set().union(*held.values())))
            raise UserError(
                f"{', '.join(map(str, inputs))}: found the variables {names}, expected {source.variable}, a predictor "
                f"of the model; add its file, or say which variable it is: --variable {source.files_label}=NAME"
            )
    return found


def _rain(model: TrainedModel, days: xr.Dataset, settings: DrawSettings) -> Iterator[NDArray[np.float32]]:
    threshold = float(model.card["sampling"]["pixel_threshold"])
    for start in range(0, days.sizes["time"], DAYS_AT_ONCE):
        part = days.isel(time=slice(start, start + DAYS_AT_ONCE)).load()
        yield from above(draw_days(model.chain, model.domain, part, settings), threshold)
