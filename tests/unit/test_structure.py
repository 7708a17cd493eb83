"""The order of the packages: each imports only from those before it, and nothing knows where the clone lies."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ORDER = (
    "errors",
    "files",
    "histogram",
    "refinements",
    "locks",
    "config",
    "data",
    "demo",
    "models",
    "general",
    "training",
    "sampling",
    "baselines",
    "evaluation",
    "application",
    "augmentation",
    "figures",
    "report",
    "jobs",
    "survey",
    "cli",
)
MODULES = sorted((ROOT / "rainshaft").rglob("*.py"))


def package_of(dotted: str) -> str:
    """`data` for rainshaft.data.fields; empty for rainshaft itself."""
    return [*dotted.split("."), ""][1]


def imports(path: Path) -> set[str]:
    """Dotted names that a module imports from the library, at the top or inside a function."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            # of `from rainshaft import files` the part is the name, of `from rainshaft.files import x` the module
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in found if name.split(".")[0] == "rainshaft"}


def test_the_order_names_every_package():
    inner = {path.relative_to(ROOT / "rainshaft").parts[0].removesuffix(".py") for path in MODULES}
    assert inner - {"__init__"} == set(ORDER)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_down(path):
    own = path.relative_to(ROOT / "rainshaft").parts[0].removesuffix(".py")
    if own == "__init__":
        code = "import rainshaft, sys; assert not {'numpy', 'xarray', 'torch'} & set(sys.modules)"
        subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)  # it is quick, since it imports nothing
        return
    place = ORDER.index(own)
    up = {name for name in imports(path) if package_of(name) in ORDER and ORDER.index(package_of(name)) > place}
    assert not up


def test_only_one_place_tells_python_where_the_library_is():
    found = set()
    for folder in ("rainshaft", "workflow", "benchmarks", "docs"):
        for path in (ROOT / folder).rglob("*"):
            if path.suffix in (".py", ".smk", ".sh", ".ipynb") or path.name == "Snakefile":
                text = path.read_text(encoding="utf-8")
                if "sys.path" in text or "PYTHONPATH" in text:
                    found.add(path.relative_to(ROOT))
    assert found == {Path("workflow/rules/library.smk")}


def reads_or_writes_text(call: ast.Call) -> bool:
    """Whether a call reads or writes text in the encoding of the locale, unless it names another."""
    function, keys = call.func, {key.arg: key.value for key in call.keywords}
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    if name == "open" and isinstance(function, ast.Name):
        mode = [*call.args[1:2], *([keys["mode"]] if "mode" in keys else [])]
        return not any(isinstance(part, ast.Constant) and "b" in str(part.value) for part in mode)
    return name in ("read_text", "write_text", "FileHandler") or bool({"text", "universal_newlines"} & set(keys))


def test_every_read_and_write_of_text_names_utf_8():
    found = []
    for folder in ("rainshaft", "workflow", "benchmarks", "docs", "tests"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and reads_or_writes_text(node):
                    named = [key.value for key in node.keywords if key.arg == "encoding"]
                    if not named or ast.unparse(named[0]) != "'utf-8'":
                        found.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert not found
