"""What a user's machine may be like: its locale, home folder, modules, file systems and names of folders."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from project import TINY, Project, copy_project

ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}  # Python then takes all text for ASCII
NO_LOCKS = """
#include <errno.h>
int flock(int file, int operation) { errno = 524; return -1; }
"""
PREPARED = "out and 'über' [v2]/data/tiny"


@pytest.fixture(scope="module")
def no_locks(tmp_path_factory) -> dict[str, str]:
    """Variables with which no file can be locked, as on some file systems; none where there is no C compiler."""
    folder = tmp_path_factory.mktemp("locks")
    (folder / "flock.c").write_text(NO_LOCKS, encoding="utf-8")
    if not shutil.which("cc"):
        return {}
    subprocess.run(["cc", "-shared", "-fPIC", "-o", folder / "flock.so", folder / "flock.c"], check=True)
    return {"LD_PRELOAD": str(folder / "flock.so")}


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> str:
    """A folder as a module system puts it into PYTHONPATH: its packages are of another Python."""
    package = tmp_path_factory.mktemp("site") / "xarray"
    package.mkdir()
    (package / "__init__.py").write_text("raise ImportError('of another Python')\n", encoding="utf-8")
    return str(package.parent)


@pytest.fixture(scope="module")
def raw(finished, tmp_path_factory) -> Path:
    """Files of a user, in a folder whose name has what may mean something to a shell, to Python and to Snakemake."""
    return shutil.copytree(finished.results / "data/tiny/raw", tmp_path_factory.mktemp("raw") / "Rümpel's {b} <c> [d]")


@pytest.fixture(scope="module")
def prepared(raw, site, no_locks, tmp_path_factory) -> tuple[Project, str]:
    """A project with files of the user, prepared under all hardships at once, and what Snakemake printed."""
    project = copy_project(tmp_path_factory.mktemp("hard") / "clone")
    config = yaml.safe_load(TINY.read_text(encoding="utf-8")) | {"results": PREPARED.partition("/")[0]}
    dataset = config["datasets"]["tiny"]
    del dataset["synthetic"]
    for files in (dataset["rain"], *dataset["predictors"]):
        files["files"] = [str(raw / Path(files["files"][0]).name)]
    dataset["elevation"]["file"] = str(raw / "fixed.nc")
    (project.folder / "tiny.yaml").write_text(yaml.safe_dump(config, allow_unicode=True), encoding="utf-8")
    (project.folder / "out").write_text("the user's own\n", encoding="utf-8")
    hard = {"HOME": "/proc/nowhere", "TMPDIR": "/nowhere", "PYTHONPATH": site, **ASCII, **no_locks}
    output = project.run(f"{PREPARED}/fields/2001.nc", f"{PREPARED}/fields/2002.nc", **hard)
    return project, output


def test_it_works_under_any_locale_home_folder_site_and_file_system_and_in_folders_with_any_name(prepared):
    project, output = prepared
    assert (project.folder / PREPARED / "fields/2002.nc").exists()
    assert output.count("they would hide xarray of") == 1


def test_a_file_beside_the_results_stays(prepared):
    project, _ = prepared
    assert (project.folder / "out").read_text(encoding="utf-8") == "the user's own\n"
    assert {path.name for path in project.folder.iterdir() if path.name.startswith("out")} == {
        "out",
        PREPARED.partition("/")[0],
    }


def again(prepared: tuple[Project, str]) -> set[str]:
    """What a second run would do."""
    project, _ = prepared
    fields = [f"{PREPARED}/fields/{year}.nc" for year in (2001, 2002)]
    output = project.run("--dry-run", *fields)
    return {line.partition(": ")[2] for line in output.splitlines() if line.startswith("Job ")} - {""}


def test_files_that_did_not_change_are_not_prepared_again(prepared):
    assert again(prepared) == set()


@pytest.mark.parametrize("change", ["time", "size"])
def test_a_raw_file_that_an_older_one_replaced_is_prepared_again_and_no_other(prepared, raw, change):
    path = raw / "rain_2001.nc"
    before = path.stat()
    if change == "size":
        with open(path, "ab") as file:
            file.write(b"x")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns - (10**15 if change == "time" else 0)))
    try:
        assert again(prepared) == {"Preparing 2001 of tiny"}
    finally:
        os.truncate(path, before.st_size)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_a_map_that_an_older_one_replaced_prepares_every_year_again(prepared, raw):
    before = (raw / "fixed.nc").stat()
    os.utime(raw / "fixed.nc", (10**9, 10**9))
    try:
        assert again(prepared) == {"Preparing 2001 of tiny", "Preparing 2002 of tiny"}
    finally:
        os.utime(raw / "fixed.nc", ns=(before.st_atime_ns, before.st_mtime_ns))


def test_a_finished_run_repeats_nothing_under_another_locale(finished):
    assert "Nothing to be done" in finished.run("--dry-run", **ASCII)
    table = (finished.results / "comparison/table.md").read_text(encoding="utf-8")
    assert "Zwei Jahre für die Prüfung – täglich" in table


@pytest.mark.parametrize("name", ["a{b}", "a:b", "a\\b"])
def test_a_clone_in_a_folder_that_snakemake_cannot_take_is_refused(tmp_path, name):
    project = copy_project(tmp_path / name)
    assert "Move the clone to a path of letters" in project.run("--dry-run", expect=1)


def test_a_python_whose_path_the_shell_would_split_is_refused(finished, tmp_path):
    python = tmp_path / "my environment/bin/python"
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)
    shutil.copy(Path(sys.prefix) / "pyvenv.cfg", tmp_path / "my environment")
    packages = Path(sys.prefix).glob("lib*")
    for folder in packages:
        (tmp_path / "my environment" / folder.name).symlink_to(folder)
    project = Project(finished.folder, snakemake=(str(python), "-m", "snakemake", "--cores", "2"))
    output = project.run("--dry-run", expect=1)
    assert "Snakemake cannot work with ' '" in output
    assert "my environment" in output


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("datasets:\n\ta: 1\n", "mine.yaml, line 2: found a tab; write spaces"),
        ("seed: 1\nseed: 2\n", "mine.yaml, line 2: the key `seed` stands here again"),
        ("", "mine.yaml: the file is empty"),
    ],
)
def test_a_fault_in_the_text_of_a_configuration_is_named_with_its_line(finished, tmp_path, content, words):
    (tmp_path / "mine.yaml").write_text(content, encoding="utf-8")
    output = Project(finished.folder, str(tmp_path / "mine.yaml")).run("--dry-run", expect=1)
    assert words in output
    assert "Traceback" not in output


def test_a_file_without_experiments_does_not_run_those_of_the_demo(finished, tmp_path):
    (tmp_path / "mine.yaml").write_text("seed: 2\n", encoding="utf-8")
    output = Project(finished.folder, str(tmp_path / "mine.yaml")).run("--dry-run", expect=1)
    assert "experiments: found none" in output
