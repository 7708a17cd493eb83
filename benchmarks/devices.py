"""Speed and memory of training and of drawing members on a GPU, against the processors beside it.

    python benchmarks/devices.py RESULTS/EXPERIMENT RESULTS/data/DATASET [STEPS]

Network, loss and data are those of an experiment that the workflow has trained. It measures STEPS steps (default 50)
of a training that begins anew, and the members of a few batches of its test days. Without a GPU the table has the
processors alone.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
import xarray as xr
from torch.utils.flop_counter import FlopCounterMode

from rainshaft.config.slices import SampleSettings, TrainSettings
from rainshaft.data.conventions import TEST
from rainshaft.data.fields import Fields, dates_of
from rainshaft.jobs.stages import read_slice
from rainshaft.models.device import choose_device
from rainshaft.models.store import load_model
from rainshaft.sampling.draw import DAYS_AT_ONCE, draw
from rainshaft.sampling.sample import days_since_1850
from rainshaft.training.distributed import Group
from rainshaft.training.run import trainers

FIRST_STEPS = 10  # not timed: algorithms are chosen and memory is reserved in them
DRAWN_BATCHES = 4


def seconds(work: Callable[[], object], device: torch.device) -> float:
    """Measure how long some work takes, until the device has done it."""
    started = time.monotonic()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.monotonic() - started


def peak_memory(device: torch.device) -> float:
    """Give the most memory since the start, in MiB: that of tensors on the GPU, or that of this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def measure(experiment: str, data: str, steps: int, device_name: str, amp: bool) -> tuple[float, float, float, float]:
    """Measure seconds a step, operations a step, seconds a member, and peak memory in MiB."""
    trained, prepared = Path(experiment), Path(data)
    paths, normalisation = sorted((prepared / "fields").glob("*.nc")), xr.load_dataset(prepared / "normalisation.nc")
    settings = read_slice(trained / "config/train.json", TrainSettings)
    there = settings.train.model_copy(update={"device": device_name, "amp": amp})
    *_, trainer = trainers(settings.model_copy(update={"train": there}), paths, normalisation, Group())  # of fine rain
    device = choose_device(device_name)

    def train(count: int) -> None:
        for _ in range(count):
            trainer.step()

    train(FIRST_STEPS)
    step = seconds(lambda: train(steps), device) / steps
    memory = peak_memory(device)
    with FlopCounterMode(display=False) as counter:  # matrix products and convolutions
        train(1)

    model = load_model(trained / "model.safetensors", trained / "model.json", device)
    sampling = read_slice(trained / "config/sample.json", SampleSettings)
    test_days = dates_of(normalisation)[normalisation.split.values == TEST].tolist()
    with Fields(paths) as fields:
        first, *others = list(fields.batches(test_days, DAYS_AT_ONCE))[: DRAWN_BATCHES + 1]

        def members(dates: list[str]) -> None:
            days = fields.read(dates)
            draw(model, days, normalisation, "prior", sampling, days_since_1850(days.time))

        members(first)
        drawn = seconds(lambda: [members(dates) for dates in others], device)
    return step, counter.get_total_flops(), drawn / sum(len(dates) * sampling.members for dates in others), memory


def main() -> None:
    """Print the table, each row from a process of its own."""
    experiment, data, steps = sys.argv[1], sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else 50
    rows = [("cpu", False, f"{torch.get_num_threads()} processors")]
    if torch.cuda.is_available():
        name = torch.cuda.get_device_name()
        rows += [("cuda", False, f"{name}, float32"), ("cuda", True, f"{name}, bfloat16 autocast")]
    print("| | steps/s | ratio | TFLOP/s | members/s | ratio | peak memory MiB |\n|---|---|---|---|---|---|---|")
    first = None
    for device, amp, words in rows:
        code = (
            f"import runpy; print(*runpy.run_path({__file__!r})['measure'](*{(experiment, data, steps, device, amp)}))"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True, encoding="utf-8"
        )
        step, operations, member, memory = map(float, done.stdout.split())
        first = first or (step, member)
        trained = f"{1 / step:.1f} | {first[0] / step:.1f} | {operations / step / 1e12:.2f}"
        print(f"| {words} | {trained} | {1 / member:.0f} | {first[1] / member:.1f} | {memory:.0f} |", flush=True)


if __name__ == "__main__":
    main()
