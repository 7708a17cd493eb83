"""How often the test days were looked at.

A test score is honest once. Who looks at it, changes a setting and looks again has begun to choose by it. So each new
set of members that is scored on the test days of a split is counted, in a file that stays when results are made anew.

Inputs: the contents of every `scores.json`. Output: counts, and the file `looks.json`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from rainshaft.data.conventions import TEST
from rainshaft.errors import UserError
from rainshaft.evaluation.rows import BASELINE
from rainshaft.evaluation.scoring import ALL_DAYS
from rainshaft.files import write_json


def count_looks(contents: Sequence[Mapping[str, Any]], path: str | Path, today: date) -> dict[str, int]:
    """Add what is looked at now, and count.

    Parameters
    ----------
    contents
        Contents of `scores.json` of all experiments and baselines. Baselines are not counted, because nobody tunes
        them.
    path
        The file of all looks. It is made where it is not there, and else added to.
    today
        The date of a new look.

    Returns
    -------
    Dataset to the number of looks at its present test days: one for each set of members that was scored on them.

    Raises
    ------
    UserError
        The file is not one of looks.
    """
    path = Path(path)
    looks = _read(path)
    for dataset, mine in _looked_at(contents).items():
        known = looks.setdefault(dataset, {}).setdefault(_days(mine[0]), [])
        members = sorted(f"{c['name']} {c['mode']} {c[TEST][ALL_DAYS]['scores']['fair_crps']['value']}" for c in mine)
        look = hashlib.sha256("\n".join(members).encode()).hexdigest()[:16]
        if look not in [one["members"] for one in known]:
            known.append({"members": look, "date": today.isoformat()})
    write_json(looks, path)
    return looks_so_far(contents, path)


def looks_so_far(contents: Sequence[Mapping[str, Any]], path: str | Path) -> dict[str, int]:
    """Count the looks at the present test days of each dataset, as `count_looks` does, but add none."""
    looks = _read(Path(path))
    return {
        dataset: len(looks.get(dataset, {}).get(_days(mine[0]), [])) for dataset, mine in _looked_at(contents).items()
    }


def _looked_at(contents: Sequence[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    """Give for each dataset the ensembles that were scored on its test days, without the baselines."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for content in contents:
        if content["mode"] != BASELINE and ALL_DAYS in (content[TEST] or {}):
            found.setdefault(content["dataset"], []).append(content)
    return found


def _days(content: Mapping[str, Any]) -> str:
    """Name the test days of an ensemble."""
    test = content[TEST]
    return f"{test[ALL_DAYS]['days_in_all']} days from {test['first_day']} to {test['last_day']}, {test['digest']}"


def _read(path: Path) -> dict[str, dict[str, list[dict[str, str]]]]:
    if not path.exists():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if all(isinstance(one, list) for splits in found.values() for one in splits.values()):
            return found
    except (ValueError, AttributeError):
        pass
    raise UserError(
        f"{path}: found something else than counts of looks at test days; move the file away, and the count begins anew"
    )
