"""The files that name what rainshaft needs agree: pyproject.toml, locks, conda environment, run.sh and imports."""

import ast
import re
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

import rainshaft

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PYTHON = SpecifierSet(PROJECT["requires-python"])
CONDA_NAMES = {"torch": "pytorch", "arch": "arch-py"}
WORKFLOW_ONLY = {"snakemake", "snakemake-executor-plugin-slurm"}  # jobs in a conda environment do not import these
NOT_ON_CONDA = {"jsmin"}  # comes with conda's pysteps
IMPORT_NAMES = {"yaml": "pyyaml"}


def requirements(lines: list[str]) -> dict[str, SpecifierSet]:
    return {canonicalize_name(r.name): r.specifier for r in map(Requirement, lines)}


NEEDED = requirements(PROJECT["dependencies"])
EXTRAS = {name: requirements(lines) for name, lines in PROJECT["optional-dependencies"].items()}
FORMATS = ("zarr", "grib", "geotiff")  # extras that read more formats
IN_LOCK = {name: bounds for extra in ("dev", *FORMATS) for name, bounds in EXTRAS[extra].items()} | NEEDED
OPTIONAL = ("rainfarm", *FORMATS)  # extras that the library imports where they are installed


def locked(file: str) -> dict[str, list[str]]:
    """The versions of each package in a lock: several where they differ between Pythons."""
    versions: dict[str, list[str]] = {}
    for name, version in re.findall(
        r"^([a-z0-9-]+)==([^\s;]+)", (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE
    ):
        versions.setdefault(name, []).append(version)
    return versions


@pytest.mark.parametrize(
    ("file", "needed"),
    [
        ("requirements.lock", {k: v for k, v in IN_LOCK.items() if k != "torch"}),
        ("requirements-rainfarm.lock", EXTRAS["rainfarm"]),
    ],
)
def test_lock_satisfies_pyproject(file: str, needed: dict[str, SpecifierSet]) -> None:
    versions = locked(file)
    assert not needed.keys() - versions.keys()
    wrong = {name: versions[name] for name in needed if not all(v in needed[name] for v in versions[name])}
    assert not wrong


@pytest.mark.parametrize("file", ["requirements.lock", "requirements-rainfarm.lock"])
def test_lock_has_hashes_and_no_addresses(file: str) -> None:
    text = (ROOT / file).read_text(encoding="utf-8")
    entries = re.split(r"^(?=[a-z0-9-]+==)", text, flags=re.MULTILINE)[1:]
    assert entries
    assert not [e.split()[0] for e in entries if "--hash=sha256:" not in e]
    assert not re.search(r"://|--find-links|--index-url|--extra-index-url", text)


def test_lock_leaves_torch_to_the_machine() -> None:
    assert not [name for name in locked("requirements.lock") if re.match(r"torch|nvidia|cuda|triton", name)]


def test_torch_is_one_that_fits() -> None:
    (torch,) = requirements((ROOT / "requirements-torch.txt").read_text(encoding="utf-8").split()).items()
    name, (version,) = torch
    assert name == "torch"
    assert version.version in NEEDED["torch"]


def test_apptainer_definition_installs_all_requirements() -> None:
    definition = (ROOT / "workflow/envs/rainshaft.def").read_text(encoding="utf-8")
    installed, copied = definition.split("%post")[1], definition.split("%files")[1].split("%post")[0]
    for path in ROOT.glob("requirements*"):
        assert f"-r /opt/rainshaft/{path.name}\n" in installed
        assert f"{path.name} /opt/rainshaft/{path.name}\n" in copied


def test_conda_environment_has_the_names_and_bounds_of_pyproject() -> None:
    environment = yaml.safe_load((ROOT / "workflow/envs/rainshaft.yaml").read_text(encoding="utf-8"))
    conda = requirements(environment["dependencies"])
    wanted = {
        k: v for k, v in (NEEDED | EXTRAS["rainfarm"] | EXTRAS["zarr"]).items() if k not in WORKFLOW_ONLY | NOT_ON_CONDA
    }
    wanted = {CONDA_NAMES.get(k, k): v for k, v in wanted.items()} | {
        "python": SpecifierSet(PROJECT["requires-python"])
    }
    assert conda == wanted


def test_every_import_is_named_in_pyproject() -> None:
    imported = set()
    for folder in ("rainshaft", "workflow/scripts"):
        for path in (ROOT / folder).glob("**/*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Import):
                    imported |= {alias.name.split(".")[0] for alias in node.names}
                elif isinstance(node, ast.ImportFrom) and node.level == 0:
                    imported.add(node.module.split(".")[0])
    imported -= set(sys.stdlib_module_names) | {"rainshaft"}
    assert imported, "found no import at all"
    packages = {canonicalize_name(IMPORT_NAMES.get(name, name)) for name in imported}
    undeclared = packages - set(NEEDED).union(*(EXTRAS[extra] for extra in OPTIONAL))
    assert not undeclared


def test_version_is_the_same_everywhere() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    newest = re.search(r"^## \[([^\]]+)\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert rainshaft.__version__ == PROJECT["version"] == str(citation["version"]) == newest[1]
