"""The scores of one part of a record, day after day in one pass.

Input: the days of the part, one at a time. Output: the blocks of `scores.json` for all its days and for kinds of days,
the values of each day, and the scores in each resample. A long record needs little more memory than a short one. Rain
in mm/day.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from rainshaft.config.sections import Evaluation
from rainshaft.data.conventions import is_heavy
from rainshaft.evaluation.catalogue import scores_of
from rainshaft.evaluation.days import Quantities, Setting, day_of, quantities_of, stacked, unknown
from rainshaft.evaluation.floor import LEAST_MEMBERS, floor_quantities_of
from rainshaft.evaluation.formulas import Array
from rainshaft.evaluation.formulas.extremes import LEAST_DAYS, LEAST_YEARS, AnnualMaxima, return_levels
from rainshaft.evaluation.formulas.maps import ClimateMaps
from rainshaft.evaluation.formulas.sequences import Sequence
from rainshaft.evaluation.quantities import DIMS
from rainshaft.evaluation.record import Record, Sums
from rainshaft.evaluation.resampling import SEASONS, Resamples, season_of

DAYS_AT_ONCE = 16  # whose quantities are held before they are summed
MEMBERS_OF_PERCENTILE = 4  # a map of P99 of four members is twice as smooth as that of the truth
DAYS_OF_YEAR = 365
RETURN_YEARS = 20
ALL_DAYS, HEAVY_DAYS = "all_days", "heavy_days"

OneDay = tuple[Array, Array]
"""the members (M, H, W) and the truth (H, W) of a day"""


@dataclass(frozen=True)
class Part:
    """The days of a part of the record: what is known of them before their members are read."""

    dates: NDArray[np.str_]
    """YYYY-MM-DD (T,), in the order of time"""
    category: NDArray[np.str_]
    """(T,)"""
    rain: NDArray[np.floating]
    """observed area rain (T,), mm/day"""
    times: NDArray[Any]
    """the days as dates of their calendar (T,): numpy.datetime64 or cftime"""

    @property
    def months(self) -> NDArray[np.int64]:
        """The month of each day (T,), from 1."""
        return np.array([int(date[5:7]) for date in self.dates])

    def groups(self) -> dict[str, NDArray[np.bool_]]:
        """Tell which days belong to which kind (T,): all, by how much it rains, and by season."""
        kinds = {ALL_DAYS: np.ones(len(self.dates), bool), HEAVY_DAYS: is_heavy(self.category)}
        kinds |= {f"{kind}_days": self.category == kind for kind in ("moderate", "dry")}
        kinds |= {name: season_of(self.months) == place for place, name in enumerate(SEASONS)}
        return {name: days for name, days in kinds.items() if days.any()}


@dataclass(frozen=True)
class Scored:
    """What is known of a part after its days were scored."""

    blocks: dict[str, dict[str, Any]]
    """kind of days to its block in `scores.json`"""
    by_day: xr.Dataset
    """the numbers of each day (time)"""
    sums: dict[str, Array]
    """the sums of the arrays (`DIMS`) over all days"""
    resampled: xr.DataArray
    """(kind, score, row): the scores in the rows of the resamples"""
    maps: xr.Dataset
    """(lat, lon): the climate of each cell over all days"""


def score(days: Iterable[OneDay], part: Part, setting: Setting) -> Scored:
    """Score the days of a part.

    Parameters
    ----------
    days
        Members and truth of each day of `part`, in its order.
    part
        The days.
    setting
        What they share.

    Raises
    ------
    UserError
        A member has NaN at some valid cells of a day but not at all of them.
    """
    groups = part.groups()
    resamples, sums, place_in = {}, {}, {}
    for name, chosen in groups.items():
        resamples[name] = Resamples.of(part.rain[chosen], part.months[chosen], setting.settings.bootstrap, setting.seed)
        sums[name] = Sums(resamples[name].weights)
        place_in[name] = np.where(chosen, np.cumsum(chosen) - 1, -1)
    floors = [Sums(np.ones((1, len(part.dates)), np.uint8)) for _ in range(setting.size)]
    by_day: list[dict[str, Array]] = []
    climate = Climate(part, setting)
    for places, found, complete, pretended in _chunks(climate.watching(days), part, setting):
        for name, each in sums.items():
            own = place_in[name][places]
            each.add(own[own >= 0], {key: values[own >= 0] for key, values in found.items()})
        for turn, floor in enumerate(floors if complete.size else ()):
            floor.add(complete, {name: values[:, turn] for name, values in pretended.items()})
        by_day.append({name: values for name, values in found.items() if values.ndim == 1})
    scalars = {name: np.concatenate([chunk[name] for chunk in by_day]) for name in by_day[0]}
    whole = sums[ALL_DAYS].record(setting.size)
    turns = [
        scores_in_rows(floor.record(setting.size - 1), setting.settings, is_partial=True)
        for floor in floors
        if not floor.is_empty
    ]
    blocks, rows = {}, {}
    for name, chosen in groups.items():
        used = np.isfinite(scalars["cells"][chosen])
        if not used.any():
            continue
        record = whole if name == ALL_DAYS else sums[name].record(setting.size)
        rows[name] = scores_in_rows(record, setting.settings)
        floor_of = _floor(turns) if name == ALL_DAYS else {}
        blocks[name] = {
            "digest": digest_of(part.dates[chosen][used]),
            "days": int(used.sum()),
            "days_left_out": int((~used).sum()),
            "days_in_all": len(used),
            "resamples": resamples[name].draws,
            "resamples_digest": resamples[name].digest,
            "rows": len(resamples[name].weights),
            "run_of_days": None if np.isnan(resamples[name].run) else resamples[name].run,
            "share_of_run": None if np.isnan(resamples[name].share) else resamples[name].share,
            "scores": _entries(record, rows[name], resamples[name], floor_of, setting),
        }
    # copies, since a view would keep the sums of all resamples
    arrays = {name: whole.totals[name][0].copy() for name in DIMS if name in whole.totals}
    return Scored(blocks, _dataset(scalars, part), arrays, _resampled(rows), climate.maps())


def digest_of(dates: NDArray[np.str_]) -> str:
    """Name a set of days. Ensembles are compared only where they were scored on the same days."""
    return hashlib.sha256("".join(dates).encode()).hexdigest()[:16]


class Climate:
    """Collects the climate of each cell from the days that pass by."""

    def __init__(self, part: Part, setting: Setting):
        self._part, self._valid = part, setting.valid
        size, cells = setting.size, int(setting.valid.sum())
        self._maps = ClimateMaps(len(part.dates), size, cells, MEMBERS_OF_PERCENTILE)
        of_year = Counter(date[:4] for date in part.dates.tolist())
        whole = [year for year, count in of_year.items() if count >= LEAST_DAYS * DAYS_OF_YEAR]
        # fewer years give no return level, and need not be held
        self._maxima = AnnualMaxima(size, cells) if len(whole) >= LEAST_YEARS else None

    def watching(self, days: Iterable[OneDay]) -> Iterator[OneDay]:
        """Pass the days on."""
        for date, (members, truth) in zip(self._part.dates.tolist(), days, strict=True):
            m, y = members[:, self._valid], truth[self._valid]
            self._maps.add(m, y)
            if self._maxima:
                self._maxima.add(m, y, int(date[:4]))
            yield members, truth

    def maps(self) -> xr.Dataset:
        """Give the maps after the last day; those of the members are over all members."""
        found = self._maps.result()
        if self._maxima:
            truth, members = self._maxima.result(DAYS_OF_YEAR)
            found["level_observed"] = return_levels(truth, RETURN_YEARS)
            found["level_samples"] = return_levels(members, RETURN_YEARS).mean(axis=0)
        maps = {}
        for name, values in found.items():
            field = np.full(self._valid.shape, np.nan, np.float32)
            field[self._valid] = values
            maps[f"map_{name}"] = (("lat", "lon"), field)
        return xr.Dataset(maps)


def _chunks(
    days: Iterable[OneDay], part: Part, setting: Setting
) -> Iterator[tuple[NDArray[np.intp], dict[str, Array], NDArray[np.intp], dict[str, Array]]]:
    """Give a few days at a time: their places and quantities, and those with each member as the truth (day, M, ...)."""
    numbered = enumerate(days)
    sequence = Sequence(setting.size, int(setting.valid.sum()))
    like: Quantities = {}
    while chunk := list(islice(numbered, DAYS_AT_ONCE)):
        found: list[tuple[Quantities | None, Quantities]] = []
        pretended: list[Quantities] = []
        complete = []
        for place, (members, truth) in chunk:
            day = day_of(str(part.dates[place]), str(part.category[place]), members, truth, setting)
            of_sequence = sequence.add(members[:, setting.valid], truth[setting.valid], part.times[place])
            if place == len(part.dates) - 1:
                of_sequence |= {name: of_sequence[name] + spells for name, spells in sequence.end().items()}
            found.append((None if day is None else quantities_of(day), of_sequence))
            if day is not None and len(day.members) == setting.size >= LEAST_MEMBERS:
                complete.append(place)
                pretended.append(floor_quantities_of(day))
        like = like or next((one for one, _ in found if one is not None), _blank(chunk[0][1], setting))
        # spells that end before a day that takes no part are those of the days before
        rows = [(unknown(like) if one is None else one) | of_sequence for one, of_sequence in found]
        places = np.array([place for place, _ in chunk])
        yield places, stacked(rows), np.array(complete, int), stacked(pretended) if complete else {}


def _blank(day: OneDay, setting: Setting) -> Quantities:
    """Give quantities of the right shapes for days of which none takes part."""
    members, truth = (np.zeros_like(one) for one in day)
    blank = day_of("2000-01-01", "", members, truth, setting)
    assert blank is not None
    return quantities_of(blank)


def scores_in_rows(record: Record, settings: Evaluation, *, is_partial: bool = False) -> dict[str, Array]:
    """Compute every score in every row.

    With `is_partial`, scores are left out whose quantities the record does without, as the noise floor does.
    """
    found: dict[str, Array] = {}
    with np.errstate(invalid="ignore", divide="ignore"):
        for one in scores_of(settings):
            try:
                found[one.key] = np.asarray(one.formula(record), np.float64)
            except KeyError:
                if not is_partial:
                    raise
    return found


def _floor(turns: list[dict[str, Array]]) -> dict[str, dict[str, float]]:
    """Give for each score the mean and the range of its values with a member as the truth."""
    found = {}
    for key in turns[0] if turns else ():
        values = np.array([turn[key][0] for turn in turns])
        if np.isfinite(values).all():
            found[key] = {"value": float(values.mean()), "low": float(values.min()), "high": float(values.max())}
    return found


def _entries(
    record: Record,
    rows: Mapping[str, Array],
    resamples: Resamples,
    floor: Mapping[str, dict[str, float]],
    setting: Setting,
) -> dict[str, dict[str, Any]]:
    """Make the entries of `scores.json`: value, interval, the observed value and the noise floor where they exist."""
    entries = {}
    for one in scores_of(setting.settings):
        entry: dict[str, Any] = dict(resamples.interval(rows[one.key]))
        if one.observed is not None:
            observed = float(one.observed(record)[0])
            entry["observed"] = observed if np.isfinite(observed) else None
        if one.key in floor and one.observed is None:
            entry["floor"] = floor[one.key]
        entries[one.key] = entry
    return entries


def _dataset(scalars: Mapping[str, Array], part: Part) -> xr.Dataset:
    variables = {name: ("time", values) for name, values in scalars.items()}
    return xr.Dataset(variables, coords={"category": ("time", part.category.astype(object))})


def _resampled(rows: Mapping[str, Mapping[str, Array]]) -> xr.DataArray:
    """Lay the scores of the kinds of days out on common axes; kinds with fewer rows end with NaN."""
    keys = list(next(iter(rows.values()))) if rows else []
    most = max((len(next(iter(found.values()))) for found in rows.values()), default=0)
    table = np.full((len(rows), len(keys), most), np.nan)
    for i, found in enumerate(rows.values()):
        for j, key in enumerate(keys):
            table[i, j, : len(found[key])] = found[key]
    coords = {"kind": np.array(list(rows), object), "score": np.array(keys, object), "row": np.arange(most)}
    return xr.DataArray(table, coords, ("kind", "score", "row"))
