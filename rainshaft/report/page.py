"""The report of a run as one HTML file: conclusions, tables, verdicts and figures.

Inputs: all ensembles as `rows.Comparison`, what else is known of the run, and the figures as PNG files with their
captions. Output: an HTML file with all of it inside. It opens offline, and may be mailed and printed.
"""

from __future__ import annotations

import base64
import html
import re
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jinja2
from docutils.core import publish_parts

import rainshaft
from rainshaft.data.conventions import TEST, VALIDATION
from rainshaft.evaluation.cells import Table, floor_table, kinds_table, main_table, of_most_days
from rainshaft.evaluation.rows import Comparison
from rainshaft.evaluation.table import FLOOR, HEAVY, PARTS, brackets, columns, differences, looked
from rainshaft.evaluation.verdict import found_text
from rainshaft.files import atomic
from rainshaft.report.conclusions import Known, conclusions
from rainshaft.report.template import PAGE, STYLE

SIGNS = {"good": "✓", "bad": "✗", "open": "?", "": ""}
DIFFERENCES, MAPS = "comparison_differences", "comparison_maps"
TITLES = {
    DIFFERENCES: "Better or worse than the strongest baseline",
    MAPS: "One day on maps",
    "comparison_scores": "Key scores",
    "comparison_distributions": "Rain distribution and spectrum",
    "samples": "Days and members",
    "distribution": "Distribution, spectrum and ranks",
    "training": "Training curves",
    "tradeoff": "Distance against diversity",
}
"""name of a caption to the title of its figure, where the name itself does not say it"""


@dataclass(frozen=True)
class Shown:
    """A figure of the report."""

    path: Path
    """the PNG; a PDF lies beside it"""
    caption: str
    """name of its caption"""
    of: Mapping[str, str]
    """what it is a figure of: `dataset`, `part`, `experiment`, `mode`"""


def write_report(
    comparison: Comparison,
    known: Known,
    figures: Sequence[Shown],
    captions: Mapping[str, str],
    made: str,
    path: str | Path,
) -> None:
    """Write the report.

    Parameters
    ----------
    comparison
        All ensembles.
    known
        What is known of the run beside its scores.
    figures
        The figures, in their order.
    captions
        Name to a caption as reStructuredText. It is a Jinja template that may ask for `snakemake.wildcards`, as those
        of the Snakemake report do.
    made
        The date of the report.
    path
        The HTML file to write.
    """
    with atomic(path) as temporary:
        temporary.write_text(render(comparison, known, figures, captions, made), encoding="utf-8")


def render(
    comparison: Comparison, known: Known, figures: Sequence[Shown], captions: Mapping[str, str], made: str
) -> str:
    """Make the HTML of the report."""
    drawn = [(one, _figure(one, captions[one.caption])) for one in figures]
    front = _front([one for one, _ in drawn], comparison)
    return _template().render(
        style=STYLE,
        datasets=comparison.datasets,
        version=rainshaft.__version__,
        made=made,
        signs=SIGNS,
        conclusions=conclusions(comparison, known),
        front=[words for one, words in drawn if one in front],
        tables=list(_tables(comparison, known)),
        verdicts=[_verdict(verdict) for verdict in known.verdicts],
        figures=[words for one, words in drawn if one not in front],
        descriptions=known.descriptions,
        columns=columns(comparison),
        brackets=brackets(comparison),
    )


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    environment.filters["prose"] = _prose
    return environment.from_string(PAGE)


def _prose(text: str) -> str:
    """Write a sentence as HTML, with `code` as code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text))


# ---------------------------------------------------------------------------------------------- figures


def _front(figures: Sequence[Shown], comparison: Comparison) -> list[Shown]:
    """Choose the picture of the first page: the differences, and the maps of the first dataset."""
    first = comparison.datasets[0] if comparison.datasets else None
    maps = [one for one in figures if one.caption == MAPS and one.of.get("dataset") == first]
    decided = [one for one in maps if one.of.get("part") == VALIDATION] or maps
    return [one for one in figures if one.caption == DIFFERENCES] + decided[:1]


def _figure(shown: Shown, caption: str) -> dict[str, Any]:
    """Give what the page needs of a figure."""
    content = shown.path.read_bytes()
    width, height = struct.unpack(">II", content[16:24])  # of the header of every PNG
    of = [f"{value} days" if key == "part" else value for key, value in shown.of.items()]
    name = TITLES.get(shown.caption, shown.caption.capitalize())
    title = name + (f": {', '.join(of)}" if of else "")
    return {
        "png": base64.b64encode(content).decode("ascii"),
        "width": width,
        "height": height,
        "title": title,
        "alt": f"{title}. The caption says what it shows and what good looks like.",
        "caption": _caption(caption, shown.of),
        "pdf": str(shown.path.with_suffix(".pdf")),
    }


def _caption(text: str, of: Mapping[str, str]) -> str:
    """Turn a caption of the Snakemake report into HTML."""
    wildcards = SimpleNamespace(wildcards=SimpleNamespace(**of))
    filled = jinja2.Environment(undefined=jinja2.StrictUndefined).from_string(text).render(snakemake=wildcards)
    settings = {"report_level": 2, "halt_level": 2, "file_insertion_enabled": False, "raw_enabled": False}
    return publish_parts(filled, writer="html5", settings_overrides=settings)["fragment"]


# ------------------------------------------------------------------------------------- tables and verdicts


def _tables(comparison: Comparison, known: Known) -> Iterator[dict[str, Any]]:
    """Give the tables of table.md in its order, with the words before and after each."""
    for part, words in PARTS.items():
        for dataset in comparison.datasets:
            rows = [row for row in comparison.rows(dataset) if row.days(part)]
            if not rows:
                continue
            strongest = comparison.strongest(dataset)
            before = looked(known.looks.get(dataset, 0)) if part == TEST else ""
            title = f"{dataset}: {words} ({of_most_days(rows, part).days(part)})"
            yield _table(title, main_table(rows, part, strongest), before, differences(rows, part, strongest))
            if floors := floor_table(rows, part):
                yield _table(f"{dataset}: noise floor on {words}", floors, FLOOR)
            if kinds := kinds_table(rows, part, strongest):
                yield _table(f"{dataset}: kinds of {words}", kinds, HEAVY)


def _table(title: str, table: Table, before: str, after: str = "") -> dict[str, Any]:
    return {
        "title": title,
        "label": f"table: {title}",
        "before": before,
        "after": after,
        "head": table.head,
        "lines": table.lines,
        "words": table.words,
    }


def _verdict(verdict: Mapping[str, Any]) -> dict[str, Any]:
    """Give what the page needs of a verdict."""
    judged = [check for check in verdict["checks"] if check["passed"] is not None]
    failed = [check | {"text": found_text(check)} for check in judged if not check["passed"]]
    return {
        "name": verdict["name"],
        "mode": verdict["mode"],
        "note": verdict["note"],
        "judged": len(judged),
        "passed": len(judged) - len(failed),
        "failed": failed,
    }
