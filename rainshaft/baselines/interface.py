"""What a baseline is.

This module and the methods run while Snakemake reads the workflow, so they import no heavy library at the top.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from rainshaft.baselines.days import Days

Array = NDArray[np.floating]


@dataclass(frozen=True)
class Method:
    """A baseline: how it is made and what it needs. Its name is that of its file, with hyphens."""

    source: str
    """what it is, for the attributes of its file"""
    make: Callable[[Days, int, int], Iterator[Array]]
    """(days, members, seed) -> for each test day its members (M, H, W) in mm/day"""
    needs: Literal["coarse rain", "context", "nothing"]
    """what the dataset must have beside observed rain"""
    is_ensemble: bool
    """False for a method that gives one field a day"""
    package: str = ""
    """the Python package that it needs beside those of rainshaft"""
