"""Speed and memory of training and of drawing members on a GPU, against the processors beside it.

    python benchmarks/devices.py RESULTS/EXPERIMENT RESULTS/data/DATASET [STEPS]

Network, losses and data are those of an experiment that the workflow has trained: STEPS steps (default 50) of a
training begun anew, and the members of a few batches of its test days. Only processors where there is no GPU.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch
import xarray as xr
from torch.utils.flop_counter import FlopCounterMode

from rainshaft.jobs.stages import read_slice
from rainshaft.models.device import choose_device
from rainshaft.models.store import load_model
from rainshaft.sampling.draw import draw
from rainshaft.sampling.sample import day_batches, days_since_1850
from rainshaft.training.distributed import Group
from rainshaft.training.run import trainers
from rainshaft.training.trainer import Settings

FIRST_STEPS = 10  # not timed: algorithms are chosen and memory is reserved in them
DRAWN_BATCHES = 4


def seconds(work: Callable[[], object], device: torch.device) -> float:
    """How long some work takes, until the device has done it."""
    started = time.monotonic()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.monotonic() - started


def peak_memory(device: torch.device) -> float:
    """The most memory since the start, in MiB: of the GPU in tensors, or of this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def measure(experiment: str, data: str, steps: int, device_name: str, amp: bool) -> tuple[float, float, float, float]:
    """Seconds a step, operations a step, seconds a member, peak memory in MiB."""
    trained, prepared = Path(experiment), Path(data)
    fields, normalisation = sorted((prepared / "fields").glob("*.nc")), xr.load_dataset(prepared / "normalisation.nc")
    frozen = read_slice(trained / "config/train.json")
    frozen["train"] |= {"device": device_name, "amp": amp}
    *_, trainer = trainers(Settings.from_slice(frozen), fields, normalisation, Group())  # of the fine rain
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
    sampling = read_slice(trained / "config/sample.json")
    test_days = normalisation.time.values[normalisation.split.values == "test"]
    first, *others = day_batches(fields, test_days, sampling["batch_size"])[: DRAWN_BATCHES + 1]

    def members(file: Path, times: object) -> None:
        with xr.open_dataset(file) as year:
            days = year.sel(time=times).load()
        draw(model, days, normalisation, "prior", sampling, days_since_1850(days.time))

    members(*first)
    drawn = seconds(lambda: [members(*batch) for batch in others], device)
    return step, counter.get_total_flops(), drawn / sum(len(t) * sampling["members"] for _, t in others), memory


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
        done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True)
        step, operations, member, memory = map(float, done.stdout.split())
        first = first or (step, member)
        trained = f"{1 / step:.1f} | {first[0] / step:.1f} | {operations / step / 1e12:.2f}"
        print(f"| {words} | {trained} | {1 / member:.0f} | {first[1] / member:.1f} | {memory:.0f} |", flush=True)


if __name__ == "__main__":
    main()
