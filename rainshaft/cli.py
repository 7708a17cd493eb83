"""The command `rainshaft`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from rainshaft import __version__
from rainshaft.config.reference import reference


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; `arguments` are those of the shell if None. Gives the exit status."""
    parser = argparse.ArgumentParser(
        prog="rainshaft",
        description="Sharp ensembles of high-resolution rain from coarse climate fields. The workflow itself is started "
        "with snakemake, see the README.",
    )
    parser.add_argument("--version", action="version", version=f"rainshaft {__version__}")
    words = parser.add_subparsers(title="words", dest="word", required=True)
    words.add_parser("config", help="print every key of the configuration with its default, range and meaning")
    parser.parse_args(arguments)
    print(reference(), end="")
    return 0
