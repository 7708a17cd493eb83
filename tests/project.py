"""A working copy of the project that tests can run and edit."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
PARTS = ("Snakefile", "rainshaft", "workflow", "profiles", "config")


@dataclass(frozen=True)
class Plan:
    """What would run: the names of the rules, and the messages of the jobs."""

    rules: set[str]
    messages: set[str]


@dataclass(frozen=True)
class Project:
    """A working copy of the project with a configuration of its own."""

    folder: Path
    configfile: str = "tiny.yaml"
    snakemake: tuple[str, ...] = (sys.executable, "-m", "snakemake", "--cores", "2")

    @property
    def results(self) -> Path:
        return self.folder / "results"

    def command(self, *arguments: str) -> list[str]:
        return [*self.snakemake, *arguments, "--configfile", self.configfile]

    def run(self, *arguments: str, expect: int = 0) -> str:
        """Run Snakemake to its end; what it printed."""
        done = subprocess.run(
            self.command(*arguments), cwd=self.folder, capture_output=True, text=True, timeout=600, env=environment()
        )
        output = done.stdout + done.stderr
        assert done.returncode == expect, output[-6000:]
        return output

    def start(self, *arguments: str) -> subprocess.Popen:
        """Start Snakemake in a process group of its own; Ctrl-C reaches it even where the tests ignore theirs."""
        log = open(self.folder / "started.log", "w")  # noqa: SIM115
        return subprocess.Popen(
            self.command(*arguments),
            cwd=self.folder,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env=environment(),
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    def planned(self, *arguments: str) -> Plan:
        """What a dry run would do."""
        output = self.run("--dry-run", *arguments)
        table = re.search(r"^Job stats:\n.*\n-.*\n((?:\w+ +\d+\n)*)", output, re.MULTILINE)
        counts = dict(line.split() for line in table.group(1).splitlines()) if table else {}
        return Plan(set(counts) - {"all", "total"}, set(re.findall(r"^Job \d+: (.*)$", output, re.MULTILINE)))

    def copy(self, folder: Path) -> Project:
        """A copy to edit; time stamps and Snakemake's records come along."""
        shutil.copytree(self.folder, folder, symlinks=True)
        return replace(self, folder=folder)

    def edit(self, path: str, old: str, new: str) -> None:
        """Replace the one place where a text stands in a file."""
        text = (self.folder / path).read_text()
        assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in {path}"
        (self.folder / path).write_text(text.replace(old, new))


def environment() -> dict[str, str]:
    """The tests' environment, without a profile of the user's."""
    return {key: value for key, value in os.environ.items() if not key.startswith("SNAKEMAKE")}


def copy_project(folder: Path) -> Project:
    folder.mkdir(parents=True)
    for part in PARTS:
        source = REPOSITORY / part
        if source.is_dir():
            shutil.copytree(source, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / part)
    shutil.copy(Path(__file__).parent / "tiny.yaml", folder / "tiny.yaml")
    return Project(folder)
