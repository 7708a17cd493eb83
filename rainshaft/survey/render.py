"""The text of a configuration: YAML with a comment for each choice."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path
from typing import Any

from rainshaft.survey.paths import shown_path
from rainshaft.survey.propose import Predictor, Proposal, files_entry, predictor_entry

WIDTH = 110


def render(proposal: Proposal, output: Path) -> str:
    """Write a proposal as a configuration.

    Parameters
    ----------
    proposal
        The choices.
    output
        The name of the file, for the commands in its first lines.
    """
    name = proposal.name
    lines = [
        *comment(
            "Written by `rainshaft init` from the headers of your files and a few days of each. Each comment says why "
            "a line is as it is. Edit what you like; config/README.md has all keys. Then: "
            f"./run.sh check {output.name}, and ./run.sh run {output.name}."
        ),
        f"results: results/{name}",
        "",
        "datasets:",
        f"  {name}:",
        *comment(proposal.years_why, 4),
        f"    years: {proposal.years}",
        *comment(proposal.factor_why, 4),
        f"    factor: {proposal.factor}",
        *_rain(proposal),
        *_predictors(proposal),
        *_maps(proposal),
        *comment(proposal.split_why, 4),
        f"    split: {inline(proposal.split)}",
        "",
        *_left_out(proposal),
        *_settings(proposal),
        "experiments:",
        "  first: # a name of your choice; an experiment may change any of the sections above for itself",
        f"    dataset: {name}",
    ]
    return "\n".join(lines) + "\n"


def comment(text: str, indent: int = 0) -> list[str]:
    """Give a text as lines of comment."""
    start = " " * indent + "# "
    return textwrap.wrap(text, WIDTH, initial_indent=start, subsequent_indent=start, break_on_hyphens=False)


def inline(value: Any) -> str:
    """Write a value in one line of YAML."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {inline(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(inline(item) for item in value) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str) and value not in ("rain", "temperature", "years", "blocks", "dates"):
        return json.dumps(value, ensure_ascii=False)
    return str(value)


def _rain(proposal: Proposal) -> list[str]:
    rain = proposal.rain
    why = f"The finest rain that was found: {rain.first.title}, {rain.size}, {rain.span}."
    return [*comment(why + _units(rain), 4), f"    rain: {inline(files_entry(rain))}"]


def _units(record: Any) -> str:
    if not record.first.assumed:
        return ""
    return f" The file states no units. Its values look like {record.first.assumed}: make sure of that."


def _predictors(proposal: Proposal) -> list[str]:
    if not proposal.predictors:
        why = (
            "Block means of the rain itself (a perfect-model set-up), as no other field fits. It shows what the model "
            "can do at best. For coarse fields of your own write a list of files, see docs/use/own-data.md."
        )
        return [*comment(why, 4), "    predictors: coarsened"]
    lines = []
    if any(not p.context for p in proposal.predictors):
        lines += comment(
            "Over the rain, each predictor is brought to the coarse cells. `context: true` would take its whole field, "
            "as the weather around the rain.",
            4,
        )
    if proposal.has_context:
        lines += comment("With `context: true` the network gets the whole field, as the weather around the rain.", 4)
    lines.append("    predictors:")
    for predictor in proposal.predictors:
        lines += _predictor(predictor)
    return lines


def _predictor(predictor: Predictor) -> list[str]:
    entry = predictor_entry(predictor)
    why = f"{predictor.why}.{_units(predictor.record)}"
    return [*comment(why, 6), f"      - {inline(entry)}"]


def _maps(proposal: Proposal) -> list[str]:
    lines = []
    for key, record in (("elevation", proposal.elevation), ("land", proposal.land)):
        if record:
            lines += comment(f"The {key} on the grid of the rain: {record.first.title}. It may also be left out.", 4)
            lines.append(f"    {key}: {inline({'file': shown_path(record.files[0]), 'variable': record.variable})}")
    return lines


def _left_out(proposal: Proposal) -> list[str]:
    if not proposal.left_out:
        return []
    lines = ["# Left out:"]
    together: dict[tuple[str, str], list[str]] = {}
    for item in proposal.left_out:
        together.setdefault((item.where, item.reason), []).append(item.variable)
    for (where, reason), names in together.items():
        variables = f", variable{'s' if len(names) > 1 else ''} {', '.join(names)}" if all(names) else ""
        lines += comment(f"- {where}{variables}: {reason.rstrip('.')}.")
    return [*lines, ""]


def _settings(proposal: Proposal) -> list[str]:
    """The sections that all experiments share, by the kind of coarse rain."""
    conserve, lines = proposal.conserve, []
    train: dict[str, Any] = {}
    if conserve == "cells":
        lines += comment(
            "The coarse rain is the mean of the fine rain, so its mass is kept in every coarse cell: that is the "
            "default, `model: {conserve: cells}`."
        )
    elif proposal.is_weather:
        lines += comment(
            "No predictor is rain. So a network draws the coarse rain from the weather of the whole domain, and a "
            "second one refines it. docs/understand/model.md says how. If the days of the rain begin before those of "
            "the predictors, try `lags: [0, 1]` for each predictor."
        )
        lines += ["model: {conserve: drawn, coarse: dense}", ""]
    else:
        lines += comment(
            "Real coarse rain is biased, and its storms lie in other places. So a network of its own draws it first. "
            "`conserve: cells` would take it as it is."
        )
        model = {"conserve": "drawn", "coarser_scales": proposal.coarser_scales}
        lines += [f"model: {_bare(model)}", "loss: {lambda_mass: 0.3}", ""]
        train["lr"] = 0.002
    lines += _train(proposal, train)
    lines += comment(
        "Ten members of each test day are drawn from the predictors alone, as one downscales. `days: heavy_only` would "
        "also draw the heavy days of the other years."
    )
    return [*lines, 'sampling: {mode: prior, members: 10, days: "split:test"}', ""]


def _train(proposal: Proposal, train: dict[str, Any]) -> list[str]:
    lines = []
    if proposal.epochs:
        train["epochs"] = proposal.epochs
        lines += comment(
            "Epochs: as many as give a short record some hundred steps, and no more than about half an hour of "
            "training on two CPU cores. More may be better; the verdict at the end says so."
        )
    if proposal.winds or proposal.has_context:
        train["flips"] = False
        reason = (
            f"{proposal.winds[0]} has a direction, and a mirrored wind would blow the wrong way"
            if proposal.winds
            else "in a mirrored weather map the wind would turn the wrong way round"
        )
        lines += comment(f"Patches are not mirrored (`flips: false`): {reason}.")
    if "lr" in train:
        lines += comment("With a higher learning rate members differ too little as whole days.")
    return [*lines, f"train: {_bare(train)}", ""] if train else lines


def _bare(content: dict[str, Any]) -> str:
    """Write keys with words that need no quotes."""
    return inline(content).replace('"', "")
