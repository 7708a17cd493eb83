"""Python imports this when it starts. It notes which definitions of the library a script of the workflow runs."""

import ast
import atexit
import json
import os
import sys
from importlib.machinery import PathFinder, SourceFileLoader
from pathlib import Path

PACKAGE = "rainshaft"
FUNCTIONS = ast.FunctionDef | ast.AsyncFunctionDef
DEFINITIONS = FUNCTIONS | ast.ClassDef

ran: set[tuple[str, str]] = set()
scripts = [Path(argument) for argument in sys.orig_argv if ".snakemake/scripts" in argument]


class NotingLoader(SourceFileLoader):
    """Adds to each function of the library a statement that notes its call.

    A trace function would be simpler, but Python would call it for the functions of all libraries too, and the workflow
    would take three times as long.
    """

    def get_code(self, fullname):  # always from the source: the bytecode on disk notes nothing, and must not
        path = self.get_filename(fullname)
        tree = ast.parse(self.get_data(path), path)
        for outer in tree.body:
            if not isinstance(outer, DEFINITIONS):
                continue
            for node in ast.walk(outer):  # a method or an inner function counts as its class or outer function
                if isinstance(node, FUNCTIONS):
                    note = ast.parse(f"__ran__.add(({fullname!r}, {outer.name!r}))").body[0]
                    first = 0 if ast.get_docstring(node, clean=False) is None else 1
                    node.body.insert(first, ast.copy_location(note, node.body[0]))
        return compile(ast.fix_missing_locations(tree), path, "exec", dont_inherit=True)

    def exec_module(self, module):
        module.__ran__ = ran
        super().exec_module(module)


class Finder(PathFinder):
    @classmethod
    def find_spec(cls, fullname, path=None, target=None):
        if fullname.split(".")[0] != PACKAGE:
            return None
        spec = super().find_spec(fullname, path, target)
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = NotingLoader(fullname, spec.loader.path)
        return spec


def write():
    script = scripts[0].stem.split(".", 1)[1]  # Snakemake puts a word of its own before the name
    modules = sorted(name for name in sys.modules if name.split(".")[0] == PACKAGE)
    path = Path(os.environ["RAINSHAFT_RECORD"]) / f"{script}-{os.getpid()}.json"
    path.write_text(json.dumps({"script": script, "ran": sorted(ran), "modules": modules}), encoding="utf-8")


if scripts and "RAINSHAFT_RECORD" in os.environ:
    sys.meta_path.insert(0, Finder)
    atexit.register(write)
