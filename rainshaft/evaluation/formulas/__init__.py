"""The formulas of the scores: pure functions of arrays, a module for each kind.

A function takes the members and the truth of one day and gives numbers that add up over the days, or takes such sums
and gives the score. Rain in mm/day. `rainshaft.evaluation.catalogue` says which scores are made of them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]
BoolArray = NDArray[np.bool_]
