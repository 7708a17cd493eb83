"""Write the tables of scores of the documentation from the results of the workflow.

    python docs/evidence/make_tables.py RESULTS... [--commit HASH] [--machine WORDS] [--pages FOLDER]

Reads `comparison/table.csv` of each results folder, and `comparison/table.md` for the number of test days. A page that
wants a table has the lines `<!-- table of DATASET -->` and `<!-- end of table -->`. The script puts the table between
them, with the commit and the date of the results in its caption. Run it in the clone that has made the results. For
older results, give the commit that made them.
"""

from __future__ import annotations

import argparse
import re
import subprocess
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import pandas as pd

DOCS = Path(__file__).parents[1]
COLUMNS = {  # column of the CSV: heading, digits
    "fair_crps": ("fair CRPS, mm/day", 2),
    "crps_change": ("against bilinear, %", 0),
    "crps_change_climatology": ("against climatology, %", 0),
    "correlation_member_truth": ("r member–truth", 2),
    "correlation_member_member": ("r member–member", 2),
    "wet_fraction": ("wet cells, %", 1),
    "mass_bias": ("mass bias, %", 1),
    "spread_skill": ("spread/skill", 2),
    "reliability_index": ("reliability index", 2),
    "gradient_ratio": ("gradient ratio", 2),
    "p999_ratio": ("P99.9 ratio", 2),
    "lsd_db": ("LSD, dB", 2),
}
SIGNED = ("crps_change", "crps_change_climatology")


def fragment(table: pd.DataFrame, days: int, caption: str) -> str:
    """Give the table of one dataset as Markdown.

    Parameters
    ----------
    table
        The rows of `table.csv` for one dataset and all test days. A row without `replicate` is a single training, or
        the mean over the replicates with their standard deviation in the columns `*_sd`.
    days
        How many test days there are.
    caption
        Who made it and when.
    """
    shown = table[table["replicate"].isna()]
    lines = ["| | " + " | ".join(heading for heading, _ in COLUMNS.values()) + " |"]
    lines.append("| --- |" + " ---: |" * len(COLUMNS))
    for _, row in shown.iterrows():
        name = row["name"] + (" (posterior: no skill)" if row["mode"] == "posterior" else "")
        lines.append(f"| {name} | " + " | ".join(_cell(row, key) for key in COLUMNS) + " |")
    return "\n".join([*lines, "", f"*{table['dataset'].iloc[0]}: {days} test days. {caption}*", ""])


def _cell(row: pd.Series, key: str) -> str:
    digits = COLUMNS[key][1]
    if pd.isna(row[key]):
        return "–"
    rounded = round(row[key], digits) + 0.0  # no negative zero
    text = f"{rounded:+.{digits}f}" if key in SIGNED and rounded else f"{rounded:.{digits}f}"
    deviation = row.get(f"{key}_sd")
    return text if deviation is None or pd.isna(deviation) else f"{text} ± {deviation:.{digits}f}"


def tables(results: Path, commit: str, machine: str) -> dict[str, str]:
    """Give the Markdown table of each dataset of a results folder."""
    source = results / "comparison" / "table.csv"
    table = pd.read_csv(source)
    table = table[table["days"] == "all_days"]
    headings = (results / "comparison" / "table.md").read_text(encoding="utf-8")
    counts = dict(re.findall(r"^## (\S+): all test days \((\d+)\)$", headings, re.MULTILINE))
    made = date.fromtimestamp(source.stat().st_mtime)
    caption = f"Made at commit `{commit}` on {made:%Y-%m-%d}{machine and f', {machine}'}."
    return {
        str(dataset): fragment(rows, int(counts[str(dataset)]), caption)
        for dataset, rows in table.groupby("dataset", sort=False)
    }


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
    for results in given.results:
        for dataset, table in tables(results, commit, given.machine).items():
            changed = [str(page) for page in sorted(given.pages.rglob("*.md")) if insert(page, dataset, table)]
            print(f"{dataset}: {', '.join(changed) or 'no page wants its table'}")


if __name__ == "__main__":
    main()
