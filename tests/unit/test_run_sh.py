"""run.sh in a copy of its own: what it says and leaves behind when something is wrong, and what it repeats."""

import os
import shutil
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).resolve().parents[2]
YAMLFILE = "rainshaft/config/yamlfile.py"
TOOLS = [
    "awk",
    "bash",
    "cat",
    "cksum",
    "date",
    "dirname",
    "find",
    "flock",
    "ls",
    "mkdir",
    "rmdir",
    "sed",
    "sh",
    "sleep",
]
TOOLS += ["tail", "tee", "touch"]


def executable(path: Path, text: str) -> None:
    path.write_text("#!/bin/sh\n" + text + "\n", encoding="utf-8")
    path.chmod(0o755)


class Copy:
    """A copy of run.sh and its locks, with a PATH that has only what the test puts there."""

    def __init__(self, folder: Path, name: str = "copy") -> None:
        self.folder, self.bin = folder / name, folder / "bin"
        self.folder.mkdir()
        self.bin.mkdir()
        for path in (ROOT / "run.sh", ROOT / "pyproject.toml", *ROOT.glob("requirements*")):
            shutil.copy(path, self.folder)
        (self.folder / YAMLFILE).parent.mkdir(parents=True)
        shutil.copy(ROOT / YAMLFILE, self.folder / YAMLFILE)
        for tool in TOOLS:
            if found := shutil.which(tool):
                (self.bin / tool).symlink_to(found)
        self.free_space(gigabytes=100)
        self.environment = {"PATH": str(self.bin), "HOME": str(folder), "PIP_CONFIG_FILE": os.devnull}

    def free_space(self, gigabytes: int) -> None:
        executable(self.bin / "df", f"echo header; echo disk 0 0 {gigabytes * 1024**2} 0% /")

    def python(self, version: str, *names: str) -> None:
        for name in names:
            executable(self.bin / name, f"echo {version}")

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen:
        return subprocess.Popen(
            ["bash", "run.sh", *arguments],
            cwd=self.folder,
            env=self.environment | environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
        )

    def run(self, *arguments: str, **environment: str) -> tuple[int, str]:
        process = self.start(*arguments, **environment)
        output, _ = process.communicate(timeout=120)
        return process.returncode, output

    def pretend_set_up(self, **environment: str) -> Path:
        """Make a .venv that run.sh believes to be whole. Return its bin folder."""
        venv = self.folder / ".venv"
        (venv / "bin").mkdir(parents=True)
        (venv / "setup.log").touch()
        executable(
            venv / "bin" / "python",
            f'case "$1" in -V) echo Python 3.11.7 && exit ;; *.py) exec {sys.executable} "$@" ;; esac\n'
            'echo "python $*"; exit 5',
        )
        script = 'source ./run.sh help >/dev/null; is_set_up || { echo "$torch" >.venv/torch; stamp >.venv/stamp; }'
        subprocess.run(["bash", "-c", script], cwd=self.folder, env=self.environment | environment, check=True)
        return venv / "bin"


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    return Copy(tmp_path)


@pytest.fixture
def full_disk(copy: Copy) -> Copy:
    """A copy whose set-up stops at its first check, to see whether set-up begins at all."""
    copy.python("3.11.7", "python3.11")
    copy.free_space(gigabytes=1)
    return copy


def test_unknown_word_is_named_with_the_known_ones(copy: Copy) -> None:
    status, output = copy.run("dmeo")
    assert status == 1
    assert "unknown word 'dmeo'" in output
    assert "./run.sh demo" in output


@pytest.mark.parametrize("arguments", [(), ("help",), ("--help",)])
def test_help(copy: Copy, arguments: tuple[str, ...]) -> None:
    status, output = copy.run(*arguments)
    assert status == 0
    assert "./run.sh test" in output
    assert not (copy.folder / ".venv").exists()


def test_old_python_is_refused_by_version(copy: Copy) -> None:
    copy.python("3.8.18", "python3.11", "python3")
    status, output = copy.run("demo")
    assert status == 1
    assert "needs Python 3.11, 3.12 or 3.13" in output
    assert "python3 is 3.8.18" in output
    assert "PYTHON=" in output
    assert not (copy.folder / ".venv").exists()


@pytest.mark.parametrize("minor", range(8, 20))
def test_pythons_are_taken_as_pyproject_says(full_disk: Copy, minor: int) -> None:
    supported = SpecifierSet(
        tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["requires-python"]
    )
    full_disk.python(f"3.{minor}.1", "python-of-mine")
    (full_disk.bin / "python3.11").unlink()
    _, output = full_disk.run("setup", PYTHON="python-of-mine")
    assert ("GB are free" in output) == (f"3.{minor}" in supported)
    assert ("needs Python" in output) == (f"3.{minor}" not in supported)


def test_new_python_is_refused_and_a_fitting_one_preferred(full_disk: Copy) -> None:
    full_disk.python("3.14.1", "python3")
    assert "python3 is 3.14.1" in full_disk.run("setup", PYTHON="python3")[1]
    assert "GB are free" in full_disk.run("setup")[1], "python3.11 fits, so set-up goes on to the disk"


def test_no_python_at_all(copy: Copy) -> None:
    assert "none of them runs" in copy.run("demo")[1]
    assert "/no/such/python: none of them runs" in copy.run("demo", PYTHON="/no/such/python")[1]


def test_full_disk_is_seen_before_anything_is_written(full_disk: Copy) -> None:
    status, output = full_disk.run("demo")
    assert status == 1
    assert "needs 3 GB" in output
    assert "1 GB are free" in output
    assert not (full_disk.folder / ".venv").exists()


def test_a_venv_of_the_users_own_is_left_alone(copy: Copy) -> None:
    copy.python("3.11.7", "python3.11")
    mine = copy.folder / ".venv" / "mine"
    mine.parent.mkdir()
    mine.touch()
    status, output = copy.run("demo")
    assert status == 1
    assert "not made by run.sh" in output
    assert mine.exists()


def test_no_network_is_said_and_the_half_made_venv_is_not_used(copy: Copy) -> None:
    closed = "http://127.0.0.1:9/simple"
    network = {"PIP_INDEX_URL": closed, "PIP_RETRIES": "0", "UV_DEFAULT_INDEX": closed, "UV_HTTP_RETRIES": "0"}
    status, output = copy.run("demo", PYTHON=sys.executable, **network)
    assert status == 1
    assert "requirements.lock failed: the download failed: check the network" in output
    assert f"{copy.folder}/.venv/setup.log" in output
    assert (copy.folder / ".venv" / "setup.log").exists()
    copy.free_space(gigabytes=1)
    assert "GB are free" in copy.run("demo", PYTHON=sys.executable)[1], "the next call sets up again"


@pytest.mark.parametrize("name", ["a b", "a{b}", "a'b", "a$b", "a[b]", "a:b", "a&b", "a\nb"])
def test_a_folder_that_the_workflow_cannot_take_is_refused_before_set_up(tmp_path: Path, name: str) -> None:
    copy = Copy(tmp_path, name)
    copy.python("3.11.7", "python3.11")
    status, output = copy.run("demo")
    assert status == 1
    assert "move the clone" in output
    assert str(copy.folder) in output
    assert not (copy.folder / ".venv").exists()


@pytest.mark.parametrize("name", ["über-uns", "v1.2_a+b"])
def test_other_folders_are_fine(tmp_path: Path, name: str) -> None:
    copy = Copy(tmp_path, name)
    copy.pretend_set_up()
    assert copy.run("setup") == (0, "")


def test_the_environment_does_without_the_packages_of_the_site(copy: Copy) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", copy.folder / ".venv"], check=True)
    (copy.folder / "site/numpy").mkdir(parents=True)
    (copy.folder / "mine").mkdir()
    places = [str(copy.folder / "site"), str(copy.folder / "mine")]
    script = "source ./run.sh help >/dev/null; leave_site_out; .venv/bin/python -c 'import sys; print(*sys.path)'"
    environment = copy.environment | {"PYTHONPATH": os.pathsep.join(places)}
    done = subprocess.run(
        ["bash", "-c", script], cwd=copy.folder, env=environment, capture_output=True, encoding="utf-8", check=True
    )
    assert [place in done.stdout.split() for place in places] == [False, True]


def test_set_up_works_where_the_file_system_has_no_locks(full_disk: Copy) -> None:
    (full_disk.bin / "flock").unlink(missing_ok=True)
    executable(full_disk.bin / "flock", "exit 71")
    assert "GB are free" in full_disk.run("setup")[1], "it goes on to the disk"
    assert not (full_disk.folder / ".venv.lock.d").exists()


def test_what_is_set_up_starts_at_once(full_disk: Copy) -> None:
    full_disk.pretend_set_up()
    start = time.monotonic()
    assert full_disk.run("setup") == (0, "")
    assert time.monotonic() - start < 2
    assert not (full_disk.folder / ".venv.lock").exists()


@pytest.mark.parametrize("change", ["lock", "torch", "python", "half-made"])
def test_what_changed_is_set_up_again(full_disk: Copy, change: str) -> None:
    full_disk.pretend_set_up()
    environment = {}
    if change == "lock":
        with open(full_disk.folder / "requirements.lock", "a", encoding="utf-8") as lock:
            lock.write("# changed\n")
    elif change == "torch":
        environment["TORCH"] = "torch==2.12.0"
    elif change == "python":
        executable(full_disk.folder / ".venv" / "bin" / "python", "echo Python 3.12.1")
    else:
        (full_disk.folder / ".venv" / "stamp").unlink()
    status, output = full_disk.run("setup", **environment)
    assert status == 1
    assert "GB are free" in output


def test_the_choice_of_torch_is_remembered(full_disk: Copy) -> None:
    full_disk.pretend_set_up(TORCH="torch==2.12.0")
    assert full_disk.run("setup") == (0, "")
    assert "GB are free" in full_disk.run("setup", TORCH="torch==2.13.0")[1]


@pytest.mark.parametrize("with_flock", [True, False])
def test_a_second_set_up_waits_for_the_first(full_disk: Copy, with_flock: bool) -> None:
    if with_flock:
        if not shutil.which("flock"):
            pytest.skip("no flock here")
        first = subprocess.Popen(["flock", full_disk.folder / ".venv.lock", "sleep", "2"])
    else:
        (full_disk.bin / "flock").unlink(missing_ok=True)
        (full_disk.folder / ".venv.lock.d").mkdir()
        first = subprocess.Popen(["bash", "-c", "sleep 2; rmdir .venv.lock.d"], cwd=full_disk.folder)
    while with_flock and not (full_disk.folder / ".venv.lock").exists():
        time.sleep(0.01)
    start = time.monotonic()
    _, output = full_disk.run("setup")
    first.wait()
    assert time.monotonic() - start > 1
    assert output.startswith("waiting for another set-up")
    assert "GB are free" in output, "then it does its own"
    assert not (full_disk.folder / ".venv.lock.d").exists()


SNAKEMAKE = """echo "snakemake $*" >>calls
case " $*" in
    *--report*) touch results/mine/report.html ;;
    *" -n"*) echo plan ;;
    *) [ ! -e fail ] || exit 3
       mkdir -p results/mine/comparison
       [ -e results/mine/comparison/table.md ] || { echo TABLE | tee results/mine/comparison/console.txt \\
           >results/mine/comparison/table.md; sleep 0.1; } ;;
esac"""


def calls(copy: Copy) -> list[str]:
    path = copy.folder / "calls"
    found = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    path.unlink(missing_ok=True)
    return found


@pytest.mark.parametrize("by", ["file", "command line"])
def test_demo_shows_the_results_of_its_configuration_and_makes_the_report_only_for_new_ones(
    copy: Copy, by: str
) -> None:
    executable(copy.pretend_set_up() / "snakemake", SNAKEMAKE)
    other = copy.folder / "results" / "comparison"
    other.mkdir(parents=True)
    for name in ("table.md", "console.txt"):
        (other / name).write_text("ANOTHER\n", encoding="utf-8")
    (copy.folder / "mine.yaml").write_text(
        'results: "results/mine" # a comment\n' if by == "file" else "seed: 2\n", encoding="utf-8"
    )
    arguments = ["--configfile", "mine.yaml", "--quiet"]
    arguments += [] if by == "file" else ["--config", "results=results/mine"]
    status, output = copy.run("demo", *arguments)
    assert status == 0
    assert "TABLE" in output
    assert "ANOTHER" not in output
    assert "results/mine/comparison/report.html" in output
    assert "results/mine/report.html" in output
    run, report = calls(copy)
    assert run.endswith(" ".join(["--cores all", *arguments]))
    assert report.endswith(" ".join(["--report results/mine/report.html", *arguments]))

    copy.run("demo", *arguments)
    assert len(calls(copy)) == 1
    figure = copy.folder / "results/mine/comparison/scores.png"
    figure.touch()
    copy.run("demo", *arguments)
    assert len(calls(copy)) == 2, "the report has the new figure"


def test_demo_passes_a_dry_run_on_and_does_no_more(copy: Copy) -> None:
    executable(copy.pretend_set_up() / "snakemake", SNAKEMAKE)
    assert copy.run("demo", "-n") == (0, "plan\n")
    assert calls(copy) == ["snakemake --cores all -n"]


def test_demo_fails_when_the_workflow_fails(copy: Copy) -> None:
    executable(copy.pretend_set_up() / "snakemake", SNAKEMAKE)
    (copy.folder / "fail").touch()
    status, output = copy.run("demo")
    assert status == 3
    assert "report" not in output
    assert len(calls(copy)) == 1


def test_init_and_check_start_in_the_folder_of_the_user(copy: Copy, tmp_path: Path) -> None:
    executable(copy.pretend_set_up() / "rainshaft", 'echo "rainshaft $* in $PWD"; exit 3')
    mine = tmp_path / "my folder"
    mine.mkdir()
    for word in ("init", "check"):
        command = ["bash", str(copy.folder / "run.sh"), word, "a file.nc"]
        done = subprocess.run(
            command, cwd=mine, env=copy.environment, capture_output=True, text=True, encoding="utf-8", check=False
        )
        assert done.returncode == 3
        assert done.stdout == f"rainshaft {word} a file.nc in {mine}\n"


def test_run_takes_a_configuration_from_the_folder_of_the_user(copy: Copy, tmp_path: Path) -> None:
    executable(copy.pretend_set_up() / "snakemake", SNAKEMAKE)
    (tmp_path / "mine.yaml").write_text("seed: 2\n", encoding="utf-8")
    command = ["bash", str(copy.folder / "run.sh"), "run", "mine.yaml", "-n"]
    done = subprocess.run(
        command, cwd=tmp_path, env=copy.environment, capture_output=True, text=True, encoding="utf-8", check=False
    )
    assert done.stdout == "plan\n"
    assert calls(copy) == [f"snakemake --cores all --configfile {tmp_path}/mine.yaml -n"]


def test_run_says_which_configuration_is_missing(copy: Copy) -> None:
    copy.pretend_set_up()
    status, output = copy.run("run", "none.yaml")
    assert status == 1
    assert "there is no configuration" in output
    assert "./run.sh init FILES" in output


def test_test_is_quiet_and_passes_on_what_pytest_returns(copy: Copy) -> None:
    venv = copy.pretend_set_up()
    for tool in ("ruff", "mypy", "mkdocs", "snakefmt", "snakemake"):
        executable(venv / tool, "echo chatter")
    status, output = copy.run("test", "-k", "loss")
    assert status == 5
    assert output.splitlines()[-1] == "python -m pytest -k loss"
    assert "chatter" not in output


def test_test_shows_what_a_failing_check_said(copy: Copy) -> None:
    venv = copy.pretend_set_up()
    for tool in ("ruff", "mypy", "mkdocs", "snakemake"):
        executable(venv / tool, "echo chatter")
    executable(venv / "snakefmt", "echo would reformat Snakefile; exit 1")
    status, output = copy.run("test")
    assert status == 1
    assert "snakefmt failed" in output
    assert "would reformat Snakefile" in output
    assert "pytest" not in output
