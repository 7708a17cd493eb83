"""How far the predictors of an application lie beyond those that a model was trained with.

Why: a network gives rain for any numbers, also for numbers that it has never seen, and nothing in that rain says so.
What can be seen without observed rain is whether each value lies within the range that training had in the same cell
and calendar month. What cannot be seen is an odd combination of usual values, or fields of the wrong day or place.

Inputs: predictors of a year and the climate of the training days (`climate_of`). Output: sums that add up over years;
from them a table, a map, one sentence, and a fault where too much is beyond.

Of N values and a new one, the new one is the highest or the lowest by chance in 2 of N + 1 cases. Weather comes in
spells, so the share of a year is often some times larger or smaller. A year is too far out where the share is above 5
times that of chance, and one spell of 5 days more. This was chosen from 4 datasets of the real world, with all days of
one year (in one case one winter) left out of the training:

- winters of Iberia (15, chance 0.5 %, limit 7.9 %): at most 5.8 % as observed; at least 9 % with 6 K added to
  temperature at 850 hPa, 30 % with humidity doubled;
- western Mediterranean (11 years, chance 0.7 %, limit 4.7 %): at most 1.7 % as observed; at least 17 % with 6 K added;
- central India (5 years, chance 1.6 %, limit 9.5 %): at most 5.1 % as observed; at least 63 % with humidity doubled;
- Oregon (a part of one year, chance 9 %, limit 25 %): at most 11 % as observed; at least 43 % with 6 K added.

Smaller changes may pass: with 3 K added, 4 of the 11 single years of the western Mediterranean are above the
limit. Rain has a long tail, so doubled rain is seldom beyond the range: of doubled winters of Iberia 1 to 7 %.

The mean tells what the range of rain does not: a third of it or less.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from rainshaft.data.climate import KINDS, MONTH_NAMES, Kind, month_blocks, require_same_cells

Row = dict[str, Any]

TOLERANCE = 0.01  # standard deviations; less than this beyond a range is rounding  # ASSUME
LEAST_STD = 0.1  # of the usual standard deviation of a channel; holds distances finite in cells without rain  # ASSUME
MOST_TIMES_CHANCE = 5.0  # ASSUME, as the next three; see above
SPELL = 5.0  # days beyond the range in a row
MOST = 0.25  # a larger share is always too much, however short the training was
OF_A_MONTH = 2.0  # a single month of a channel may be so many times further out, because there are many of them
LEAST_DAYS = 60  # fewer days do not tell a mean
OTHER_SIZE = 3.0  # factor between means of rain, as between coarse and fine rain before a training  # ASSUME
DASH = "–"


def beyond(predictors: xr.Dataset, trained: xr.Dataset) -> xr.Dataset:
    """Count the values that lie beyond the training range of the same month and cell.

    Parameters
    ----------
    predictors
        `predictors(time, ..., channel, y, x)` and `context(time, ..., context_channel, v, u)` of some days, adjusted as
        the model gets them.
    trained
        The climate of the training days.

    Returns
    -------
    Sums that `join` adds up. `days` and `values` (month) count the days, and the values of a cell, in months that
    training has. `unseen_days` (month) counts the days in months that it has not. `chance` (month) is the share that
    chance alone puts beyond. For predictors, and with the prefix `context_` for the context, there are: `below` and
    `above` (month, channel), the values beyond either end; `distance` (month, channel), the sum of their distances from
    the range, in standard deviations of the month and cell in training; `farthest` (month, channel), the largest of
    them; `map` (channel, y, x), the values beyond, by cell; `total` (channel, y, x), the sum of all values, and
    `usual`, what it would be with the means of training.

    Raises
    ------
    UserError
        If cells or channels are not those of the training.
    """
    require_same_cells(predictors, trained, "predictors", "the climate of the training")
    of_training = trained["days"].values
    days = np.zeros(12, int)
    for month, places in month_blocks(predictors):
        days[month - 1] = len(places)
    seen = np.where(of_training > 0, days, 0)
    variables: dict[str, Any] = {
        "days": ("month", seen),
        "unseen_days": ("month", days - seen),
        "values": ("month", seen * predictors.sizes.get("realization", 1)),
        "chance": ("month", np.where(of_training > 0, 2 / (of_training + 1), 0)),
    }
    for kind in KINDS:
        variables |= _of_kind(kind, predictors, trained)
        variables[kind.units] = predictors[kind.units].variable
    axes = {name: trained[name] for name in ("month", *(name for kind in KINDS for name in kind.cells))}
    return xr.Dataset(variables, axes, {name: trained.attrs[name] for name in ("grid_kind", "rain_channel")})


def _of_kind(kind: Kind, predictors: xr.Dataset, trained: xr.Dataset) -> dict[str, Any]:
    """Count one month of a channel after the other."""
    data = predictors[kind.name]
    channels, height, width = (data.sizes[name] for name in kind.cells)
    below, above = (np.zeros((12, channels), int) for _ in range(2))
    distance, farthest = (np.zeros((12, channels)) for _ in range(2))
    cells = np.zeros((channels, height, width), int)
    total, usual = (np.zeros((channels, height, width)) for _ in range(2))
    for channel in range(channels):
        lowest, highest, std, mean = (
            trained[f"{kind.prefix}{name}"].isel({kind.channel: channel}).values.astype("f8")
            for name in ("minimum", "maximum", "std", "mean")
        )
        scale = _scale(std)
        for month, places in month_blocks(predictors):
            i = month - 1
            if not trained["days"].values[i]:
                continue
            here = data.isel({"time": places, kind.channel: channel}).values.reshape(-1, height, width)
            under, over = (lowest[i] - here) / scale[i], (here - highest[i]) / scale[i]
            below[i, channel] = (under > TOLERANCE).sum()
            above[i, channel] = (over > TOLERANCE).sum()
            far = np.maximum(under, over)
            far = np.where(far > TOLERANCE, far, 0)
            cells[channel] += (far > 0).sum(0)
            distance[i, channel], farthest[i, channel] = far.sum(), far.max(initial=0)
            total[channel] += here.sum(0, dtype="f8")
            usual[channel] += len(here) * mean[i]
    by_month = {"below": below, "above": above, "distance": distance, "farthest": farthest}
    sums: dict[str, Any] = {f"{kind.prefix}{name}": (("month", kind.channel), sum_) for name, sum_ in by_month.items()}
    maps = {"map": cells, "total": total, "usual": usual}
    return {**sums, **{f"{kind.prefix}{name}": (kind.cells, of_cells) for name, of_cells in maps.items()}}


def _scale(std: NDArray[np.float64]) -> NDArray[np.float64]:
    """Standard deviations (month, y, x) to measure distances with; 1 for a channel that never changes."""
    usual = math.sqrt(float(np.nanmean(np.square(std))))
    return np.maximum(std, LEAST_STD * usual) if usual > 0 else np.ones_like(std)


def join(sums: Sequence[xr.Dataset]) -> xr.Dataset:
    """Add up the sums of several years.

    Parameters
    ----------
    sums
        From `beyond`, all with the same climate of training.
    """
    whole = sums[0].copy()
    for year in sums[1:]:
        for name in map(str, whole.data_vars):
            if name.endswith("farthest"):
                whole[name] = np.maximum(whole[name], year[name])
            elif name != "chance" and not name.endswith("units"):
                whole[name] = whole[name] + year[name]
    return whole


# ------------------------------------------------------------------------------------------------ words


def table(sums: xr.Dataset) -> list[Row]:
    """List how far each channel is beyond the training range, over all months and in each month that has days.

    Parameters
    ----------
    sums
        From `beyond` or `join`.

    Returns
    -------
    Rows that can be written as JSON, the channels with most beyond first. `month` is `all` or the name of a month.
    `share`, `below` and `above` are parts of all values, `chance` is the part that chance puts beyond, `limit` the
    largest part that is not `too_far`. `mean_distance` (of the values beyond) and `farthest` are in standard
    deviations.
    """
    days, values, chance = (sums[name].values.astype("f8") for name in ("days", "values", "chance"))
    if not values.sum():
        return []
    groups = {"all": np.flatnonzero(values)} | {MONTH_NAMES[i]: np.array([i]) for i in np.flatnonzero(values)}
    channels = []
    for kind in KINDS:
        of_kind = {name: sums[f"{kind.prefix}{name}"].values for name in ("below", "above", "distance", "farthest")}
        cells = sums.sizes[kind.y] * sums.sizes[kind.x]
        for channel, name in enumerate(sums[kind.channel].values):
            rows = []
            for month, places in groups.items():
                count = cells * values[places].sum()
                below, above, distance, farthest = (of_kind[key][places, channel] for key in of_kind)
                outside = below.sum() + above.sum()
                by_chance = float(np.average(chance[places], weights=values[places]))
                limit = min(MOST, MOST_TIMES_CHANCE * by_chance + SPELL / days[places].sum())
                limit *= 1 if month == "all" else OF_A_MONTH
                rows.append(
                    {
                        "channel": str(name),
                        "units": str(sums[kind.units].values[channel]),
                        "month": month,
                        "share": float(outside / count),
                        "below": float(below.sum() / count),
                        "above": float(above.sum() / count),
                        "chance": by_chance,
                        "limit": limit,
                        "too_far": bool(outside / count > limit),
                        "mean_distance": float(distance.sum() / outside) if outside else 0.0,
                        "farthest": float(farthest.max()),
                    }
                )
            channels.append(rows)
    return [row for rows in sorted(channels, key=lambda rows: -rows[0]["share"]) for row in rows]


def shares(sums: xr.Dataset) -> xr.Dataset:
    """Give the share of the values beyond the range by cell, over all months that training has.

    Returns
    -------
    `share(channel, y, x)` and `context_share(context_channel, v, u)`; `chance` and `grid_kind` as attributes.
    """
    values = sums["values"].values
    count = max(1, int(values.sum()))
    maps = {f"{kind.prefix}share": sums[f"{kind.prefix}map"] / count for kind in KINDS}
    chance = float((sums["chance"].values * values).sum() / count)
    return xr.Dataset(maps, attrs={"chance": chance, "grid_kind": sums.attrs["grid_kind"]})


def sentence(sums: xr.Dataset) -> str:
    """Say in one sentence how far the channel with most beyond is beyond the training range."""
    rows = table(sums)
    if not rows:
        return f"predictors cannot be compared with those of the training: {_unseen(sums)}."
    most = rows[0]
    months = [row for row in rows[1:] if row["channel"] == most["channel"] and row["month"] != "all"]
    month = max(months, key=lambda row: row["share"])
    text = (
        f"{most['channel']} is most often beyond the training range of its month and cell: {percent(most['share'])} "
        f"of the values ({percent(most['chance'])} by chance), {percent(month['share'])} in {month['month']}, on "
        f"average {most['mean_distance']:.1f} and at most {most['farthest']:.1f} standard deviations beyond"
    )
    return f"{text}; {unseen}." if (unseen := _unseen(sums)) else f"{text}."


def judge(sums: xr.Dataset) -> str:
    """Say what is too far beyond the training range, and what to do; empty where nothing is.

    The words follow the name of an application and a colon. The application goes on all the same where its
    configuration says `out_of_range: accept`.
    """
    far = [row for row in table(sums) if row["too_far"]]
    whole = [row for row in far if row["month"] == "all"]
    named = {row["channel"] for row in whole}
    worst: dict[str, Row] = {}  # the worst month of each channel that is not too far out over all months
    for row in sorted((row for row in far if row["channel"] not in named), key=lambda row: -row["share"]):
        worst.setdefault(row["channel"], row)
    found = []
    for row in (*whole, *worst.values()):
        when = "" if row["month"] == "all" else f" in {row['month']}"
        found.append(
            f"{percent(row['share'])} of {row['channel']}{when} beyond the training range (at most "
            f"{percent(row['limit'])} expected), by up to {row['farthest']:.1f} standard deviations"
        )
    if size := _other_size(sums):
        found.append(size)
    if unseen := _unseen(sums):
        found.append(unseen)
    if not found:
        return ""
    return (
        f"found {'; '.join(found)}. What the model makes of such days cannot be trusted. Check units and variables, "
        "bring the predictors of a climate model to the climate of the training first, or train with such months; to "
        "go on all the same, write `out_of_range: accept`"
    )


def markdown(sums: xr.Dataset) -> str:
    """Lay the table out as Markdown: a row for each channel, a column for each month."""
    rows = table(sums)
    found = {(row["channel"], row["month"]): row for row in rows}
    units = {row["channel"]: row["units"] for row in rows}
    with_days = sums["days"].values + sums["unseen_days"].values > 0
    months = [name for name, there in zip(MONTH_NAMES, with_days, strict=True) if there]
    head = ["channel", "units", "all months", "by chance", "limit", "mean distance", "farthest"]
    head += [month[:3] for month in months]
    body = []
    for channel, unit in units.items():
        row = found[channel, "all"]
        numbers = [_cell(row), percent(row["chance"]), percent(row["limit"])]
        numbers += [f"{row[name]:.1f}" for name in ("mean_distance", "farthest")]
        body.append([channel, unit or DASH, *numbers, *(_cell(found.get((channel, month))) for month in months)])
    widths = [max(map(len, column)) for column in zip(head, *body, strict=True)]
    rules = ["-" * width if i < 2 else "-" * (width - 1) + ":" for i, width in enumerate(widths)]
    lines = [
        "| " + " | ".join(f"{cell:{'<' if i < 2 else '>'}{widths[i]}}" for i, cell in enumerate(cells)) + " |"
        for cells in (head, rules, *body)
    ]
    words = [
        "Share of the values (days and cells) beyond the range that training had in the same cell and calendar month. "
        "Bold: above the limit; a single month may have twice as much. Distances are in standard deviations of the "
        "month and cell, the mean over the values beyond.",
        *([f"{DASH}: {_unseen(sums)}."] if _unseen(sums) else []),
    ]
    return "\n".join([*lines, "", *words, ""])


def _cell(row: Row | None) -> str:
    if row is None:
        return DASH
    return f"**{percent(row['share'])}**" if row["too_far"] else percent(row["share"])


def percent(share: float) -> str:
    """Write a share in per cent, with a digit more where it is small."""
    return f"{100 * share:.{1 if share < 0.0995 else 0}f} %"


def _other_size(sums: xr.Dataset) -> str:
    """Say where the mean of the coarse rain is another one; empty where it is not, or few days do not tell.

    Rain has no lower end of its range that too little rain could pass.
    """
    values, rain = int(sums["values"].sum()), sums.attrs["rain_channel"]
    if not rain or int(sums["days"].sum()) < LEAST_DAYS:
        return ""
    channel = list(sums["channel"].values).index(rain)
    mean, usual = (float(sums[name].values[channel].mean()) / values for name in ("total", "usual"))
    if usual / OTHER_SIZE < mean < usual * OTHER_SIZE:
        return ""
    return f"a mean of {mean:.3g} mm/day of {rain}, beside {usual:.3g} mm/day in the same months of the training"


def _unseen(sums: xr.Dataset) -> str:
    """Name the months that training never saw."""
    days = sums["unseen_days"].values
    names = [MONTH_NAMES[i] for i in np.flatnonzero(days)]
    return f"{days.sum()} days in months that training never saw ({', '.join(names)})" if names else ""
