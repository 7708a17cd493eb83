"""What the fingerprint of a script sees, and what it is blind to."""

import shutil
import subprocess
from pathlib import Path

import pytest

from rainshaft.jobs import fingerprint

ROOT = Path(__file__).resolve().parents[2]
LIBRARY = {
    "__init__.py": "",
    "config.py": "y = 1\n",
    "formulas/__init__.py": "from lib.formulas.sums import shared\n",
    "formulas/sums.py": '''"""Sums."""

import logging

import numpy as np
from math import tau as circle

log = logging.getLogger("lib")
FACTOR = 2


def total(values: list[float], start: float = 0.0) -> float:
    """Add values."""
    log.info("adding %d values", len(values))
    if not values:
        raise ValueError("no value")
    return inner(values) * FACTOR + start


def inner(values):
    return np.sum(values)


def other(values):
    return circle


def shared():
    return 1


class Kept:
    """A class."""

    size: int = 3
    """how large"""

    def method(self):
        return unused_elsewhere()


def unused_elsewhere():
    return 5
''',
    "carrier.py": "from lib.formulas.sums import total\n\n\ndef carry(x):\n    return total(x)\n",
}
SCRIPT = "from lib.formulas.sums import total\n\ntotal([1.0])\n"


@pytest.fixture
def library(tmp_path, monkeypatch):
    """A small library; give it an edit and ask for the fingerprint of a script."""
    folder = tmp_path / "lib"
    for name, text in LIBRARY.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    monkeypatch.setattr(fingerprint, "LIBRARY", folder)
    monkeypatch.setattr(fingerprint, "PACKAGE", "lib")
    monkeypatch.setattr(fingerprint, "NO_RESULTS", ("lib.config", "lib.carrier"))

    def of(script=SCRIPT, path="formulas/sums.py", old="", new=""):
        text = LIBRARY[path]
        assert not old or text.count(old) == 1
        (folder / path).write_text(text.replace(old, new) if old else text, encoding="utf-8")
        (tmp_path / "script.py").write_text(script, encoding="utf-8")
        for cached in (fingerprint._module, fingerprint._path, fingerprint._used_by, fingerprint._definition):
            cached.cache_clear()
        return fingerprint.code_fingerprint(tmp_path / "script.py")

    yield of
    for cached in (fingerprint._module, fingerprint._path, fingerprint._used_by, fingerprint._definition):
        cached.cache_clear()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("    return inner(values)", "    # why\n    return (inner(values))"),
        ('"""Add values."""', '"""Add all values."""'),
        ('"""how large"""', '"""how big"""'),
        ("adding %d values", "%d values are added"),
        ('    log.info("adding %d values", len(values))\n', ""),
        ("no value", "not one value"),
        ("values: list[float], start: float", "values: tuple[float, ...], start: int"),
        ("size: int", "size: float"),
        ("return circle", "return 2 * circle"),
        ("def shared():\n    return 1", "def shared():\n    return 2"),
        ("\n\nclass Kept", "\n\ndef a_new_score(x):\n    return x\n\n\nclass Kept"),
        ("return unused_elsewhere()", "return 7"),
    ],
)
def test_words_types_and_what_the_script_does_not_use_leave_it_alone(library, old, new):
    assert library(old=old, new=new) == library()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("* FACTOR", "/ FACTOR"),
        ("FACTOR = 2", "FACTOR = 3"),
        ("start: float = 0.0", "start: float = 1.0"),
        ("return np.sum", "return np.mean"),
        ("import numpy as np", "import scipy as np"),
        ("if not values:", "if values is None:"),
        ('raise ValueError("no value")', "return 0.0"),
        ("import logging\n", "import logging\nimport antigravity\n"),
    ],
)
def test_a_change_of_meaning_is_seen_wherever_it_is(library, old, new):
    assert library(old=old, new=new) != library()


@pytest.mark.parametrize(
    "script",
    [
        "from lib.formulas.sums import total\ntotal([1.0])\n",
        "from lib.formulas.sums import total as t\nt([1.0])\n",
        "from lib.formulas import sums\nsums.total([1.0])\n",
        "from lib.formulas import sums as s\ns.total([1.0])\n",
        "import lib.formulas.sums\nlib.formulas.sums.total([1.0])\n",
        "import lib.formulas.sums as s\ns.total([1.0])\n",
        "from lib.formulas.sums import *\ntotal([1.0])\n",
        "import lib.formulas.sums as s\nf = s\nf.total([1.0])\n",
        "def f():\n    from lib.formulas.sums import total\n    return total([1.0])\nf()\n",
        "from lib.carrier import carry\ncarry([1.0])\n",
    ],
)
def test_every_form_of_import_is_followed(library, script):
    assert library(script, old="FACTOR = 2", new="FACTOR = 3") != library(script)


def test_a_name_that_a_package_passes_on_is_followed(library):
    script = "from lib.formulas import shared\nshared()\n"
    assert library(script, old="def shared():\n    return 1", new="def shared():\n    return 2") != library(script)


def test_a_class_counts_with_all_its_methods(library):
    script = "from lib.formulas.sums import Kept\nKept()\n"
    assert library(script, old="return 5", new="return 6") != library(script)
    assert library(script, old="size: int = 3", new="size: int = 4") != library(script)


def test_modules_that_make_no_results_do_not_count_but_are_followed(library):
    script = "from lib.carrier import carry\ncarry([1.0])\n"
    assert library(script, "carrier.py", "return total(x)", "return total(x) if x else 0") == library(script)


def test_a_relative_import_is_refused(library):
    with pytest.raises(ValueError, match="relative import"):
        library(
            path="carrier.py", old="from lib.formulas.sums", new="from .formulas.sums", script="import lib.carrier\n"
        )


def test_a_module_that_the_script_names_when_it_runs_is_given_apart(library, tmp_path):
    library("x = 1\n")
    script = tmp_path / "script.py"
    alone = fingerprint.code_fingerprint(script)
    assert fingerprint.code_fingerprint(script, "lib.formulas.sums") != alone


def test_the_real_scripts_can_be_followed_and_differ():
    scripts = sorted((ROOT / "workflow/scripts").glob("*.py"))
    found = {script.stem: fingerprint.code_fingerprint(script) for script in scripts}
    assert len(set(found.values())) == len(found) > 10
    assert ("rainshaft.evaluation.formulas.ensemble", "fair_crps") in fingerprint.closure(
        ROOT / "workflow/scripts/evaluate_ensemble.py"
    )
    trained = {
        name for module, name in fingerprint.closure(ROOT / "workflow/scripts/train_model.py") if "losses" in module
    }
    assert "almost_fair_crps" in trained


def test_every_supported_python_gives_one_fingerprint():
    code = (
        "import sys, pathlib; sys.path.insert(0, sys.argv[1]); from rainshaft.jobs import fingerprint\n"
        "for script in sorted(pathlib.Path(sys.argv[1], 'workflow/scripts').glob('*.py')):\n"
        "    print(script.stem, fingerprint.code_fingerprint(script))"
    )
    pythons = [found for minor in (11, 12, 13) if (found := shutil.which(f"python3.{minor}"))]
    outputs = {}
    for python in pythons:
        done = subprocess.run([python, "-c", code, ROOT], capture_output=True, cwd="/", encoding="utf-8")
        if done.returncode == 0:  # a shim of a version manager may stand for a Python that is not there
            outputs[python] = done.stdout
        else:
            assert "not found" in done.stderr or "not installed" in done.stderr, done.stderr
    assert outputs
    assert len(set(outputs.values())) == 1
