"""A run that is killed at any moment leaves nothing half-made: the next run ends with equal files, to the bit."""

import hashlib
import os
import random
import signal
import time

import pytest

pytestmark = pytest.mark.slow

STAGES = {
    "prepare": "results/data/tiny/fields/2001.nc",
    "normalisation": "results/data/tiny/normalisation.nc",
    "sample": "results/calibrated/samples/prior/1-of-1.nc",
    "threshold": "results/calibrated/synth/prior.nc",
    "evaluate": "results/calibrated/evaluation/prior/scores.json",
}
MOMENTS = 10


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("stage", STAGES)
def test_a_killed_run_is_made_good_by_the_next_one(project, stage):
    target = project.folder / STAGES[stage]
    arguments = (STAGES[stage], "--forcerun", STAGES[stage])
    start = time.monotonic()
    project.run(*arguments)
    needed, whole = time.monotonic() - start, digest(target)
    random.seed(stage)
    for moment in sorted(random.uniform(0.1, 1.0) * needed for _ in range(MOMENTS)):
        running = project.start(*arguments)
        time.sleep(moment)
        os.killpg(running.pid, signal.SIGKILL)
        running.wait()
        project.run(STAGES[stage])
        assert digest(target) == whole, f"killed {moment:.1f} s after its start"
        assert not list(project.results.rglob("*.part")), "a temporary file is left"
