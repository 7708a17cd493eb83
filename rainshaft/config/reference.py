"""The reference of all keys, for people and for programs, made from the sections.

`config/README.md` is for people. The Snakemake workflow catalogue shows it too, and allows no heading of the first
level in it. `workflow/schemas/config.schema.yaml` is a JSON schema. Editors check a configuration with it as it is
typed, and the catalogue makes a table of the keys from it.

To write both files, run `python -m rainshaft.config.reference` in a clone.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import yaml

from rainshaft.config.load import SHARED_SECTIONS
from rainshaft.config.sections import (
    Application,
    Augmentation,
    Baselines,
    Config,
    Dataset,
    DayOf,
    EnsembleFiles,
    Evaluation,
    Experiment,
    GeneralExperiment,
    Loss,
    Model,
    Plots,
    PredictorFiles,
    RainFiles,
    Reference,
    Sampling,
    Section,
    Split,
    StaticFile,
    Synthetic,
    Train,
)
from rainshaft.errors import UserError

README = Path("config/README.md")
SCHEMA = Path("workflow/schemas/config.schema.yaml")
GENERATED = "`python -m rainshaft.config.reference` makes this file from `rainshaft/config/`, so edit it there."

SECTIONS: dict[str, type[Section]] = {
    "Top level": Config,
    "`datasets.NAME`": Dataset,
    "`datasets.NAME.rain`": RainFiles,
    "`datasets.NAME.predictors`, each": PredictorFiles,
    "`datasets.NAME.rain.day` and `datasets.NAME.predictors[].day`": DayOf,
    "`datasets.NAME.elevation`, `datasets.NAME.land`": StaticFile,
    "`datasets.NAME.split`": Split,
    "`datasets.NAME.synthetic`": Synthetic,
    "`experiments.NAME`": Experiment,
    "`experiments.NAME` with `source: files`": EnsembleFiles,
    "`experiments.NAME` with `source: general`": GeneralExperiment,
    "`applications.NAME`": Application,
    "`applications.NAME.reference`": Reference,
    "`model`": Model,
    "`loss`": Loss,
    "`train`": Train,
    "`sampling`": Sampling,
    "`baselines`": Baselines,
    "`augmentation`": Augmentation,
    "`evaluation`": Evaluation,
    "`plots`": Plots,
}
"""where a section stands in the file -> the section"""

START = (
    f"<!-- {GENERATED} -->\n"
    + """
## Change these first

A configuration is one YAML file. These keys describe your data and your models. They have no default that could suit
you. All other keys have one.

| key | what you write |
| --- | --- |
| `datasets.NAME.rain` and `.predictors` | the files of the observed rain and of the coarse fields |
| `datasets.NAME.years` | the years to prepare |
| `datasets.NAME.factor` | how many fine cells lie along one side of a coarse cell |
| `datasets.NAME.split` | which days train the model, which choose its weights, and which score it |
| `experiments` | the models to train, each on one dataset |

```yaml
datasets:
  my-region:
    years: [2001, 2002, 2003, 2004, 2005, 2006]
    factor: 12
    rain: {files: ["/data/observed/rain_{year}.nc"], variable: pr}
    predictors: # or write `predictors: coarsened` to try the model on block means of the rain itself
      - {files: ["/data/model/pr_{year}.nc"], variable: pr, quantity: rain}
      - {files: ["/data/model/tas_{year}.nc"], variable: tas, quantity: temperature}
      - {files: ["/data/model/huss_{year}.nc"], variable: huss}
    split: {by: years, train: [2001, 2002, 2003, 2004], validation: [2005], test: [2006]}

experiments:
  first-try:
    dataset: my-region
    # The coarse rain of a climate model is biased. So a network of its own draws it first.
    model: {conserve: drawn, coarser_scales: 3}
    loss: {lambda_mass: 0.3}
```

Start the workflow with `snakemake --cores all --configfile my.yaml`. A key that does not exist or a value that does not
fit stops the run before the first job. The message names the key, what was found and what is expected.

An editor with a YAML language server checks the file while you write it, if its first line is
`# yaml-language-server: $schema=PATH_OF_RAINSHAFT/workflow/schemas/config.schema.yaml`.

## How experiments share settings

The sections `model`, `loss`, `train` and `sampling` and the key `seed` may stand at the top level of the file. There
they are the defaults of all experiments. A key that an experiment writes itself replaces the default. So a second
experiment names only what differs:

```yaml
experiments:
  first-try: {dataset: my-region}
  sharper: {dataset: my-region, loss: {lambda_grad: 0.4}}
```

## All keys
"""
)


def reference() -> str:
    """Give every key with its default, its range and its meaning, as Markdown."""
    lines = [START.rstrip()]
    for title, section in SECTIONS.items():
        schema = _inlined(section.model_json_schema())
        lines += ["", f"### {title}", "", schema["description"], ""]
        lines += ["| key | value | default | meaning |", "| --- | --- | --- | --- |"]
        for key, part in schema["properties"].items():
            default = "required" if key in schema.get("required", []) else _default(part)
            lines.append(f"| `{key}` | {_value(part)} | {default} | {part['description']} |")
    return "\n".join(lines) + "\n"


def schema_yaml() -> str:
    """Give the JSON schema of the configuration as YAML."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **_inlined(Config.model_json_schema())}
    (experiments,) = schema["properties"]["experiments"]["patternProperties"].values()
    trained = experiments["oneOf"][0]  # in the order of the union; the other kind has no shared sections
    for key in SHARED_SECTIONS:
        trained["properties"][key] = {"$ref": f"#/properties/{key}"}
    return f"# {GENERATED}\n" + yaml.safe_dump(schema, sort_keys=False, width=120)


def _inlined(schema: dict[str, Any]) -> dict[str, Any]:
    """Put each section where it is used, because the catalogue follows no references, and leave out titles."""
    sections = schema.pop("$defs", {})

    def inlined(part: Any) -> Any:
        if isinstance(part, list):
            return [inlined(item) for item in part]
        if not isinstance(part, dict):
            return part
        if "$ref" in part:
            section = sections[part["$ref"].rpartition("/")[2]]
            part = section | {key: value for key, value in part.items() if key not in ("$ref", "default")}
        part = {key: inlined(value) for key, value in part.items() if key != "title" or not isinstance(value, str)}
        if "anyOf" in part:
            part["type"] = list(dict.fromkeys(choice["type"] for choice in part["anyOf"]))
        if "patternProperties" in part:
            part["additionalProperties"] = False
        if isinstance(text := part.get("description"), str):
            part["description"] = " ".join(text.split())
        return part

    return inlined(schema)


def _default(part: dict[str, Any]) -> str:
    """The default of a key, as a file would write it."""
    if part["type"] == "object":
        return "see below"
    value = part["default"]
    if value is None:
        return "nothing"
    return f"`{value if value and isinstance(value, str) else json.dumps(value)}`"


def _value(part: dict[str, Any], plural: str = "") -> str:
    """The type and the range of a key, in words."""
    if "anyOf" in part:
        return " or ".join(_value(choice, plural) for choice in part["anyOf"])
    if "const" in part or "enum" in part:
        return ", ".join(f"`{choice}`" for choice in part.get("enum", [part.get("const")]))
    if part["type"] == "array" and "prefixItems" in part:  # such a list has a fixed number of entries
        return f"list{plural} of {len(part['prefixItems'])} dates"
    if part["type"] == "array":
        return f"list of {_value(part['items'], 's')}"
    names = {
        "integer": "whole number",
        "number": "number",
        "string": "text",
        "boolean": "`true`, `false`",
        "null": "nothing",
        "object": "section",
    }
    bounds = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}
    limits = [f"{sign} {part[bound]:g}" for bound, sign in bounds.items() if bound in part]
    return " ".join([names[part["type"]] + plural, " and ".join(limits)]).rstrip()


def write() -> None:
    """Write both files of the clone that is the current folder.

    Raises
    ------
    UserError
        The current folder is no clone of rainshaft.
    """
    for path in (README, SCHEMA):
        if not path.parent.is_dir():
            raise UserError(f"{Path.cwd()}: found no folder {path.parent}; change into a clone of rainshaft first")
    README.write_text(reference(), encoding="utf-8")
    SCHEMA.write_text(schema_yaml(), encoding="utf-8")


if __name__ == "__main__":
    try:
        write()
    except UserError as error:
        sys.exit(str(error))
