"""The folder of a trained model: all that is needed to use it anywhere, without the dataset that it was trained on.

    weights.safetensors, model.json   the networks
    domain.nc                         grids, valid cells, static maps, channels
    climate.nc                        the climate of the predictors on the training days
    card.json, README.md              what it was trained on, how good it is, how to cite it
    manifest.json                     the format of the folder, and the SHA-256 of each file

The manifest is written last. So a folder with a manifest is whole, and a copy that was cut short or altered is noticed.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from rainshaft import __version__
from rainshaft.errors import UserError
from rainshaft.files import atomic, write_json

FORMAT = 1
"""counts the changes of the folder that older versions of rainshaft cannot read"""

WEIGHTS, INFO, DOMAIN, CLIMATE = "weights.safetensors", "model.json", "domain.nc", "climate.nc"
CARD, README, MANIFEST = "card.json", "README.md", "manifest.json"
FILES = (WEIGHTS, INFO, DOMAIN, CLIMATE, CARD, README)


def seal(folder: Path) -> None:
    """Write the manifest of a folder whose files are all there."""
    hashes = {name: _sha256(folder / name) for name in FILES}
    write_json({"format": FORMAT, "rainshaft_version": __version__, "sha256": hashes}, folder / MANIFEST)


def copy_file(source: Path, target: Path) -> None:
    """Copy a file; the copy is whole or absent."""
    with atomic(target) as temporary:
        temporary.write_bytes(source.read_bytes())


def require_whole(folder: Path) -> dict[str, Any]:
    """Check the folder of a model.

    Returns
    -------
    Content of `manifest.json`.

    Raises
    ------
    UserError
        If it is no such folder, is damaged, or is of another format.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: found no such folder, expected the folder of a model; correct the path")
    manifest = folder / MANIFEST
    if not manifest.is_file():
        raise UserError(
            f"{folder}: found no {MANIFEST}, expected the folder of a model, which the workflow writes as "
            "results/EXPERIMENT/model; correct the path, or copy the whole folder"
        )
    try:
        content = json.loads(manifest.read_text(encoding="utf-8"))
        found, hashes = int(content["format"]), dict(content["sha256"])
    except (ValueError, KeyError, TypeError) as error:
        raise _damaged(manifest, f"text that cannot be read ({error})", "a manifest") from None
    if found != FORMAT:
        other = "newer" if found > FORMAT else "older"
        raise UserError(
            f"{folder}: found a model folder of format {found}, written by rainshaft "
            f"{content.get('rainshaft_version', '(unknown)')}, expected format {FORMAT}, which this rainshaft "
            f"{__version__} reads; use the {other} version of rainshaft, or train the model again"
        )
    for name in FILES:
        path = folder / name
        if not path.is_file():
            raise UserError(f"{path}: found no such file, expected it in the folder of a model; copy the folder again")
        if _sha256(path) != hashes.get(name):
            raise _damaged(path, "other bytes than the manifest names (SHA-256)", "the file as it was written")
    return dict(content)


def _damaged(path: Path, found: str, expected: str) -> UserError:
    return UserError(f"{path}: found {found}, expected {expected}; the folder is damaged: copy it again")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
