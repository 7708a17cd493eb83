"""The command `rainshaft`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from rainshaft import __version__
from rainshaft.config.reference import reference


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Parameters
    ----------
    arguments
        The words after `rainshaft`. If None, they come from the shell.

    Returns
    -------
    The exit status.
    """
    parser = argparse.ArgumentParser(
        prog="rainshaft",
        description="rainshaft turns coarse climate fields into ensembles of high-resolution rain. Snakemake runs the "
        "workflow: snakemake --cores all --configfile my.yaml",
    )
    parser.add_argument("--version", action="version", version=f"rainshaft {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    config = commands.add_parser(
        "config", help="print every key of the configuration with its range, default and meaning"
    )
    config.set_defaults(run=lambda: print(reference(), end=""))
    parser.parse_args(arguments).run()
    return 0
