"""What is wrong with the text of a configuration file, in words that name the file and the line.

Snakemake reads the file itself, and it says no more than that a file is "not valid". YAML keeps the last of two equal
keys without a word, and it reads an unquoted `no` as false. So each file is looked at before its content is used.

As a program, this module looks at the files that the arguments of Snakemake name. It then runs before Snakemake has
read anything, so it uses no other module of rainshaft. With `--results` it prints the folder of the results.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

YAML_TAG = "tag:yaml.org,2002:"  # begins the names of all types that YAML itself knows
DEMO = "config/config.yaml"  # what Snakemake reads where no file is named


def faults_of(path: Path) -> list[str]:
    """List what is wrong with the text of a YAML or JSON file, one line for each fault.

    What the keys mean is not looked at: that is the task of `rainshaft.config.load`.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        return [f"{path}: there is no such file; everything that follows --configfile is taken for a configuration"]
    except OSError as error:
        return [f"{path}: the file cannot be read: {error.strerror}"]
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        return [f"{path}, line {line}: found a character that is not UTF-8; save the file as UTF-8"]
    try:
        tree = yaml.compose(text, yaml.SafeLoader)
        if tree is None:
            return [f"{path}: the file is empty; write the sections `datasets` and `experiments`"]
        if not isinstance(tree, yaml.MappingNode):
            kind = "a list" if isinstance(tree, yaml.SequenceNode) else "a text without keys"
            return [f"{path}: found {kind}; write keys such as `datasets:`, and a space after each colon"]
        faults = [f"{path}, line {line}: {words}" for line, words in _faults_in(tree, set())]
        return faults or _wrong_spaces(path, text)
    except yaml.MarkedYAMLError as error:
        if _is_json(text):  # YAML refuses tabs, JSON has them
            return []
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        return [f"{path}, line {line}: {_words(error, text.splitlines()[line - 1 : line])}"]
    except yaml.reader.ReaderError as error:
        line = text[: error.position].count("\n") + 1
        return [f"{path}, line {line}: found the character {chr(int(error.character))!a}; take it away"]


def _is_json(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False


def _faults_in(node: yaml.Node, seen: set[int]) -> Iterator[tuple[int, str]]:
    """Line and words for each place from which YAML would read something else than it seems to say."""
    if id(node) in seen:  # an alias leads back to its anchor
        return
    seen.add(id(node))
    line = node.start_mark.line + 1
    if not node.tag.startswith(YAML_TAG):
        yield line, f"YAML has a meaning of its own for a text that begins with !; put `{node.tag}` in quotes"
    if isinstance(node, yaml.ScalarNode):
        if node.style is None and re.fullmatch(r"[“”„‘’].*[“”‘’]", node.value):
            yield line, f"found typographic quotes around {node.value}; write ' or \""
        if node.tag == f"{YAML_TAG}timestamp":
            try:
                yaml.safe_load(node.value)
            except ValueError as error:
                yield line, f"`{node.value}` is no date: {error}; correct it"
    elif isinstance(node, yaml.SequenceNode):
        for entry in node.value:
            yield from _faults_in(entry, seen)
    elif isinstance(node, yaml.MappingNode):
        first: dict[str, int] = {}
        for key, value in node.value:
            yield from _faults_of_key(key, first)
            yield from _faults_in(value, seen)


def _faults_of_key(key: yaml.Node, first: dict[str, int]) -> Iterator[tuple[int, str]]:
    """Line and words for a key that YAML does not take for a text, or that stood before at a line of `first`."""
    line = key.start_mark.line + 1
    if not isinstance(key, yaml.ScalarNode):
        yield line, "found { } or [ ] where a key should be; put a text that holds them in quotes"
        return
    kind = key.tag.removeprefix(YAML_TAG)
    if kind not in ("str", "merge"):
        words = {"bool": "true or false", "int": "a number", "float": "a number", "timestamp": "a date"}.get(kind, kind)
        yield line, f'YAML reads the key `{key.value}` as {words}, not as a text; write "{key.value}" in quotes'
    if key.value in first:
        yield line, f"the key `{key.value}` stands here again, after line {first[key.value]}; keep one of them"
    first.setdefault(key.value, line)


def _wrong_spaces(path: Path, text: str) -> list[str]:
    """Name the lines that begin with spaces that YAML takes for letters. Text from web pages has them."""
    lines = [number for number, line in enumerate(text.split("\n"), 1) if re.match(r" *[^\S \t\r\n\v\f]", line)]
    return [f"{path}, line {n}: begins with a space that YAML does not know; write ordinary spaces" for n in lines]


def _words(error: yaml.MarkedYAMLError, lines: Sequence[str]) -> str:
    """What PyYAML says, and what to do about it."""
    problem, text = str(error.problem), "".join(lines)
    if "'\\t'" in problem or re.match(r" *\t", text):
        return "found a tab; write spaces"
    if re.search(r"\{\w*\}", re.sub(r"'[^']*'|\"[^\"]*\"", "", text)):
        return "YAML has a meaning of its own for { } outside quotes; put the text in quotes"
    if "escape character" in problem:
        return r"found \ in double quotes; put the text in single quotes"
    if "alias" in str(error.context) or "cannot start any token" in problem:
        return f"{problem}; put a text that begins with one of * & % @ ` in quotes"
    if "mapping values are not allowed" in problem:
        return (
            "found a second colon, or a key that is set further in than its neighbours; a text with `: ` needs quotes"
        )
    if "single document" in str(error.context) or "document start" in problem:
        return "found a second document (`---`); write one file for each"
    return f"{problem}; look for a bracket or quote that is missing, and for keys that are not exactly below each other"


def _given(arguments: Sequence[str]) -> argparse.Namespace:
    """The files and the keys that arguments of Snakemake name."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("--configfile", "--configfiles", nargs="+", action="extend", default=[], type=Path)
    parser.add_argument("--config", "-C", nargs="+", action="extend", default=[])
    try:
        return parser.parse_known_args(arguments)[0]
    except argparse.ArgumentError:  # Snakemake says what is wrong with its arguments
        return parser.parse_known_args([])[0]


def _results(given: argparse.Namespace) -> str:
    """The folder of the results for these arguments."""
    found: dict[str, Any] = {}
    for path in given.configfile or [Path(DEMO)]:
        found |= yaml.safe_load(path.read_bytes())
    found |= dict(item.split("=", 1) for item in given.config)
    return os.fspath(found.get("results", "results"))


if __name__ == "__main__":
    wanted = _given(sys.argv[1:])
    if lines := [line for name in wanted.configfile for line in faults_of(name)]:
        sys.exit("The configuration cannot be used:\n" + "\n".join(lines))
    if "--results" in sys.argv:
        print(_results(wanted))
