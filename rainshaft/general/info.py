"""What a folder of general networks says of itself: `general.json`, beside the weights of each factor.

The package has such a folder, `WEIGHTS`. Others can be made with `python -m rainshaft.training.general`. This module
runs while Snakemake reads the workflow, so it imports no heavy library.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rainshaft import __version__
from rainshaft.errors import UserError

WEIGHTS = Path(__file__).parent / "weights"
"""the networks of the package"""
INFO = "general.json"
FORMAT = 1


def is_of_general(folder: Path) -> bool:
    """Tell whether a folder has general networks; else it may be that of a trained model."""
    return (folder / INFO).is_file()


def cited(info: Mapping[str, Any], steps: Sequence[int]) -> dict[str, str]:
    """Give the hashes of the networks that refine by these steps, their licence, and whom to cite."""
    records = info["records"]
    return {
        "model_sha256": ", ".join(info["networks"][str(step)]["sha256"] for step in dict.fromkeys(steps)),
        "license": "MIT; learned from " + ", ".join(f"{name} ({one['licence']})" for name, one in records.items()),
        "references": ". ".join(str(one["citation"]) for one in records.values()),
    }


def read_info(folder: Path = WEIGHTS) -> dict[str, Any]:
    """Read what a folder of general networks says of itself.

    Raises
    ------
    UserError
        If it is no such folder, or is of another format.
    """
    path = folder / INFO
    if not path.is_file():
        raise UserError(
            f"{folder}: found no {INFO}, expected a folder of general networks; correct the path, or leave it out to "
            "take those of the package"
        )
    info: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if info.get("format") != FORMAT:
        raise UserError(
            f"{path}: found general networks of rainshaft {info.get('rainshaft_version', '(unknown)')}, which this "
            f"rainshaft {__version__} cannot use; make them again: python -m rainshaft.training.general"
        )
    return info


def factors(folder: Path = WEIGHTS) -> tuple[int, ...]:
    """Give the factors for which there are networks."""
    return tuple(sorted(int(factor) for factor in read_info(folder)["networks"]))
