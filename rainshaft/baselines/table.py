"""The list of baselines: one for each file in `methods/`. A new baseline is a new file there, and no other change.

This module is imported while Snakemake reads the workflow. It imports a method only when it is asked for.
"""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path

from rainshaft.baselines.interface import Method

FOLDER = Path(__file__).parent / "methods"


def names() -> list[str]:
    """List the names of all baselines, as the configuration writes them."""
    return sorted(path.stem.replace("_", "-") for path in FOLDER.glob("[!_]*.py"))


def module_of(name: str) -> str:
    """Give the dotted name of the module of a baseline."""
    return f"rainshaft.baselines.methods.{name.replace('-', '_')}"


def method_of(name: str) -> Method:
    """Import a baseline."""
    return importlib.import_module(module_of(name)).METHOD


def is_installed(name: str) -> bool:
    """Tell whether the package that a baseline needs is installed."""
    package = method_of(name).package
    return not package or importlib.util.find_spec(package) is not None
