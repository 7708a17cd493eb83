"""Make the general networks from the public records: `python -m rainshaft.training.general FOLDER`."""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

import torch

from rainshaft.errors import UserError
from rainshaft.training.general.make import make
from rainshaft.training.general.settings import read_settings

RECIPE = Path(__file__).parent / "recipe.yaml"


def main() -> int:
    """Run the command; the exit status is 1 where the input cannot be used."""
    parser = argparse.ArgumentParser(prog="python -m rainshaft.training.general", description=__doc__)
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="the folder for the weights")
    parser.add_argument(
        "--recipe", type=Path, default=RECIPE, metavar="YAML", help="records and settings (%(default)s)"
    )
    parser.add_argument("--without", metavar="RECORD", help="leave this record out, to test the networks on it")
    parser.add_argument("--factors", type=int, nargs="+", metavar="N", help="make the networks of these factors alone")
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(1)  # so that the weights do not depend on how many processors there are
    try:
        settings = read_settings(given.recipe)
        if given.without is not None and given.without not in settings.records:
            raise UserError(f"--without: found {given.without}, expected one of {', '.join(settings.records)}")
        if given.factors:
            settings = settings.model_copy(update={"factors": tuple(given.factors)})
        make(settings, given.folder, given.without)
    except UserError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
