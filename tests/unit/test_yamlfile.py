"""Faults in the text of a configuration: each is named with its file and its line, and right files have none."""

import subprocess
import sys
from pathlib import Path

import pytest

from rainshaft.config import yamlfile
from rainshaft.config.load import ConfigError, check_files
from rainshaft.config.yamlfile import faults_of

ROOT = Path(__file__).resolve().parents[2]
RIGHT = "results: out\ndatasets:\n  a: {years: [2001], rain: {files: ['x_{year}.nc'], variable: pr}}\n"


@pytest.fixture
def write(tmp_path):
    def write(content: str | bytes) -> Path:
        path = tmp_path / "mine.yaml"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


@pytest.mark.parametrize("path", [*ROOT.glob("config/*.yaml"), ROOT / ".test/config/config.yaml"], ids=lambda p: p.name)
def test_our_own_files_are_right(path):
    assert faults_of(path) == []


@pytest.mark.parametrize(
    "content",
    [
        RIGHT,
        RIGHT.replace("\n", "\r\n"),
        b"\xef\xbb\xbf" + RIGHT.encode(),
        '{\n\t"results": "out"\n}\n',
        "shared: &shared {lr: 0.1}\nmine:\n  <<: *shared\n  epochs: 2\n",
    ],
    ids=["plain", "from Windows", "with a byte order mark", "JSON with tabs", "with an anchor"],
)
def test_what_is_right_passes(write, content):
    assert faults_of(write(content)) == []


WRONG = [
    ("a tab", RIGHT.replace("  a:", "\ta:"), 3, "found a tab; write spaces"),
    ("braces in a list", RIGHT.replace("'", ""), 3, "put the text in quotes"),
    ("braces at the start", "files:\n  - {year}.nc\n", 2, "put the text in quotes"),
    ("a star at the start", "files:\n  - a.nc\n  - *.nc\n", 3, "quotes"),
    ("an exclamation mark", "units: !K\n", 1, "`!K` in quotes"),
    ("a percent sign", "units: %\n", 1, "quotes"),
    ("a Windows path", 'files: ["C:\\data\\x.nc"]\n', 1, "single quotes"),
    ("two colons", "a: b: c\n", 1, "second colon"),
    ("uneven keys", "a:\n   b: 1\n  c: 2\n", 3, "not exactly below each other"),
    ("an open bracket", "a: [1, 2\nb: 3\n", 2, "bracket or quote that is missing"),
    ("two documents", "a: 1\n---\na: 2\n", 2, "second document"),
    ("the same key twice", RIGHT + "results: other\n", 4, "the key `results` stands here again, after line 1"),
    ("the same key twice in braces", "a:\n  b: {c: 1, c: 2}\n", 2, "the key `c` stands here again"),
    ("a name that is a truth value", "experiments:\n  no: {dataset: a}\n", 2, 'write "no" in quotes'),
    ("a name that is a number", "experiments:\n  2001: {dataset: a}\n", 2, 'write "2001" in quotes'),
    ("a day that does not exist", "a: [2001-01-01, 2001-02-30]\n", 1, "`2001-02-30` is no date"),
    ("quotes of a word processor", "a: 1\nvariable: “pr”\n", 2, "typographic quotes"),
    ("spaces of a web page", "a:\n\u00a0\u00a0b: 1\n", 2, "ordinary spaces"),
    ("Latin-1", RIGHT.encode() + "# Österreich\n".encode("latin-1"), 4, "not UTF-8"),
    ("UTF-16", RIGHT.encode("utf-16"), 1, "not UTF-8"),
    ("a byte of zero", "a: 1\nb: \0\n", 2, "take it away"),
]


@pytest.mark.parametrize(("content", "line", "words"), [w[1:] for w in WRONG], ids=[w[0] for w in WRONG])
def test_a_fault_is_named_with_its_line(write, content, line, words):
    path = write(content)
    (found,) = faults_of(path)
    assert found.startswith(f"{path}, line {line}: ")
    assert words in found


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "is empty"),
        ("# only a comment\n", "is empty"),
        ("- a\n", "a list"),
        ("results:out\n", "a space after each colon"),
    ],
)
def test_a_file_without_keys_is_said_to_have_none(write, content, words):
    path = write(content)
    (found,) = faults_of(path)
    assert found.startswith(f"{path}: ")
    assert words in found


def test_a_file_that_is_not_there(tmp_path):
    (found,) = faults_of(tmp_path / "nowhere.yaml")
    assert "there is no such file" in found
    assert "cannot be read" in faults_of(tmp_path)[0]


def test_all_faults_are_named_at_once(write):
    with pytest.raises(ConfigError, match=r"line 2: .*\n.*line 3: "):
        check_files([write("a: 1\na: 2\non: 3\n")])


def run(*arguments: str, folder: Path) -> subprocess.CompletedProcess:
    command = [sys.executable, yamlfile.__file__, *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, encoding="utf-8")


def test_as_a_program_it_reads_the_arguments_of_snakemake(write, tmp_path):
    write("a: 1\na: 2\n")
    done = run("--cores", "2", "--configfile", "mine.yaml", "-n", folder=tmp_path)
    assert done.returncode == 1
    fault = "mine.yaml, line 2: the key `a` stands here again, after line 1; keep one of them"
    assert done.stderr == f"The configuration cannot be used:\n{fault}\n"


def test_as_a_program_it_leaves_other_faults_to_snakemake(tmp_path):
    for arguments in (["--configfile"], ["-n", "--no-such-option"], []):
        done = run(*arguments, folder=tmp_path)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_as_a_program_it_tells_the_folder_of_the_results(write, tmp_path):
    write("results: 'mine [v2] über'\n")
    given = ["--results", "--configfile", "mine.yaml"]
    assert run(*given, folder=tmp_path).stdout == "mine [v2] über\n"
    assert run(*given, "--config", "results=other", folder=tmp_path).stdout == "other\n"
    assert run("--results", folder=ROOT).stdout == "results\n"
