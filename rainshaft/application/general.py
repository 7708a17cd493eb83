"""The words `rainshaft downscale general` of the shell: coarse rain of any place to members, without training.

Input: files with coarse rain. Output: one netCDF file or zarr store of rain.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from rainshaft.application.place import RAIN, place, rain_name, rain_source
from rainshaft.application.shell import Written, holders, require_new, write_rain
from rainshaft.data.formats import variables_of
from rainshaft.data.rawfile import OpenFiles
from rainshaft.errors import UserError
from rainshaft.general.info import WEIGHTS

GENERAL = "general"
"""what stands in the place of the folder of a model"""


def downscale_rain(
    inputs: Sequence[Path],
    output: Path,
    factor: int,
    members: int,
    seed: int,
    variables: Mapping[str, str],
    device: str = "auto",
    day: Literal["auto", "start", "end"] = "auto",
    units: str | None = None,
    folder: Path = WEIGHTS,
) -> Written:
    """Refine the coarse rain of some files, with the general networks.

    Parameters
    ----------
    inputs
        Files or zarr stores with the coarse rain, in steps from minutes to a day.
    output
        A name that ends in `.nc` or `.zarr`. No file of this name may be there.
    factor
        By how much to refine.
    members, seed
        As in `TrainedModel.downscale`.
    variables
        `pr` -> the name of the rain, where the files do not tell.
    day, units
        As in `open_general`.

    Returns
    -------
    What was written.

    Raises
    ------
    UserError
        If the factor cannot be reached, a file cannot be used, or there is a file that would be overwritten.
    """
    require_new(output)
    if unknown := sorted(set(variables) - {RAIN}):
        raise UserError(f"--variable: found {unknown[0]}, expected {RAIN}=NAME: the general networks need rain alone")
    if missing := [path for path in inputs if not path.exists()]:
        raise UserError(f"{missing[0]}: found no such file, expected a file with coarse rain; correct its name")
    held = {name: variable for path in inputs for name, variable in variables_of(path).items()}
    where = ", ".join(map(str, inputs))
    source = rain_source(variables.get(RAIN) or rain_name(held, where, f"--variable {RAIN}=NAME"), day, units)
    with OpenFiles() as files:
        model, days = place([source], files, holders([source], inputs), factor, device, folder)
        written = write_rain(model, days, inputs, output, members, seed)
    # the networks take rain of any size, so wrong units would show nowhere else
    assert written.coarse is not None
    mean, highest = float(written.coarse.mean()), float(written.coarse.max())
    size = f"the coarse rain has a mean of {mean:.3g} and a highest value of {highest:.3g} mm/day; is that so?"
    return replace(written, words=f"{written.words}\nNOTE: {size}")
