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

from rainshaft import __version__
from rainshaft.config.sections import Section
from rainshaft.config.slices import DrawSettings

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


def provenance_of_members(
    drawn_for: str, info: Path, frozen: Path, settings: DrawSettings, code: str
) -> dict[str, Any]:
    """Give the attributes of a file of members: what drew them, and how.

    Parameters
    ----------
    drawn_for
        The experiment or the application, in words.
    info
        `model.json` of the model.
    frozen, settings
        The frozen slice, and what it says.
    code
        The fingerprint of the code that draws.
    """
    return {
        "source": f"rainshaft {__version__}, {drawn_for}",
        "history": f"rainshaft {__version__} drew members for {drawn_for}",
        "rainshaft_version": __version__,
        "config_fingerprint": digest(frozen.read_text(encoding="utf-8"), code),
        "model_sha256": json.loads(info.read_text(encoding="utf-8"))["weights_sha256"],
        "seed": settings.seed,
        "temperature": float(settings.temperature),
        "memory": float(settings.memory),
    }
