"""The change between two applications of a model, for example of a projection against the history of the same input.

Inputs: the summaries of both (`indices.summary_of`), and those of their coarse rain. Outputs: maps of the change of
each index, and rows for a table of the area means. Their calendars and numbers of years may differ.

Rain is a quantity with a natural zero, and its changes differ by factors from place to place. So a change of rain is
given in per cent of the base. Wet days are a share already, and a change of a share in per cent is easily mistaken for
percentage points. Spells are whole days, often few. So the changes of wet days and of spells are differences.

A change counts for something if it is larger than what comes by chance. Three numbers help to judge that:

- the interval of the area mean, by drawing years (bootstrap): what the choice of these years does to the change;
- the agreement of the members: what the weather below the coarse cells does to it. It says nothing about other years;
- the year-to-year standard deviation of the base: how much ordinary years differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from rainshaft.application.summary import (
    SAME_DAYS,
    Row,
    grid_in_words,
    number,
    overlap,
    statistics_of,
    usual_days,
)
from rainshaft.data.conventions import same_axis
from rainshaft.data.indices import INDICES
from rainshaft.errors import UserError

Values = NDArray[np.float64]
Pairs = list[tuple[int, int]]
"""a member of the base, and one of the future"""

LEAST_RAIN = 0.01  # mm/day; a change in per cent of less rain than this means nothing  # ASSUME
RESAMPLES = 2000  # of the years, for an interval
INTERVAL = (5, 95)  # percentiles
CHANCE = 1.645  # standard deviations that a normal variable exceeds in one case of ten, either way
FEW_YEARS = 10  # with fewer years the intervals are too narrow


def change_units(name: str) -> str:
    """Give the units of the change of an index: % of the base, percentage points, or days."""
    index = INDICES[name]
    return "%" if index.relative else {"%": "percentage points"}.get(index.units, index.units)


def require_comparable(base: xr.Dataset, future: xr.Dataset) -> None:
    """Raise a UserError unless two summaries are of one model, one grid, the same valid cells and the same season."""
    cure = "compare two applications of one model over the same months"
    for name in ("lat", "lon"):
        if not same_axis(base[name].values, future[name].values):
            raise UserError(
                f"change: found a grid {grid_in_words(future)}, expected that {grid_in_words(base)}; {cure}"
            )
    if (models := [str(one.attrs.get("model", "(none)")) for one in (base, future)])[0] != models[1]:
        raise UserError(f"change: found rain of the model {models[1]}, expected that of {models[0]}; {cure}")
    cells = [one["weight"].values > 0 for one in (base, future)]
    if differ := int((cells[0] != cells[1]).sum()):
        raise UserError(f"change: found {differ} cells that only one of both has, expected the same cells; {cure}")
    days = [usual_days(one["days"].values) for one in (base, future)]
    if overlap(*days) < SAME_DAYS:
        raise UserError(
            f"change: found {_season(days[1])} in a usual year, expected the season of the base, "
            f"{_season(days[0])}; {cure}"
        )


def _season(days: NDArray[np.int64]) -> str:
    months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
    return f"{days.sum()} days ({', '.join(f'{n} in {month}' for month, n in zip(months, days, strict=True) if n)})"


# -------------------------------------------------------------------------------------------- the maps


def maps_of_change(base: xr.Dataset, future: xr.Dataset) -> xr.Dataset:
    """Compute maps of the change of each index.

    Parameters
    ----------
    base, future
        Summaries of two applications of one model.

    Returns
    -------
    For each index NAME of `INDICES`, all (lat, lon):

    - `NAME`: change of the ensemble mean, in `change_units(NAME)`. NaN where the base has less than 0.01 mm/day.
    - `NAME_agreement`: share of the pairs of a member of the base and one of the future whose change has the sign of
        `NAME`, in %. Where both have the same realizations, pairs are of one realization. NaN with a single pair.
    - `NAME_ordinary`: a change that two periods of as many years exceed in one case of ten though the climate stays
        (IPCC AR6, Cross-Chapter Box Atlas.1): 1.645 sigma sqrt(1/years + 1/years), sigma the year-to-year standard
        deviation of the base. In the units of `NAME`; NaN with a single year.

    Also `weight` (lat, lon) of the area means.

    Raises
    ------
    UserError
        If the two are not of one model, grid and season.
    """
    require_comparable(base, future)
    pairs = _pairs(base, future)
    size = sum(1 / one.sizes["year"] for one in (base, future))
    found = base[["weight"]].drop_vars("threshold", errors="ignore")
    for name, index in INDICES.items():
        before, after = base[name].values, future[name].values
        mean_before, mean_after = before.mean(axis=0, dtype=float), after.mean(axis=0, dtype=float)
        units, axes = change_units(name), ("lat", "lon")
        words = f"change of: {index.long_name}"
        found[name] = (axes, _change(name, mean_before, mean_after).astype("f4"))
        found[name].attrs = {"long_name": words, "units": _cf(units)}
        found[f"{name}_agreement"] = (axes, _agreement(before, after, mean_after - mean_before, pairs).astype("f4"))
        found[f"{name}_agreement"].attrs = {
            "long_name": f"share of pairs of members with the sign of the {words}",
            "units": "%",
        }
        ordinary = CHANCE * np.sqrt(size) * base[f"{name}_year_std"].values
        found[f"{name}_ordinary"] = (axes, (_scale(name, mean_before) * ordinary).astype("f4"))
        found[f"{name}_ordinary"].attrs = {
            "long_name": f"size that comes by chance in one case of ten, {words}",
            "units": _cf(units),
        }
    found.attrs = {
        "title": "Change of indices of daily rain",
        "base": period_of(base),
        "future": period_of(future),
        "base_years": _years(base),
        "future_years": _years(future),
        "pairs": len(pairs),
        **{name: base.attrs[name] for name in ("model", "grid_kind", "references") if name in base.attrs},
    }
    return found


def _cf(units: str) -> str:
    """Write units so that udunits knows them."""
    return "%" if units == "percentage points" else units


def period_of(summary: xr.Dataset) -> str:
    """Say which days a summary is of."""
    first, last, calendar = (summary.attrs[name] for name in ("first_day", "last_day", "calendar"))
    return f"{first} to {last}, {summary.sizes['year']} years, {summary.attrs['days']} days, calendar {calendar}"


def _years(summary: xr.Dataset) -> str:
    """Give the first and the last year of a summary."""
    first, last = int(summary["year"][0]), int(summary["year"][-1])
    return str(first) if first == last else f"{first}–{last}"


def _pairs(base: xr.Dataset, future: xr.Dataset) -> Pairs:
    """Pair each member of the base with each of the future; of one realization where both have the same ones."""
    before, after = (one["realization"].values.tolist() for one in (base, future))
    same = set(before) == set(after)
    return [(i, j) for i, one in enumerate(before) for j, other in enumerate(after) if one == other or not same]


def _agreement(before: Values, after: Values, change: Values, pairs: Pairs) -> Values:
    """Count the pairs of members (member, lat, lon) whose change has the sign of that of the mean, in %."""
    if len(pairs) < 2:
        return np.full(change.shape, np.nan)
    sign = np.sign(change)
    agree = np.zeros(change.shape)
    for i, j in pairs:
        agree += np.sign(after[j] - before[i]) == sign
    return np.where(np.isfinite(change), 100 * agree / len(pairs), np.nan)


def _scale(name: str, before: Any) -> Any:
    """Give what turns a difference into the units of the change."""
    if not INDICES[name].relative:
        return np.ones_like(before)
    enough = before >= LEAST_RAIN
    return np.divide(100.0, before, out=np.full_like(before, np.nan), where=enough)


def _change(name: str, before: Values, after: Values) -> Values:
    """Compute the change of an index, in `change_units(name)`."""
    return _scale(name, before) * (after - before)


# ------------------------------------------------------------------------------------------- the table


def table_of_change(
    base: xr.Dataset,
    future: xr.Dataset,
    coarse: tuple[xr.Dataset, xr.Dataset] | None = None,
) -> list[Row]:
    """Compare the area means of two applications.

    Parameters
    ----------
    base, future
        Summaries of two applications of one model.
    coarse
        Summaries of the coarse rain of both, made with `like`, so that they are over the same area.

    Returns
    -------
    For each index one row, which can be written as JSON: `index`, `label`, `units`, `change_units`, `base` and `future`
    (as of `indices.statistics_of`), and

    - `change`: that of the area mean over years and members, and `low`, `high`, its 90 % interval by drawing years;
    - `member_std`: standard deviation of the change over the pairs of members; `agreement`: share of these pairs with
        the sign of `change`, in %; `realization_std`: standard deviation over the realizations, where both have them;
    - `year_std`: year-to-year standard deviation of the base, in the units of the change;
    - `coarse_change`, `coarse_low`, `coarse_high`, `coarse_year_std`: the same of the coarse rain.

    A value that cannot be computed is None.

    Raises
    ------
    UserError
        If two that are compared are not of one model, grid and season.
    """
    require_comparable(base, future)
    if coarse is not None:
        require_comparable(*coarse)
    rows = []
    for name, index in INDICES.items():
        row: Row = {"index": name, "label": index.label, "units": index.units, "change_units": change_units(name)}
        row |= _compared(name, base, future) | dict.fromkeys(f"coarse_{key}" for key in COARSE)
        if coarse is not None:
            of_coarse = _compared(name, *coarse)
            row |= {f"coarse_{key}": of_coarse[key] for key in COARSE}
        rows.append(row)
    return rows


COARSE = ("change", "low", "high", "year_std")


def _compared(name: str, base: xr.Dataset, future: xr.Dataset) -> Row:
    """Compare the area means of one index."""
    before, after = (one[f"{name}_of_year"].transpose("year", "member") for one in (base, future))
    change = _of_means(name, before, after)
    low, high = _interval(name, before.mean("member").values, after.mean("member").values)
    pairs = _pairs(base, future)
    i, j = np.array(pairs).T
    of_pairs = _change(name, before.mean("year").values[i], after.mean("year").values[j])
    with_sign = np.sign(of_pairs) == np.sign(change)
    several = len(pairs) > 1
    described = statistics_of(before)
    scale = float(_scale(name, np.array(before.mean(), float)))
    return {
        "base": described,
        "future": statistics_of(after),
        "change": number(change),
        "low": low,
        "high": high,
        "member_std": number(of_pairs.std()) if several else None,
        "agreement": number(100 * with_sign.mean()) if several and np.isfinite(change) else None,
        "realization_std": _between_realizations(name, before, after),
        "year_std": None if described["year_std"] is None else number(scale * described["year_std"]),
    }


def _of_means(name: str, before: xr.DataArray, after: xr.DataArray) -> float:
    """Compute the change of the mean over years and members (year, member)."""
    return float(_change(name, *(np.array(one.mean("year").mean(), float) for one in (before, after))))


def _interval(name: str, before: Values, after: Values) -> tuple[float | None, float | None]:
    """Compute the 90 % interval of the change by drawing years of both (Efron and Tibshirani 1993).

    All members of a year are drawn together, because they share its weather.
    """
    # ASSUME years are independent of each other. A trend within a period makes the interval wider, not narrower.
    before, after = before[np.isfinite(before)], after[np.isfinite(after)]
    if min(before.size, after.size) < 2:
        return None, None
    rng = np.random.default_rng(1)
    means = [rng.choice(one, (RESAMPLES, one.size)).mean(axis=1) for one in (before, after)]
    draws = _change(name, *means)
    if not np.isfinite(draws).all():
        return None, None
    low, high = np.percentile(draws, INTERVAL)
    return float(low), float(high)


def _between_realizations(name: str, before: xr.DataArray, after: xr.DataArray) -> float | None:
    """Compute the standard deviation of the change over the realizations that both have."""
    means = [one.mean("year").groupby("realization").mean() for one in (before, after)]
    if means[0].size < 2 or means[0]["realization"].values.tolist() != means[1]["realization"].values.tolist():
        return None
    return number(_change(name, *(one.values for one in means)).std(ddof=1))


def markdown_of_change(rows: Sequence[Row], names: tuple[str, str] = ("base", "future")) -> str:
    """Write the rows of `table_of_change` as a Markdown table.

    Parameters
    ----------
    rows
        From `table_of_change`.
    names
        Headings of the columns of the base and the future.
    """
    with_members = any(row["member_std"] is not None for row in rows)
    with_realizations = any(row["realization_std"] is not None for row in rows)
    with_coarse = any(row["coarse_change"] is not None for row in rows)
    head = ["index", *names, "change [90 % interval]"]
    head += ["between members", "same sign"] if with_members else []
    head += ["between realizations"] if with_realizations else []
    head += ["coarse input: change [90 % interval]"] if with_coarse else []
    head += ["year to year"]
    lines = ["| " + " | ".join(head) + " |", "| --- |" + " ---: |" * (len(head) - 1)]
    for row in rows:
        cells = [f"{row['label']} ({row['units']})"]
        cells += [_plain(row[side]["mean"], INDICES[row["index"]].digits) for side in ("base", "future")]
        cells += [_with_interval(row)]
        cells += [_plain(row["member_std"], 1, "± "), _plain(row["agreement"], 0, "", " %")] if with_members else []
        cells += [_plain(row["realization_std"], 1, "± ")] if with_realizations else []
        cells += [_with_interval(row, "coarse_")] if with_coarse else []
        cells += [_plain(row["year_std"], 1, "± ")]
        lines.append("| " + " | ".join(cells) + " |")
    years = [rows[0][side]["years"] for side in ("base", "future")]
    notes = [
        f"Area means over {years[0]} years ({names[0]}) and {years[1]} years ({names[1]}). Changes of rain are in % of "
        f"{names[0]}. Those of wet days are in percentage points (pp), and those of spells in days.",
        "90 % interval: years were drawn at random.",
        f"Year to year: standard deviation of single years of {names[0]}, in the units of the change. A change that is "
        "much smaller is hard to notice among ordinary years.",
    ]
    if with_members:
        notes.append(
            "Between members: standard deviation of the change over pairs of members. Same sign: share of these pairs "
            "whose change has the sign of that of the mean. Members of one realization share their large-scale "
            "weather. So they can agree on a change that other years would not show."
        )
    if min(years) < FEW_YEARS:
        notes.append(f"With fewer than {FEW_YEARS} years, the intervals are too narrow.")
    return "\n".join([*lines, "", *notes]) + "\n"


def short_units(name: str) -> str:
    """Give the units of the change of an index, short enough for a table."""
    return {"percentage points": "pp", "day": "days"}.get(units := change_units(name), units)


def _with_interval(row: Row, prefix: str = "") -> str:
    """Write a change and its interval with one unit."""
    change, low, high = (row[f"{prefix}{key}"] for key in ("change", "low", "high"))
    if change is None:
        return "–"
    text = f"{change:+.1f} {short_units(row['index'])}"
    return text if low is None else f"{text} [{low:+.1f}, {high:+.1f}]"


def _plain(value: float | None, digits: int, before: str = "", after: str = "") -> str:
    return "–" if value is None else f"{before}{value:.{digits}f}{after}"
