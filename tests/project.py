"""A working copy of the project that tests can run and edit."""

from __future__ import annotations

import ast
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
TINY = REPOSITORY / ".test/config/config.yaml"


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
    snakemake: tuple[str, ...] = (sys.executable, "-m", "snakemake", "--cores", "1")  # tests run side by side

    @property
    def results(self) -> Path:
        return self.folder / "results"

    def command(self, *arguments: str) -> list[str]:
        return [*self.snakemake, *arguments, "--configfile", self.configfile]

    def run(self, *arguments: str, expect: int = 0, **variables: str) -> str:
        """Run Snakemake to its end, with more variables in its environment. Return what it printed."""
        done = subprocess.run(
            self.command(*arguments),
            cwd=self.folder,
            capture_output=True,
            timeout=600,
            env=environment() | variables,
            encoding="utf-8",
        )
        output = done.stdout + done.stderr
        assert done.returncode == expect, output[-6000:]
        return output

    def start(self, *arguments: str) -> subprocess.Popen:
        """Start Snakemake in a process group of its own; Ctrl-C reaches it even where the tests ignore theirs."""
        log = open(self.folder / "started.log", "w", encoding="utf-8")  # noqa: SIM115
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
        return Plan(set(counts) - {"everything", "total"}, set(re.findall(r"^Job \d+: (.*)$", output, re.MULTILINE)))

    def copy(self, folder: Path) -> Project:
        """A copy to edit; time stamps and Snakemake's records come along."""
        shutil.copytree(self.folder, folder, symlinks=True)
        return replace(self, folder=folder)

    def change_meaning(self, path: str, function: str) -> None:
        """Add a statement to a function of a module. Its results do not change."""
        self._insert(path, function, "_ = 0")

    def change_words(self, path: str, function: str) -> None:
        """Add a comment and a line of the log to a function of a module."""
        self._insert(path, function, 'log.info("another word")  # and why')

    def _insert(self, path: str, function: str, statement: str) -> None:
        source = (self.folder / path).read_text(encoding="utf-8")
        (found,) = [
            node
            for node in ast.walk(ast.parse(source))
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == function
        ]
        first = found.body[1 if ast.get_docstring(found) is not None else 0]
        lines = source.splitlines(keepends=True)
        lines.insert(first.lineno - 1, " " * first.col_offset + statement + "\n")
        (self.folder / path).write_text("".join(lines), encoding="utf-8")

    def edit(self, path: str, old: str, new: str) -> None:
        """Replace the one place where a text stands in a file."""
        text = (self.folder / path).read_text(encoding="utf-8")
        assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in {path}"
        (self.folder / path).write_text(text.replace(old, new), encoding="utf-8")


def environment() -> dict[str, str]:
    """The tests' environment, without a profile of the user's."""
    return {key: value for key, value in os.environ.items() if not key.startswith("SNAKEMAKE")}


def recording(folder: Path) -> dict[str, str]:
    """Variables with which every Python process writes what it runs of the library into a folder."""
    return {"PYTHONPATH": str(Path(__file__).parent / "recorder"), "RAINSHAFT_RECORD": str(folder)}


def copy_project(folder: Path) -> Project:
    folder.mkdir(parents=True)
    for part in PARTS:
        source = REPOSITORY / part
        if source.is_dir():
            shutil.copytree(source, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / part)
    shutil.copy(TINY, folder / "tiny.yaml")
    return Project(folder)
