"""The table of all experiments and baselines side by side.

Inputs: the contents of every `scores.json`, and which experiments are replicates of which. Outputs: a data frame,
the same as Markdown and CSV, and a narrow form for the terminal; replicates share a row, their mean and standard
deviation. Rain in mm/day. Each dataset has its own observed row and its own baselines to compare with.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from rainshaft.files import atomic

Scores = dict[str, Any]
Block = dict[str, Any]
Descriptions = Mapping[str, str]  # experiment or dataset of the file -> a few words
Families = Mapping[str, Sequence[str]]  # experiment of the file -> its replicates, itself alone where there is one

# column -> the baseline that it compares with
REFERENCES = {
    "crps_change": "bilinear",
    "crps_change_rainfarm": "rainfarm",
    "crps_change_climatology": "climatology",
}
DASH = "–"
DAYS = {"all_days": "all test days", "heavy_days": "heavy test days"}
HEAVY = (
    "Heavy days are chosen by the observed rain. On such a choice even a calibrated ensemble looks too dry and too "
    "narrow (Lerch et al. 2017, doi:10.1214/16-STS588): compare rows here, not with 0 or 1."
)
POSTERIOR = "posterior: sees the truth, no skill"


@dataclass(frozen=True)
class Column:
    """One column: its name in the CSV, its heading, how it is shown, and what it means."""

    key: str
    heading: str
    meaning: str
    digits: int = 2
    factor: float = 1.0
    score: str = ""
    sample: str = ""
    difference: bool = False  # of `sample` to the observed value
    signed: bool = False

    def value(self, block: Block) -> float:
        """Take the value out of a block of scores; NaN where there is none."""
        found = block["samples"].get(self.sample) if self.sample else _score(block, self.score)["value"]
        observed = block["observed"].get(self.sample) if self.difference else 0.0
        return float("nan") if found is None or observed is None else self.factor * (found - observed)


COLUMNS = (
    Column("fair_crps", "fair CRPS", "mm/day; error of the ensemble as a whole; low is good", score="fair_crps"),
    Column("crps_change", "vs bilinear %", "fair CRPS against that of bilinear; negative is better", 0, signed=True),
    Column("crps_change_rainfarm", "vs RainFARM %", "the same against that of RainFARM", 0, signed=True),
    Column(
        "crps_change_climatology",
        "vs climatology %",
        "against that of observed days of the season; what is not negative is worth no more than knowing the season",
        0,
        signed=True,
    ),
    Column(
        "correlation_member_truth",
        "r member–truth",
        "spatial correlation of a member with the truth",
        score="correlation_member_truth",
    ),
    Column(
        "correlation_member_member",
        "r member–member",
        "of two members; equal to r member–truth in a calibrated ensemble, higher where members are too alike",
        score="correlation_member_member",
    ),
    Column(
        "calibration_gap",
        "gap",
        "r member–truth less r member–member, day by day; 0 is calibrated, below 0 members are too alike",
        score="calibration_gap",
        signed=True,
    ),
    Column(
        "correlation_mean_truth", "r mean–truth", "of the ensemble mean; high is good", score="correlation_mean_truth"
    ),
    Column("wet_fraction", "wet %", "wet cells; as observed is good", 1, 100, sample="wet_fraction"),
    Column(
        "wet_difference",
        "wet, points off",
        "the same less the observed, in points; 0 is good",
        1,
        100,
        sample="wet_fraction",
        difference=True,
        signed=True,
    ),
    Column(
        "wet_fraction_1mm",
        "wet > 1 mm %",
        "cells with rain that matters; as observed is good",
        1,
        100,
        sample="wet_fraction_1mm",
    ),
    Column(
        "wet_difference_1mm",
        "wet > 1 mm, points off",
        "the same less the observed, in points; 0 is good",
        1,
        100,
        sample="wet_fraction_1mm",
        difference=True,
        signed=True,
    ),
    Column("mass_bias", "mass bias %", "all rain against the observed; 0 is good", 1, 100, score="mass_bias"),
    Column("spread_skill", "spread/skill", "1 is calibrated; below 1 the members are too alike", score="spread_skill"),
    Column(
        "domain_crps",
        "domain CRPS",
        "fair CRPS of the mean over the domain, mm/day; low is good",
        score="domain_crps",
    ),
    Column(
        "domain_spread_skill",
        "domain spread/skill",
        "spread/skill of that mean: 1 where members differ as whole days do; none where the coarse rain gives it",
        score="domain_spread_skill",
    ),
    Column(
        "rank_histogram_deviation",
        "ranks off",
        "largest deviation of the rank histogram from flat, relative; 0 is calibrated",
        score="rank_histogram_deviation",
    ),
    Column(
        "diversity",
        "diversity",
        "mean cosine distance of two members; 0 is all alike; good is what keeps spread/skill at 1",
        score="diversity",
    ),
    Column(
        "gradient_ratio",
        "gradient ratio",
        "differences of neighbours against the observed; 1 is as sharp",
        score="gradient_ratio",
    ),
    Column(
        "edge_ratio",
        "edge ratio",
        "share of the gradient that lies at the edges of coarse cells, against the observed; 1: no block shows",
        score="edge_ratio",
    ),
    Column("p99_ratio", "P99 ratio", "against the observed; 1 is good", score="p99_ratio"),
    Column("p999_ratio", "P99.9 ratio", "against the observed; 1 is good", score="p999_ratio"),
    Column("ralsd_db", "RALSD dB", "distance of the power spectra; low is good", score="ralsd_db"),
)
CONSOLE = {
    "fair_crps": "CRPS",
    "crps_change": "vs bil %",
    "correlation_member_truth": "r m-truth",
    "correlation_member_member": "r m-m",
    "wet_fraction": "wet %",
    "mass_bias": "bias %",
    "spread_skill": "spr/skill",
    "gradient_ratio": "gradient",
    "p999_ratio": "P99.9",
    "ralsd_db": "RALSD",
}


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
    The columns dataset, name, mode and those of `columns(scores)`, in the units of their headings; NaN where a
    score is not defined. Datasets one after the other; in each the observed row, experiments, baselines.
    """
    shown = columns(scores)
    rows = []
    for dataset in dict.fromkeys(entry["dataset"] for entry in scores):
        entries = [entry for entry in scores if entry["dataset"] == dataset and entry[days]]
        if not entries:
            continue
        observed = {"samples": entries[0][days]["observed"], "observed": {}, "scores": {}}
        rows.append(_row(dataset, "observed", "", observed, shown))
        crps = {e["name"]: _score(e[days], "fair_crps")["value"] for e in entries if e["mode"] == "baseline"}
        for entry in sorted(entries, key=lambda e: e["mode"] == "baseline"):  # stable: the order of the config stays
            row = _row(dataset, entry["name"], entry["mode"], entry[days], shown)
            for key, reference in REFERENCES.items():
                if crps.get(reference):
                    row[key] = 100 * (row["fair_crps"] / crps[reference] - 1)
            rows.append(row)
    return pd.DataFrame(rows, columns=["dataset", "name", "mode", *(column.key for column in shown)])


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
    The same rows with the experiment as `name`, and the number of the replicate, from 1, as `replicate`; it is
    missing in the rows of what is there once: experiments without replicates, baselines, the observed row.
    """
    numbered = {
        name: (family, number)
        for family, names in families.items()
        if len(names) > 1
        for number, name in enumerate(names, 1)
    }
    found = [numbered.get(name, (name, None)) for name in frame["name"]]
    frame = frame.assign(name=[family for family, _ in found])
    frame.insert(
        frame.columns.get_loc("name") + 1, "replicate", pd.array([number for _, number in found], dtype="Int64")
    )
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
    Two frames of a row for each experiment, mode and baseline, in the order of `frame`; the deviation of a single
    row is NaN.
    """
    labels = [label for label in ("dataset", "days", "name", "mode") if label in frame]
    groups = frame.groupby(labels, sort=False)[list(keys)]
    return groups.mean().reset_index(), groups.std().reset_index()


def columns(scores: Sequence[Scores]) -> list[Column]:
    """List the columns: the fixed ones, and the fractions skill score nearest to 10 mm/day where there is one."""
    threshold = scores[0]["wet_threshold"] if scores else 0.1
    fixed = [replace(c, heading=f"wet > {threshold:g} mm %") if c.key == "wet_fraction" else c for c in COLUMNS]
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
    meaning = f"fractions skill score at {rain:g} mm/day in windows of {scale} cells; 1 is perfect"
    return [*fixed, Column("fss", f"FSS {rain:g} mm", meaning, score=found[rain, scale])]


def _row(dataset: str, name: str, mode: str, block: Block, shown: Sequence[Column]) -> dict[str, Any]:
    return {"dataset": dataset, "name": name, "mode": mode} | {column.key: column.value(block) for column in shown}


def _score(block: Block, name: str) -> dict[str, float | None]:
    return {"value": None, "low": None, "high": None} | (block["scores"].get(name) or {})


# --------------------------------------------------------------------------------------------- output


def write(
    scores: Sequence[Scores],
    families: Families,
    descriptions: Descriptions,
    table_md: str | Path,
    table_csv: str | Path,
) -> None:
    """Write the table as Markdown to read, and as CSV with full precision and the 90 % intervals.

    Parameters
    ----------
    scores
        Contents of `scores.json`, experiments in the order of the config.
    families
        Experiment to its replicates.
    descriptions
        Experiment or dataset to a few words about it.
    table_md, table_csv
        The files to write.
    """
    with atomic(table_md) as temporary:
        temporary.write_text(markdown(scores, families, descriptions))
    with atomic(table_csv) as temporary:
        _full(scores, families).to_csv(temporary, index=False)


def markdown(scores: Sequence[Scores], families: Families, descriptions: Descriptions) -> str:
    """Give the comparison as Markdown: a table for each dataset and kind of day, and what the columns mean."""
    shown = columns(scores)
    replicates = _replicates(families)
    if replicates:  # a mean has a digit more to show than a single value
        shown = [replace(column, digits=column.digits + 1) for column in shown]
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
    lines += ["## Columns", ""]
    lines += [f"- **{column.heading}**: {column.meaning}" for column in shown]
    lines += [
        "",
        f"{DASH}: not defined, for example the spread of one member. The CSV file has the 90 % intervals.",
    ]
    if replicates:
        lines += [
            f"±: mean and standard deviation of {replicates} trainings with different seeds. The CSV file has the "
            "single ones."
        ]
    lines += ["Posterior members are variations of a day that the model was shown: their scores are no skill."]
    return "\n".join(lines) + "\n"


def _replicates(families: Families) -> int:
    """How many replicates each experiment has; 0 where there are none."""
    count = max(map(len, families.values()), default=1)
    return count if count > 1 else 0


def _cells(frame: pd.DataFrame, shown: Sequence[Column], sign: str) -> pd.DataFrame:
    """The rows as text: a value, or a mean and, behind the sign, the standard deviation over the replicates."""
    means, deviations = over_replicates(frame, [column.key for column in shown])
    cells = means[["dataset", "name", "mode"]].copy()
    for column in shown:
        cells[column.key] = [
            _shown(mean, column) + ("" if pd.isna(deviation) else f"{sign}{deviation:.{column.digits}f}")
            for mean, deviation in zip(means[column.key], deviations[column.key], strict=True)
        ]
    return cells


def _aligned(cells: pd.DataFrame, shown: Sequence[Column]) -> list[str]:
    """Lines of a Markdown table whose columns line up in a terminal too."""
    head = ["name", "mode", *(column.heading for column in shown)]
    body = [
        [row["name"], POSTERIOR if row["mode"] == "posterior" else row["mode"] or DASH]
        + [row[column.key] for column in shown]
        for _, row in cells.iterrows()
    ]
    widths = [max(map(len, cells)) for cells in zip(head, *body, strict=True)]
    pads: list[Callable[[str, int], str]] = [str.ljust, str.ljust] + [str.rjust] * len(shown)
    rules = [
        "-" * width if pad is str.ljust else "-" * (width - 1) + ":" for pad, width in zip(pads, widths, strict=True)
    ]
    return [
        "| " + " | ".join(pad(cell, width) for pad, cell, width in zip(pads, cells, widths, strict=True)) + " |"
        for cells in (head, rules, *body)
    ]


def _shown(value: float, column: Column) -> str:
    if pd.isna(value):
        return DASH
    rounded = round(value, column.digits) + 0.0  # no negative zero
    return f"{rounded:{'+' if column.signed and rounded else ''}.{column.digits}f}"


def _full(scores: Sequence[Scores], families: Families) -> pd.DataFrame:
    """Every column with its interval, for all days and heavy days: the means over replicates, and each of them."""
    keys = [column.key for column in columns(scores)]
    whole = by_family(_with_intervals(scores), families)
    single = whole[whole["replicate"].notna()]
    if single.empty:
        return whole
    means, deviations = over_replicates(single, keys)
    means = means.join(deviations[keys].add_suffix("_sd"))
    return pd.concat([whole[whole["replicate"].isna()], means, single], ignore_index=True)


def _with_intervals(scores: Sequence[Scores]) -> pd.DataFrame:
    """Every column with its interval, for all days and heavy days."""
    parts = []
    for days in DAYS:
        frame = table(scores, days)
        frame.insert(1, "days", days)
        entries = {(e["dataset"], e["name"], e["mode"]): e[days] for e in scores if e[days]}
        for column in columns(scores):
            if column.score:
                blocks = [entries.get(key) for key in zip(frame["dataset"], frame["name"], frame["mode"], strict=True)]
                at = int(frame.columns.get_indexer([column.key])[0]) + 1
                for i, end in enumerate(("low", "high")):
                    found = [_score(block, column.score)[end] if block else None for block in blocks]
                    values = [float("nan") if v is None else column.factor * v for v in found]
                    frame.insert(at + i, f"{column.key}_{end}", values)
        parts.append(frame)
    return pd.concat(parts, ignore_index=True)


def console_table(scores: Sequence[Scores], families: Families) -> str:
    """Give the key columns over all test days, narrow enough for a terminal."""
    shown = [column for column in COLUMNS if column.key in CONSOLE]
    frame = _cells(by_family(table(scores), families), shown, "±")
    lines = []
    for dataset, part in frame.groupby("dataset", sort=False):
        body = [
            [row["name"] + (" posterior*" if row["mode"] == "posterior" else ""), *(row[c.key] for c in shown)]
            for _, row in part.iterrows()
        ]
        head = [dataset, *(CONSOLE[column.key] for column in shown)]
        widths = [max(map(len, cells)) for cells in zip(head, *body, strict=True)]
        for cells in (head, ["-" * width for width in widths], *body):
            line = [cells[0].ljust(widths[0])] + [
                cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True)
            ]
            lines.append("  ".join(line))
        lines.append("")
    if (frame["mode"] == "posterior").any():
        lines.append("* posterior members are variations of a day that the model was shown: no skill")
    if replicates := _replicates(families):
        lines.append(f"± standard deviation over {replicates} trainings with different seeds")
    return "\n".join(lines).rstrip() + "\n"
