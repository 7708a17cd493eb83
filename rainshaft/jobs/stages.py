"""Frozen slices of the configuration: what each stage of the workflow reads.

A slice is written as JSON beside the results. The script of a stage reads this file and nothing else of the
configuration. So an edit reruns exactly the stages whose slice it changes. And an edit during a run does not reach the
jobs that still wait.

This module runs while Snakemake reads the workflow, so it imports no heavy library.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, TypeVar

from rainshaft.config.sections import Section

AnySection = TypeVar("AnySection", bound=Section)


def canonical(content: dict[str, Any]) -> str:
    """Write a slice as JSON text. Equal slices give equal texts."""
    return json.dumps(content, indent=2, sort_keys=True) + "\n"


def read_slice(path: str | Path, settings: type[AnySection]) -> AnySection:
    """Read a frozen slice.

    Parameters
    ----------
    path
        The JSON file.
    settings
        Its class, from `rainshaft.config.slices`.

    Raises
    ------
    pydantic.ValidationError
        The file lacks a key of the class, or has a key that the class does not know.
    """
    return settings(**json.loads(Path(path).read_text(encoding="utf-8")))


def digest(*texts: str) -> str:
    """Give sixteen hexadecimal digits that change when a text changes."""
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:16]
