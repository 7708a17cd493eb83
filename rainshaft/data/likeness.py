"""Whether an ensemble that another program wrote can be what it says: rain of these days, of this place, of this size.

Input: the members of a few days at a time, and the canonical fields with the rain of the same days. Output: the members
as they are scored, and sentences about what is odd. What cannot be true is refused, once all days were seen, so that
the message has the numbers of the whole record.

A file does not say that its days are shifted by one, that its unit is wrong, that its rows stand upside down, or that
one file was given twice. Its values do.

ASSUME The rules for days, size and place are those of `pairing` and `positions`, which compare coarse rain with fine
rain. An ensemble that has little to do with the days, such as a climatology, is noted and scored.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from rainshaft.data.checks import MARKS, MOST_RAIN, NO_VALUE, TINY_NEGATIVE
from rainshaft.data.conventions import WET_DAY_MM
from rainshaft.data.ensemble import RawEnsemble
from rainshaft.data.fields import Fields, Values
from rainshaft.data.pairing import (
    DAYS_FOR_NO_RELATION,
    LEAST_RELATION,
    RAIN,
    SURE,
    Origin,
    anomalies,
    correlation_of,
    day_numbers,
    judge_place,
    judge_size,
    small_map,
)
from rainshaft.data.positions import Positions
from rainshaft.data.resampling import blocks_of, resamples, sums_of_blocks
from rainshaft.data.year import Days
from rainshaft.errors import UserError
from rainshaft.files import DAYS_AT_ONCE

BATCH_BYTES = 1.6e7  # of members that are read at once; a file of long chunks is slow to read day by day
EQUAL = 1e-3  # mm/day; a member that is nowhere farther from the observed rain is that rain  # ASSUME
FINE_GAIN = 0.02  # in correlation on the fine grid, from which a moved ensemble is noted; one cell moves it little
ODD = 1.5  # times the rain of the median member, from which a member is noted  # ASSUME
MANY = 0.5  # share of the rainy days from which equal members are told  # ASSUME

OBSERVED = Origin("rain", "the observed rain", "rain", day_is_stated=False)


@dataclass
class _Count:
    """How many values are at fault, and the first and the worst of them."""

    values: int = 0
    first: str = ""
    worst: float = 0.0
    least: float = np.inf
    """in magnitude"""
    days: set[str] = field(default_factory=set)


class Likeness:
    """Looks at the members of an ensemble while they stream by.

    Parameters
    ----------
    origin
        Names the ensemble in messages.
    fields
        The canonical fields. They have the days of the ensemble.
    dates
        The days of the ensemble (YYYY-MM-DD), in order.
    required
        Those of them on which at least one member must be there.
    members
        Members a day.
    """

    def __init__(self, origin: Origin, fields: Fields, dates: list[str], required: list[str], members: int):
        self._origin, self._fields, self._dates, self._required = origin, fields, dates, set(required)
        self._valid = fields.valid
        self._of_date = dict(zip(fields.dates, day_numbers(fields.time).tolist(), strict=True))
        self._positions = Positions(fields, len(dates))
        self._fine_positions = Positions(fields, len(dates), factor=1, gain=FINE_GAIN)
        self._seen: list[str] = []
        self._maps: list[Values] = []
        self._amounts: list[NDArray[np.float64]] = []
        self._digests = np.zeros((len(dates), members), dtype=np.uint64)
        self._rainy = np.zeros((len(dates), members), dtype=bool)
        self._truths = np.zeros((len(dates), members), dtype=bool)
        self._gone = np.zeros((len(dates), members), dtype=bool)
        self._means = np.full((len(dates), members), np.nan)  # over the cells
        self._done = 0
        self._broken, self._tiny, self._negative, self._large = _Count(), _Count(), _Count(), _Count()
        self._never = np.ones(int(self._valid.sum()), dtype=bool)

    def clean(self, rain: Values) -> Values:
        """Take in the next days (day, member, lat, lon), and give them without negative rain, NaN where not valid."""
        dates = self._dates[self._done : self._done + len(rain)]
        values = rain[..., self._valid]  # (day, member, cell)
        gone = np.asarray(~np.isfinite(values).any(-1))
        self._count(values, gone, dates)
        here = slice(self._done, self._done + len(rain))
        values = np.where(np.isfinite(values), values.clip(min=0), np.nan)
        truth = self._fields.rain(dates)
        self._gone[here] = gone
        self._rainy[here] = np.nan_to_num(values).max(-1) >= WET_DAY_MM  # nearly dry days are all alike
        self._truths[here] = self._rainy[here] & (np.abs(values - truth[:, None, self._valid]) <= EQUAL).all(-1)
        for day in range(len(rain)):
            for member in range(rain.shape[1]):
                digest = hashlib.blake2b(values[day, member].tobytes(), digest_size=8).digest()
                self._digests[self._done + day, member] = np.frombuffer(digest, dtype=np.uint64)[0]
        self._means[here] = np.where(gone, np.nan, np.nan_to_num(values).mean(-1, dtype="f8"))
        self._keep_means(values, gone, truth, dates)
        self._done += len(rain)
        cleaned = np.full(rain.shape, np.nan, dtype=np.float32)
        cleaned[..., self._valid] = values
        return cleaned

    def _count(self, values: Values, gone: NDArray[np.bool_], dates: list[str]) -> None:
        """Count the values that cannot be true."""
        finite = np.isfinite(values)
        for count, wrong in (
            (self._broken, ~finite & ~gone[..., None]),
            (self._tiny, (values < 0) & (values > TINY_NEGATIVE)),
            (self._negative, finite & (values <= TINY_NEGATIVE)),
            (self._large, finite & (values > MOST_RAIN)),
        ):
            if not wrong.any():
                continue
            count.values += int(wrong.sum())
            places = np.argwhere(wrong.any(-1))
            count.first = count.first or f"{dates[places[0][0]]}, member {places[0][1]}"
            count.days.update(dates[day] for day in np.unique(places[:, 0]))
            found = values[wrong]
            count.worst = float(max(count.worst, found[np.abs(found).argmax()], key=abs))
            count.least = min(count.least, float(np.abs(found).min()))
        self._never &= ~finite.any((0, 1))

    def _keep_means(self, values: Values, gone: NDArray[np.bool_], truth: Values, dates: list[str]) -> None:
        """Keep small maps of the ensemble mean, of the days that have one."""
        some = np.flatnonzero(~gone.all(1))
        if not len(some):
            return
        means = np.full((len(some), *self._valid.shape), np.nan, dtype=np.float32)
        kept = ~gone[some]
        sums = np.where(kept[..., None], np.nan_to_num(values[some]), 0).sum(1, dtype="f8")
        means[:, self._valid] = sums / kept.sum(1)[:, None]
        observed = np.where(self._valid, truth[some], np.nan)
        self._positions.update(observed, self._on_coarse_cells(means))
        self._fine_positions.update(observed, means)
        self._maps.append(small_map(means))
        self._amounts.append(np.stack([means[:, self._valid].mean(1), observed[:, self._valid].mean(1)], axis=1))
        self._seen += [dates[i] for i in some]

    def _on_coarse_cells(self, means: Values) -> Values:
        """Average maps over the valid cells of each coarse cell; NaN where it has none."""
        factor = self._fields.factor
        rows, columns = (size // factor for size in self._valid.shape)
        blocks = (rows, factor, columns, factor)
        count = self._valid.reshape(blocks).sum((1, 3))
        sums = np.nan_to_num(means).reshape(-1, *blocks).sum((2, 4))
        return np.where(count > 0, sums / np.maximum(count, 1), np.nan)

    # ------------------------------------------------------------------------------------------ the verdict

    def require(self) -> list[str]:
        """Give sentences about what is odd, once all days were seen.

        Raises
        ------
        UserError
            If the ensemble cannot be what it says, with the numbers of all days.
        """
        assert self._done == len(self._dates)
        faults = [*self._faulty_values(), *self._missing_days()]
        notes = self._notes_on_values()
        if not faults:  # else these would only repeat it
            for more_notes, more_faults in (self._copies(), (self._odd_members(), []), *self._of_other_rain()):
                notes, faults = notes + more_notes, faults + more_faults
        if faults:
            raise UserError("\n".join(faults))
        return notes

    def _fault(self, text: str) -> str:
        return f"{self._origin.words}: {text}"

    def _note(self, text: str) -> str:
        return f"{self._origin.name[:1].upper()}{self._origin.name[1:]}: {text}"

    def _faulty_values(self) -> list[str]:
        found = []
        if self._broken.values:
            never = int(self._never.sum())
            where = f"; {never} of {self._never.size} valid cells never have a value" if never else ""
            found.append(
                f"found {self._broken.values} values that are NaN or infinite in valid cells, on "
                f"{len(self._broken.days)} of {self._done} days, the first {self._broken.first}{where}; expected a "
                "value in every cell that has observed rain, or none at all in a member that is missing on a day; fill "
                "them or leave out these days"
            )
        large = self._large
        is_mark = large.worst > NO_VALUE or large.worst in MARKS or (large.values > 1 and large.worst == large.least)
        for count, expected, cure in (
            (self._negative, "no negative rain", "correct the data"),
            (large if is_mark else _Count(), "amounts of rain", "correct the data"),
        ):
            if count.values:
                found.append(
                    f"found {count.values} values, the worst {count.worst:g} mm/day, on {len(count.days)} of "
                    f"{self._done} days, the first {count.first}; expected {expected}; {cure}; if it marks missing "
                    "values, declare it as _FillValue"
                )
        return list(map(self._fault, found))

    def _missing_days(self) -> list[str]:
        lost = [date for date, gone in zip(self._dates, np.asarray(self._gone.all(1)), strict=True) if gone]
        if not (needed := [date for date in lost if date in self._required]):
            return []
        return [
            self._fault(
                f"found no member at all on {len(needed)} of {len(self._required)} test days, the first {needed[0]}; "
                "expected one or more on each of them; complete the files"
            )
        ]

    def _notes_on_values(self) -> list[str]:
        notes = []
        if self._tiny.values:
            notes.append(
                f"{self._tiny.values} values between {TINY_NEGATIVE} and 0 mm/day set to 0, the lowest "
                f"{self._tiny.worst:.2g}."
            )
        if self._large.values:
            notes.append(
                f"{self._large.values} values above {MOST_RAIN:g} mm/day, the highest {self._large.worst:.4g}; no rain "
                f"like this was ever measured. The first is on {self._large.first}."
            )
        if dropped := int(self._gone.sum()):
            notes.append(f"{dropped} of {self._gone.size} members are missing on their day and take no part.")
        return list(map(self._note, notes))

    def _copies(self) -> tuple[list[str], list[str]]:
        """Judge members that equal each other, the day before or the truth."""
        notes, faults = [], []
        days, members = self._digests.shape
        for one in range(members):
            for other in range(one + 1, members):
                both = self._rainy[:, one] & self._rainy[:, other]
                equal = int((both & (self._digests[:, one] == self._digests[:, other])).sum())
                text = f"found members {one} and {other} equal in every cell on {equal} of {int(both.sum())} days"
                if equal and equal == both.sum():
                    faults.append(f"{text} with rain; expected different members; was a file given twice?")
                elif equal > MANY * both.sum():
                    notes.append(f"{text} with rain. Was a part of a file given twice?")
        if len(faults) > 3:
            faults = [*faults[:2], f"and {len(faults) - 2} more pairs of equal members; see above"]
        again = 0
        for member in range(members):
            rainy = self._digests[self._rainy[:, member], member]
            again = max(again, len(rainy) - len(np.unique(rainy)))
        if again:
            notes.append(f"{again} of {days} days repeat the rain of another day in every cell.")
        for member in np.flatnonzero(self._truths.any(0)).tolist():
            count, rainy = int(self._truths[:, member].sum()), int(self._rainy[:, member].sum())
            notes.append(
                f"member {member} equals the observed rain in every cell on {count} of {rainy} days with rain. Has it "
                "seen the truth?"
            )
        return list(map(self._note, notes)), list(map(self._fault, faults))

    def _odd_members(self) -> list[str]:
        """Tell of a member with much more or much less rain than the others, on the days that all of them have."""
        some = np.flatnonzero(np.isfinite(self._means).sum(0) >= RAIN.days)
        means = self._means[:, some]
        means = means[np.isfinite(means).all(1)]
        if len(means) < RAIN.days or len(some) < 3:
            return []
        means = means.mean(0)
        middle, notes = float(np.median(means)), []
        for member, mean in zip(some.tolist(), means.tolist(), strict=True):
            if max(mean, middle) > ODD * min(mean, middle):
                notes.append(
                    f"member {member} has {mean:.3g} mm/day on average, and the median member {middle:.3g}. Is it in "
                    "other units, or of other days or cells?"
                )
        return list(map(self._note, notes))

    def _of_other_rain(self) -> list[tuple[list[str], list[str]]]:
        """Compare the ensemble mean with the observed rain: its days, its size, its place."""
        if len(self._seen) < RAIN.days:
            return []
        days = np.array([self._of_date[date] for date in self._seen])
        order = np.argsort(days, kind="stable")
        amounts = np.concatenate(self._amounts)[order].astype("f8")
        return [
            self._judge_days(days[order], np.concatenate(self._maps)[order].astype("f8")),
            judge_size(OBSERVED, self._origin, amounts, days[order]),
            judge_place(OBSERVED, self._origin, self._positions.best(days) or self._fine_positions.best(days)),
        ]

    def _judge_days(self, days: NDArray[np.int64], maps: NDArray[np.float64]) -> tuple[list[str], list[str]]:
        """Correlate small maps of the ensemble mean (day, cell) with the rain of its date and of those beside it."""
        date_of = {number: date for date, number in self._of_date.items()}
        middle = [i for i, day in enumerate(days.tolist()) if day - 1 in date_of and day + 1 in date_of]
        if len(middle) < RAIN.days:
            return [], []
        around = sorted({day + lag for day in days[middle].tolist() for lag in (-1, 0, 1)})
        observed = []
        for start in range(0, len(around), DAYS_AT_ONCE):
            rain = self._fields.rain([date_of[day] for day in around[start : start + DAYS_AT_ONCE]])
            observed.append(small_map(np.where(self._valid, rain, np.nan)))
        place = {day: i for i, day in enumerate(around)}
        there = np.isfinite(maps).all(0)
        mine = anomalies(np.log1p(maps[:, there]), days)[middle]
        truth = anomalies(np.log1p(np.concatenate(observed)[:, there].astype("f8")), np.array(around))
        block = blocks_of(days[middle])
        sums = []
        for lag in (-1, 0, 1):
            other = truth[[place[day + lag] for day in days[middle].tolist()]]
            products = np.stack([(mine * other).sum(1), np.square(mine).sum(1), np.square(other).sum(1)], axis=1)
            sums.append(sums_of_blocks(products, block))
        found = np.stack(sums)
        correlation = correlation_of(found.sum(1))
        resampled = correlation_of(np.einsum("rb,lbk->lrk", resamples(found.shape[1]), found))
        best = 2 * int(correlation[2] > correlation[0])
        gain, deviation = correlation[best] - correlation[1], float((resampled[best] - resampled[1]).std())
        before, same, after = (f"{value:.2f}" for value in correlation)
        text = (
            f"found correlation {same} with the rain of the same date, {before} with that of the date before, {after} "
            f"with that of the date after, on {len(middle)} days"
        )
        if gain > RAIN.margin and gain > RAIN.deviations * deviation:
            side, whose = ("late", self._origin.key) if best == 0 else ("early", OBSERVED.key)
            text += f", expected the highest on the same date; these records lie one day {side}."
            if self._origin.day_is_stated:
                return [self._note(f"{text} This stays so, because {self._origin.key}.day is stated.")], []
            cure = (
                f"Correct the dates; or, if the stamps stand at the end of their days, write `{whose}.day: end`. If "
                f"the days are right as they are, state {self._origin.key}.day"
            )
            return [], [self._fault(f"{text} {cure}")]
        if (
            len(middle) >= DAYS_FOR_NO_RELATION
            and float((correlation + SURE * resampled.std(1)).max()) < LEAST_RELATION
        ):
            return [self._note(f"{text}. It has nothing to do with the rain of any of these days.")], []
        return [], []


def cleaned(ensemble: RawEnsemble, days: Days, likeness: Likeness) -> Iterator[Values]:
    """Read members of these days (day, member, lat, lon), as many days at a time as fit into memory; look at them."""
    a_day = 4 * ensemble.members * ensemble.groups[0].cells
    at_once = max(1, int(BATCH_BYTES / a_day))
    for start in range(0, len(days), at_once):
        yield likeness.clean(ensemble.read(days[start : start + at_once]))
