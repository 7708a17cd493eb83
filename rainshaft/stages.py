"""What each stage of the workflow depends on: a slice of the configuration and the code that holds its science.

A slice is frozen as JSON beside the results; the stage's program reads it and nothing else of the configuration.
So an edit reruns just the stages whose slice it changes. The fingerprint of the code is taken from the syntax
tree: it is blind to comments and layout, and sees every other change.

This module runs while Snakemake reads the Snakefile, so it imports no heavy library.
"""

from __future__ import annotations

import ast
import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from rainshaft.config import Config, Dataset

LIBRARY = Path(__file__).resolve().parent

# The modules that hold the science of a stage; those they import count too, but for the ones that hold none.
MODULES = {
    "raw": ("synthetic",),
    "prepare": ("ingest",),
    "statistics": ("dataset",),
    "baselines": ("baselines",),
    "train": ("train",),
    "sample": ("sample",),
    "threshold": ("threshold",),
    "augment": ("augment",),
    "tradeoff": ("tradeoff",),
    "srdrn": ("srdrn",),
    "evaluate": ("metrics", "verdict"),
    "plot": ("plot_distributions", "plot_maps", "plot_scores", "plot_tradeoff", "plot_training"),
}
WITHOUT_SCIENCE = {"checkpoints", "config", "errors", "files", "locks", "processes", "runtime", "stages"}


def dataset_slice(config: Config, name: str, stage: str) -> str:
    """Canonical JSON of what one stage of a dataset depends on."""
    whole = config.datasets[name].model_dump(mode="json", exclude={"description"})
    statistics_keys = ("years", "split", "heavy_percentile", "heavy_min_cells", "extreme_percentile", "coast_km")
    content = {
        "raw": lambda: _pick(whole, "synthetic", "years", "factor"),
        "prepare": lambda: _pick(whole, "factor", "rain", "predictors", "elevation", "land"),
        "statistics": lambda: _pick(whole, *statistics_keys, "dry_wet_fraction"),
        "baselines": lambda: {"K": config.baselines.K, "seed": config.seed},
    }
    return _canonical(stage, content[stage]() if stage in content else _shared(config, stage))


def experiment_slice(config: Config, name: str, stage: str) -> str:
    """Canonical JSON of what one stage of an experiment depends on."""
    whole = config.experiments[name].model_dump(mode="json")
    sampling = whole["sampling"]
    posterior_keys = ("min_threshold", "posterior_scales") if sampling["mode"] != "prior" else ()
    content = {
        "train": lambda: {
            **_pick(whole, "seed", "model", "loss"),
            "train": {key: value for key, value in whole["train"].items() if key != "gpus"},  # changes rounding alone
        },
        "sample": lambda: {
            "seed": whole["seed"],
            **_pick(sampling, "K", "days", "temperature", "batch_size", "tile", *posterior_keys),
            "device": whole["train"]["device"],
        },
        "threshold": lambda: {
            "pixel_threshold": sampling["pixel_threshold"],
            "wet_threshold": config.evaluation.wet_threshold if sampling["pixel_threshold"] == "auto" else None,
        },
        "augment": dict,
        "tradeoff": lambda: {
            "seed": whole["seed"],
            **_pick(sampling, "temperature", "posterior_scales", "batch_size", "tile"),
            "wet_threshold": config.evaluation.wet_threshold,
            "device": whole["train"]["device"],
        },
        "srdrn": lambda: {**config.augmentation.model_dump(mode="json"), "flips": whole["train"]["flips"]},
    }
    return _canonical(stage, content[stage]() if stage in content else _shared(config, stage))


def _shared(config: Config, stage: str) -> dict[str, Any]:
    """Evaluation and figures are one for all, so that experiments and baselines can be compared."""
    section = {"evaluate": config.evaluation, "plot": config.plots}[stage]
    return (
        {**section.model_dump(mode="json"), "seed": config.seed}
        if stage == "evaluate"
        else section.model_dump(mode="json")
    )


def _pick(section: dict[str, Any], *keys: str) -> dict[str, Any]:
    return {key: section[key] for key in keys}


def _canonical(stage: str, content: dict[str, Any]) -> str:
    return json.dumps({"config": content, "code": code_fingerprint(*MODULES[stage])}, indent=2, sort_keys=True) + "\n"


def code_fingerprint(*modules: str) -> str:
    """SHA-256 over the syntax trees, without docstrings, of library modules and of those they import."""
    meanings, waiting = {}, set(modules)
    while waiting:
        name = waiting.pop()
        meanings[name], imported = _understood((LIBRARY / f"{name}.py").read_text())
        waiting |= {n for n in imported if (LIBRARY / f"{n}.py").exists()} - WITHOUT_SCIENCE - meanings.keys()
    return hashlib.sha256("".join(meanings[name] for name in sorted(meanings)).encode()).hexdigest()


@cache  # the stages share most modules, and every job starts with this
def _understood(source: str) -> tuple[str, frozenset[str]]:
    """The syntax tree of a module without its docstrings, as text, and the names that it imports from the library."""
    tree, imported = ast.parse(source), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            node.body = node.body[1:]
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.partition(".")[0] == "rainshaft":
            inner = node.module.partition(".")[2]
            imported |= {inner} if inner else {alias.name for alias in node.names}
    return ast.dump(tree), frozenset(imported)


def read_slice(path: str | Path) -> dict[str, Any]:
    """The configuration in a frozen slice."""
    return json.loads(Path(path).read_text())["config"]


def read_dataset(path: str | Path) -> Dataset:
    """The frozen part of a dataset's configuration; asking it for any other key is an AttributeError."""
    content = read_slice(path)
    keys = {
        key: TypeAdapter(Dataset.model_fields[key].annotation).validate_python(value) for key, value in content.items()
    }
    dataset = Dataset.model_construct(**keys)
    for key in Dataset.model_fields.keys() - keys.keys():  # the defaults that pydantic put there
        dataset.__dict__.pop(key, None)
    return dataset


def fingerprint(*texts: str) -> str:
    """Sixteen hexadecimal digits that stand for all the texts."""
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:16]
