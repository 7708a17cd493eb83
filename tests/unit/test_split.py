"""Splits by years that begin in any month, and by dates."""

import numpy as np
import pytest
import xarray as xr
from pydantic import ValidationError

from rainshaft.config.sections import Split
from rainshaft.data.split import require_days, split_days
from rainshaft.errors import UserError

WINTERS = Split(by="years", year_begins=12, train=(1983,), validation=(1984,), test=(1985,))
PERIODS = {"train": [["2001-01-01", "2001-06-30"]], "validation": [["2001-07-01", "2001-07-31"]]}


def days(first, last, calendar="standard"):
    return xr.date_range(first, last, calendar=calendar, use_cftime=calendar != "standard").values


@pytest.mark.parametrize("calendar", ["standard", "noleap", "360_day"])
def test_a_winter_belongs_to_the_year_in_which_it_ends(calendar):
    time = np.array(
        [day for year in (1982, 1983, 1984) for day in days(f"{year}-12-01", f"{year + 1}-02-28", calendar)]
    )
    part = split_days(time, WINTERS)
    winter = len(time) // 3
    for i, name in enumerate(("train", "validation", "test")):
        assert set(part[i * winter : (i + 1) * winter]) == {name}


def test_days_of_other_winters_are_unused():
    part = split_days(days("1982-11-30", "1982-12-01"), WINTERS)
    assert list(part) == ["unused", "train"]
    assert list(split_days(days("1985-11-30", "1985-12-01"), WINTERS)) == ["test", "unused"]


def test_both_dates_of_a_period_are_inside():
    split = Split(by="dates", **PERIODS, test=[["2001-08-02", "2001-08-02"], ["2001-09-01", "2001-12-31"]])
    part = dict(
        zip(
            days("2001-01-01", "2001-12-31").astype("datetime64[D]").astype(str),
            split_days(days("2001-01-01", "2001-12-31"), split),
            strict=True,
        )
    )
    assert part["2001-01-01"] == part["2001-06-30"] == "train"
    assert part["2001-07-01"] == part["2001-07-31"] == "validation"
    assert [part[f"2001-08-0{i}"] for i in (1, 2, 3)] == ["unused", "test", "unused"]
    assert part["2001-12-31"] == "test"


def test_dates_that_only_some_calendars_have():
    split = Split(by="dates", **PERIODS, test=[["2001-09-30", "2001-12-30"]])
    part = split_days(days("2001-01-01", "2001-12-30", "360_day"), split)
    assert [(part == name).sum() for name in ("train", "validation", "test", "unused")] == [180, 30, 91, 59]


@pytest.mark.parametrize(
    ("test", "words"),
    [
        ([["2001-06-15", "2001-12-31"]], "which is also in train"),
        ([["2001-12-31", "2001-08-01"]], "the earlier date first"),
        ([2002], "expected a period"),
        ([], "found no period"),
    ],
)
def test_periods_that_cannot_be(test, words):
    with pytest.raises(ValidationError, match=words):
        Split(by="dates", **PERIODS, test=test)


def test_a_period_without_data_is_named():
    split = Split(by="dates", **PERIODS, test=[["2011-08-02", "2011-09-02"]])
    time = days("2001-01-01", "2001-12-31")
    with pytest.raises(UserError, match=r"split\.test: found no test day .* name a period that has data"):
        require_days(split_days(time, split), list(time.astype("datetime64[D]").astype(str)), split)
