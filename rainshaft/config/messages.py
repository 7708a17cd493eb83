"""What pydantic says against a configuration, in the words of the user."""

from __future__ import annotations

import typing
from typing import Any

from rainshaft.config.sections import Config, Section
from rainshaft.errors import nearest


def fault_lines(faults: list[Any]) -> list[str]:
    """The faults in the user's words, one line a key; a key of several types is a fault once, not once a type."""
    found: dict[str, list[Any]] = {}
    for fault in faults:
        where = ".".join(str(key) for key in fault["loc"] if not _is_union_branch(key))
        found.setdefault(where, []).append(fault)
    lines = []
    for where, here in found.items():
        inside = any(other.startswith(f"{where}.") for other in found)
        if where and inside and all(fault["type"] == "literal_error" for fault in here):
            continue  # `predictors` may be a word or a list: the fault is inside the list
        lines.append(_line(where, here))
    return lines


def _line(where: str, faults: list[Any]) -> str:
    """One key and all that pydantic says against it, in one line."""
    first = faults[0]
    kind, context = first["type"], first.get("ctx", {})
    if where.endswith(".[key]"):
        where = where.removesuffix(".[key]")
        return f"{where}: a name is lower-case letters, digits and single hyphens, for example `my-run`"
    if kind == "extra_forbidden":
        return f"{where}: unknown key{nearest(where.split('.')[-1], _keys_beside(first['loc'])) or '; remove it'}"
    if kind == "missing":
        return f"{where}: missing; it has no default"
    if kind == "value_error":
        return f"{where}: {context['error']}" if where else str(context["error"])
    expected = dict.fromkeys(_expected(fault) for fault in faults)
    return f"{where}: found {first['input']!r}, expected {' or '.join(expected)}"


def _expected(fault: Any) -> str:
    """What pydantic wanted, in words."""
    context = fault.get("ctx", {})
    words = {
        "int_type": "a whole number",
        "float_type": "a number",
        "bool_type": "true or false",
        "string_type": "a text",
        "tuple_type": "a list",
        "dict_type": "a section with keys",
        "model_type": "a section with keys",
        "too_short": f"at least {context.get('min_length')} entry",
        "literal_error": context.get("expected"),
        "greater_than": f"more than {context.get('gt')}",
        "greater_than_equal": f"{context.get('ge')} or more",
        "less_than": f"less than {context.get('lt')}",
        "less_than_equal": f"{context.get('le')} or less",
        "string_pattern_mismatch": f"text like {context.get('pattern')}",
    }
    return words.get(fault["type"]) or fault["msg"]


def _is_union_branch(key: int | str) -> bool:
    """Whether pydantic put the name of a type, not a key of the user, into the location."""
    return isinstance(key, str) and (key in ("float", "constrained-int") or ("[" in key and key != "[key]"))


def _keys_beside(location: tuple[int | str, ...]) -> list[str]:
    """The keys that exist where an unknown one was found."""
    model: Any = Config
    for key in location[:-1]:
        if _is_union_branch(key):
            continue
        inner = _models_in(model.model_fields[key].annotation) if key in getattr(model, "model_fields", {}) else []
        model = inner[0] if inner else model  # a list index or a user's name stays at the model found before
    return list(model.model_fields)


def _models_in(annotation: Any) -> list[type[Section]]:
    """Every section that a type annotation holds, in order."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return [annotation]
    return [model for part in typing.get_args(annotation) for model in _models_in(part)]
