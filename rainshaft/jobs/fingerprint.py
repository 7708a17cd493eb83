"""A hash of the code behind a job: it changes when the job's results may change, and only then.

Input: the script of a rule. Output: a SHA-256 over the script and over all definitions of the library that it can
reach. Snakemake compares this hash with the one of the last run; it sees neither changes of an imported module nor
the difference between a comment and a formula.

The hash follows names from definition to definition, not from file to file. So a new score in a module of formulas
leaves a job alone that uses another formula of that module.

What cannot change results is left out: comments, layout, docstrings, type hints, the words of log lines and of error
messages, and the packages in `NO_RESULTS`. Everything else counts.

The syntax tree that Python itself prints differs between versions. `_text` writes the parts that all supported
versions share, so that Python 3.11, 3.12 and 3.13 give one hash.

This module runs whenever Snakemake reads the workflow. It uses the standard library alone.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

LIBRARY = Path(__file__).resolve().parents[1]
PACKAGE = LIBRARY.name

# Modules that carry results from place to place, but do not make them. Their code may change without a rerun; what they
# call, counts.
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
    texts = [_text(ast.parse(script.read_text(encoding="utf-8")))]
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
    # what makes no results is followed, since it may call what does; the packages that it uses itself do not count
    return frozenset(one for one in used if _path(one[0])) if _makes_no_results(module) else used


@cache
def _definition(module: str, name: str) -> str:
    return "\n".join(map(_text, _module(module).definitions[name])) if _path(module) else ""


def _makes_no_results(module: str) -> bool:
    return module == PACKAGE or any(module == one or module.startswith(f"{one}.") for one in NO_RESULTS)


@dataclass
class _Module:
    """The top-level definitions of a module, and where its names come from."""

    name: str
    definitions: dict[str, list[ast.stmt]] = field(default_factory=dict)
    """name to the statements that define it; `""` to all others"""
    imports: dict[str, str] = field(default_factory=dict)
    """name in this module to the dotted name in the library"""

    @classmethod
    def read(cls, name: str, path: Path) -> _Module:
        """Read a module from its file."""
        module = cls(name, {"": []})
        for statement in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(statement, ast.Import | ast.ImportFrom):
                module.imports |= dict(_imports_in(statement))
            elif not _is_entry_point(statement):
                for defined in _defined_by(statement) or [""]:
                    module.definitions.setdefault(defined, []).append(statement)
        return module

    def uses(self, name: str) -> Iterator[tuple[str, str]]:
        """What a definition of this module names: definitions of the library, and names of other packages."""
        for statement in self.definitions[name]:
            used = set(_names_in(statement))
            local = dict(_imports_in(statement))
            imports = self.imports | local
            for dotted in used:
                first, _, rest = dotted.partition(".")
                if first in imports:
                    yield from _resolved(imports[first] + (f".{rest}" if rest else ""))
                elif self.name and first in self.definitions:
                    yield self.name, first
            yield from self._run_by_imports(local, used)
        if not name:
            everything = {used for part in self.definitions.values() for one in part for used in _names_in(one)}
            yield from self._run_by_imports(self.imports, everything)

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


def _path(name: str) -> Path | None:
    """The file of a module of the library; None where there is none of this name."""
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
    """The definitions for which a dotted name stands; a whole module stands for all of its own."""
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


def _imports_in(node: ast.AST) -> Iterator[tuple[str, str]]:
    """Local name and dotted name of all that is imported inside a statement."""
    for inner in ast.walk(node):
        if isinstance(inner, ast.Import):
            for alias in inner.names:
                first = alias.name.partition(".")[0]
                yield alias.asname or alias.name, alias.name
                if not alias.asname:  # `import a.b` runs a.b, and binds the name a
                    yield first, first
        elif isinstance(inner, ast.ImportFrom) and inner.module != "__future__":
            if inner.level:
                raise ValueError(f"line {inner.lineno}: a relative import; write {PACKAGE} and the whole path")
            yield from ((alias.asname or alias.name, f"{inner.module}.{alias.name}") for alias in inner.names)


def _defined_by(statement: ast.stmt) -> list[str]:
    """The names that a top-level statement defines; none for one that does something else."""
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


def _names_in(node: ast.AST) -> Iterator[str]:
    """The dotted names in the code, without those that stand only in type hints, log lines or messages."""
    if isinstance(node, ast.Name):
        yield node.id
    elif isinstance(node, ast.Attribute):
        dotted = _dotted(node)
        yield from [dotted] if dotted else _names_in(node.value)
    else:
        for _, children in _counting(node):
            for child in children:
                if isinstance(child, ast.AST):
                    yield from _names_in(child)


def _dotted(node: ast.expr) -> str:
    """`a.b.c` for an attribute of a name; empty for one of another expression."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (inner := _dotted(node.value)):
        return f"{inner}.{node.attr}"
    return ""


def _text(value: object) -> str:
    """The syntax tree as text that all supported Pythons write alike, without what cannot change results."""
    if not isinstance(value, ast.AST):
        return ascii(value)
    inner = (f"{name}={','.join(map(_text, children))}" for name, children in _counting(value) if children)
    return f"{type(value).__name__}({';'.join(inner)})"


def _counting(node: ast.AST) -> Iterator[tuple[str, list[object]]]:
    """The fields of a node that may change results, each as a list."""
    if isinstance(node, ast.Raise):
        return  # that it raises, counts; its words do not
    for name, value in ast.iter_fields(node):
        if name in SKIPPED_FIELDS or (value is None and not isinstance(node, ast.Constant)):
            continue
        children = value if isinstance(value, list) else [value]
        yield name, [child for child in children if not _is_words(child)]


def _is_words(statement: object) -> bool:
    """Whether a node is a docstring, a text that describes an attribute, an import, or a line of the log."""
    if isinstance(statement, ast.Import | ast.ImportFrom):
        return True  # what is used of it, is followed by name
    if not isinstance(statement, ast.Expr):
        return False
    value = statement.value
    if isinstance(value, ast.Constant):
        return isinstance(value.value, str)
    return isinstance(value, ast.Call) and _is_logging(value.func)


def _is_logging(function: ast.expr) -> bool:
    return isinstance(function, ast.Attribute) and function.attr in LOG_METHODS and _dotted(function.value) == "log"
