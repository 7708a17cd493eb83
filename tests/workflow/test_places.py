"""The workflow runs from any folder: by `-s`, as a module of another workflow, and as the workflow catalog runs it."""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from project import REPOSITORY, TINY, Project, copy_project, environment

MODULE = """
configfile: "tiny.yaml"

module rain:
    snakefile: "{snakefile}"
    config: config

use rule * from rain

rule mine:
    default_target: True
    input: rules.all.input
"""


def state(folder: Path) -> dict[Path, str]:
    """Every file of a folder with its content, without the bytecode that Python keeps."""
    files = (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture
def clone(tmp_path):
    """A clone, and beside it the folder of a user."""
    project = copy_project(tmp_path / "clone")
    (tmp_path / "elsewhere").mkdir()
    shutil.copy(TINY, tmp_path / "elsewhere/tiny.yaml")
    return project.folder


def snakemake(*arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-m", "snakemake", "--cores", "1", *arguments)


def test_a_clone_is_used_from_another_folder_and_stays_as_it_is(clone, tmp_path):
    before = state(clone)
    project = Project(tmp_path / "elsewhere", snakemake=snakemake("-s", str(clone / "Snakefile")))
    project.run("results/data/tiny/normalisation.nc")
    assert (project.results / "data/tiny/normalisation.nc").exists()
    assert state(clone) == before
    assert {path.name for path in project.folder.iterdir()} == {"tiny.yaml", "results", ".snakemake"}


def test_it_is_a_module_of_another_workflow(clone, tmp_path):
    folder = tmp_path / "elsewhere"
    (folder / "Snakefile").write_text(MODULE.format(snakefile=clone / "workflow/Snakefile"), encoding="utf-8")
    project = Project(folder, snakemake=snakemake())
    assert {"train_model", "sample_fields", "mine"} <= project.planned().rules
    project.run("results/data/tiny/normalisation.nc")
    assert (project.results / "data/tiny/normalisation.nc").exists()


def test_without_a_clone_the_installed_package_is_used(clone, tmp_path):
    shutil.move(clone / "rainshaft", tmp_path / "installed")
    (tmp_path / "site").mkdir()
    shutil.move(tmp_path / "installed", tmp_path / "site/rainshaft")
    project = Project(tmp_path / "elsewhere", snakemake=snakemake("-s", str(clone / "workflow/Snakefile")))
    project.run("results/data/tiny/normalisation.nc", PYTHONPATH=str(tmp_path / "site"))
    assert (project.folder / ".snakemake/library/rainshaft").resolve() == tmp_path / "site/rainshaft"


def test_the_rule_map_of_the_workflow_catalog_can_be_drawn(tmp_path):
    shutil.copytree(REPOSITORY / ".test/config", tmp_path / ".test/config")
    command = snakemake("-s", str(REPOSITORY / "workflow/Snakefile"), "-d", str(tmp_path / ".test"))
    done = subprocess.run(
        [*command, "--forceall", "--rulegraph"],
        cwd=tmp_path,
        capture_output=True,
        env=environment(),
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stderr
    assert '"train_model"' in done.stdout or "train_model" in done.stdout


def test_the_catalog_knows_how_to_use_it():
    usage = yaml.safe_load((REPOSITORY / ".snakemake-workflow-catalog.yml").read_text(encoding="utf-8"))["usage"]
    assert set(usage["software-stack-deployment"]) == {"conda", "apptainer", "apptainer+conda"}
    assert usage["report"] is True
    assert not (REPOSITORY / "config/README.md").read_text(encoding="utf-8").startswith("# ")
