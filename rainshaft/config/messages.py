"""The faults of a configuration in the words of its user: the key, what was found, what is expected, what to do."""

from __future__ import annotations

import re
import typing
from typing import Any

from rainshaft.config.sections import (
    FORMS,
    KINDS_OF_SOURCES,
    NAME,
    Config,
    EnsembleFiles,
    Experiment,
    GeneralExperiment,
    Section,
)
from rainshaft.errors import nearest

KINDS_OF_EXPERIMENTS: dict[str, type[Section]] = {
    "Experiment": Experiment,
    "EnsembleFiles": EnsembleFiles,
    "GeneralExperiment": GeneralExperiment,
}
"""what pydantic puts into the location of a fault of an experiment -> its class"""


def fault_lines(faults: list[Any], root: type[Section] = Config) -> list[str]:
    """Give one line for each key that is at fault.

    Parameters
    ----------
    faults
        What pydantic's `ValidationError.errors()` lists. A key that may have several types stands in it several times,
        once for each type that did not fit.
    root
        The section of the whole file.
    """
    found: dict[str, list[Any]] = {}
    for fault in faults:
        where = ".".join(str(key) for key in fault["loc"] if not _is_union_branch(key))
        found.setdefault(where, []).append(fault)
    lines = []
    for where, here in found.items():
        inside = any(other.startswith(f"{where}.") for other in found)
        if where and inside and all(fault["type"] in ("literal_error", "int_type") for fault in here):
            continue  # `predictors` may be a word or a list; this list has a fault inside, which has its own line
        lines.append(_line(where, here, root))
    return lines


def _line(where: str, faults: list[Any], root: type[Section]) -> str:
    """One key and everything that pydantic says against it, in one line."""
    first = faults[0]
    if first["type"] == "union_tag_invalid":  # the only such key is the source of an experiment
        found = first["ctx"]["tag"]
        sources = " or ".join(map(repr, KINDS_OF_SOURCES))
        return f"{where}.source: found {found!r}, expected {sources}{nearest(found, KINDS_OF_SOURCES)}"
    if where.endswith(".[key]"):
        return f"{where.removesuffix('.[key]')}: found the key {first['input']!r}, expected {FORMS[NAME]}"
    if first["type"] == "extra_forbidden":
        known = _keys_beside(first["loc"], root)
        hint = nearest(where.split(".")[-1], known) or f"; the keys here are {', '.join(known)}"
        return f"{where}: unknown key{hint}"
    if first["type"] == "missing":
        return f"{where}: missing; it has no default, so write a value"
    if first["type"] == "value_error":  # the message of a check in `sections` begins with the key
        return f"{where}.{first['ctx']['error']}" if where else str(first["ctx"]["error"])
    expected = dict.fromkeys(_expected(fault) for fault in faults)
    return f"{where}: found {_shown(first['input'])}, expected {' or '.join(expected)}{_cure(first)}"


def _shown(value: Any) -> str:
    """A value as it stands in a YAML file."""
    if value is None:
        return "nothing"
    return str(value).lower() if isinstance(value, bool) else repr(value)


def _cure(fault: Any) -> str:
    """What to write for a value that YAML takes for something else; empty for other faults."""
    kind, found = fault["type"], fault["input"]
    if kind == "float_type" and isinstance(found, str):  # 1e-3 without a point is a text
        try:
            return f"; write {float(found)}"
        except ValueError:
            return ""
    if kind == "string_type" and isinstance(found, bool):
        return "; YAML reads yes, no, on and off as true or false, so write such a word in quotes"
    if kind == "string_type" and found is not None and not isinstance(found, list | dict):
        return "; write it in quotes"
    if kind == "tuple_type" and isinstance(found, str) and (years := re.fullmatch(r"(\d{4})\s*[-:–]\s*(\d{4})", found)):
        first, last = int(years[1]), int(years[2])
        return f"; write {list(range(first, last + 1))}" if first <= last <= first + 200 else ""
    return ""


def _expected(fault: Any) -> str:
    """What pydantic wanted, in words."""
    context = fault.get("ctx", {})
    words = {
        "int_type": "a whole number",
        "float_type": "a number",
        "bool_type": "true or false",
        "string_type": "a text",
        "tuple_type": "a list such as [a, b]",
        "dict_type": "a section with keys",
        "model_type": "a section with keys",
        "too_short": f"at least {context.get('min_length')} entry",
        "literal_error": context.get("expected"),
        "greater_than": f"more than {context.get('gt')}",
        "greater_than_equal": f"{context.get('ge')} or more",
        "less_than": f"less than {context.get('lt')}",
        "less_than_equal": f"{context.get('le')} or less",
        "string_pattern_mismatch": FORMS.get(context.get("pattern", "")),
    }
    return words.get(fault["type"]) or fault["msg"]


def _is_union_branch(key: int | str) -> bool:
    """Whether pydantic put the name of a type into the location, where a user sees only keys."""
    return isinstance(key, str) and (
        key in ("int", "float", "constrained-int", "DayOf", *KINDS_OF_EXPERIMENTS) or ("[" in key and key != "[key]")
    )


def _keys_beside(location: tuple[int | str, ...], root: type[Section]) -> list[str]:
    """The keys that exist where an unknown one was found."""
    model: Any = root
    for key in location[:-1]:
        if _is_union_branch(key):
            model = KINDS_OF_EXPERIMENTS.get(str(key), model)
            continue
        inner = sections_in(model.model_fields[key].annotation) if key in getattr(model, "model_fields", {}) else []
        model = inner[0] if inner else model  # a number in a list or a name that the user chose leads no further
    return list(model.model_fields)


def sections_in(annotation: Any) -> list[type[Section]]:
    """List every section that a type annotation holds, in order."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return [annotation]
    return [model for part in typing.get_args(annotation) for model in sections_in(part)]
