"""What a baseline is.

This module and the methods are imported while Snakemake reads the workflow. So they import nothing that loads slowly.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from rainshaft.data.conventions import TEST, VALIDATION
from rainshaft.histogram import Array

if TYPE_CHECKING:
    from rainshaft.baselines.days import DaysBySplit

SCORED = (VALIDATION, TEST)
"""the splits whose days get members"""


@dataclass(frozen=True)
class Method:
    """A baseline: how it is made and what it needs. Its name is the name of its file, with hyphens for underscores."""

    source: str
    """what it is, for the attributes of its file"""
    make: Callable[[DaysBySplit, int, int], Iterator[Array]]
    """takes days, number of members and seed; gives the members (M, H, W) of each scored day in mm/day"""
    needs: Literal["coarse rain", "coarse predictors", "nothing"]
    """what the dataset must have beside observed rain and some predictors"""
    is_ensemble: bool
    """false for a method that gives one field a day"""
    package: str = ""
    """a Python package that it needs and that rainshaft does not install"""
