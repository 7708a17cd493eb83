"""The table of all experiments and baselines side by side.

Inputs: the contents of every `statistics.json`. Outputs: a data frame, the same as Markdown and CSV, and a narrow
form for the terminal. Rain in mm/day. Each dataset has its own observed row and its own baselines to compare with.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from rainshaft.files import atomic

Statistics = dict[str, Any]
Block = dict[str, Any]

REFERENCES = {"crps_change": "bilinear", "crps_change_climatology": "climatology"}  # column -> baseline
DASH = "–"
DAYS = {"all_days": "all test days", "heavy_days": "heavy test days"}
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

    def value(self, block: Block) -> float:
        """Take the value out of a block of statistics; NaN where there is none."""
        found = block["samples"].get(self.sample) if self.sample else _score(block, self.score)["value"]
        return float("nan") if found is None else self.factor * found


COLUMNS = (
    Column("fair_crps", "fair CRPS", "mm/day; error of the ensemble as a whole; low is good", score="fair_crps"),
    Column("crps_change", "vs bilinear %", "fair CRPS against that of bilinear; negative is better", 0),
    Column(
        "crps_change_climatology",
        "vs climatology %",
        "against that of observed days of the season; what is not negative has learnt nothing from its predictors",
        0,
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
        "correlation_mean_truth", "r mean–truth", "of the ensemble mean; high is good", score="correlation_mean_truth"
    ),
    Column("wet_fraction", "wet %", "wet cells; as observed is good", 1, 100, sample="wet_fraction"),
    Column(
        "wet_fraction_1mm",
        "wet > 1 mm %",
        "cells with rain that matters; as observed is good",
        1,
        100,
        sample="wet_fraction_1mm",
    ),
    Column("mass_bias", "mass bias %", "all rain against the observed; 0 is good", 1, 100, score="mass_bias"),
    Column("spread_skill", "spread/skill", "1 is calibrated; below 1 the members are too alike", score="spread_skill"),
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


def table(statistics: Sequence[Statistics], days: str = "all_days") -> pd.DataFrame:
    """Lay out the scores, a row for each experiment, mode and baseline.

    Parameters
    ----------
    statistics
        Contents of `statistics.json`, experiments in the order of the config.
    days
        `all_days` or `heavy_days` of the test days.

    Returns
    -------
    The columns dataset, name, mode and those of `columns(statistics)`, in the units of their headings; NaN where a
    score is not defined. Datasets one after the other; in each the observed row, experiments, baselines.
    """
    shown = columns(statistics)
    rows = []
    for dataset in dict.fromkeys(entry["dataset"] for entry in statistics):
        entries = [entry for entry in statistics if entry["dataset"] == dataset and entry[days]]
        if not entries:
            continue
        observed = {"samples": entries[0][days]["observed"], "scores": {}}
        rows.append(_row(dataset, "observed", "", observed, shown))
        crps = {e["name"]: _score(e[days], "fair_crps")["value"] for e in entries if e["mode"] == "baseline"}
        for entry in sorted(entries, key=lambda e: e["mode"] == "baseline"):  # stable: the order of the config stays
            row = _row(dataset, entry["name"], entry["mode"], entry[days], shown)
            row |= {
                column: 100 * (row["fair_crps"] / reference - 1)
                for column, name in REFERENCES.items()
                if (reference := crps.get(name))
            }
            rows.append(row)
    return pd.DataFrame(rows, columns=["dataset", "name", "mode", *(column.key for column in shown)])


def columns(statistics: Sequence[Statistics]) -> list[Column]:
    """List the columns: the fixed ones, and the fractions skill score nearest to 10 mm/day where there is one."""
    threshold = statistics[0]["wet_threshold"] if statistics else 0.1
    fixed = [replace(c, heading=f"wet > {threshold:g} mm %") if c.key == "wet_fraction" else c for c in COLUMNS]
    found = {
        (float(match[1]), int(match[2])): name
        for entry in statistics
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


def write(statistics: Sequence[Statistics], table_md: str | Path, table_csv: str | Path) -> None:
    """Write the table as Markdown to read, and as CSV with full precision and the 90 % intervals.

    Parameters
    ----------
    statistics
        Contents of `statistics.json`, experiments in the order of the config.
    table_md, table_csv
        The files to write.
    """
    with atomic(table_md) as temporary:
        temporary.write_text(markdown(statistics))
    with atomic(table_csv) as temporary:
        _with_intervals(statistics).to_csv(temporary, index=False)


def markdown(statistics: Sequence[Statistics]) -> str:
    """Give the comparison as Markdown: a table for each dataset and kind of day, and what the columns mean."""
    shown = columns(statistics)
    lines = ["# Comparison", ""]
    frames = {days: table(statistics, days) for days in DAYS}
    for dataset in dict.fromkeys(entry["dataset"] for entry in statistics):
        for days, words in DAYS.items():
            part = frames[days][frames[days]["dataset"] == dataset]
            if len(part):
                count = next(e[days]["days"] for e in statistics if e["dataset"] == dataset and e[days])
                lines += [f"## {dataset}: {words} ({count})", "", *_aligned(part, shown), ""]
    lines += ["## Columns", ""]
    lines += [f"- **{column.heading}**: {column.meaning}" for column in shown]
    lines += [
        "",
        f"{DASH}: not defined, for example the spread of one member. The CSV file has the 90 % intervals.",
    ]
    lines += ["Posterior members are variations of a day that the model was shown: their scores are no skill."]
    return "\n".join(lines) + "\n"


def _aligned(frame: pd.DataFrame, shown: Sequence[Column]) -> list[str]:
    """Lines of a Markdown table whose columns line up in a terminal too."""
    head = ["name", "mode", *(column.heading for column in shown)]
    body = [
        [row["name"], POSTERIOR if row["mode"] == "posterior" else row["mode"] or DASH]
        + [_shown(row[column.key], column) for column in shown]
        for _, row in frame.iterrows()
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
    return f"{rounded:+.0f}" if column.key in REFERENCES and rounded else f"{rounded:.{column.digits}f}"


def _with_intervals(statistics: Sequence[Statistics]) -> pd.DataFrame:
    """Every column with its interval, for all days and heavy days."""
    parts = []
    for days in DAYS:
        frame = table(statistics, days)
        frame.insert(1, "days", days)
        entries = {(e["dataset"], e["name"], e["mode"]): e[days] for e in statistics if e[days]}
        for column in columns(statistics):
            if column.score:
                blocks = [entries.get(key) for key in zip(frame["dataset"], frame["name"], frame["mode"], strict=True)]
                at = int(frame.columns.get_indexer([column.key])[0]) + 1
                for i, end in enumerate(("low", "high")):
                    found = [_score(block, column.score)[end] if block else None for block in blocks]
                    values = [float("nan") if v is None else column.factor * v for v in found]
                    frame.insert(at + i, f"{column.key}_{end}", values)
        parts.append(frame)
    return pd.concat(parts, ignore_index=True)


def console_table(statistics: Sequence[Statistics]) -> str:
    """Give the key columns over all test days, narrow enough for a terminal."""
    shown = [column for column in COLUMNS if column.key in CONSOLE]
    frame = table(statistics)
    lines = []
    for dataset, part in frame.groupby("dataset", sort=False):
        names = [row["name"] + (" posterior*" if row["mode"] == "posterior" else "") for _, row in part.iterrows()]
        body = [
            [name, *(_shown(row[c.key], c) for c in shown)]
            for name, (_, row) in zip(names, part.iterrows(), strict=True)
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
    return "\n".join(lines).rstrip() + "\n"
