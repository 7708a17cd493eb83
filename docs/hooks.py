"""What the API pages need beside mkdocs.yml: every module of a package, and results that are described in sentences."""

import re
from pathlib import Path
from typing import Any

import griffe

LIBRARY = Path(__file__).parents[1] / "rainshaft"
MODULES = re.compile(r"^<!-- modules of rainshaft\.(\w+) -->$", re.MULTILINE)
RETURNED = re.compile(r"^(Returns|Yields)\n-+\n((?:\S.*(?:\n|\Z))+)(?![ \t])", re.MULTILINE)


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Put every module of a package where a page asks for them, so that a new module needs no new line there."""

    def modules(match: re.Match[str]) -> str:
        paths = sorted((LIBRARY / match[1]).rglob("[!_]*.py"))
        names = (".".join(path.relative_to(LIBRARY.parent).with_suffix("").parts) for path in paths)
        return "\n\n".join(f"::: {name}" for name in names)

    return MODULES.sub(modules, markdown)


class TypedReturns(griffe.Extension):
    """Put the type from the signature before a result that the docstring describes in sentences.

    The numpydoc format wants the type in the first line, and would take each line of the sentences for a type.
    """

    def on_function(self, *, func: griffe.Function, **_: Any) -> None:
        """Change one docstring before it is parsed."""
        if func.docstring:
            func.docstring.value = RETURNED.sub(lambda section: _typed(section, func.returns), func.docstring.value)


def _typed(section: re.Match[str], annotation: Any) -> str:
    word, sentences = section.groups()
    indented = re.sub(r"^", "    ", sentences.rstrip(), flags=re.MULTILINE)
    return f"{word}\n{'-' * len(word)}\n{annotation}\n{indented}\n"
