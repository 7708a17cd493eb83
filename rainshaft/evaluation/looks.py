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
    counts = {}
    for dataset in dict.fromkeys(content["dataset"] for content in contents):
        mine = [
            c for c in contents if c["dataset"] == dataset and c["mode"] != BASELINE and ALL_DAYS in (c[TEST] or {})
        ]
        if not mine:
            continue
        known = looks.setdefault(dataset, {}).setdefault(_days(mine[0]), [])
        members = sorted(f"{c['name']} {c['mode']} {c[TEST][ALL_DAYS]['scores']['fair_crps']['value']}" for c in mine)
        look = hashlib.sha256("\n".join(members).encode()).hexdigest()[:16]
        if look not in [one["members"] for one in known]:
            known.append({"members": look, "date": today.isoformat()})
        counts[dataset] = len(known)
    write_json(looks, path)
    return counts


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
