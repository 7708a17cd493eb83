"""Raw files to the predictors of a trained model, for days whose rain nobody observed.

Input: files with the predictors that a model needs, as people have them. Output: canonical predictors of a year, on the
coarse grid and in the units of the model. They are read, checked and brought to the grid by the code that prepares the
training days. So equal files give equal predictors.

An ensemble has a dimension of realizations, such as the members of a forecast. It is kept; without it there is one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from rainshaft.config.sections import PredictorFiles
from rainshaft.data import regrid
from rainshaft.data.checks import check_values, read_content
from rainshaft.data.domain import Channel, Domain
from rainshaft.data.gaps import complete_days, joined_days
from rainshaft.data.prepare import MEMORY_CHUNK_BYTES, STAMPS_ELSEWHERE, days_as_written, stacked
from rainshaft.data.rawfile import OpenFiles
from rainshaft.data.regrid import map_to_coarse
from rainshaft.data.sources import Faults, InputError, Location, Source, files_of, predictor_sources
from rainshaft.data.times import iso
from rainshaft.data.units import factors_between
from rainshaft.data.year import Days, VariableYear, read_year, years_of
from rainshaft.errors import UserError, nearest
from rainshaft.files import DAY_HOURS, write_netcdf

VALUES = ("predictors", "context")  # the variables with a value for each day


@dataclass(frozen=True)
class Predictor:
    """One predictor of a year, and how it gets to the grid of the model."""

    channel: Channel
    record: VariableYear
    mapping: regrid.Mapping
    factors: tuple[float, float]
    """slope and offset to the units of the model"""
    notes: tuple[str, ...]

    def lazy(self, empty: NDArray[np.bool_], asked: NDArray[np.bool_]) -> xr.DataArray:
        """Give its days on the grid of the model (time, y, x), in the units of the model."""
        data = self.mapping.of_record(self.record, self.record.lazy(MEMORY_CHUNK_BYTES), empty, asked)
        slope, offset = self.factors
        return data if self.factors == (1.0, 0.0) else (data * slope + offset).astype("float32")


def sources_of(domain: Domain, predictors: Sequence[PredictorFiles], key: str) -> list[Source]:
    """Find the files of each channel of a model.

    Parameters
    ----------
    predictors
        Files, whose names are those of the channels. What they are is known to the model: `quantity`, `context` and
        `lags` need not be stated.
    key
        Where `predictors` stands in the configuration, for messages.

    Raises
    ------
    UserError
        If a channel has no files, or files have no channel.
    """
    given = {files.label: (i, files) for i, files in enumerate(predictors)}
    lags: dict[str, tuple[int, ...]] = {}
    for channel in domain.channels:
        lags[channel.label] = (*lags.get(channel.label, ()), channel.lag)
    needed = list(lags)
    if len(given) < len(predictors):
        raise UserError(f"{key}: found a name twice in {[p.label for p in predictors]}, expected each name once")
    if missing := [name for name in needed if name not in given]:
        raise UserError(
            f"{key}: found {', '.join(given)}, expected the predictors of the model, {', '.join(needed)}; add "
            f"{', '.join(missing)}. Write `name` beside a variable that your files call otherwise"
        )
    for name in given:
        if name not in needed:
            hint = nearest(name, needed) or f"; the model was trained with {', '.join(needed)}"
            raise UserError(f"{key}: found {name}, which the model does not know{hint}; remove it")
    found = []
    for channel in domain.channels:
        i, files = given[channel.label]
        fixed = {"quantity": channel.quantity, "context": channel.context, "name": channel.label}
        if "lags" in files.model_fields_set and {*files.lags} != {*lags[channel.label]}:
            raise UserError(
                f"{key}.{i}.lags: found {list(files.lags)}, expected {list(lags[channel.label])}, with which the model "
                "was trained; remove the key"
            )
        for name, value in fixed.items():
            if getattr(files, name) not in (PredictorFiles.model_fields[name].default, value):
                raise UserError(
                    f"{key}.{i}.{name}: found {getattr(files, name)}, expected {value}, with which the model was "
                    "trained; remove the key"
                )
        found += predictor_sources(files.model_copy(update=fixed | {"lags": (channel.lag,)}), f"{key}.{i}")
    return found


def prepare_predictors(domain: Domain, predictors: Sequence[PredictorFiles], key: str, year: int, path: Path) -> None:
    """Write the canonical predictors of one year; the file is whole or absent.

    Parameters
    ----------
    predictors, key
        As in `sources_of`.
    year
        The year; no other day is read.
    path
        The netCDF file to write.

    Raises
    ------
    UserError
        One line for each fault of the input.
    """
    with OpenFiles() as files:
        write_netcdf(Input(domain, sources_of(domain, predictors, key), files).read(year), path)


class Input:
    """The raw predictors of a model, of any years.

    Parameters
    ----------
    domain
        The domain of the model.
    sources
        One for each channel of the model, from `sources_of`.
    files
        Keeps the raw files open.
    given
        Where the values of each source are, by its key, for data in memory or of unknown years. Without it the patterns
        of the sources tell for each year.
    """

    def __init__(
        self,
        domain: Domain,
        sources: Sequence[Source],
        files: OpenFiles,
        given: Mapping[str, Sequence[Location]] | None = None,
    ):
        self._domain, self._sources, self._files, self._given = domain, sources, files, given
        self._centre = domain.coarse.fine.centre

    @property
    def years(self) -> list[int]:
        """The years of the data that were given. With lags, a year needs days before it, too."""
        assert self._given is not None
        first, *others = self._member(0)
        found = years_of(first, self._given[first.key], self._centre, self._files)
        for source in others:
            if source.lag != first.lag:
                known = set(years_of(source, self._given[source.key], self._centre, self._files))
                found = [year for year in found if year in known] or found
        return found

    def read_all(self) -> xr.Dataset:
        """Read all years of the data that were given; result and errors as in `read`."""
        return xr.concat(
            [self.read(year) for year in self.years],
            "time",
            data_vars=list(VALUES),
            coords="minimal",
            compat="override",
            combine_attrs="override",
        )

    def check(self, years: Sequence[int]) -> list[str]:
        """Check the headers of all raw files before any job.

        Returns
        -------
        Sentences: how many days there are, and what the files do not tell and is assumed.

        Raises
        ------
        InputError
            One line for each fault.
        """
        faults = Faults()
        days: list[Days] = []
        sentences: dict[str, None] = {}
        for year in years:
            with faults.collect():
                count, plan = self._realizations(year), self._plan(year, 0)
                days.append(plan.days)
                sentences |= dict.fromkeys(plan.doubts)
                if count > 1:
                    sentences[f"each day has {count} realizations, and each of them gets members of its own"] = None
        faults.throw()
        found = np.concatenate(days)
        return [f"{len(found)} days from {iso(int(found.min()))} to {iso(int(found.max()))}", *sentences]

    def read(self, year: int) -> xr.Dataset:
        """Check the predictors of a year and lay them out. The values that are given are still on the disk.

        Returns
        -------
        `predictors` (time, realization, channel, y, x) and `context` (time, realization, context_channel, v, u), as
        float32 in the units of the model. The attribute `ingest` lists what was changed.

        Raises
        ------
        InputError
            One line for each fault of the input.
        """
        parts = [self._fields(year, number) for number in range(self._realizations(year))]
        first, *others = (fields for fields, _ in parts)
        for number, other in enumerate(others, start=1):
            if not np.array_equal(other.time.values, first.time.values):
                raise UserError(
                    f"{self._sources[0].files_key}: found other complete days of {year} in realization {number} than "
                    "in realization 0, expected equal days; complete the files, or make an application of each"
                )
        numbers = xr.Variable("realization", np.arange(len(parts), dtype="i4"), {"standard_name": "realization"})
        joined = xr.concat([first, *others], numbers, data_vars=list(VALUES), coords="minimal", compat="override")
        notes = dict.fromkeys(note for _, notes in parts for note in notes)
        joined.attrs = {
            "title": f"predictors of {year}",
            "rain_channel": self._domain.rain_channel,
            "ingest": json.dumps(list(notes)),
        }
        return joined.transpose("time", "realization", ...)

    def _member(self, number: int) -> list[Source]:
        return [replace(source, realization=number) for source in self._sources]

    def _paths(self, source: Source, year: int) -> Sequence[Location]:
        return files_of(source, year) if self._given is None else self._given[source.key]

    def _realizations(self, year: int) -> int:
        """How many realizations the files have. A predictor without realizations belongs to each of them."""
        faults = Faults()
        counts: dict[str, int] = {}
        for source in self._member(0):
            with faults.collect():
                raw = self._files.timed(source, self._paths(source, year)[0], self._centre)
                counts[source.name] = raw.header.realizations
        faults.throw()
        several = {name: count for name, count in counts.items() if count > 1}
        if len(set(several.values())) > 1:
            words = ", ".join(f"{count} of {name}" for name, count in several.items())
            raise InputError(f"realizations: found {words}, expected equal numbers; use files of one ensemble")
        return max(counts.values())

    def _plan(self, year: int, realization: int) -> _Plan:
        """Relate the files of a year to the grid of the model; no bulk data is read."""
        faults = Faults()
        records: list[VariableYear] = []
        for source in self._member(realization):
            with faults.collect():
                paths, gathered = self._paths(source, year), self._domain.hours == DAY_HOURS
                records.append(read_year(source, paths, year, self._centre, self._files, gathered))
                if not gathered:
                    _require_steps(records[-1], self._domain.hours)
        faults.throw()
        days, lost = joined_days(records[0], records[1:])
        predictors = []
        for channel, record in zip(self._domain.channels, records, strict=True):
            with faults.collect():
                mapping = map_to_coarse(record, self._domain.context if channel.context else self._domain.coarse)
                factors, notes = _to_units(record, channel)
                whole = replace(record, window=mapping.window)
                predictors.append(Predictor(channel, whole, mapping, factors, (*record.notes, mapping.note, *notes)))
        faults.throw()
        return _Plan(predictors, lost).only(days)

    def _fields(self, year: int, realization: int) -> tuple[xr.Dataset, list[str]]:
        """Read a year of one realization once, refuse what cannot be true, and lay it out. Give notes, too."""
        plan = self._plan(year, realization)
        records = [(one.record, one.record.lazy(MEMORY_CHUNK_BYTES)) for one in plan.predictors]
        content = read_content(records)
        days, empty, notes = complete_days(records, content)
        faults = Faults()
        for record, data in records:
            with faults.collect():
                record.require_equal_copies()
                notes += check_values(record, data, content[record.source.id])
        faults.throw()
        plan = plan.only(days)
        time = xr.DataArray(days_as_written(plan.predictors[0].record, year), dims="time")
        asked = {False: self._domain.observed, True: np.ones(self._domain.context_shape, bool)}
        fields = {
            is_context: [
                one.lazy(empty[one.record.source.id], asked[is_context])
                for one in plan.predictors
                if one.channel.context == is_context
            ]
            for is_context in (False, True)
        }
        content_of = self._domain.content
        predictors = stacked(fields[False], ("channel", "y", "x"), self._domain.coarse.grid.shape, time)
        context = stacked(
            [data.rename(y="v", x="u") for data in fields[True]],
            ("context_channel", "v", "u"),
            self._domain.context_shape,
            time,
        )
        laid_out = xr.Dataset(
            {"predictors": predictors, "context": context},
            {name: content_of[name] for name in ("channel", "context_channel", "y", "x", "v", "u")},
        )
        for name in ("channel_units", "context_units"):
            laid_out[name] = content_of[name]
        laid_out["time"].attrs = {"standard_name": "time", "axis": "T"}
        return laid_out, [*plan.notes, *notes]


def _require_steps(record: VariableYear, hours: float) -> None:
    """Refuse steps of another length than the model was opened for, or that do not follow each other evenly.

    The noise of a member is a function of the number of its step, so two steps must not have one number.
    """
    found = DAY_HOURS / record.timing.a_day
    if found != hours:
        raise record.fault(
            None, f"records of {found:g} h", f"records of {hours:g} h, for which the model was opened", "open it again"
        )
    clock = record.days % 10000
    odd = (clock // 100 * 60 + clock % 100) % round(60 * hours)
    if len(np.unique(odd)) > 1:
        first = int((odd != odd[0]).argmax())
        raise record.fault(
            first, f"a step that starts at {record.date(first)}", f"steps each {hours:g} h", "bring them to even times"
        )


@dataclass(frozen=True)
class _Plan:
    """What the headers say about one year of one realization."""

    predictors: Sequence[Predictor]
    """in the order of the channels of the model"""
    lost: Sequence[str]
    """sentences about days that some predictor lacks"""

    @property
    def days(self) -> Days:
        return self.predictors[0].record.days

    @property
    def notes(self) -> list[str]:
        return [*self.lost, *(note for one in self.predictors for note in one.notes), *self.doubts]

    @property
    def doubts(self) -> list[str]:
        records = [one.record for one in self.predictors]
        return [
            record.source.note(f"{doubt} {STAMPS_ELSEWHERE}") for record in records for doubt in record.timing.doubts
        ]

    def only(self, days: Days) -> _Plan:
        """Keep some of the days."""
        return replace(self, predictors=[replace(one, record=one.record.only(days)) for one in self.predictors])


def _to_units(record: VariableYear, channel: Channel) -> tuple[tuple[float, float], list[str]]:
    """Slope and offset to the units in which the model was trained, and what is said about them.

    Raises
    ------
    InputError
        If the units are those of another quantity.
    """
    found, wanted = record.units, channel.units
    if found == wanted:
        return (1.0, 0.0), []
    if not found or not wanted:
        stated = f"units {found}, and the model was trained without any" if found else f"no units; taken as {wanted}"
        return (1.0, 0.0), [record.source.note(f"{stated}. Values are used as they are.")]
    factors = factors_between(found, wanted)
    if factors is None:
        raise record.fault(
            None, f"units {found!r}", f"units that convert to {wanted!r}, in which the model was trained", "convert it"
        )
    if factors == (1.0, 0.0):
        return factors, []
    slope, offset = factors
    added = f" and {offset:+g}" if offset else ""
    return factors, [record.source.note(f"units {found} converted to {wanted} (times {slope:g}{added}).")]
