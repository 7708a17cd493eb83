"""Indices over the years: their means and spread by cell, the area mean of each year, and a table of several records.

Input: the indices of each year, from `rainshaft.data.indices`. Output: a summary over the years, and rows for a
table.

A year whose days are not those of most years is left out of the means over the years: the wettest day of one month is
no match for that of a whole year.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from rainshaft.data.conventions import same_axis
from rainshaft.data.indices import CARRIED, INDICES, attributes_of
from rainshaft.errors import UserError

log = logging.getLogger("rainshaft")

Source = str | Path | xr.Dataset
Row = dict[str, Any]

SAME_DAYS = 0.9  # records with this overlap of their days by month cover one season  # ASSUME


@contextmanager
def opened(source: Source) -> Iterator[xr.Dataset]:
    """Give the dataset itself, or open the file, read it lazily and close it afterwards."""
    if isinstance(source, xr.Dataset):
        yield source
    else:
        with xr.open_dataset(source) as dataset:
            yield dataset


def summary_of(yearly: Sequence[Source], like: xr.Dataset | None = None) -> xr.Dataset:
    """Average the indices of the years.

    Parameters
    ----------
    yearly
        The indices of each year, as datasets or files, of one record.
    like
        A summary whose valid cells the area means shall be over, so that both can be compared. Its grid is the same,
        or its cells lie in those of this record, a whole number along each side. Without it, the area means are over
        all valid cells.

    Returns
    -------
    For each index NAME of `INDICES`:

    - `NAME` (member, lat, lon): mean over the years. The SDII is a mean over the years that have a wet day.
    - `NAME_year_std` (lat, lon): standard deviation of the values of single years and members about the mean of the
        member. NaN with a single year.
    - `NAME_of_year` (year, member): area mean of each year.

    Also `weight` (lat, lon), the weight of each cell in the area means, and `days` (year, month). A cell is valid if
    it is in all years and members. Attributes: `days`, `calendar`, `years_left_out`.

    Raises
    ------
    UserError
        If the years do not belong together, a year is there twice, or no cell is valid in all of them.
    """
    years = _in_order(yearly)
    days = np.stack([year.days for year in years])
    used = [overlap(of_year, usual_days(days)) >= SAME_DAYS for of_year in days]
    if left_out := [year for year, is_used in zip(years, used, strict=True) if not is_used]:
        named = ", ".join(f"{year.year} ({year.days.sum()} days)" for year in left_out)
        log.warning(
            f"{named}: left out of the means over the years, because most years have other days "
            f"({usual_days(days).sum()} of them)"
        )
    kept = [year for year, is_used in zip(years, used, strict=True) if is_used]
    if not kept:
        raise UserError(
            f"indices of {years[0].year} to {years[-1].year}: found years whose days lie in different months, expected "
            "most years to have the same season; average the indices of one season at a time"
        )
    valid = _valid_cells(kept)
    with opened(kept[0].source) as first:
        found = first[["lat", "lon", "member", "realization", "threshold", "month"]].drop_vars("year").load()
        carried = {name: first.attrs[name] for name in (*CARRIED, "references", "calendar") if name in first.attrs}
    found = found.assign_coords(year=("year", [year.year for year in kept], {"long_name": "calendar year"}))
    found["weight"] = _area_weights(valid) if like is None else _weights_of(like, valid)
    for name, index in INDICES.items():
        maps, std, of_year = _over_years(kept, name, valid, found["weight"])
        found[name] = maps.assign_attrs(
            {k: v for k, v in attributes_of(name).items() if k != "cell_methods"}
            | {"long_name": f"{index.long_name}, mean over the years"}
        )
        found[f"{name}_year_std"] = std.assign_attrs(
            long_name=f"{index.long_name}, standard deviation from year to year", units=index.units
        )
        found[f"{name}_of_year"] = of_year.assign_attrs(long_name=f"{index.long_name}, area mean", units=index.units)
    found["days"] = (("year", "month"), days[used], {"long_name": "days with rain", "units": "1"})
    found.attrs = {
        "title": "Indices of daily rain, means over the years",
        **carried,
        "first_day": kept[0].first_day,
        "last_day": kept[-1].last_day,
        "days": int(days[used].sum()),
        "years_left_out": ", ".join(str(year.year) for year in left_out),
    }
    return found


@dataclass(frozen=True)
class _Year:
    """The indices of one year, and what decides whether it takes part."""

    source: Source
    year: int
    days: NDArray[np.int64]
    """(month,)"""
    first_day: str
    last_day: str


def _in_order(yearly: Sequence[Source]) -> list[_Year]:
    """Look at the years, and require that they are of one record."""
    if not yearly:
        raise UserError("indices: found no year, expected one or more")
    years, reference = [], None
    for source in yearly:
        with opened(source) as dataset:
            years.append(
                _Year(
                    source,
                    int(dataset["year"]),
                    dataset["days"].values.astype(np.int64),
                    dataset.attrs["first_day"],
                    dataset.attrs["last_day"],
                )
            )
            head = dataset[["lat", "lon", "member", "realization"]].load().assign_attrs(dataset.attrs)
        reference = reference or (years[0], head)
        if differs := _difference(reference[1], head):
            raise UserError(
                f"indices of {years[-1].year}: found {differs[1]}, expected {differs[0]} as in {reference[0].year}; "
                "make the years of one application with one model, one input and one number of members"
            )
    years.sort(key=lambda year: year.year)
    for one, other in itertools.pairwise(years):
        if one.year == other.year:
            raise UserError(f"indices: found {one.year} twice, expected each year once; give one file a year")
    return years


def _difference(mine: xr.Dataset, other: xr.Dataset) -> tuple[str, str] | None:
    """Say in what two years differ that cannot be averaged."""
    if not (same_axis(mine["lat"].values, other["lat"].values) and same_axis(mine["lon"].values, other["lon"].values)):
        return "the grid " + grid_in_words(mine), "the grid " + grid_in_words(other)
    if mine["realization"].values.tolist() != other["realization"].values.tolist():
        return f"members of the realizations {_listed(mine)}", f"members of the realizations {_listed(other)}"
    for name in ("calendar", "model"):
        if mine.attrs.get(name) != other.attrs.get(name):
            return f"{name} {mine.attrs.get(name, '(none)')}", f"{name} {other.attrs.get(name, '(none)')}"
    return None


def _listed(dataset: xr.Dataset) -> str:
    return " ".join(map(str, dataset["realization"].values.tolist()))


def grid_in_words(dataset: xr.Dataset) -> str:
    """Say how many cells a grid has and where it lies."""
    lat, lon = dataset["lat"].values, dataset["lon"].values
    return f"of {lat.size} x {lon.size} cells, lat {lat[0]:g} to {lat[-1]:g}, lon {lon[0]:g} to {lon[-1]:g}"


def usual_days(days: NDArray[np.int64]) -> NDArray[np.int64]:
    """Give the number of days that most years have in each month, from those of each year (year, month)."""
    return np.quantile(days, 0.5, axis=0, method="higher").astype(np.int64)


def overlap(one: NDArray[np.int64], other: NDArray[np.int64]) -> float:
    """Give the share of days by month (month,) that two records have in common: 1 if they cover one season."""
    return float(np.minimum(one, other).sum() / max(1, np.maximum(one, other).sum()))


def _valid_cells(years: Sequence[_Year]) -> xr.DataArray:
    """Find the cells that every year and member has (lat, lon)."""
    valid: xr.DataArray | None = None
    differ = 0
    for year in years:
        with opened(year.source) as dataset:
            here = dataset["mean"].reset_coords(drop=True).notnull().all("member")
            here = here.assign_coords(lat=here["lat"] if valid is None else valid["lat"])
            here = here.assign_coords(lon=here["lon"] if valid is None else valid["lon"])
        differ = max(differ, 0 if valid is None else int((here != valid).sum()))
        valid = here if valid is None else valid & here
    assert valid is not None
    if not valid.any():
        raise UserError(
            f"indices of {years[0].year} to {years[-1].year}: found no cell with rain in every year and member, "
            "expected some; look at the years one by one for a member or a day that is empty"
        )
    if differ:
        log.warning(
            f"indices of {years[0].year} to {years[-1].year}: not every year has rain at the same cells; "
            f"{int(valid.sum())} cells that all years have take part"
        )
    return valid


def _area_weights(valid: xr.DataArray) -> xr.DataArray:
    """Weigh each valid cell by its area, in units of that of a cell at the equator; other cells have 0."""
    units = str(valid["lat"].attrs.get("units", ""))
    if not units:
        raise UserError("indices: found a lat without units, expected degrees or a length, to know the areas of cells")
    # ASSUME cells of a projected grid are equally large
    area = np.cos(np.deg2rad(valid["lat"])) if units.startswith("deg") else xr.ones_like(valid["lat"])
    return (valid * area).assign_attrs(long_name="weight in area means", units="1").astype(np.float64)


def _weights_of(like: xr.Dataset, valid: xr.DataArray) -> xr.DataArray:
    """Weigh each cell by the valid cells of another summary that lie in it."""
    weights = None
    if all(like.sizes[name] % valid.sizes[name] == 0 for name in ("lat", "lon")):
        weights = like["weight"].coarsen({name: like.sizes[name] // valid.sizes[name] for name in ("lat", "lon")}).sum()
    if weights is None or not all(same_axis(weights[name].values, valid[name].values) for name in ("lat", "lon")):
        raise UserError(
            f"indices: found the grid {grid_in_words(valid.to_dataset(name='valid'))}, expected one whose cells hold a "
            f"whole number of those of the grid {grid_in_words(like)}; compare records of one region"
        )
    weights = weights.assign_coords(lat=valid["lat"], lon=valid["lon"])
    if missed := float(weights.where(~valid).sum() / weights.sum()):
        log.warning(
            f"indices: {missed:.1%} of the area to compare has no rain in this record; its area means are over the rest"
        )
    return weights.where(valid, 0).assign_attrs(long_name="weight in area means", units="1")


def area_mean(values: xr.DataArray, weight: xr.DataArray) -> xr.DataArray:
    """Average over the cells (..., lat, lon) that have a value, by their weights."""
    known = values.notnull() & (weight > 0)
    total = weight.where(known).sum(("lat", "lon"))
    return (values * weight).where(known).sum(("lat", "lon"), dtype=np.float64) / total.where(total > 0)


def _over_years(
    years: Sequence[_Year], name: str, valid: xr.DataArray, weight: xr.DataArray
) -> tuple[xr.DataArray, xr.DataArray, xr.DataArray]:
    """Average one index over the years, which are read one by one.

    Returns the means (member, lat, lon), the standard deviation from year to year (lat, lon) and the area mean of each
    year (year, member).
    """
    shape = (1, *valid.shape)
    count, mean, squares = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    of_year = []
    for year in years:
        with opened(year.source) as dataset:
            here = dataset[name].drop_vars(["year", "threshold"]).transpose("member", "lat", "lon").load()
        here = here.assign_coords(lat=valid["lat"], lon=valid["lon"]).where(valid)
        of_year.append(area_mean(here, weight))
        known = here.notnull().values
        count = count + known
        # the update of Welford (1962), which does not lose digits as a sum of squares does
        step = np.where(known, here.values - mean, 0.0)
        mean = mean + step / np.maximum(count, 1)
        squares = squares + step * np.where(known, here.values - mean, 0.0)
    maps = here.copy(data=np.where(count > 0, mean, np.nan).astype(np.float32))
    freedom = np.maximum(count - 1, 0).sum(axis=0)
    with np.errstate(invalid="ignore"):
        std = np.sqrt(squares.sum(axis=0) / np.where(freedom > 0, freedom, np.nan)).astype(np.float32)
    return maps, valid.copy(data=std), xr.concat(of_year, "year").transpose("year", "member")


# -------------------------------------------------------------------------------------------- the table


def of_season(summaries: Mapping[str, xr.Dataset]) -> dict[str, xr.Dataset]:
    """Keep the records that cover the season of the first one: indices of other days would not compare.

    A record without indices is left out, too.
    """
    (_, first), *_ = summaries.items()
    season = usual_days(first["days"].values)
    found = {}
    for name, summary in summaries.items():
        if "days" in summary and overlap(usual_days(summary["days"].values), season) >= SAME_DAYS:
            found[name] = summary
        else:
            log.warning(f"{name}: left out of the table, because its years have other days than the application")
    return found


def table_of(summaries: Mapping[str, xr.Dataset]) -> list[Row]:
    """Lay the area means of several records side by side.

    Parameters
    ----------
    summaries
        Name to summary, such as `coarse input`, `downscaled`, `observed`. All should be over one area.

    Returns
    -------
    For each index and record one row, which can be written as JSON: `index`, `label`, `units`, `name`, `mean` (over
    years and members), `member_std` and `realization_std` (sample standard deviations of the means over the years:
    between members, and between the means of the realizations), `year_std` (from year to year), `years`, `days`,
    `cells` and `members`. A value that cannot be computed is None.
    """
    return [
        {"index": name, "label": index.label, "units": index.units, "name": record}
        | statistics_of(summary[f"{name}_of_year"])
        | {"days": int(summary.attrs["days"]), "cells": int((summary["weight"] > 0).sum())}
        for name, index in INDICES.items()
        for record, summary in summaries.items()
    ]


def statistics_of(of_year: xr.DataArray) -> Row:
    """Describe the area means (year, member) of one index."""
    of_member = of_year.mean("year")
    of_realization = of_member.groupby("realization").mean()
    freedom = of_year.sizes["year"] - 1
    year_std = float(np.sqrt(of_year.var("year", ddof=1).mean())) if freedom else np.nan
    return {
        "mean": number(of_member.mean()),
        "member_std": number(of_member.std(ddof=1)) if of_member.size > 1 else None,
        "realization_std": number(of_realization.std(ddof=1)) if of_realization.size > 1 else None,
        "year_std": number(year_std),
        "years": of_year.sizes["year"],
        "members": of_year.sizes["member"],
    }


def number(value: Any) -> float | None:
    """Give a number for JSON, which knows no NaN."""
    return float(value) if np.isfinite(value) else None


def markdown(rows: Sequence[Row]) -> str:
    """Write the rows of `table_of` as a Markdown table, with the records side by side."""
    names = list(dict.fromkeys(row["name"] for row in rows))
    found = {(row["index"], row["name"]): row for row in rows}
    lines = ["| index | " + " | ".join(names) + " |", "| --- |" + " ---: |" * len(names)]
    for key in dict.fromkeys(row["index"] for row in rows):
        cells = [_cell(found[key, name], INDICES[key].digits) for name in names]
        lines.append(f"| {INDICES[key].label} ({INDICES[key].units}) | " + " | ".join(cells) + " |")
    first = [found[rows[0]["index"], name] for name in names]
    records = "; ".join(
        f"{row['name']}: {row['years']} years, {row['days']} days, {row['members']} members, {row['cells']} cells"
        for row in first
    )
    notes = [f"Area means over the years. {records}."]
    if any(row["member_std"] is not None for row in first):
        notes.append("±: standard deviation between the members of their means over the years.")
    if any(row["realization_std"] is not None for row in first):
        notes.append("In brackets: standard deviation between the realizations of the input.")
    if len({row["cells"] for row in first}) > 1:
        notes.append("Larger cells average the rain over more area. So they have more wet days and weaker extremes.")
    return "\n".join([*lines, "", *notes]) + "\n"


def _cell(row: Row, digits: int) -> str:
    """Write a mean and its spreads."""
    if row["mean"] is None:
        return "–"
    text = f"{row['mean']:.{digits}f}"
    if row["member_std"] is not None:
        text += f" ± {row['member_std']:.{digits}f}"
    if row["realization_std"] is not None:
        text += f" [{row['realization_std']:.{digits}f}]"
    return text
