"""The words `rainshaft downscale general` of the shell: coarse rain of any place to members, without training.

Input: files with coarse rain. Output: one netCDF file or zarr store of rain.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import xarray as xr

from rainshaft.application.place import RAIN, place, rain_source
from rainshaft.application.shell import Written, holders, require_new, write_rain
from rainshaft.data.conventions import RAIN_NAMES
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
    source = rain_source(variables.get(RAIN) or rain_variable(inputs))
    with OpenFiles() as files:
        model, days = place([source], files, holders([source], inputs), factor, device, folder)
        return write_rain(model, days, inputs, output, members, seed)


def rain_variable(inputs: Sequence[Path]) -> str:
    """Find the variable that is rain, by its name or because no other one has rows and columns.

    Raises
    ------
    UserError
        If several could be.
    """
    fields = [
        name
        for path in inputs
        for name, variable in variables_of(path).items()
        if variable.ndim >= 2 and not name.endswith(("bnds", "bounds")) and not _is_place(variable)
    ]
    fields = list(dict.fromkeys(fields))
    known = [name for name in fields if name.rpartition("/")[2].lower() in RAIN_NAMES]
    found = known or fields
    if len(found) != 1:
        names = ", ".join(found) or "none with rows and columns"
        raise UserError(
            f"{', '.join(map(str, inputs))}: found the variables {names}, expected one that is rain; say which one: "
            f"--variable {RAIN}=NAME"
        )
    return found[0]


def _is_place(variable: xr.Variable) -> bool:
    """Tell whether a variable is the latitudes or longitudes of cells."""
    return str(variable.attrs.get("units", "")).lower().startswith("degree")
