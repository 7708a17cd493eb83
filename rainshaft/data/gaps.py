"""Which days and which cells take part, where values are missing.

A cell without values on most days, such as rain over the sea, is no gap: it does not belong to the record. A day on
which a predictor lacks a value elsewhere takes no part. Nor does a day on which the rain of many cells is missing. A
cell that lacks rain on one of the other days counts as not valid.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import dask
import numpy as np
import xarray as xr
from numpy.typing import NDArray

from rainshaft.data.times import iso
from rainshaft.data.year import Days, VariableYear

MOST_GAPS = 0.2  # share of the cells with rain that may miss a day, or of the days on which a cell may  # ASSUME
USUAL = 0.5  # a cell belongs to the record if it has values on this share of the days  # ASSUME


@dataclass(frozen=True)
class Mask:
    """Which cells have rain."""

    valid: NDArray[np.bool_]
    """cells with rain on all days that take part"""
    observed: NDArray[np.bool_]
    """cells with rain on any day"""
    notes: list[str]


def complete_days(
    records: Sequence[tuple[VariableYear, xr.DataArray]], content: dict[str, xr.Dataset]
) -> tuple[Days, dict[str, NDArray[np.bool_]], list[str]]:
    """Find the days that take part.

    Parameters
    ----------
    records
        Each variable with its data (time, lat, lon), all of equal days.
    content
        By the key of the variable: `finite` (time) and `days_with_value` (lat, lon), from `checks.read_content`.

    Returns
    -------
    The days; by the key of the variable, the cells that do not belong to it (lat, lon); a sentence for each variable
    because of which days are left out.

    Raises
    ------
    InputError
        If no day is left.
    """
    whole = np.ones(records[0][1].sizes["time"], dtype=bool)
    empty: dict[str, NDArray[np.bool_]] = {}
    notes = []
    for record, data in records:
        is_rain = record.source.key == "rain"
        usual, finite = _usual_values(data, content[record.source.id])
        empty[record.source.id] = ~usual
        lacks = finite < (1 - MOST_GAPS) * usual.sum() if is_rain else finite < usual.sum()
        if lacks.all() or not usual.any():
            raise record.fault(0, f"no day of {len(lacks)} with values in all cells", "values", "complete the files")
        if lacks.any():
            what = f"more than {MOST_GAPS:.0%} of the cells without a value" if is_rain else "a cell without a value"
            date = record.date(int(lacks.argmax()))
            notes.append(record.source.note(f"{lacks.sum()} day(s) with {what} left out, the first is {date}."))
            whole &= ~lacks
    first = records[0][0]
    if not whole.any():
        raise first.fault(None, "no day on which all variables have values", "some", "complete the files")
    return first.days[whole], empty, notes


def _usual_values(data: xr.DataArray, content: xr.Dataset) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Which cells usually have values (lat, lon), and on each day how many of these have one."""
    finite, days = content["finite"].values, content["days_with_value"].values
    usual = days >= USUAL * max(1, (finite > 0).sum())
    if (days[~usual] == 0).all():
        return usual, finite
    present = xr.apply_ufunc(np.isfinite, data, dask="allowed") & xr.DataArray(usual, dims=("lat", "lon"))
    (counts,) = dask.compute(present.sum(("lat", "lon")))  # a second reading, which is rarely needed
    return usual, counts.values


def mask_of(rain: VariableYear, data: xr.DataArray, content: xr.Dataset) -> Mask:
    """Find the cells with rain on all days that take part.

    Parameters
    ----------
    rain
        The rain, with the days that take part.
    data
        Its values on these days (time, lat, lon).
    content
        What was found on all days, from `checks.read_content`.

    Raises
    ------
    InputError
        If many cells have gaps.
    """
    days = len(rain.days)
    if days == content.sizes["time"]:
        count = content["days_with_value"].values
    else:
        count = xr.apply_ufunc(np.isfinite, data, dask="allowed").sum("time").values
    usual, observed = count >= USUAL * days, count > 0
    valid = count == days
    gaps = int((usual & ~valid).sum())
    if gaps > MOST_GAPS * usual.sum():
        row, column = next(zip(*(usual & ~valid).nonzero(), strict=True))
        raise rain.fault(
            None,
            f"{gaps} of {usual.sum()} cells miss some days (the first, row {row} column {column}, has "
            f"{count[row, column]} of {days})",
            f"at most {MOST_GAPS:.0%} of the cells with gaps",
            "fill the gaps or leave out the year",
        )
    notes = []
    if missing := int((observed & ~valid).sum()):
        notes.append(f"{missing} of {observed.sum()} cells miss some days and count as not valid.")
    if not observed.all():
        notes.append(f"{int((~observed).sum())} of {observed.size} cells never have a value and count as not valid.")
    return Mask(valid, observed, list(map(rain.source.note, notes)))


def joined_days(first: VariableYear, others: Sequence[VariableYear]) -> tuple[Days, list[str]]:
    """Find the days that all variables have, by date, whatever calendar each of them uses.

    Returns
    -------
    The days, and a sentence for each variable that lacks days of the first one.

    Raises
    ------
    InputError
        If a variable has none of the days.
    """
    days, notes = first.days, []
    whose = "the rain" if first.source.key == "rain" else first.source.name
    for record in others:
        lacking = np.setdiff1d(first.days, record.days)
        if len(lacking) == len(first.days):
            raise record.fault(
                None, record.span, f"days of {whose}, {first.span}", f"correct {record.source.files_key}"
            )
        mine, wanted = record.first.records.calendar, first.first.records.calendar
        calendars = f" (calendar {mine} beside {wanted})" if mine != wanted else ""
        if len(lacking):
            date = iso(int(lacking[0]))
            notes.append(
                record.source.note(f"{len(lacking)} day(s) of {whose} are not there{calendars}, the first {date}.")
            )
        days = np.intersect1d(days, record.days)
    if not len(days):
        raise first.fault(None, "no day that all predictors have", "days in common", "complete the files")
    return days, notes
