"""The keys of the recipe: from which records the general networks learn, and how."""

from __future__ import annotations

from pathlib import Path

import yaml
from pydantic import Field, StrictInt, ValidationError

from rainshaft.config.messages import fault_lines
from rainshaft.config.sections import Loss, Model, Name, Number, Section, Train
from rainshaft.config.yamlfile import faults_of
from rainshaft.errors import UserError


class RecordFiles(Section):
    """A public record of fine rain."""

    file: str
    """This netCDF file holds the rain (time, y, x), as the amount or the rate of each step, in any unit."""
    variable: str
    """The rain has this name in the file."""
    cell_km: Number = Field(gt=0)
    """A cell is this wide, in km."""
    hours: Number = Field(gt=0)
    """A step is this long, in hours."""
    coarsen: tuple[StrictInt, ...] = (1,)
    """The record is also seen on grids whose cells are so many times as wide."""
    add_up: tuple[StrictInt, ...] = (1,)
    """The record is also seen in sums over so many steps."""
    dry_below: tuple[Number, ...] = (0.0,)
    """The record is also seen with rain below these shares of its rain-weighted mean set to 0: some products report no
    light rain."""
    weight: Number = Field(1.0, gt=0)
    """Of the patches of one shape, a record with twice the weight gives twice as many."""
    licence: str
    """The licence of the data allows weights that were learned from them."""
    citation: str
    """Whom to cite."""


class GeneralSettings(Section):
    """What the general networks depend on."""

    seed: StrictInt = Field(1, ge=0)
    factors: tuple[StrictInt, ...] = (2, 3, 4, 5, 8)
    steps: StrictInt = Field(ge=1)
    """Each network takes this many steps of training."""
    records: dict[Name, RecordFiles] = Field(min_length=1)
    model: Model = Model()
    loss: Loss = Loss()
    train: Train = Train()


def read_settings(path: Path) -> GeneralSettings:
    """Read the configuration of the general networks.

    Raises
    ------
    UserError
        One line for each fault.
    """
    if faults := faults_of(path):
        raise UserError("\n".join(faults))
    try:
        return GeneralSettings.model_validate(yaml.safe_load(path.read_bytes()))
    except ValidationError as error:
        raise UserError("\n".join(f"{path}: {line}" for line in fault_lines(error.errors(), GeneralSettings))) from None
