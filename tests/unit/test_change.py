"""The change between two applications: values computed by hand, pairs of members, intervals, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import xarray as xr

from rainshaft.application.change import (
    LEAST_RAIN,
    maps_of_change,
    markdown_of_change,
    table_of_change,
)
from rainshaft.application.summary import summary_of
from rainshaft.data.indices import INDICES
from rainshaft.errors import UserError


def year_of(
    year: int,
    values: Any,
    *,
    realization: Sequence[int] | None = None,
    calendar: str = "noleap",
    months: Sequence[int] = range(1, 13),
    model: str = "m",
    cells: int = 3,
) -> xr.Dataset:
    """Indices of a year that all have one value: a number, or one for each member."""
    members = np.atleast_1d(np.asarray(values, "f4"))
    field = np.broadcast_to(members[:, None, None], (members.size, 1, cells)).copy()
    days = np.where(np.isin(np.arange(1, 13), list(months)), 30, 0)
    realization = np.zeros(members.size, int) if realization is None else realization
    return xr.Dataset(
        {name: (("member", "lat", "lon"), field.copy()) for name in INDICES} | {"days": ("month", days)},
        {
            "member": np.arange(members.size),
            "realization": ("member", realization),
            "lat": ("lat", [0.0], {"units": "degrees_north"}),
            "lon": ("lon", np.arange(cells) * 1.0, {"units": "degrees_east"}),
            "month": np.arange(1, 13),
            "year": year,
            "threshold": 1.0,
        },
        {"model": model, "calendar": calendar, "first_day": f"{year}-01-01", "last_day": f"{year}-12-30"},
    )


def record(first: int, years: Sequence[Any], **keys: Any) -> xr.Dataset:
    return summary_of([year_of(first + i, values, **keys) for i, values in enumerate(years)])


def row_of(rows: list[dict[str, Any]], name: str) -> dict[str, Any]:
    return next(row for row in rows if row["index"] == name)


def test_changes_of_rain_are_in_per_cent_and_those_of_days_are_differences() -> None:
    base, future = record(1991, [4.0, 6.0]), record(2081, [5.0, 6.0, 7.0], calendar="360_day")
    change = maps_of_change(base, future)
    rows = table_of_change(base, future)
    for name, index in INDICES.items():
        expected = 20.0 if index.relative else 1.0
        assert change[name].values == pytest.approx(np.full((1, 3), expected))
        assert row_of(rows, name)["change"] == pytest.approx(expected)
    assert [row_of(rows, name)["change_units"] for name in ("mean", "wet_days", "cdd")] == [
        "%",
        "percentage points",
        "day",
    ]
    assert change["wet_days"].attrs["units"] == "%"
    assert (change.attrs["base_years"], change.attrs["future_years"]) == ("1991–1992", "2081–2083")


def test_ordinary_change_is_that_of_the_years_of_the_base() -> None:
    base, future = record(1991, [4.0, 6.0]), record(2081, [5.0, 6.0, 7.0])
    size = 1.645 * np.std([4, 6], ddof=1) * np.sqrt(1 / 2 + 1 / 3)
    change = maps_of_change(base, future)
    assert change["cdd_ordinary"].values == pytest.approx(np.full((1, 3), size))
    assert change["mean_ordinary"].values == pytest.approx(np.full((1, 3), 100 * size / 5))
    assert row_of(table_of_change(base, future), "cdd")["year_std"] == pytest.approx(np.std([4, 6], ddof=1))
    single = maps_of_change(record(1991, [4.0]), future)
    assert single["cdd_ordinary"].isnull().all()


def test_agreement_counts_pairs_of_members() -> None:
    base, future = record(1991, [[2.0, 5.0]]), record(2081, [[3.0, 4.0, 6.0]])
    # 3-2, 4-2, 6-2 and 6-5 are positive, 3-5 and 4-5 are negative; the mean changes from 3.5 to 4.33
    assert maps_of_change(base, future)["mean_agreement"].values == pytest.approx(np.full((1, 3), 100 * 4 / 6))
    row = row_of(table_of_change(base, future), "cdd")
    assert row["agreement"] == pytest.approx(100 * 4 / 6)
    assert row["member_std"] == pytest.approx(np.std([1, 2, 4, -2, -1, 1]))
    alone = maps_of_change(record(1991, [2.0]), record(2081, [3.0]))
    assert alone["mean_agreement"].isnull().all(), "a single pair always agrees with itself"


def test_pairs_are_of_one_realization_where_both_have_the_same() -> None:
    keys = {"realization": [0, 1]}
    base, future = record(1991, [[2.0, 8.0]], **keys), record(2081, [[3.0, 10.0]], **keys)
    row = row_of(table_of_change(base, future), "cdd")
    assert row["agreement"] == 100, "8 to 3 is no pair: these are two runs of the input"
    assert row["realization_std"] == pytest.approx(np.std([1, 2], ddof=1))
    other = record(2081, [[3.0, 10.0]], realization=[0, 7])
    row = row_of(table_of_change(base, other), "cdd")
    assert (row["agreement"], row["realization_std"]) == (75, None)


def test_a_change_of_next_to_no_rain_is_not_given_in_per_cent() -> None:
    base, future = record(1991, [LEAST_RAIN / 2]), record(2081, [1.0])
    change = maps_of_change(base, future)
    assert change["mean"].isnull().all()
    assert change["wet_days"].notnull().all()
    row = row_of(table_of_change(base, future), "mean")
    assert (row["change"], row["low"], row["agreement"]) == (None, None, None)


def test_interval_is_that_of_drawn_years() -> None:
    rng = np.random.default_rng(3)
    years = rng.normal(50, 5, 30), rng.normal(60, 5, 20)
    row = row_of(table_of_change(record(1961, years[0]), record(2081, years[1])), "cdd")
    error = np.sqrt(sum(part.var() / part.size for part in years))  # of the difference of two means
    change = years[1].mean() - years[0].mean()
    assert row["change"] == pytest.approx(change, rel=1e-5)
    assert row["low"] == pytest.approx(change - 1.645 * error, abs=0.15)
    assert row["high"] == pytest.approx(change + 1.645 * error, abs=0.15)


def test_single_years_have_no_interval() -> None:
    row = row_of(table_of_change(record(1991, [4.0]), record(2081, [5.0, 6.0])), "mean")
    assert (row["low"], row["high"], row["year_std"]) == (None, None, None)


def test_coarse_input_stands_beside() -> None:
    base, future = record(1991, [4.0, 6.0]), record(2081, [5.0, 7.0])
    coarse = record(1991, [10.0, 10.0], model="coarse"), record(2081, [11.0, 15.0], model="coarse")
    row = row_of(table_of_change(base, future, coarse), "mean")
    assert row["coarse_change"] == pytest.approx(30)
    assert row["coarse_low"] < 30 < row["coarse_high"]
    without = row_of(table_of_change(base, future), "mean")
    assert without["coarse_change"] is None
    assert without["change"] == row["change"]


def test_rows_can_be_written_as_json() -> None:
    rows = table_of_change(record(1991, [0.0]), record(2081, [[5.0, 7.0]]))
    assert json.loads(json.dumps(rows, allow_nan=False)) == rows


def test_markdown() -> None:
    keys = {"realization": [0, 1]}
    base, future = record(1991, [[4.0, 4.0], [6.0, 6.0]], **keys), record(2081, [[5.0, 6.0], [7.0, 8.0]], **keys)
    text = markdown_of_change(table_of_change(base, future, (base, future)), ("history", "rcp85"))
    lines = text.splitlines()
    assert lines[0].startswith("| index | history | rcp85 | change [90 % interval] | between members | same sign |")
    assert "between realizations" in lines[0]
    assert "coarse input" in lines[0]
    assert lines[2].startswith("| mean rain (mm/day) | 5.00 | 6.50 | +30.0 % [")
    assert lines[3].startswith("| wet days (%) | 5.0 | 6.5 | +1.5 pp [")
    assert all(line.count("|") == lines[0].count("|") for line in lines[:10])
    assert "fewer than 10 years" in text
    plain = markdown_of_change(table_of_change(record(1991, [0.0]), record(2081, [1.0]))).splitlines()
    assert plain[0] == "| index | base | future | change [90 % interval] | year to year |"
    assert plain[2] == "| mean rain (mm/day) | 0.00 | 1.00 | – | – |"


def test_what_cannot_be_compared_is_refused() -> None:
    base = record(1991, [2.0])
    with pytest.raises(UserError, match="of the model other, expected that of m"):
        maps_of_change(base, record(2081, [2.0], model="other"))
    with pytest.raises(UserError, match="found a grid of 1 x 4 cells"):
        table_of_change(base, record(2081, [2.0], cells=4))
    with pytest.raises(UserError, match=r"found 90 days \(30 in Jan, 30 in Feb, 30 in Dec\)"):
        maps_of_change(base, record(2081, [2.0], months=[1, 2, 12]))
    with pytest.raises(UserError, match="expected the season of the base, 60 days"):
        maps_of_change(record(1991, [2.0], months=[1, 2]), record(2081, [2.0], months=[7, 8]))
    holed = year_of(2081, 2.0)
    holed["mean"][:, 0, 1] = np.nan
    with pytest.raises(UserError, match="1 cells that only one of both has"):
        maps_of_change(base, summary_of([holed]))
    with pytest.raises(UserError, match="of the model b"):
        table_of_change(base, record(2081, [2.0]), (record(1991, [2.0], model="a"), record(2081, [2.0], model="b")))
