"""The rows of the comparison: experiments, their replicates and baselines, with intervals and paired differences.

Inputs: the contents of every `scores.json` with the resampled scores of `scores_by_day.nc` beside it, and which
experiments are replicates of which. Output: rows that give any score of any days with its interval, and the change of
the fair CRPS against the strongest baseline.

All ensembles of a dataset are scored on the same resamples of days. So the difference of two of them has an interval of
its own, which is much narrower than that of either.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import xarray as xr

from rainshaft.data.conventions import TEST, VALIDATION
from rainshaft.errors import UserError
from rainshaft.evaluation.catalogue import Block
from rainshaft.evaluation.resampling import Rows, interval, spread_of_trainings
from rainshaft.evaluation.scoring import ALL_DAYS

CRPS = "fair_crps"
BASELINE, POSTERIOR = "baseline", "posterior"

Families = Mapping[str, Sequence[str]]  # experiment of the file -> its replicates; itself alone where there is one
Found = dict[str, Any]
"""`value`, `low` and `high`, None where unknown; `sd` over replicates and `observed` where they exist"""
NOTHING: Found = {"value": None, "low": None, "high": None}


@dataclass(frozen=True)
class Entry:
    """One ensemble."""

    content: Mapping[str, Any]
    """the content of `scores.json`"""
    resampled: xr.DataArray
    """(part, kind, score, row) of `scores_by_day.nc`"""

    @classmethod
    def read(cls, content: Mapping[str, Any], by_day: Any) -> Entry:
        """Put the two files of an ensemble together.

        Raises
        ------
        UserError
            The files do not belong together: then intervals would be those of another ensemble.
        """
        with xr.open_dataset(by_day) as opened:
            entry = cls(content, opened["resampled"].load())
        for part in (VALIDATION, TEST):
            block = entry.block(part)
            if block and "resamples_digest" not in block:
                raise UserError(
                    f"scores.json of {content['name']}: found no resamples_digest for its {part} days, expected it "
                    "as this version of rainshaft writes it; an older one has made the file, so evaluate it again"
                )
            rows = entry.rows(part, ALL_DAYS, CRPS)
            value = block["scores"][CRPS]["value"] if block else None
            if value is not None and (rows is None or not np.isclose(rows[0], value, rtol=1e-5)):
                found = "none" if rows is None else f"{rows[0]:.5g}"
                raise UserError(
                    f"{by_day}: found a fair CRPS of {found} on {part} days, but scores.json of {content['name']} "
                    f"has {value:.5g}; the two files are of different ensembles, so evaluate it again"
                )
        return entry

    def block(self, part: str, kind: str = ALL_DAYS) -> Block | None:
        """Give the block of some days; None where there are none."""
        return (self.content.get(part) or {}).get(kind)

    def rows(self, part: str, kind: str, key: str) -> Rows | None:
        """Give a score in each row of the resamples; None where it is not known."""
        found = self.resampled
        labels = {"part": part, "kind": kind, "score": key}
        if any(label not in found[axis].values.astype(str) for axis, label in labels.items()):
            return None
        values = found.isel({axis: list(found[axis].values.astype(str)).index(v) for axis, v in labels.items()}).values
        block = self.block(part, kind)
        return values[: block["rows"]] if block else None


@dataclass(frozen=True)
class Row:
    """An experiment with its replicates, one replicate, or a baseline."""

    dataset: str
    name: str
    mode: str
    entries: tuple[Entry, ...]
    replicate: int | None = None

    @property
    def is_baseline(self) -> bool:
        """Whether it is a baseline."""
        return self.mode == BASELINE

    def days(self, part: str, kind: str = ALL_DAYS) -> int | None:
        """Count the days that were scored; None where there are none."""
        block = self.entries[0].block(part, kind)
        return block["days"] if block else None

    def found(self, part: str, kind: str, key: str) -> Found:
        """Give a score with its 90 % interval; over replicates, the mean with an interval over days and trainings."""
        blocks = [entry.block(part, kind) for entry in self.entries]
        known = [block["scores"][key] for block in blocks if block and key in block["scores"]]
        if len(known) < len(self.entries) or not known:
            return dict(NOTHING)
        if len(known) == 1:
            return dict(known[0])
        values = [one["value"] for one in known]
        if any(value is None for value in values):
            return dict(NOTHING)
        found = self._interval(part, kind, self._rows(part, kind, key), np.array(values))
        found |= {"value": float(np.mean(values)), "sd": float(np.std(values, ddof=1))}
        if "observed" in known[0]:
            found["observed"] = known[0]["observed"]
        if all("floor" in one for one in known):
            floors = [one["floor"] for one in known]
            found["floor"] = {
                "value": float(np.mean([floor["value"] for floor in floors])),
                "low": min(floor["low"] for floor in floors),
                "high": max(floor["high"] for floor in floors),
            }
        return found

    def change(self, part: str, kind: str, reference: Row) -> Found:
        """Give the change of the fair CRPS against another row as a share, with its interval by paired resamples.

        Nothing is known where the two were not scored on the same days: the days would decide, and not the members. The
        interval is not known where their days were resampled in different ways, as with another number of resamples.
        """
        if self.days_differ(part, kind, reference):
            return dict(NOTHING)
        mine, other = self._rows(part, kind, CRPS), reference._rows(part, kind, CRPS)
        values = [self.found(part, kind, CRPS)["value"], reference.found(part, kind, CRPS)["value"]]
        if None in values or not values[1]:
            return dict(NOTHING)
        change = values[0] / values[1] - 1
        alike = len(self._resamples(part, kind) | reference._resamples(part, kind)) == 1
        if mine is None or other is None or not alike:
            return {"value": change, "low": None, "high": None}
        singles = [entry.rows(part, kind, CRPS) for entry in self.entries]
        trainings = np.array([single[0] / other[0] - 1 for single in singles if single is not None])
        return self._interval(part, kind, mine / other - 1, trainings) | {"value": change}

    def days_differ(self, part: str, kind: str, reference: Row) -> bool:
        """Tell whether the two were scored on different days."""
        blocks = [entry.block(part, kind) for row in (self, reference) for entry in row.entries]
        return len({block["digest"] for block in blocks if block}) > 1

    def _resamples(self, part: str, kind: str) -> set[str]:
        blocks = [entry.block(part, kind) for entry in self.entries]
        return {block["resamples_digest"] for block in blocks if block}

    def _rows(self, part: str, kind: str, key: str) -> Rows | None:
        rows = [found for entry in self.entries if (found := entry.rows(part, kind, key)) is not None]
        if len(rows) < len(self.entries) or len(self._resamples(part, kind)) != 1:
            return None
        return np.mean(rows, axis=0)

    def _interval(self, part: str, kind: str, rows: Rows | None, trainings: np.ndarray) -> Found:
        block = self.entries[0].block(part, kind)
        if rows is None or not block or block["share_of_run"] is None:
            return dict(NOTHING)
        draws = int(block["resamples"])
        if len(trainings) > 1:
            rows = rows.copy()
            rows[1 : 1 + draws] += spread_of_trainings(trainings, draws, len(rows))
        return interval(rows, draws, block["share_of_run"])


@dataclass(frozen=True)
class Comparison:
    """All ensembles, sorted into rows."""

    entries: Sequence[Entry]
    families: Families

    @cached_property
    def datasets(self) -> list[str]:
        """The datasets in the order of their entries."""
        return list(dict.fromkeys(entry.content["dataset"] for entry in self.entries))

    def rows(self, dataset: str) -> list[Row]:
        """Give the rows of a dataset: experiments in the order of the configuration, then baselines."""
        family = {name: of for of, names in self.families.items() for name in names}
        sorted_: dict[tuple[str, str], list[Entry]] = {}
        for entry in self.entries:
            if entry.content["dataset"] == dataset:
                name, mode = entry.content["name"], entry.content["mode"]
                sorted_.setdefault((name if mode == BASELINE else family.get(name, name), mode), []).append(entry)
        rows = [Row(dataset, name, mode, tuple(entries)) for (name, mode), entries in sorted_.items()]
        return sorted(rows, key=lambda row: row.is_baseline)  # stable: the order of the configuration stays

    def replicates(self, row: Row) -> list[Row]:
        """Give a row for each replicate of a row, numbered from 1; none where it is there once."""
        if len(row.entries) == 1:
            return []
        return [Row(row.dataset, row.name, row.mode, (entry,), n) for n, entry in enumerate(row.entries, 1)]

    def strongest(self, dataset: str) -> Row | None:
        """Find the baseline with the lowest fair CRPS on the validation days, or on the test days without them."""
        for part in (VALIDATION, TEST):
            crps = [(row.found(part, ALL_DAYS, CRPS)["value"], row) for row in self.rows(dataset) if row.is_baseline]
            known = [(value, row) for value, row in crps if value is not None]
            if known:
                return min(known, key=lambda one: one[0])[1]
        return None
