"""Tell whether predictors are the weather of their days, and whether coarse rain has the size and place of fine rain.

Input: canonical fields, which know where each predictor comes from. Output: sentences about what is odd. Predictors of
the day before or after are refused, and so is coarse rain that belongs to no day, has other units or is mirrored.

A stamp at midnight does not say whether it begins or ends its day, and a unit does not say whether a value is a sum or
a mean. But rain and weather of one day belong together. So the maps of the rain are estimated from the maps of a
predictor of the day before, of the same day and of the day after. The estimate is a linear regression on the leading
principal components, for days that the regression has not seen. If the estimate from another day is clearly more like
the rain, the dates are wrong.

ASSUME The rules below were chosen on real records of rain with their predictors: central India, Iberia in winter, the
Balearic Islands, Oregon. In 347 tests of true predictors over one year, none was refused. These numbers flatter a
little, because the rules were chosen on these records and the years overlap. With predictors that were shifted by a
day, all coarse rain was refused in one year. Other predictors were refused in six of ten years where they lay one day
late, and in one of ten where they lay one day early, because the rain of a day follows the weather before it. A
temperature follows the rain by up to a day. So it must lag clearly more to be refused.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from rainshaft.config.sections import DayOf
from rainshaft.data.fields import Fields, Values
from rainshaft.data.positions import Position, Positions
from rainshaft.data.resampling import blocks_of, resamples, sums_of_blocks
from rainshaft.data.sources import Source
from rainshaft.errors import UserError

SLAB_VALUES = 4_000_000  # values (fine cells, context) times days in memory at once
SIDE = 8  # maps are averaged to at most this many cells along each side, which keep the weather of a day
SEASON_DAYS = 15  # the mean of so many days before and after is taken off, so that seasons do not look like weather
FOLDS = 5  # each block is estimated by a regression on four fifths of the others
RAIN_COMPONENTS, PREDICTOR_COMPONENTS, ALL_COMPONENTS = 5, 8, 16
DAYS_FOR_A_COMPONENT = 15  # fewer days fit noise
LEAST_RELATION = 0.2  # a correlation that is surely below it is none; coarse rain of the same days has 0.5 or more
DAYS_FOR_NO_RELATION = 100
SURE = 2.0  # standard deviations
OTHER_SIZE, BIASED = 3.0, 1.5  # factors between coarse and fine rain: a mistake, and a bias to be told
NEAR = 1.3  # a factor that is as near to a known one may be that one

NOT_OF_THESE_DAYS = (
    "expected rain of these days and of this place. A climate model that runs freely has no rain of these days, so no "
    "model can be trained on it: train with predictors of the observed weather, and apply the trained model to the "
    "climate model. If it is an analysis or a reanalysis, correct its dates or its coordinates."
)
"""what is said of coarse rain that no day of the rain resembles"""

CAUSES = {
    4: "sums of 6 hours for sums of a day",
    8: "sums of 3 hours for sums of a day",
    10: "centimetres or tenths of a millimetre for millimetres",
    24: "hours for days",
    25.4: "inches for millimetres",
    30: "months for days",
    365: "years for days",
    1000: "metres for millimetres",
    3600: "seconds for hours",
    86400: "seconds for days",
}
"""factor between two amounts of rain: what was taken for what"""

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class _Rule:
    """When another day is clearly better than the same day."""

    days: int
    """of so many days at least"""
    margin: float
    """by so much more correlation at least"""
    deviations: float
    """and by so many standard deviations of the difference"""


RAIN, WEATHER, TEMPERATURE = _Rule(50, 0.05, 4.0), _Rule(300, 0.03, 4.0), _Rule(300, 0.15, 5.0)


def require_pairs(fields: Fields) -> list[str]:
    """Read the fields once and compare rain and predictors; result and errors as `Pairs.require`."""
    pairs = Pairs(fields)
    for _, *slab in fields.slabs(SLAB_VALUES):
        pairs.update(*slab)
    return pairs.require()


@dataclass(frozen=True)
class Origin:
    """Where a variable of the fields comes from. The attribute `sources` of the fields lists rain and predictors."""

    key: str
    """its key in the configuration"""
    name: str
    """what sentences call it"""
    quantity: str
    day_is_stated: bool
    """whether the configuration says to which day a record belongs"""
    lag: int = 0
    """how many days before a day its record lies"""

    @property
    def words(self) -> str:
        """The key of its files, and its name."""
        return f"{self.key}.files ({self.name})"


def origin_of(source: Source) -> Origin:
    """Give what the fields keep of the source of a variable."""
    return Origin(source.key, source.name, source.quantity, source.day != DayOf(), source.lag)


class Pairs:
    """Small maps of rain and predictors of every day, gathered while the fields stream by.

    Parameters
    ----------
    fields
        The canonical fields. Fields whose predictors are made from the rain are always right.
    """

    def __init__(self, fields: Fields):
        rain, *self._predictors = (Origin(**origin) for origin in json.loads(fields.years[0].attrs["sources"]))
        self._rain = rain
        self._days = day_numbers(fields.time)
        self._valid, self._factor = fields.valid, fields.factor
        self._channel = fields.rain_channel_index
        self._maps: list[list[Values]] = [[] for _ in range(1 + len(self._predictors))]
        self._amounts: list[Numbers] = []
        self._positions = Positions(fields)

    def update(self, rain: Values, predictors: Values, context: Values) -> None:
        """Add the next days: rain (day, lat, lon), predictors (day, channel, y, x), context (day, channel, v, u)."""
        if not self._predictors:
            return
        rain = np.where(self._valid, rain, np.nan)
        layers = [rain, *predictors.swapaxes(0, 1), *context.swapaxes(0, 1)]
        for maps, layer in zip(self._maps, layers, strict=True):
            maps.append(small_map(layer))
        if self._channel is not None:
            self._amounts.append(self._means(rain, predictors[:, self._channel]))
            self._positions.update(rain, predictors[:, self._channel])

    def _means(self, rain: Values, coarse: Values) -> Numbers:
        """Give the mean of coarse and of fine rain (day, 2) over the cells that are valid."""
        rows, columns = (size // self._factor for size in self._valid.shape)
        cells = self._valid.reshape(rows, self._factor, columns, self._factor).sum((1, 3))
        sums = (coarse * cells)[:, cells > 0].sum(1, dtype="f8"), rain[:, self._valid].sum(1, dtype="f8")
        return np.stack(sums, axis=1) / cells.sum()

    def require(self) -> list[str]:
        """Compare rain and predictors of all days that were added. Give sentences about what is odd.

        Validation and test days are among them: nothing is learned from them here, and more days tell more.

        Raises
        ------
        UserError
            If predictors are those of another day, or coarse rain is that of no day, has another size or is mirrored.
        """
        if not self._predictors or len(self._days) < RAIN.days:
            return []
        order = np.argsort(self._days, kind="stable")
        numbers = self._days[order]
        rain, *weather = (np.concatenate(maps)[order].astype("f8") for maps in self._maps)
        comparison = _Comparison(self._rain, numbers, np.log1p(rain))
        of_the_day = [pair for pair in zip(self._predictors, weather, strict=True) if not pair[0].lag]
        for origin, maps in of_the_day:
            comparison.add((origin, np.log1p(maps.clip(min=0)) if origin.quantity == "rain" else maps))
        others = [pair for pair in of_the_day if pair[0].quantity != "rain"]
        if len(others) > 1:
            comparison.add(*others)
        notes, faults = comparison.judge()
        if self._channel is not None:
            coarse = self._predictors[self._channel]
            amounts = np.concatenate(self._amounts)[order]
            for note, wrong in (
                judge_size(self._rain, coarse, amounts, numbers),
                judge_place(self._rain, coarse, self._positions.best(self._days)),
            ):
                notes, faults = notes + note, faults + wrong
        if faults:
            raise UserError("\n".join(faults))
        return notes


def day_numbers(time: xr.DataArray) -> NDArray[np.int64]:
    """Number the days by the calendar, so that days that follow each other differ by 1."""
    index: Any = xr.Dataset(coords={"time": ("time", time.values)}).indexes["time"]
    return np.asarray((index - index.min()).days, dtype="int64")


def small_map(layer: Values) -> Values:
    """Average maps (day, row, column) to few cells (day, cell); NaN where a cell has no value."""
    rows, columns = (np.linspace(0, size, min(size, SIDE), endpoint=False).astype(int) for size in layer.shape[1:])

    def sums(values: Any) -> Any:
        return np.add.reduceat(np.add.reduceat(values, rows, 1), columns, 2).reshape(len(layer), -1)

    there = np.isfinite(layer)
    count = sums(there.astype("f4"))
    return np.where(count > 0, sums(np.where(there, layer, 0).astype("f4")) / np.maximum(count, 1), np.nan)


# ------------------------------------------------------------------------------------------------ this day


@dataclass(frozen=True)
class _Profile:
    """How well the predictors of the day before, of the same day and of the day after tell the rain of a day."""

    origins: list[Origin]
    days: int
    correlation: Numbers
    """of the day before, of the same day, of the day after"""
    deviation: Numbers
    """standard deviation of each correlation"""
    of_difference: Numbers
    """standard deviation of the difference of each correlation from that of the same day"""

    @property
    def rule(self) -> _Rule:
        kinds = {origin.quantity for origin in self.origins}
        return RAIN if kinds == {"rain"} else TEMPERATURE if kinds == {"temperature"} else WEATHER

    @property
    def lag(self) -> int:
        """1 where the records lie one day late, -1 where they lie one day early, 0 where nothing speaks against."""
        best, rule = 2 * int(self.correlation[2] > self.correlation[0]), self.rule
        gain = self.correlation[best] - self.correlation[1]
        sure = gain > rule.margin and gain > rule.deviations * self.of_difference[best]
        return best - 1 if sure and self.days >= rule.days else 0

    def excludes(self, lag: int) -> bool:
        """Whether the same day is surely better than this lag."""
        loss = self.correlation[1] - self.correlation[1 + lag]
        return bool(lag and loss > self.rule.margin and loss > self.rule.deviations * self.of_difference[1 + lag])

    @property
    def is_unrelated(self) -> bool:
        """Whether the rain of none of these days has to do with it."""
        highest = float((self.correlation + SURE * self.deviation).max())
        return self.days >= DAYS_FOR_NO_RELATION and highest < LEAST_RELATION

    @property
    def numbers(self) -> str:
        """The three numbers in words."""
        before, same, after = (f"{value:.2f}" for value in self.correlation)
        return (
            f"correlation {same} with the predictor of the same date, {before} with that of the date before, "
            f"{after} with that of the date after, on {self.days} days"
        )


class _Comparison:
    """Compares the rain with predictors, and says which of them do not fit."""

    def __init__(self, rain: Origin, days: NDArray[np.int64], maps: Numbers):
        place = {int(day): i for i, day in enumerate(days)}
        middle = [i for day, i in place.items() if day - 1 in place and day + 1 in place]
        self._places = np.array([[place[int(days[i]) + lag] for i in middle] for lag in (-1, 0, 1)], dtype=int)
        self._rain, self._days = rain, days
        self._target = _components([anomalies(maps, days)], RAIN_COMPONENTS)
        self._profiles: list[_Profile] = []

    def add(self, *predictors: tuple[Origin, Numbers]) -> None:
        """Compare the rain with the maps (day, cell) of a predictor, or of several together."""
        places, days = self._places, self._days
        count = places.shape[1]
        if count < RAIN.days or not self._target.size:
            return
        most = PREDICTOR_COMPONENTS if len(predictors) == 1 else ALL_COMPONENTS
        size = max(1, min(most, count // DAYS_FOR_A_COMPONENT))
        found = _components([anomalies(maps, days) for _, maps in predictors], size)
        block = blocks_of(days[places[1]])
        if not found.size or block.max() < FOLDS:
            return
        target = self._target[places[1]]
        sums = np.stack([_agreement(found[place], target - target.mean(0), block) for place in places])
        resampled = correlation_of(np.einsum("rb,lbk->lrk", resamples(sums.shape[1]), sums))
        difference = (resampled - resampled[1]).std(1)
        origins = [origin for origin, _ in predictors]
        self._profiles.append(_Profile(origins, count, correlation_of(sums.sum(1)), resampled.std(1), difference))

    def judge(self) -> tuple[list[str], list[str]]:
        """Give notes and faults about days that do not fit."""
        notes: list[str] = []
        faults: list[str] = []
        told: set[str] = set()
        for profile in reversed(self._profiles):  # several together, which tell more, come first
            blamed = [o for o in profile.origins if o.key not in told and not self._fits(o, profile.lag)]
            told.update(origin.key for origin in blamed)
            if profile.lag and blamed:
                stated = self._rain.day_is_stated or all(origin.day_is_stated for origin in blamed)
                end = (
                    "This stays so, because the configuration states the day."
                    if stated
                    else self._cure(profile, blamed)
                )
                (notes if stated else faults).append(f"{self._words(profile, blamed)} {end}")
        for profile in self._profiles:
            if len(profile.origins) == 1 and profile.is_unrelated:
                origin, found = profile.origins[0], profile.numbers
                if origin.quantity == "rain":
                    faults.append(f"{origin.words}: found {found}, {NOT_OF_THESE_DAYS}")
                else:
                    notes.append(f"{origin.words}: {found}. It has nothing to do with the rain of any day.")
        return notes, faults

    def _fits(self, origin: Origin, lag: int) -> bool:
        """Whether a predictor by itself is surely better on the same day than with this lag."""
        return any(profile.origins == [origin] and profile.excludes(lag) for profile in self._profiles)

    def _words(self, profile: _Profile, blamed: list[Origin]) -> str:
        side, other = ("late", "early") if profile.lag > 0 else ("early", "late")
        text = (
            f"{_names(blamed)}: found {profile.numbers}, expected the highest on the same date; these records lie "
            f"one day {side}, compared with the rain."
        )
        related = [one for one in self._profiles if not one.is_unrelated]
        if len(related) > 1 and all(one.lag == profile.lag for one in related):
            text += f" All predictors agree in this, so it may be {self._rain.words} that lies one day {other}."
        return text

    def _cure(self, profile: _Profile, blamed: list[Origin]) -> str:
        key = f"{blamed[0].key}.day" if len(blamed) == 1 else "the `day` of each of these predictors"
        if profile.lag > 0:
            late = f"`{key}: end`" if len(blamed) == 1 else "`day: end` for each of these predictors"
            text = f"If their stamps stand at the end of the days, write {late}."
        else:
            text = f"If the stamps of the rain stand at the end of their days, write `{self._rain.key}.day: end`."
        return f"{text} If a time axis is wrong, correct it. If the days are right as they are, state {key}."


def _names(origins: list[Origin]) -> str:
    """Give the keys of the files, and the names."""
    if len(origins) == 1:
        return origins[0].words
    names = ", ".join(origin.name.removeprefix("predictor ") for origin in origins)
    return f"{', '.join(f'{origin.key}.files' for origin in origins)} (predictors {names})"


def anomalies(maps: Numbers, days: NDArray[np.int64]) -> Numbers:
    """Take off the mean of the days around each day (day, cell), as far as they are there."""
    first = np.searchsorted(days, days - SEASON_DAYS, side="left")
    last = np.searchsorted(days, days + SEASON_DAYS, side="right")
    total = np.concatenate([np.zeros((1, maps.shape[1])), np.cumsum(maps - maps.mean(0), axis=0)])
    return maps - maps.mean(0) - (total[last] - total[first]) / (last - first)[:, None]


def _components(maps: list[Numbers], count: int) -> Numbers:
    """Principal components (day, component) of maps (day, cell), each scaled to the same variance."""
    scaled = []
    for values in maps:
        values = values[:, np.isfinite(values).all(0)]
        values = values - values.mean(0)
        spread = np.sqrt(np.square(values).mean()) if values.size else 0.0
        if spread > 0:
            scaled.append(values / (spread * np.sqrt(values.shape[1])))
    if not scaled:
        return np.empty((len(maps[0]), 0))
    joined = np.concatenate(scaled, axis=1)
    strength, vectors = np.linalg.eigh(joined.T @ joined)
    kept = strength[-count:] > 1e-9 * strength[-1]
    return np.asarray(joined @ vectors[:, -count:][:, kept])


def _agreement(predictor: Numbers, rain: Numbers, block: NDArray[np.int64]) -> Numbers:
    """Estimate the rain of each block from other blocks. Give the sums of products for each block (block, 3)."""
    estimate = np.zeros_like(rain)
    with_constant = np.column_stack([np.ones(len(predictor)), predictor])
    for fold in range(FOLDS):
        left_out = block % FOLDS == fold
        weights = np.linalg.lstsq(with_constant[~left_out], rain[~left_out], rcond=None)[0]
        estimate[left_out] = with_constant[left_out] @ weights
    products = np.stack([(estimate * rain).sum(1), np.square(estimate).sum(1), np.square(rain).sum(1)], axis=1)
    return sums_of_blocks(products, block)


def correlation_of(sums: Numbers) -> Numbers:
    """Correlation from the sums of products, whose last axis is (estimate x rain, estimate^2, rain^2)."""
    return np.asarray(sums[..., 0] / np.sqrt(np.maximum(sums[..., 1] * sums[..., 2], np.finfo("f8").tiny)))


# ----------------------------------------------------------------------------------------------- this size


def judge_size(rain: Origin, coarse: Origin, amounts: Numbers, days: NDArray[np.int64]) -> tuple[list[str], list[str]]:
    """Compare the means of other and of observed rain (day, 2) over the same days and cells. Give notes and faults.

    `days` are numbers that ascend.
    """
    sums = sums_of_blocks(amounts, blocks_of(days))
    resampled = resamples(len(sums)) @ sums
    if (resampled <= 0).any():
        return [], []  # there is too little rain to tell
    coarse_mean, fine_mean = amounts.mean(0)
    ratio = coarse_mean / fine_mean
    size, doubt = abs(np.log(ratio)), SURE * float(np.log(resampled[:, 0] / resampled[:, 1]).std())
    found = (
        f"{coarse.words}: found a mean of {coarse_mean:.3g} mm/day, {_times(ratio)} the {fine_mean:.3g} mm/day of "
        f"{rain.words} over the same {len(amounts)} days and cells"
    )
    if size - doubt > np.log(OTHER_SIZE):
        near = sorted((abs(size - np.log(factor)), words) for factor, words in CAUSES.items())
        causes = [words for distance, words in near if distance < np.log(NEAR)]
        likely = f"; this looks like {', or '.join(causes[:2])}" if causes else ""
        return [], [
            f"{found}, expected a factor of at most {OTHER_SIZE:g}{likely}; correct the units of the values, or state "
            f"them as {coarse.key}.units or {rain.key}.units"
        ]
    return ([f"{found}. It is biased."] if size > np.log(BIASED) else []), []


def _times(ratio: float) -> str:
    return f"{ratio:.3g} times" if ratio >= 1 else f"1/{1 / ratio:.3g} of"


# ---------------------------------------------------------------------------------------------- this place


def judge_place(rain: Origin, coarse: Origin, better: Position | None) -> tuple[list[str], list[str]]:
    """Say where other rain seems to stand, if another position is better. Give notes and faults."""
    if better is None:
        return [], []
    what = "coarse rain" if coarse.name.startswith("predictor ") else coarse.name
    found = (
        f"{coarse.words}: found a correlation of {better.as_it_is:.2f} between the maps of {what} and of "
        f"{rain.words} on the same days, and {better.correlation:.2f} if {what} stands {better.words}"
    )
    if better.is_mirrored:
        return [], [
            f"{found}, expected the highest one as it is. The values of one of the two are in another order than its "
            "axes say: look at a map of each, and correct the file that is wrong"
        ]
    return [f"{found}. Check its coordinates; but a model may also rain beside the observed place."], []
