"""The card of a trained model: what it was trained on, how good it is, what it is not for, and how to cite it.

Input: what the workflow knows of a model. Output: `card.json` for programs and `README.md` for people, after the model
cards of Mitchell et al. (2019, https://doi.org/10.1145/3287560.3287596).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from rainshaft import __version__
from rainshaft.data.conventions import SPLITS
from rainshaft.data.domain import Domain
from rainshaft.data.fields import dates_of
from rainshaft.files import atomic, write_json
from rainshaft.models import folder as files

SCORES = {
    "fair_crps": "fair CRPS, mm/day",
    "mass_bias": "bias of the mean rain, as a share of it",
    "spread_skill": "spread / skill, 1 is right",
    "correlation_member_truth": "correlation of a member with the truth",
    "wet_difference_1mm": "bias of the share of wet days (1 mm/day)",
    "p99_ratio": "99th percentile, members / observed",
    "p999_ratio": "99.9th percentile, members / observed",
    "gradient_ratio": "mean gradient, members / observed",
}
"""score -> what the card calls it"""

LIMITS = (
    "It draws the rain of this domain on this grid, and of no other.",
    "It learned how rain goes with these predictors, with the biases of their source. Predictors of another source, "
    "such as a climate model, must be brought to that climate first.",
    "It has not learned what lies beyond the range of its training days. Each application is compared with it.",
    "Its scores hold for days like its test days.",
)
WITH_ANALOGS = (
    "Some members take the coarse rain of a training day. They have no more of it than the training days had, and this "
    "rain lies in the file of the weights."
)
WITHOUT_MEMORY = "Members of successive days are drawn independently, given the predictors."


@dataclass(frozen=True)
class Facts:
    """What the configuration says of a model."""

    name: str
    dataset: str
    description: str
    licence: str
    citation: str
    temperature: float
    memory: float
    tile: int


def write_card(folder: Path, facts: Facts, normalisation: xr.Dataset, threshold: float, scores: Sequence[Path]) -> None:
    """Write the card of a model beside its other files, and seal the folder.

    Parameters
    ----------
    folder
        Has the other files of the model.
    normalisation
        Of its dataset; it knows which days were used for what.
    threshold
        Cells with less rain are set to 0, in mm/day.
    scores
        `scores.json` of the model and of simple methods, on the test days; the model comes first.
    """
    info = json.loads((folder / files.INFO).read_text(encoding="utf-8"))
    domain = Domain(xr.load_dataset(folder / files.DOMAIN))
    card: dict[str, Any] = {
        "name": facts.name,
        "kind": info["kind"],
        "parameters": info["parameters"],
        "weights_sha256": info["weights_sha256"],
        "data_fingerprint": info["data_fingerprint"],
        "rainshaft_version": __version__,
        "torch_version": info["torch_version"],
        "dataset": {"name": facts.dataset, "description": facts.description, "days": _days(normalisation)},
        "grid": grid_of(domain),
        "predictors": [
            {"name": one.name, "units": one.units, "quantity": one.quantity, "context": one.context, "lag": one.lag}
            for one in domain.channels
        ],
        "sampling": {
            "temperature": facts.temperature,
            "memory": facts.memory,
            "tile": facts.tile,
            "pixel_threshold": threshold,
        },
        "scores": [_scores(path) for path in scores],
        "limits": limits_of(info["networks"], facts.memory),
        "licence": facts.licence,
        "citation": facts.citation,
    }
    write_json(card, folder / files.CARD)
    with atomic(folder / files.README) as temporary:
        temporary.write_text(markdown(card), encoding="utf-8")
    files.seal(folder)


def markdown(card: Mapping[str, Any]) -> str:
    """Write the card as Markdown."""
    if "learned_from" in card:
        return _markdown_of_general(card)
    grid, dataset = card["grid"], card["dataset"]
    lines = [
        f"# Model {card['name']}",
        "",
        f"A {card['kind']} of rainshaft {card['rainshaft_version']} with {card['parameters']:,} parameters. It draws "
        f"daily rain on {grid['rows']} x {grid['columns']} cells from the predictors below.",
        "",
        "```python",
        "import rainshaft, xarray",
        "model = rainshaft.load_model('THIS FOLDER')",
        "rain = model.downscale(xarray.open_dataset('PREDICTORS.nc'), members=10, seed=1)",
        "```",
        "",
        "## Trained on",
        "",
        f"Dataset {dataset['name']}" + (f": {dataset['description']}" if dataset["description"] else "."),
        "",
        "| days | number | from | to |",
        "| --- | --- | --- | --- |",
        *("| {} | {number} | {first} | {last} |".format(part, **dataset["days"][part]) for part in SPLITS),
        "",
        f"Region: y {grid['south']:g} to {grid['north']:g}, x {grid['west']:g} to {grid['east']:g} ({grid['kind']}). A "
        f"coarse cell is {grid['factor']} x {grid['factor']} cells of the rain.",
        "",
        "## Needs",
        "",
        "| predictor | units | where |",
        "| --- | --- | --- |",
        *(
            f"| {one['name']} | {one['units'] or '(not stated)'} | "
            f"{'the whole field around the rain (context)' if one['context'] else 'over the area of the rain'}"
            f"{f', {lag} day(s) before' if (lag := one.get('lag')) else ''} |"
            for one in card["predictors"]
        ),
        "",
        "## Scores on the test days",
        "",
        *_table(card["scores"]),
        "",
        "Values in brackets are 90 % intervals from resampled days.",
        "",
        "## Limits",
        "",
        *(f"- {limit}" for limit in card["limits"]),
        "",
        "## Licence and citation",
        "",
        f"Licence: {card['licence'] or 'not stated'}.",
        "",
        f"Cite: {card['citation'] or 'not stated'}.",
        "",
    ]
    return "\n".join(lines)


def _markdown_of_general(card: Mapping[str, Any]) -> str:
    """Write the card of general networks, which have no dataset of this place."""
    grid = card["grid"]
    lines = [
        f"# Model {card['name']}",
        "",
        f"General networks of rainshaft {card['rainshaft_version']} with {card['parameters']:,} parameters. They "
        f"refine daily coarse rain to {grid['rows']} x {grid['columns']} cells. They were not trained "
        "on rain of this place.",
        "",
        "## Learned from",
        "",
        "| record | cells, km | steps, h |",
        "| --- | --- | --- |",
        *("| {name} | {cell_km:g} | {hours:g} |".format(**one) for one in card["learned_from"]),
        "",
        "Each record was also seen on coarser grids and in sums over several steps.",
        "",
        f"Region: y {grid['south']:g} to {grid['north']:g}, x {grid['west']:g} to {grid['east']:g} ({grid['kind']}). A "
        f"coarse cell is {grid['factor']} x {grid['factor']} cells of the rain.",
        "",
        "The coarse rain for which they were opened has a mean of {mean:.3g} and a highest value of {highest:.3g} "
        "mm/day. If that is not so, its units are wrong.".format(**card["coarse_rain"]),
        "",
        "## Limits",
        "",
        *(f"- {limit}" for limit in (*card["limits"], *card.get("doubts", ()))),
        "",
        "## Licence and citation",
        "",
        f"Licence: {card['licence']}.",
        "",
        f"Cite: {card['citation']}.",
        "",
    ]
    return "\n".join(lines)


def limits_of(networks: Sequence[Mapping[str, Any]], memory: float) -> list[str]:
    """Say what the members of these networks cannot be, from their entries in model.json."""
    has_analogs = any(network["architecture"].get("analog_share") for network in networks)
    return [*LIMITS, *([WITH_ANALOGS] if has_analogs else []), *([] if memory else [WITHOUT_MEMORY])]


def _days(normalisation: xr.Dataset) -> dict[str, dict[str, Any]]:
    """Number, first and last date of the days of each part of the split."""
    dates, split = dates_of(normalisation), normalisation.split.values
    mine = {part: sorted(dates[split == part].tolist()) for part in SPLITS}
    return {part: {"number": len(d), "first": d[0], "last": d[-1]} for part, d in mine.items()}


def grid_of(domain: Domain) -> dict[str, Any]:
    """Describe the fine grid of a domain."""
    fine = domain.coarse.fine
    (dy, dx), (rows, columns) = fine.steps, fine.shape
    edges = {"south": fine.y[-1] - dy / 2, "north": fine.y[0] + dy / 2}
    edges |= {"west": fine.x[0] - dx / 2, "east": fine.x[-1] + dx / 2}
    return {
        "kind": fine.kind,
        "rows": rows,
        "columns": columns,
        "factor": domain.factor,
        "valid_cells": int(domain.valid.sum()),
        **{name: float(np.round(edge, 6)) for name, edge in edges.items()},
    }


def _scores(path: Path) -> dict[str, Any]:
    """The chosen scores of all test days of one method."""
    content = json.loads(path.read_text(encoding="utf-8"))
    of_days = content["test"]["all_days"]
    found = {key: of_days["scores"][key] for key in SCORES if of_days["scores"].get(key) is not None}
    return {"name": content["name"], "mode": content["mode"], "days": of_days["days"], "scores": found}


def _table(methods: Sequence[Mapping[str, Any]]) -> list[str]:
    if not methods:
        return ["Its prior was not drawn, so it has no scores of its skill."]
    names = [str(one["name"]) for one in methods]
    lines = [f"| score | {' | '.join(names)} |", f"| --- |{' --- |' * len(names)}"]
    for key, words in SCORES.items():
        values = [_value(one["scores"].get(key)) for one in methods]
        if any(values):
            lines.append(f"| {words} | {' | '.join(value or '–' for value in values)} |")
    return lines


def _value(score: Mapping[str, float | None] | None) -> str:
    if score is None or score["value"] is None:
        return ""
    low, high = score.get("low"), score.get("high")
    return f"{score['value']:z.3f}" + (f" ({low:z.3f} to {high:z.3f})" if low is not None and high is not None else "")
