"""The tables of the comparison as cells: what stands in them, and which cells say something beyond the noise.

Input: the rows of a dataset (`rows`). Output: tables, which `table` writes as Markdown and `report.page` as HTML. A
cell is marked only where its 90 % interval is known and excludes what it is compared with.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from rainshaft.config.sections import Evaluation
from rainshaft.evaluation.catalogue import Score, score_of, scores_of
from rainshaft.evaluation.resampling import SEASONS
from rainshaft.evaluation.rows import CRPS, POSTERIOR, Found, Row
from rainshaft.evaluation.scoring import ALL_DAYS, HEAVY_DAYS

DASH = "–"
ALIKE = "≈"
KINDS = {
    "dry_days": "dry",
    "moderate_days": "moderate",
    HEAVY_DAYS: "heavy",
    **{season: season for season in SEASONS},
}
OF_KINDS = (CRPS, "spread_skill", "wet_difference", "mass_bias", "gradient_ratio", "p99_ratio")
"""columns of the table of kinds of days"""
OF_POSTERIOR = "posterior: sees the truth, no skill"

Mark = Literal["", "better", "worse", "outside"]
"""whether a row is better or worse than the strongest baseline, or a score lies outside of its band of good values"""


@dataclass(frozen=True)
class Cell:
    """A cell of a table."""

    text: str
    mark: Mark = ""


@dataclass(frozen=True)
class Line:
    """A row of a table."""

    cells: tuple[Cell, ...]
    muted: bool = False
    """whether it is there to compare with: what was observed, and what has seen the truth"""


@dataclass(frozen=True)
class Table:
    """A table; its first columns are words, the others numbers."""

    head: tuple[str, ...]
    lines: tuple[Line, ...]
    words: int


def main_table(rows: Sequence[Row], part: str, strongest: Row | None) -> Table:
    """Tabulate the scores that have a heading, over all days of a part: the observed rain, then each row."""
    shown = headed(rows[0])
    head = ["name", "mode", shown[0].heading, *_against(strongest), *(score.heading for score in shown[1:])]
    whole = of_most_days(rows, part)
    observed = [number(whole.found(part, ALL_DAYS, score.key).get("observed"), score) for score in shown]
    texts = ["observed", DASH, observed[0], *([DASH] if strongest else []), *observed[1:]]
    lines = [Line(tuple(map(Cell, texts)), muted=True)]
    for row in rows:
        has_seen = row.mode == POSTERIOR
        cells = [Cell(row.name), Cell(OF_POSTERIOR if has_seen else row.mode), crps_cell(row, part, ALL_DAYS)]
        cells += [change_cell(row, part, ALL_DAYS, strongest)] if strongest else []
        cells += [score_cell(row, part, score) for score in shown[1:]]
        lines.append(Line(tuple(cells), muted=has_seen))
    return Table(tuple(head), tuple(lines), words=2)


def of_most_days(rows: Sequence[Row], part: str, kind: str = ALL_DAYS) -> Row:
    """Choose the row with the most days: members from files may lack some, and the observed values are of all."""
    return max(rows, key=lambda row: row.days(part, kind) or 0)


def floor_table(rows: Sequence[Row], part: str) -> Table | None:
    """Tabulate the noise floor of each experiment; None where none is known."""
    shown, floors = headed(rows[0]), {}
    for row in rows:
        if not row.is_baseline and row.mode != POSTERIOR:
            floors[row.name] = {score.key: row.found(part, ALL_DAYS, score.key).get("floor") for score in shown}
    kept = [score for score in shown if any(found[score.key] for found in floors.values())]
    if not kept:
        return None
    lines = []
    for name, found in floors.items():
        values = [(found[score.key] or {}).get("value") for score in kept]
        texts = [name, *(number(value, score) for value, score in zip(values, kept, strict=True))]
        lines.append(Line(tuple(map(Cell, texts)), muted=True))
    return Table(("noise floor of", *(score.heading for score in kept)), tuple(lines), words=1)


def kinds_table(rows: Sequence[Row], part: str, strongest: Row | None) -> Table | None:
    """Tabulate a few scores by how much it rains and by season; None where there are no kinds of days.

    No score is marked as outside of its band: after a choice of days by their rain, the bands do not hold.
    """
    shown = [score_of(key) for key in OF_KINDS]
    head = ("days", "number", "name", shown[0].heading, *_against(strongest), *(score.heading for score in shown[1:]))
    of_strongest = strongest.name if strongest else None
    listed = [row for row in rows if row.mode != POSTERIOR and (not row.is_baseline or row.name == of_strongest)]
    lines = []
    for kind, words in KINDS.items():
        for row in (row for row in listed if row.days(part, kind)):
            cells = [Cell(words), Cell(str(row.days(part, kind))), Cell(row.name), crps_cell(row, part, kind)]
            cells += [change_cell(row, part, kind, strongest)] if strongest else []
            cells += [Cell(number(row.found(part, kind, score.key)["value"], score)) for score in shown[1:]]
            lines.append(Line(tuple(cells)))
    return Table(head, tuple(lines), words=3) if lines else None


def headed(row: Row) -> list[Score]:
    """List the scores that have a column, in its settings."""
    return [score for score in scores_of(settings_of(row)) if score.heading]


def settings_of(row: Row) -> Evaluation:
    """Give the settings under which a row was scored."""
    return Evaluation(**row.entries[0].content["settings"])


def crps_cell(row: Row, part: str, kind: str) -> Cell:
    """Write the fair CRPS with its interval."""
    found, score = row.found(part, kind, CRPS), score_of(CRPS)
    if found["low"] is None:
        return Cell(number(found["value"], score))
    return Cell(f"{number(found['value'], score)} [{number(found['low'], score)}, {number(found['high'], score)}]")


def change_cell(row: Row, part: str, kind: str, strongest: Row) -> Cell:
    """Write the change against the strongest baseline; `≈` where the two are not distinguishable."""
    if row.name == strongest.name and row.is_baseline:
        return Cell(DASH)
    found = row.change(part, kind, strongest)
    if found["value"] is None:
        return Cell(DASH)
    percent = {key: None if found[key] is None else 100 * found[key] for key in ("value", "low", "high")}
    text = f"{percent['value']:+.1f}"
    if percent["low"] is None or percent["high"] is None:
        return Cell(text)
    text += f" [{percent['low']:+.1f}, {percent['high']:+.1f}]"
    if percent["low"] <= 0 <= percent["high"]:
        return Cell(f"{ALIKE} {text}")
    if row.mode == POSTERIOR:
        return Cell(text)
    return Cell(text, "worse" if percent["low"] > 0 else "better")


def score_cell(row: Row, part: str, score: Score) -> Cell:
    """Write a score over all days of a part, marked where its interval lies outside of the band of good values."""
    text = number(row.found(part, ALL_DAYS, score.key)["value"], score)
    is_off = row.mode != POSTERIOR and place_in_band(row, part, score) in ("low", "high")
    return Cell(text, "outside" if is_off else "")


Place = Literal["low", "high", "good", "open", "unknown"]


def place_in_band(row: Row, part: str, score: Score) -> Place:
    """Tell where a score lies, with its interval, in its band of good values over all days of a part.

    Returns
    -------
    `low` or `high` where the whole interval lies beyond the band, `good` where all of it lies inside, `open` where it
    crosses an end or is not known, and `unknown` where the score or its band is not defined.
    """
    found: Found = row.found(part, ALL_DAYS, score.key)
    band = score.band(found)
    if band is None or found["value"] is None:
        return "unknown"
    if found["low"] is None or found["high"] is None:
        return "open"
    if found["high"] < band[0]:
        return "low"
    if found["low"] > band[2]:
        return "high"
    return "good" if band[0] <= found["low"] and found["high"] <= band[2] else "open"


def number(value: float | None, score: Score) -> str:
    """Write a score in the unit of its heading."""
    if value is None or pd.isna(value):
        return DASH
    rounded = round(score.factor * value, score.digits) + 0.0  # no negative zero
    return f"{rounded:{'+' if score.signed and rounded else ''}.{score.digits}f}"


def _against(strongest: Row | None) -> list[str]:
    return [f"against {strongest.name} %"] if strongest else []
