"""The tables of all experiments and baselines side by side.

Inputs: the ensembles as `rows.Comparison`, and how often their test days were looked at. Outputs: Markdown to read, CSV
with all scores and intervals, and a few columns for the terminal. Validation days come first: they are there to decide
on. Test days stand apart, to report. Replicates share a row: their mean.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from rainshaft.data.conventions import TEST, VALIDATION
from rainshaft.evaluation.catalogue import Score, scores_of
from rainshaft.evaluation.cells import (
    ALIKE,
    DASH,
    KINDS,
    Table,
    change_cell,
    floor_table,
    headed,
    kinds_table,
    main_table,
    number,
    of_most_days,
    settings_of,
)
from rainshaft.evaluation.rows import CRPS, POSTERIOR, Comparison, Row
from rainshaft.evaluation.scoring import ALL_DAYS
from rainshaft.files import atomic

Descriptions = Mapping[str, str]  # experiment or dataset of the file -> a few words
Looks = Mapping[str, int]  # dataset -> how often its test days were scored with other members

ALL = "all"  # the part of an ensemble that is scored without a split
PARTS = {VALIDATION: "validation days", TEST: "test days", ALL: "all days"}
HEAVY = (
    "Kinds of days are chosen by the observed rain. After such a choice even a calibrated ensemble looks too dry and "
    "too narrow on heavy days (Lerch et al. 2017, doi:10.1214/16-STS588). So compare the rows with each other, not "
    "with 0 or 1."
)
FLOOR = (
    "The noise floor: each member takes its turn as the truth for the others, so the scores are those of an ensemble "
    "without any fault, on as many days. A score with an ideal that is within its floor has nothing left to mend. "
    "For the CRPS and other errors the floor is no goal: members that differ too much have a high one."
)
NO_SKILL = "The posterior was shown the observed day, so its scores do not measure skill."


def write(
    comparison: Comparison,
    descriptions: Descriptions,
    looks: Looks,
    table_md: str | Path,
    table_csv: str | Path,
    console_txt: str | Path,
) -> None:
    """Write the tables.

    Parameters
    ----------
    comparison
        All ensembles.
    descriptions
        Experiment or dataset to a few words about it.
    looks
        Dataset to the number of times that its test days were looked at.
    table_md, table_csv, console_txt
        The files to write.
    """
    with atomic(table_md) as temporary:
        temporary.write_text(markdown(comparison, descriptions, looks), encoding="utf-8")
    with atomic(table_csv) as temporary:
        frame(comparison).to_csv(temporary, index=False, encoding="utf-8")
    with atomic(console_txt) as temporary:
        temporary.write_text(console(comparison), encoding="utf-8")


# ------------------------------------------------------------------------------------------------ CSV


def frame(comparison: Comparison) -> pd.DataFrame:
    """Lay out every score of every row, in the units of the headings.

    Returns
    -------
    A row for each dataset, part (`validation` or `test`), kind of days, and experiment, baseline or replicate. Beside
    each score stand the ends of its 90 % interval (`_low`, `_high`), its standard deviation over replicates (`_sd`),
    and its noise floor (`_floor`) where they exist. `crps_change` is the change of the fair CRPS against the baseline
    `against`, in per cent. The row `observed` has what the observed rain has.
    """
    rows = []
    for dataset in comparison.datasets:
        strongest = comparison.strongest(dataset)
        listed = comparison.rows(dataset)
        for part in PARTS:
            for kind in (ALL_DAYS, *KINDS):
                present = [row for row in listed if row.days(part, kind)]
                if not present:
                    continue
                label = {"dataset": dataset, "part": part, "days": kind}
                rows.append(
                    label | {"name": "observed", "mode": ""} | _observed(of_most_days(present, part, kind), part, kind)
                )
                for row in [one for each in present for one in (each, *comparison.replicates(each))]:
                    values = label | {"name": row.name, "mode": row.mode, "replicate": row.replicate}
                    rows.append(values | _change(row, part, kind, strongest) | _all_scores(row, part, kind))
    found = pd.DataFrame(rows)
    if "replicate" in found:
        found["replicate"] = found["replicate"].astype("Int64")
    return found


def _observed(row: Row, part: str, kind: str) -> dict[str, float]:
    values = {score.key: row.found(part, kind, score.key).get("observed") for score in scores_of(settings_of(row))}
    factor = {score.key: score.factor for score in scores_of(settings_of(row))}
    return {key: factor[key] * value for key, value in values.items() if value is not None}


def _all_scores(row: Row, part: str, kind: str) -> dict[str, Any]:
    values: dict[str, Any] = {"number_of_days": row.days(part, kind)}
    for score in scores_of(settings_of(row)):
        found = row.found(part, kind, score.key)
        for end, key in {"": "value", "_low": "low", "_high": "high", "_sd": "sd"}.items():
            if found.get(key) is not None or end != "_sd":
                values[score.key + end] = _scaled(found.get(key), score)
        if floor := found.get("floor"):
            values[f"{score.key}_floor"] = _scaled(floor["value"], score)
    return values


def _change(row: Row, part: str, kind: str, strongest: Row | None) -> dict[str, Any]:
    if strongest is None:
        return {}
    found = row.change(part, kind, strongest)
    names = {"crps_change": "value", "crps_change_low": "low", "crps_change_high": "high"}
    percent = {name: None if found[key] is None else 100 * found[key] for name, key in names.items()}
    return {"against": strongest.name, **percent}


def _scaled(value: float | None, score: Score) -> float:
    return float("nan") if value is None else score.factor * value


# ------------------------------------------------------------------------------------------- Markdown


def markdown(comparison: Comparison, descriptions: Descriptions, looks: Looks) -> str:
    """Give the comparison as Markdown: for each dataset tables of validation days and, apart, of test days."""
    lines = ["# Comparison", ""]
    for part, words in PARTS.items():
        for dataset in comparison.datasets:
            rows = [row for row in comparison.rows(dataset) if row.days(part)]
            if not rows:
                continue
            lines += [f"## {dataset}: {words} ({of_most_days(rows, part).days(part)})", ""]
            if part == TEST:
                lines += [looked(looks.get(dataset, 0)), ""]
            strongest = comparison.strongest(dataset)
            lines += [*_aligned(main_table(rows, part, strongest)), "", differences(rows, part, strongest), ""]
            if floors := floor_table(rows, part):
                lines += [FLOOR, "", *_aligned(floors), ""]
            if kinds := kinds_table(rows, part, strongest):
                lines += [f"### {dataset}: kinds of {words}", "", *_aligned(kinds), "", HEAVY, ""]
    if descriptions:
        lines += ["## Names", "", *(f"- **{name}**: {words}" for name, words in descriptions.items()), ""]
    meanings = columns(comparison).items()
    lines += ["## Columns", "", *(f"- **{heading}**: {meaning}" for heading, meaning in meanings), ""]
    lines += [brackets(comparison), NO_SKILL]
    return "\n".join(lines) + "\n"


def columns(comparison: Comparison) -> dict[str, str]:
    """Give the heading of each column and what it means."""
    rows = [row for dataset in comparison.datasets for row in comparison.rows(dataset)]
    return {score.heading: score.meaning + _unit(score) for score in (headed(rows[0]) if rows else [])}


def brackets(comparison: Comparison) -> str:
    """Say what brackets and dashes in the tables mean."""
    trainings = ", over days and trainings together" if _replicates(comparison) else ""
    return (
        f"In brackets: 90 % interval from resampled spells of days{trainings}. {DASH}: not defined. One member has no "
        "spread, for example. The CSV file has all scores with their intervals."
    )


def looked(count: int) -> str:
    """Say how often the test days were looked at, and what that means."""
    times = {0: "These test days were not looked at before", 1: "This is the first look at these test days"}
    found = times.get(count, f"These test days were looked at {count} times, each time with other members")
    return f"{found}. Decide on the validation days. A choice that was made on test days makes their scores too good."


def differences(rows: Sequence[Row], part: str, strongest: Row | None) -> str:
    """Say for each experiment in words how it compares with the strongest baseline; empty where there is none."""
    if strongest is None:
        return ""
    lines = [f"The strongest baseline on the validation days is {strongest.name}."]
    for row in rows:
        if row.is_baseline or row.mode == POSTERIOR:
            continue
        found = row.change(part, ALL_DAYS, strongest)
        if row.days_differ(part, ALL_DAYS, strongest):
            lines.append(f"{row.name} was scored on other days than {strongest.name}, so the two are not compared.")
        elif found["low"] is None:
            lines.append(f"There are too few days to compare {row.name} with {strongest.name}.")
        elif found["low"] <= 0 <= found["high"]:
            lines.append(f"{row.name} is not distinguishable from {strongest.name} by the fair CRPS.")
        else:
            better = "better" if found["value"] < 0 else "worse"
            lines.append(f"{row.name} is {better} than {strongest.name} by {100 * abs(found['value']):.1f} %.")
    return " ".join(lines)


def _unit(score: Score) -> str:
    """Write the unit as a sentence, unless the heading says it."""
    return f" Unit: {score.unit}." if score.unit and score.unit not in score.heading else ""


def _replicates(comparison: Comparison) -> int:
    """Count the replicates of an experiment; 0 where there are none."""
    count = max(map(len, comparison.families.values()), default=1)
    return count if count > 1 else 0


def _aligned(table: Table) -> list[str]:
    """Write a Markdown table that lines up in a terminal, too: words to the left, numbers to the right."""
    body = [[cell.text for cell in line.cells] for line in table.lines]
    widths = [max(map(len, column)) for column in zip(table.head, *body, strict=True)]
    rules = ["-" * width for width in widths[: table.words]] + ["-" * (w - 1) + ":" for w in widths[table.words :]]
    return ["| " + " | ".join(_padded(row, widths, table.words)) + " |" for row in (table.head, rules, *body)]


def _padded(row: Sequence[str], widths: Sequence[int], words: int) -> list[str]:
    """Pad the cells to their widths; the first ones are words, the others numbers."""
    return [
        cell.ljust(width) if i < words else cell.rjust(width)
        for i, (cell, width) in enumerate(zip(row, widths, strict=True))
    ]


# ------------------------------------------------------------------------------------------- terminal


def console(comparison: Comparison) -> str:
    """Give the key columns over all validation days, or all test days without them, narrow enough for a terminal."""
    lines, posterior = [], False
    for dataset in comparison.datasets:
        rows = comparison.rows(dataset)
        part = next((part for part in PARTS if any(row.days(part) for row in rows)), None)
        if part is None:
            continue
        rows = [row for row in rows if row.days(part)]
        posterior |= any(row.mode == POSTERIOR for row in rows)
        strongest = comparison.strongest(dataset)
        shown = [score for score in scores_of(settings_of(rows[0])) if score.console]
        whole = of_most_days(rows, part)
        head = [f"{dataset}, {PARTS[part]}", shown[0].console, *([f"vs {strongest.name} %"] if strongest else [])]
        head += [score.console for score in shown[1:]]
        body = [["observed", DASH, *([DASH] if strongest else [])]]
        body[0] += [number(whole.found(part, ALL_DAYS, score.key).get("observed"), score) for score in shown[1:]]
        for row in rows:
            cells = [row.name + (" posterior*" if row.mode == POSTERIOR else "")]
            cells.append(number(row.found(part, ALL_DAYS, CRPS)["value"], shown[0]))
            if strongest:
                cells.append(change_cell(row, part, ALL_DAYS, strongest).text)
            body.append(cells + [number(row.found(part, ALL_DAYS, s.key)["value"], s) for s in shown[1:]])
        widths = [max(map(len, column)) for column in zip(head, *body, strict=True)]
        rules = ["-" * width for width in widths]
        lines += ["  ".join(_padded(row, widths, words=1)) for row in (head, rules, *body)] + [""]
    if any(comparison.strongest(dataset) for dataset in comparison.datasets):
        lines.append(f"[ ] 90 % interval of the difference; {ALIKE} not distinguishable from the strongest baseline")
    if posterior:
        lines.append(f"* {NO_SKILL}")
    if replicates := _replicates(comparison):
        lines.append(f"Means over {replicates} trainings with different seeds")
    return "\n".join(lines).rstrip() + "\n"
