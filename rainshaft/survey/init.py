"""`rainshaft init`: from the files of a user to a configuration that runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rainshaft.data.sources import InputError
from rainshaft.survey.find import Record, expand, find
from rainshaft.survey.propose import Proposal, propose
from rainshaft.survey.render import render


def init(words: Sequence[str], output: Path) -> str:
    """Write a configuration for some files.

    Parameters
    ----------
    words
        Files, folders and patterns.
    output
        The file to write. It must not exist.

    Returns
    -------
    What was found, and the commands that come next.

    Raises
    ------
    InputError
        If the file exists, a word names no file, or no file has rain.
    """
    if output.exists():
        raise InputError(f"{output}: there is such a file, and it is never overwritten; name another one with --output")
    records, left_out = find(expand(words))
    proposal = propose(records, left_out)
    text = render(proposal, output)
    with open(output, "x", encoding="utf-8") as file:
        file.write(text)
    return "\n".join([*_table(records, proposal), "", *_next(output)])


def _table(records: Sequence[Record], proposal: Proposal) -> list[str]:
    """A line for each variable: what it is, where, when, and what becomes of it."""
    rows = [("variable", "kind", "files", "cells", "days", "use")]
    for record in records:
        height, width = record.grid.shape
        files = record.files[0].name if len(record.files) == 1 else f"{len(record.files)} files"
        days = f"{len(record.days)}, {record.span}" if record.days.size else "-"
        rows.append((record.variable, record.kind, files, f"{height} x {width}", days, _use(record, proposal)))
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _use(record: Record, proposal: Proposal) -> str:
    if record is proposal.rain:
        return "the rain"
    if record in (proposal.elevation, proposal.land):
        return f"the {record.kind}"
    for predictor in proposal.predictors:
        if predictor.record is record:
            return f"predictor {predictor.label}{' (context)' if predictor.context else ''}"
    return "left out"


def _next(output: Path) -> list[str]:
    return [
        f"{output} says why each choice was made, and why something was left out. Next:",
        f"  ./run.sh check {output}    what it will do, and what it will cost",
        f"  ./run.sh run {output}      prepare, train, sample, evaluate, compare",
    ]
