"""Write the tables of scores of the documentation from the results of the workflow.

    python docs/evidence/make_tables.py RESULTS... [--commit HASH] [--machine WORDS] [--pages FOLDER]

Reads `comparison/table.csv` of each results folder: the scores of the test days. A page that wants a table has the
lines `<!-- table of DATASET -->` and `<!-- end of table -->`. The script puts the table between them, with the commit
and the date of the results in its caption. Several folders make one more table, `<!-- table of all datasets -->`: each
experiment beside the strongest baseline of its dataset, on validation days and test days. Run it in the clone that has
made the results. For older results, give the commit that made them.
"""

from __future__ import annotations

import argparse
import subprocess
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import pandas as pd

DOCS = Path(__file__).parents[1]
COLUMNS = {  # column of the CSV: heading, digits
    "fair_crps": ("fair CRPS, mm/day", 2),
    "crps_change": ("against {against}, %", 1),
    "spread_skill": ("spread/skill", 2),
    "reliability_index": ("reliability index", 2),
    "wet_fraction": ("wet cells, %", 1),
    "mass_bias": ("mass bias, %", 1),
    "gradient_ratio": ("gradient ratio", 2),
    "edge_ratio": ("edge ratio", 2),
    "p999_ratio": ("P99.9 ratio", 2),
    "elongation_ratio": ("elongation ratio", 2),
    "lsd_db": ("LSD, dB", 2),
}
OF_TEST_DAYS = ("spread_skill", "wet_fraction", "mass_bias", "gradient_ratio", "p999_ratio")  # beside the strongest
WITH_INTERVAL = ("fair_crps", "crps_change")
PARTS = ("validation", "test")
SIGNED = ("crps_change", "mass_bias")
ALIKE = "≈"


def fragment(table: pd.DataFrame, caption: str) -> str:
    """Give the table of one dataset as Markdown.

    Parameters
    ----------
    table
        The rows of `table.csv` for all test days of one dataset. A row without `replicate` is a single training, or the
        mean over the replicates.
    caption
        Who made it and when.
    """
    shown = table[table["replicate"].isna()] if "replicate" in table else table
    against = next(iter(table["against"].dropna()), "the strongest baseline")
    headings = [heading.format(against=against) for heading, _ in COLUMNS.values()]
    lines = ["| | " + " | ".join(headings) + " |", "| --- |" + " ---: |" * len(COLUMNS)]
    for _, row in shown.iterrows():
        name = row["name"] + (" (posterior: no skill)" if row["mode"] == "posterior" else "")
        lines.append(f"| {name} | " + " | ".join(_cell(row, key) for key in COLUMNS) + " |")
    days = int(table["number_of_days"].max())
    words = f"{table['dataset'].iloc[0]}: {days} test days, 90 % intervals in brackets, {ALIKE} not distinguishable."
    return "\n".join([*lines, "", f"*{words} {caption}*", ""])


def _cell(row: pd.Series, key: str) -> str:
    if pd.isna(row[key]) or (key == "crps_change" and row["name"] == row["against"]):
        return "–"
    text = _number(row[key], key)
    low, high = (row.get(f"{key}_{end}") for end in ("low", "high"))
    if key not in WITH_INTERVAL or pd.isna(low):
        return text
    alike = f"{ALIKE} " if key == "crps_change" and low <= 0 <= high else ""
    return f"{alike}{text} [{_number(low, key)}, {_number(high, key)}]"


def _number(value: float, key: str) -> str:
    digits = COLUMNS[key][1]
    rounded = round(value, digits) + 0.0  # no negative zero
    return f"{rounded:+.{digits}f}" if key in SIGNED and rounded else f"{rounded:.{digits}f}"


def beside_strongest(tables: Sequence[pd.DataFrame], caption: str) -> str:
    """Give each experiment beside the strongest baseline of its dataset as Markdown.

    Parameters
    ----------
    tables
        The rows of `table.csv` of each results folder.
    caption
        Who made it and when.
    """
    parts = [f"{what}, {part}" for part in PARTS for what in ("fair CRPS", "against the strongest, %")]
    headings = ["", *parts, *(COLUMNS[key][0] for key in OF_TEST_DAYS)]
    lines = ["| " + " | ".join(headings) + " |", "| --- |" + " ---: |" * (len(headings) - 1)]
    for table in tables:
        whole = table[(table["days"] == "all_days") & (table.get("replicate", pd.Series(index=table.index)).isna())]
        for dataset, rows in whole.groupby("dataset", sort=False):
            strongest = next(iter(rows["against"].dropna()), "")
            shown = rows[(rows["mode"] == "prior") | (rows["name"] == strongest)]
            for name in shown["name"].unique():
                row_of = {row["part"]: row for _, row in shown[shown["name"] == name].iterrows()}
                wanted = [(part, key) for part in PARTS for key in WITH_INTERVAL]
                wanted += [("test", key) for key in OF_TEST_DAYS]
                cells = [_cell(row_of[part], key) if part in row_of else "–" for part, key in wanted]
                words = f"{name}, the strongest simple method" if name == strongest else name
                lines.append(f"| **{dataset}**: {words} | " + " | ".join(cells) + " |")
    words = f"90 % intervals in brackets, {ALIKE} not distinguishable; the columns on the right are of test days."
    return "\n".join([*lines, "", f"*{words} {caption}*", ""])


def tables(results: Path, commit: str, machine: str) -> dict[str, str]:
    """Give the Markdown table of each dataset of a results folder."""
    source = results / "comparison" / "table.csv"
    table = pd.read_csv(source)
    table = table[(table["days"] == "all_days") & (table["part"] == "test")]
    made = date.fromtimestamp(source.stat().st_mtime)
    caption = f"Made at commit `{commit}` on {made:%Y-%m-%d}{machine and f', {machine}'}."
    return {str(dataset): fragment(rows, caption) for dataset, rows in table.groupby("dataset", sort=False)}


def insert(page: Path, dataset: str, table: str) -> bool:
    """Put a table where a page wants it; False where the page does not want it."""
    text = page.read_text(encoding="utf-8")
    start, end = f"<!-- table of {dataset} -->\n", "<!-- end of table -->"
    before, found, rest = text.partition(start)
    if found:
        page.write_text(f"{before}{start}\n{table}\n{end}{rest.partition(end)[2]}", encoding="utf-8")
    return bool(found)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description="Write the tables of scores of the documentation.")
    parser.add_argument("results", nargs="+", type=Path, help="folder that the workflow wrote")
    parser.add_argument("--commit", help="of the results; without it, that of this clone")
    parser.add_argument("--machine", default="", help="words for the caption, for example `two CPU cores`")
    parser.add_argument("--pages", type=Path, default=DOCS, help="folder of the pages")
    given = parser.parse_args(arguments)
    here = ["git", "-C", str(DOCS), "rev-parse", "--short", "HEAD"]
    commit = given.commit or subprocess.run(here, capture_output=True, check=True, encoding="utf-8").stdout.strip()
    made = max(date.fromtimestamp((results / "comparison/table.csv").stat().st_mtime) for results in given.results)
    caption = f"Made at commit `{commit}` on {made:%Y-%m-%d}{given.machine and f', {given.machine}'}."
    read = [pd.read_csv(results / "comparison" / "table.csv") for results in given.results]
    for page in sorted(given.pages.rglob("*.md")) if len(read) > 1 else ():
        insert(page, "all datasets", beside_strongest(read, caption))
    for results in given.results:
        for dataset, table in tables(results, commit, given.machine).items():
            changed = [str(page) for page in sorted(given.pages.rglob("*.md")) if insert(page, dataset, table)]
            print(f"{dataset}: {', '.join(changed) or 'no page wants its table'}")


if __name__ == "__main__":
    main()
