"""The table of all experiments and baselines side by side.

Inputs: the contents of every `scores.json`, and which experiments are replicates of which. Outputs: a data frame, and
its content as Markdown, as CSV and, with fewer columns, for the terminal. Replicates share a row: their mean and
standard deviation. Each dataset has its own observed row and its own baselines to compare with. The columns are those
of `catalogue.SCORES`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from rainshaft.evaluation import catalogue
from rainshaft.evaluation.catalogue import Block, Score
from rainshaft.files import atomic

Scores = dict[str, Any]
Descriptions = Mapping[str, str]  # experiment or dataset of the file -> a few words
Families = Mapping[str, Sequence[str]]  # experiment of the file -> its replicates; itself alone where there is one

DASH = "–"
DAYS = {"all_days": "all test days", "heavy_days": "heavy test days"}
HEAVY = (
    "Heavy days are chosen by the observed rain. After such a choice even a calibrated ensemble looks too dry and too "
    "narrow (Lerch et al. 2017, doi:10.1214/16-STS588). So compare the rows here with each other, not with 0 or 1."
)
POSTERIOR = "posterior: sees the truth, no skill"
NO_SKILL = "The posterior was shown the observed day, so its scores do not measure skill."


def table(scores: Sequence[Scores], days: str = "all_days") -> pd.DataFrame:
    """Lay out the scores, a row for each experiment, mode and baseline.

    Parameters
    ----------
    scores
        Contents of `scores.json`, experiments in the order of the config.
    days
        `all_days` or `heavy_days` of the test days.

    Returns
    -------
    The columns dataset, name, mode, those of `columns(scores)`, and beside each score the ends of its 90 % interval
    (`_low`, `_high`). Values are in the units of the headings, NaN where a score is not defined. One dataset after the
    other; in each the observed row, the experiments, the baselines.
    """
    shown = columns(scores)
    rows = []
    for dataset in dict.fromkeys(entry["dataset"] for entry in scores):
        entries = [entry for entry in scores if entry["dataset"] == dataset and entry[days]]
        if not entries:
            continue
        observed = {"samples": entries[0][days]["observed"], "observed": {}, "scores": {}}
        rows.append({"dataset": dataset, "name": "observed", "mode": ""} | _values(observed, shown))
        crps = {e["name"]: _fair_crps(e[days]) for e in entries if e["mode"] == "baseline"}
        for entry in sorted(entries, key=lambda e: e["mode"] == "baseline"):  # stable: the order of the config stays
            values = _values(entry[days], shown) | _changes(entry[days], crps, shown)
            rows.append({"dataset": dataset, "name": entry["name"], "mode": entry["mode"]} | values)
    keys = [key for score in shown for key in _keys(score)]
    return pd.DataFrame(rows, columns=["dataset", "name", "mode", *keys])


def by_family(frame: pd.DataFrame, families: Families) -> pd.DataFrame:
    """Name the rows of replicates after their experiment.

    Parameters
    ----------
    frame
        As from `table`.
    families
        Experiment to its replicates.

    Returns
    -------
    The rows with the experiment as `name`, and the number of the replicate, from 1, as `replicate`. It is missing in
    the rows of what is there once: experiments without replicates, baselines, the observed row.
    """
    numbered = {
        name: (family, number)
        for family, names in families.items()
        if len(names) > 1
        for number, name in enumerate(names, 1)
    }
    found = [numbered.get(name, (name, None)) for name in frame["name"]]
    frame = frame.assign(name=[family for family, _ in found])
    numbers = pd.Series([number for _, number in found], index=frame.index, dtype="Int64")
    frame.insert(list(frame.columns).index("name") + 1, "replicate", numbers)
    return frame


def over_replicates(frame: pd.DataFrame, keys: Sequence[str]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Take the mean and the sample standard deviation of each experiment over its replicates.

    Parameters
    ----------
    frame
        As from `by_family`.
    keys
        The columns with values.

    Returns
    -------
    Two frames with a row for each experiment, mode and baseline, in the order of `frame`. The deviation of a single row
    is NaN.
    """
    labels = [label for label in ("dataset", "days", "name", "mode") if label in frame]
    groups = frame.groupby(labels, sort=False)[list(keys)]
    return groups.mean().reset_index(), groups.std().reset_index()


def columns(scores: Sequence[Scores]) -> list[Score]:
    """List the columns: those of the catalogue, and one fractions skill score where there is one.

    That is the score with the threshold nearest to 10 mm/day, at the middle one of its scales.
    """
    threshold = scores[0]["wet_threshold"] if scores else 0.1
    fixed = [replace(s, heading=s.heading.format(wet_threshold=threshold)) for s in catalogue.SCORES]
    found = {
        (float(match[1]), int(match[2])): name
        for entry in scores
        if entry["all_days"]
        for name in entry["all_days"]["scores"]
        if (match := re.fullmatch(r"fss_(.+)mm_(\d+)", name))
    }
    if not found:
        return fixed
    rain = min((rain for rain, _ in found), key=lambda rain: abs(rain - 10))
    scales = sorted(scale for r, scale in found if r == rain)
    scale = scales[len(scales) // 2]
    fss, words = catalogue.FSS, {"threshold": rain, "scale": scale}
    heading, meaning = fss.heading.format(**words), fss.meaning.format(**words)
    return [*fixed, replace(fss, heading=heading, meaning=meaning, name=found[rain, scale])]


def _keys(score: Score) -> list[str]:
    """Name the columns of a score. Only values among the scores have an interval."""
    return [score.key, f"{score.key}_low", f"{score.key}_high"] if score.source == "score" else [score.key]


def _values(block: Block, shown: Sequence[Score]) -> dict[str, float]:
    """Take the value of every column and the ends of its interval, in the units of the headings."""
    values = {}
    for score in shown:
        found = score.found(block)
        for key, part in zip(_keys(score), ("value", "low", "high"), strict=False):
            number = found[part]
            values[key] = float("nan") if number is None else score.factor * number
    return values


def _changes(block: Block, crps: Mapping[str, float | None], shown: Sequence[Score]) -> dict[str, float]:
    """Compare the fair CRPS with that of each baseline that is there, in per cent."""
    own, changes = _fair_crps(block), {}
    for score in shown:
        if score.source == "change" and (reference := crps.get(score.name)):
            changes[score.key] = float("nan") if own is None else 100 * (own / reference - 1)
    return changes


def _fair_crps(block: Block) -> float | None:
    return catalogue.score_of("fair_crps").found(block)["value"]


# --------------------------------------------------------------------------------------------- output


def write(
    scores: Sequence[Scores],
    families: Families,
    descriptions: Descriptions,
    table_md: str | Path,
    table_csv: str | Path,
    console_txt: str | Path,
) -> None:
    """Write the table as Markdown to read, as CSV with all digits and 90 % intervals, and for the terminal.

    Parameters
    ----------
    scores
        Contents of `scores.json`, experiments in the order of the config.
    families
        Experiment to its replicates.
    descriptions
        Experiment or dataset to a few words about it.
    table_md, table_csv, console_txt
        The files to write.
    """
    with atomic(table_md) as temporary:
        temporary.write_text(markdown(scores, families, descriptions), encoding="utf-8")
    with atomic(table_csv) as temporary:
        complete(scores, families).to_csv(temporary, index=False, encoding="utf-8")
    with atomic(console_txt) as temporary:
        temporary.write_text(console(scores, families), encoding="utf-8")


def complete(scores: Sequence[Scores], families: Families) -> pd.DataFrame:
    """Give every column for all days and heavy days: the means over replicates, and each replicate.

    The rows: what is there once; means over replicates with their standard deviations (`_sd`); the replicates.
    """
    parts = [table(scores, days) for days in DAYS]
    for part, days in zip(parts, DAYS, strict=True):
        part.insert(1, "days", days)
    whole = by_family(pd.concat(parts, ignore_index=True), families)
    replicates = whole[whole["replicate"].notna()]
    if replicates.empty:
        return whole
    keys = [score.key for score in columns(scores)]
    means, deviations = over_replicates(replicates, keys)
    means = means.join(deviations[keys].add_suffix("_sd"))
    return pd.concat([whole[whole["replicate"].isna()], means, replicates], ignore_index=True)


def markdown(scores: Sequence[Scores], families: Families, descriptions: Descriptions) -> str:
    """Give the comparison as Markdown: a table for each dataset and kind of day, and what the columns mean."""
    shown = columns(scores)
    replicates = _replicates(families)
    if replicates:  # a mean over replicates is known to a digit more than a single value
        shown = [replace(score, digits=score.digits + 1) for score in shown]
    lines = ["# Comparison", ""]
    frames = {days: _cells(by_family(table(scores, days), families), shown, " ± ") for days in DAYS}
    for dataset in dict.fromkeys(entry["dataset"] for entry in scores):
        for days, words in DAYS.items():
            part = frames[days][frames[days]["dataset"] == dataset]
            if len(part):
                count = next(e[days]["days"] for e in scores if e["dataset"] == dataset and e[days])
                lines += [f"## {dataset}: {words} ({count})", "", *_aligned(part, shown), ""]
                lines += [HEAVY, ""] if days == "heavy_days" else []
    if descriptions:
        lines += ["## Names", "", *(f"- **{name}**: {words}" for name, words in descriptions.items()), ""]
    lines += ["## Columns", "", *(f"- **{score.heading}**: {score.meaning}{_unit(score)}" for score in shown), ""]
    lines += [f"{DASH}: not defined. One member has no spread, for example. The CSV file has the 90 % intervals."]
    if replicates:
        lines += [
            f"±: mean and standard deviation of {replicates} trainings with different seeds. The CSV file has each of "
            "them."
        ]
    return "\n".join([*lines, NO_SKILL]) + "\n"


def _unit(score: Score) -> str:
    """Write the unit as a sentence, unless the heading says it."""
    return f" Unit: {score.unit}." if score.unit and score.unit not in score.heading else ""


def _replicates(families: Families) -> int:
    """Count the replicates of each experiment; 0 where there are none."""
    count = max(map(len, families.values()), default=1)
    return count if count > 1 else 0


def _cells(frame: pd.DataFrame, shown: Sequence[Score], sign: str) -> pd.DataFrame:
    """Write the rows as text: a value, or a mean and, behind the sign, the standard deviation over the replicates."""
    means, deviations = over_replicates(frame, [score.key for score in shown])
    cells = means[["dataset", "name", "mode"]].copy()
    for score in shown:
        cells[score.key] = [
            _shown(mean, score) + ("" if pd.isna(deviation) else f"{sign}{deviation:.{score.digits}f}")
            for mean, deviation in zip(means[score.key], deviations[score.key], strict=True)
        ]
    return cells


def _shown(value: float, score: Score) -> str:
    if pd.isna(value):
        return DASH
    rounded = round(value, score.digits) + 0.0  # no negative zero
    return f"{rounded:{'+' if score.signed and rounded else ''}.{score.digits}f}"


def _aligned(cells: pd.DataFrame, shown: Sequence[Score]) -> list[str]:
    """Write a Markdown table that lines up in a terminal, too: words to the left, numbers to the right."""
    head = ["name", "mode", *(score.heading for score in shown)]
    body = [
        [row["name"], POSTERIOR if row["mode"] == "posterior" else row["mode"] or DASH]
        + [row[score.key] for score in shown]
        for _, row in cells.iterrows()
    ]
    widths = [max(map(len, column)) for column in zip(head, *body, strict=True)]
    rules = ["-" * width for width in widths[:2]] + ["-" * (width - 1) + ":" for width in widths[2:]]
    return ["| " + " | ".join(_padded(row, widths, words=2)) + " |" for row in (head, rules, *body)]


def _padded(row: Sequence[str], widths: Sequence[int], words: int) -> list[str]:
    """Pad the cells to their widths; the first ones are words, the others numbers."""
    return [
        cell.ljust(width) if i < words else cell.rjust(width)
        for i, (cell, width) in enumerate(zip(row, widths, strict=True))
    ]


def console(scores: Sequence[Scores], families: Families) -> str:
    """Give the key columns over all test days, narrow enough for a terminal."""
    shown = [score for score in columns(scores) if score.console]
    frame = _cells(by_family(table(scores), families), shown, "±")
    lines = []
    for dataset, part in frame.groupby("dataset", sort=False):
        head = [str(dataset), *(score.console for score in shown)]
        body = [
            [row["name"] + (" posterior*" if row["mode"] == "posterior" else ""), *(row[s.key] for s in shown)]
            for _, row in part.iterrows()
        ]
        widths = [max(map(len, column)) for column in zip(head, *body, strict=True)]
        rules = ["-" * width for width in widths]
        lines += ["  ".join(_padded(row, widths, words=1)) for row in (head, rules, *body)] + [""]
    if (frame["mode"] == "posterior").any():
        lines.append(f"* {NO_SKILL}")
    if replicates := _replicates(families):
        lines.append(f"± standard deviation over {replicates} trainings with different seeds")
    return "\n".join(lines).rstrip() + "\n"
