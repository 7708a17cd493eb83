"""A damaged netCDF file is refused in words, or read to the values that are in it. Nothing crashes without a word."""

import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import pytest

HERE = Path(__file__).parent
LONGEST = 60  # seconds for one file
HANGS = "the netCDF library hangs"  # in its own code; Python cannot end that


def outcomes(folder, first, stop):
    """The outcome of each seed. A process that dies or hangs is followed by one that goes on after that seed."""
    found = {}
    while first < stop:
        process = subprocess.Popen(
            [sys.executable, "-W", "ignore", HERE / "mutations.py", folder, str(first), str(stop)],
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            env=os.environ | {"PYTHONPATH": os.pathsep.join([str(HERE), str(HERE.parents[1])])},
        )
        watch = threading.Timer(LONGEST, process.kill)
        watch.start()
        for line in process.stdout:
            watch.cancel()
            seed, kind, outcome = line.rstrip("\n").split("\t")
            found[int(seed)] = kind, outcome
            watch = threading.Timer(LONGEST, process.kill)
            watch.start()
        watch.cancel()
        first = max(found, default=first - 1) + 1
        if status := process.wait():
            found[first] = "", HANGS if status == -signal.SIGKILL else f"exit status {status}"
            first += 1
    return found


@pytest.mark.parametrize("count", [40, pytest.param(2000, marks=pytest.mark.slow)])
def test_damaged_files_are_refused_or_read_right(tmp_path, count):
    found = outcomes(tmp_path, 0, count)
    assert len(found) == count
    wrong = {seed: words for seed, words in found.items() if words[1] not in ("refused", "right", HANGS)}
    assert not wrong, "\n".join(f"{seed}: {words}" for seed, words in wrong.items())
    counts = Counter(outcome for _, outcome in found.values())
    assert counts["refused"] > count / 4
    assert counts[HANGS] <= count / 100
