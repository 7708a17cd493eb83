"""The JSON schema and the key reference that are generated from the sections."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from rainshaft.config.sections import (
    Augmentation,
    Baselines,
    Config,
    Dataset,
    Evaluation,
    Experiment,
    Loss,
    Model,
    Plots,
    PredictorFiles,
    RainFiles,
    Sampling,
    Section,
    Split,
    StaticFile,
    Synthetic,
    Train,
)


def schema_json() -> str:
    """JSON schema of the configuration, for editors that check YAML as it is typed."""
    return json.dumps(Config.model_json_schema(), indent=2) + "\n"


def reference() -> str:
    """Every key with its default, range and meaning, as Markdown."""
    lines = [
        "# Configuration reference",
        "",
        "Generated from `rainshaft/config.py`; do not edit. The top-level sections `model`, `loss`, `train` and",
        "`sampling`, and `seed`, are the defaults of every experiment; an entry of `experiments` overrides the keys it",
        "names.",
    ]
    sections = {"": Config, "datasets.NAME": Dataset, "datasets.NAME.rain": RainFiles}
    sections |= {"datasets.NAME.predictors[]": PredictorFiles, "datasets.NAME.elevation, .land": StaticFile}
    sections |= {"datasets.NAME.split": Split, "datasets.NAME.synthetic": Synthetic, "experiments.NAME": Experiment}
    sections |= {"model": Model, "loss": Loss, "train": Train, "sampling": Sampling}
    sections |= {"baselines": Baselines, "augmentation": Augmentation, "evaluation": Evaluation, "plots": Plots}
    for title, model in sections.items():
        lines += ["", f"## `{title}`" if title else "## Top level", "", model.__doc__ or "", ""]
        lines += ["| key | default | allowed | meaning |", "| --- | --- | --- | --- |"]
        for key, field in model.model_fields.items():
            meaning = (field.description or f"see `{key}` below").replace("\n", " ").replace("|", "\\|")
            lines.append(f"| `{key}` | {_default(field)} | {_allowed(model, key)} | {meaning} |")
    return "\n".join(lines) + "\n"


def _default(field: Any) -> str:
    if field.is_required():
        return "required"
    if isinstance(field.default, BaseModel):
        return "see below"
    return f"`{json.dumps(field.default)}`"


def _allowed(model: type[Section], key: str) -> str:
    """The type and the range of a key, read off its JSON schema."""
    schema = model.model_json_schema()["properties"][key]

    def words(part: dict[str, Any]) -> str:
        if "anyOf" in part:
            return " or ".join(dict.fromkeys(words(p) for p in part["anyOf"]))
        if "const" in part:
            return f"`{part['const']}`"
        if "enum" in part:
            return ", ".join(f"`{e}`" for e in part["enum"])
        if "pattern" in part:
            return "`" + part["pattern"].replace("|", "\\|") + "`"
        if part.get("type") == "array":
            return f"list of {words(part.get('items', {}))}"
        names = {
            "integer": "whole number",
            "number": "number",
            "string": "text",
            "boolean": "true, false",
            "null": "nothing",
        }
        bounds = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}
        limits = [f"{sign} {part[bound]:g}" for bound, sign in bounds.items() if bound in part]
        return " ".join([names.get(part.get("type", ""), "section"), *limits])

    return words(schema)


if __name__ == "__main__":
    folder = Path(__file__).resolve().parent.parent / "config"
    (folder / "schema.json").write_text(schema_json())
    (folder / "README.md").write_text(reference())
