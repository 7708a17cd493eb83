"""Patterns of the configuration for files that a user named, and paths as the configuration writes them."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from rainshaft.data.sources import InputError, files_of
from rainshaft.survey.find import Record


def shown_path(path: Path | str) -> str:
    """Give a path below `$RAINSHAFT_DATA` if that is set and the path lies there, and else the whole path."""
    folder = os.environ.get("RAINSHAFT_DATA", "")
    if folder and Path(path).is_relative_to(Path(folder).absolute()):
        return f"$RAINSHAFT_DATA/{Path(path).relative_to(Path(folder).absolute()).as_posix()}"
    return str(path)


def patterns_of(record: Record) -> list[str]:
    """Patterns that match the files of a record and no others: with `{year}`, with `*`, or the files themselves."""
    if len(record.files) == 1:
        return [shown_path(record.files[0])]
    for pattern in (_with_year(record), _with_any_text([str(path) for path in record.files])):
        if pattern and _matches_exactly(record, pattern):
            return [shown_path(pattern)]
    return [shown_path(path) for path in record.files]


def _with_year(record: Record) -> str | None:
    """A pattern with `{year}`, where the name of each file has the one year of all its days."""
    names = set()
    for piece in record.pieces:
        years = np.unique(piece.days // 10000)
        name = re.sub(rf"(?<!\d){years[0]}", "{year}", str(piece.path)) if len(years) == 1 else ""
        if "{year}" not in name:
            return None
        names.add(name)
    return _with_any_text(sorted(names)) if len(names) > 1 else names.pop()


def _with_any_text(names: Sequence[str]) -> str | None:
    """A pattern with `*` for the part in which names differ; None where that is in more than one folder."""
    start = _common(names)
    end = _common([name[len(start) :][::-1] for name in names])[::-1]
    if any("/" in name[len(start) : len(name) - len(end)] for name in names):
        return None
    return f"{start}*{end}"


def _common(names: Sequence[str]) -> str:
    """The letters with which all names begin."""
    same = itertools.takewhile(lambda letters: len(set(letters)) == 1, zip(*names, strict=False))
    return "".join(letters[0] for letters in same)


def _matches_exactly(record: Record, pattern: str) -> bool:
    source, found = record.first.source, set()
    for year in {int(day) // 10000 for day in record.days}:
        try:
            found.update(files_of(replace(source, patterns=(pattern,)), year))
        except InputError:
            return False
    return found == set(record.files)
