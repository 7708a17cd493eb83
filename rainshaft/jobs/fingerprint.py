"""A hash of the code behind a job: it changes when the job's results may change, and only then.

Input: the script of a rule. Output: a SHA-256 over the script and over all definitions of the library that it can
reach. Snakemake compares this hash with the one of the last run; it sees neither changes of an imported module nor
the difference between a comment and a formula.

The hash follows names from definition to definition, not from file to file. So a new score in a module of formulas
leaves a job alone that uses another formula of that module.

What cannot change results is left out: comments, layout, docstrings, type hints, the words of log lines and of error
messages, and the packages in `NO_RESULTS`. Everything else counts.

The syntax tree that Python itself prints differs between versions. `_meaning` writes the parts that all supported
versions share, so that Python 3.11, 3.12 and 3.13 give one hash.

This module runs whenever Snakemake reads the workflow. It uses the standard library alone.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path

LIBRARY = Path(__file__).resolve().parents[1]
PACKAGE = LIBRARY.name

# Modules that carry results from place to place, but do not make them. Their code may change without a rerun; What they
# call counts.
NO_RESULTS = (
    "rainshaft.config",
    "rainshaft.errors",
    "rainshaft.files",
    "rainshaft.jobs",
    "rainshaft.locks",
    "rainshaft.training.checkpoints",
    "rainshaft.training.distributed",
)
LOG_METHODS = {"debug", "info", "warning", "error", "critical"}
SKIPPED_FIELDS = {"ctx", "kind", "type_params", "type_comment", "annotation", "returns", "type_ignores"}


def code_fingerprint(script: Path, *modules: str) -> str:
    """Give the SHA-256 (hexadecimal) of a script and of the library code that it can reach.

    Parameters
    ----------
    modules
        Modules of the library that the script imports by a name that is known only when it runs.
    """
    texts = [part.text for parts in _Module.read("", script).definitions.values() for part in parts]
    reached = closure(script, *modules)
    texts += [f"{module}:{name}\n{_definition(module, name)}" for module, name in sorted(reached)]
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()


def closure(script: Path, *modules: str) -> set[tuple[str, str]]:
    """List what a script can reach, as (module, name).

    The name `""` stands for the statements of a module that run at its import and define no name. What another package
    defines stands with its dotted name as the module, and is not followed.
    """
    start = _Module.read("", script)
    waiting = {found for name in start.definitions for found in start.uses(name)}
    waiting |= {(module, name) for module in modules for name in _module(module).definitions}
    reached: set[tuple[str, str]] = set()
    while waiting:
        reached |= waiting
        waiting = {found for one in waiting for found in _used_by(*one)} - reached
    return {(module, name) for module, name in reached if not _makes_no_results(module)}


@cache
def _used_by(module: str, name: str) -> frozenset[tuple[str, str]]:
    if not _path(module):
        return frozenset()
    used = frozenset(_module(module).uses(name))
    # A module without results may call one with results, so it is followed. Other packages that it uses do not count.
    return frozenset(one for one in used if _path(one[0])) if _makes_no_results(module) else used


@cache
def _definition(module: str, name: str) -> str:
    return "\n".join(part.text for part in _module(module).definitions[name]) if _path(module) else ""


def _makes_no_results(module: str) -> bool:
    return module == PACKAGE or any(module == one or module.startswith(f"{one}.") for one in NO_RESULTS)


@dataclass
class _Statement:
    """One top-level statement: its meaning as text, the dotted names in it, and what it imports."""

    text: str
    names: set[str]
    imports: dict[str, str]

    @classmethod
    def read(cls, node: ast.stmt) -> _Statement:
        """Read a statement."""
        names: set[str] = set()
        imports: dict[str, str] = {}
        return cls(_meaning(node, names, imports), names, imports)


@dataclass
class _Module:
    """The top-level definitions of a module, and where its names come from."""

    name: str
    definitions: dict[str, list[_Statement]] = field(default_factory=dict)
    """name to the statements that define it; `""` to all others"""
    imports: dict[str, str] = field(default_factory=dict)
    """name in this module to the dotted name that it stands for"""

    @classmethod
    def read(cls, name: str, path: Path) -> _Module:
        """Read a module from its file."""
        module = cls(name, {"": []})
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Import | ast.ImportFrom):
                module.imports |= _imported(node)
            elif not _is_words(node) and not _is_entry_point(node):
                statement = _Statement.read(node)
                for defined in _defined_by(node) or [""]:
                    module.definitions.setdefault(defined, []).append(statement)
        return module

    @cached_property
    def names(self) -> set[str]:
        """All dotted names in the module."""
        return set().union(*(part.names for parts in self.definitions.values() for part in parts))

    def uses(self, name: str) -> Iterator[tuple[str, str]]:
        """What a definition of this module names: definitions of the library, and names of other packages."""
        for statement in self.definitions[name]:
            imports = self.imports | statement.imports
            for dotted in statement.names:
                first, _, rest = dotted.partition(".")
                if first in imports:
                    yield from _resolved(imports[first] + (f".{rest}" if rest else ""))
                elif self.name and first in self.definitions:
                    yield self.name, first
            yield from self._run_by_imports(statement.imports, statement.names)
        if not name:
            yield from self._run_by_imports(self.imports, self.names)

    def _run_by_imports(self, imports: dict[str, str], used: set[str]) -> Iterator[tuple[str, str]]:
        """What imports run, whether a name of theirs is used or not."""
        first_names = {dotted.partition(".")[0] for dotted in used}
        for local, target in imports.items():
            if local == "*":
                yield from _resolved(target)
            elif _path(target.partition(".")[0]):
                yield from ((part, "") for part in _modules_along(target))
            elif local not in first_names:  # imported for what its import does
                yield target, ""


@cache
def _module(name: str) -> _Module:
    path = _path(name)
    if path is None:
        raise ModuleNotFoundError(name)
    return _Module.read(name, path)


@cache
def _path(name: str) -> Path | None:
    """The file of a module of the library. It is None if no module has this name."""
    if name.partition(".")[0] != PACKAGE:
        return None
    base = LIBRARY.joinpath(*name.split(".")[1:])
    for path in (base / "__init__.py", base.with_name(f"{base.name}.py")):
        if path.is_file():
            return path
    return None


def _modules_along(dotted: str) -> Iterator[str]:
    """The packages and the module that an import of this dotted name runs."""
    parts = dotted.split(".")
    for end in range(1, len(parts) + 1):
        if _path(name := ".".join(parts[:end])):
            yield name


def _resolved(dotted: str) -> Iterator[tuple[str, str]]:
    """The definitions that a dotted name stands for. The name of a module stands for all definitions in it."""
    if not _path(dotted.partition(".")[0]):
        yield dotted, ""
        return
    module = list(_modules_along(dotted))[-1]
    yield module, ""
    rest = dotted.removeprefix(module).lstrip(".")
    if not rest or rest == "*":
        yield from ((module, name) for name in _module(module).definitions)
        return
    name = rest.partition(".")[0]
    if name in _module(module).definitions:
        yield module, name
    elif name in _module(module).imports:  # passed on from another module
        yield from _resolved(_module(module).imports[name])


def _imported(node: ast.Import | ast.ImportFrom) -> dict[str, str]:
    """Local name to dotted name of what a statement imports."""
    imports = {}
    if isinstance(node, ast.Import):
        for alias in node.names:
            imports[alias.asname or alias.name] = alias.name
            if not alias.asname:  # `import a.b` runs a.b, and binds the name a
                first = alias.name.partition(".")[0]
                imports[first] = first
    elif node.level:
        raise ValueError(f"line {node.lineno}: a relative import; write {PACKAGE} and the whole path")
    elif node.module != "__future__":
        imports = {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return imports


def _defined_by(statement: ast.stmt) -> list[str]:
    """The names that a top-level statement defines. The list is empty if it defines nothing."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [statement.name]
    if isinstance(statement, ast.Assign):
        names = [node.id for target in statement.targets for node in ast.walk(target) if isinstance(node, ast.Name)]
        return names if all(isinstance(target, ast.Name | ast.Tuple) for target in statement.targets) else []
    if isinstance(statement, ast.AnnAssign | ast.AugAssign) and isinstance(statement.target, ast.Name):
        return [statement.target.id]
    return []


def _is_entry_point(statement: ast.stmt) -> bool:
    """Whether a statement runs only for a type checker, or only when the module is the program."""
    if not isinstance(statement, ast.If):
        return False
    names = {node.id for node in ast.walk(statement.test) if isinstance(node, ast.Name)}
    return bool(names & {"TYPE_CHECKING", "__name__"})


def _dotted(node: ast.expr) -> str:
    """Write an attribute of a name as `a.b.c`. For any other expression the text is empty."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (inner := _dotted(node.value)):
        return f"{inner}.{node.attr}"
    return ""


def _meaning(value: object, names: set[str], imports: dict[str, str]) -> str:
    """Write a syntax tree as text that all supported Pythons write alike, without what cannot change results.

    The dotted names in it and what it imports are added to `names` and `imports`.
    """
    if not isinstance(value, ast.AST):
        return ascii(value)
    dotted = _dotted(value) if isinstance(value, ast.expr) else ""
    if dotted:
        names.add(dotted)
        return dotted
    if isinstance(value, ast.Raise):
        return "Raise"  # it counts that the code raises, but not with which words
    fields = []
    for name, content in ast.iter_fields(value):
        if name in SKIPPED_FIELDS or (content is None and not isinstance(value, ast.Constant)):
            continue
        children = content if isinstance(content, list) else [content]
        for child in children:
            if isinstance(child, ast.Import | ast.ImportFrom):
                imports |= _imported(child)
        if texts := [_meaning(child, names, imports) for child in children if not _is_words(child)]:
            fields.append(f"{name}={','.join(texts)}")
    return f"{type(value).__name__}({';'.join(fields)})"


def _is_words(statement: object) -> bool:
    """Whether a node is a docstring, a text that describes an attribute, an import, or a line of the log."""
    if isinstance(statement, ast.Import | ast.ImportFrom):
        return True  # what a definition uses of it is followed by name
    if not isinstance(statement, ast.Expr):
        return False
    value = statement.value
    if isinstance(value, ast.Constant):
        return isinstance(value.value, str)
    return isinstance(value, ast.Call) and _is_logging(value.func)


def _is_logging(function: ast.expr) -> bool:
    return isinstance(function, ast.Attribute) and function.attr in LOG_METHODS and _dotted(function.value) == "log"
